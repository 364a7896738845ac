//! Commands from the ground to a vehicle, free of I/O.
//!
//! [`ground`] and [`vehicle`] hold one state machine each. What they promise together:
//!
//! - A command runs at most once, whatever the link and either process did. The vehicle makes its id durable before it
//!   runs it; the ground sends it again after every reconnect until the vehicle has reported on it.
//! - It does not begin after its time to live. The ground sends nothing that is over; the vehicle compares with the
//!   ground's clock as it knows it, at the late end of what it knows, and waits while it knows nothing.
//! - A state is somebody's word: `queued` and `sent` the ground's, `at vehicle` the edge's, `accepted`, `rejected`,
//!   `failed` and `done` the target's own or the edge's with the reason beside it. A vehicle that was never heard again
//!   leaves a command `sent`.
//! - Of commands with one supersede key, none that is older begins once a newer one has reached the vehicle.
//!
//! [`control`] is the other way to act: a stream of set-points, of which only the newest counts, and none for long.

pub mod control;
pub mod ground;
pub mod mavlink;
mod state;
pub mod vehicle;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::control::{ControlReport, MAX_LIFE, MAX_VALUES, SetPoint};
use self::mavlink::MavlinkCommand;
pub use self::state::{Reason, State, Step};
use crate::message::ClockEstimate;
use crate::time::{Now, Timestamp};

/// Time to live of a command whose issuer names none.
pub const DEFAULT_TIME_TO_LIVE: Duration = Duration::from_secs(10);
/// The longest time to live: the vehicle remembers ids until long after it.
pub const MAX_TIME_TO_LIVE: Duration = Duration::from_secs(3600);
/// The longest names: of devices, their commands, supersede keys, issuers, controls, bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest arguments of a device's command, bytes of JSON.
pub const MAX_ARGUMENT_BYTES: usize = 2048;
/// The longest text about a step, bytes; longer ones are cut.
pub const MAX_DETAIL_BYTES: usize = 200;
/// The most steps in a report.
pub const MAX_STEPS: usize = 8;

/// Names a command for good: a random number, chosen by whoever issues it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandId(pub u64);

/// Why a text is no [`CommandId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a command id is 16 hexadecimal digits")]
pub struct InvalidCommandId;

/// What the ground asks of a vehicle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// To run a command, if it has not been run.
    Command(Command),
    /// Not to run a command, if it has not begun; to report on it in any case.
    Cancel(Cancel),
    /// To follow a set-point. Worthless when late: never queued, never sent again.
    SetPoint(SetPoint),
}

/// What a vehicle answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// What became of a command.
    Report(CommandReport),
    /// What became of a stream of set-points.
    Control(ControlReport),
}

/// One command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Its name.
    pub id: CommandId,
    /// When it was issued, by the ground's clock. The later of two is the newer.
    pub issued: Timestamp,
    /// It must not begin later than this after `issued`, milliseconds.
    pub ttl_ms: u32,
    /// A newer command with the same key cancels this one, unless it has begun.
    pub key: Option<String>,
    /// Who asked.
    pub issuer: String,
    /// What to do.
    pub action: Action,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// A MAVLink command of an autopilot or another component.
    Mavlink(MavlinkCommand),
    /// A command of a device at the edge.
    Device(DeviceCommand),
}

/// A command of a device at the edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCommand {
    /// The device's name in the edge's configuration.
    pub device: String,
    /// What it is asked for: `switch`.
    pub command: String,
    /// A JSON object: `{"on":true}`.
    pub arguments: String,
}

/// Takes a command back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Which.
    pub id: CommandId,
    /// Why.
    pub why: CancelReason,
}

/// Why a command is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CancelReason {
    /// Somebody asked for it.
    Asked,
    /// A newer one with the same key is on its way.
    Superseded,
    /// Its time to live is over and the ground does not know what became of it.
    Overdue,
}

/// What became of a command at the vehicle, from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandReport {
    /// Which.
    pub id: CommandId,
    /// The vehicle's steps, oldest first, at most [`MAX_STEPS`]. Their times are by the vehicle's clock.
    pub steps: Vec<Step>,
}

/// Why a command cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// A name is empty, too long, or has control characters in it.
    #[error("{what} must be 1 to {MAX_NAME_BYTES} bytes without control characters")]
    Name {
        /// Which name.
        what: &'static str,
    },
    /// The time to live is zero or too long.
    #[error("the time to live must be 1 ms to {} s", MAX_TIME_TO_LIVE.as_secs())]
    TimeToLive,
    /// The arguments are too long.
    #[error("arguments of {0} bytes are over the limit of {MAX_ARGUMENT_BYTES}")]
    Arguments(usize),
    /// More MAVLink parameters than there are.
    #[error("a MAVLink command has at most 7 parameters, and 5 beside a position")]
    Parameters,
    /// The life of a set-point is zero or too long.
    #[error("the life of a set-point must be 1 ms to {} s", MAX_LIFE.as_secs())]
    Life,
    /// More values of a set-point than a control can have axes.
    #[error("a set-point has at most {MAX_VALUES} values, one an axis of the control, not {0}")]
    Values(usize),
    /// A value of a set-point is out of range.
    #[error("value {0} of the set-point is out of range: each is -1 to 1")]
    Deflection(usize),
}

/// Now, and what the vehicle knows of the ground's clock at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the vehicle's clocks.
    pub now: Now,
    /// The ground's clock against `now.wall`; `None` while it is unknown.
    pub clock: Option<ClockEstimate>,
}

impl Command {
    /// When it must have begun, by the ground's clock.
    pub fn expires(&self) -> Timestamp {
        self.issued.offset_by(i64::from(self.ttl_ms) * 1000)
    }

    /// Its time to live.
    pub fn time_to_live(&self) -> Duration {
        Duration::from_millis(self.ttl_ms.into())
    }

    /// Whether it is within the limits of this module, wherever it came from.
    pub fn validate(&self) -> Result<(), InvalidCommand> {
        if self.ttl_ms == 0 || self.time_to_live() > MAX_TIME_TO_LIVE {
            return Err(InvalidCommand::TimeToLive);
        }
        check_name("the issuer's name", &self.issuer)?;
        self.key.as_deref().map_or(Ok(()), |key| check_name("the supersede key", key))?;
        match &self.action {
            Action::Mavlink(command) => command.validate(),
            Action::Device(DeviceCommand { device, command, arguments }) => {
                check_name("the device's name", device)?;
                check_name("the command's name", command)?;
                if arguments.len() > MAX_ARGUMENT_BYTES {
                    return Err(InvalidCommand::Arguments(arguments.len()));
                }
                Ok(())
            }
        }
    }
}

impl Moment {
    /// The latest that the ground's clock can show; `None` while it is unknown.
    pub fn ground_latest(&self) -> Option<Timestamp> {
        let clock = self.clock?;
        // Crystals drift apart by some 17 ms while an estimate is kept.
        const DRIFT_MICROS: i64 = 20_000;
        let late = i64::from(clock.uncertainty_micros) + DRIFT_MICROS;
        Some(self.now.wall.offset_by(clock.offset_micros).offset_by(late))
    }
}

/// Whether a name can stand in messages, logs and configurations.
pub fn check_name(what: &'static str, name: &str) -> Result<(), InvalidCommand> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(char::is_control) {
        return Err(InvalidCommand::Name { what });
    }
    Ok(())
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for CommandId {
    type Err = InvalidCommandId;

    fn from_str(text: &str) -> Result<Self, InvalidCommandId> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number.map(CommandId).ok_or(InvalidCommandId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        Command {
            id: CommandId(1),
            issued: Timestamp::from_millis(1000),
            ttl_ms: 10_000,
            key: None,
            issuer: "ann".to_owned(),
            action: Action::Device(DeviceCommand {
                device: "lamp".to_owned(),
                command: "switch".to_owned(),
                arguments: "{}".to_owned(),
            }),
        }
    }

    #[test]
    fn an_id_is_sixteen_digits() {
        assert_eq!("00000000000000ff".parse(), Ok(CommandId(255)));
        assert_eq!(CommandId(255).to_string(), "00000000000000ff");
        for wrong in ["", "ff", "00000000000000fg", "+0000000000000ff", "000000000000000ff"] {
            assert_eq!(wrong.parse::<CommandId>(), Err(InvalidCommandId), "{wrong}");
        }
    }

    #[test]
    fn limits_are_kept() {
        command().validate().unwrap();
        assert_eq!(command().expires(), Timestamp::from_millis(11_000));
        for ttl_ms in [0, 3_600_001] {
            let wrong = Command { ttl_ms, ..command() };
            assert_eq!(wrong.validate(), Err(InvalidCommand::TimeToLive));
        }
        for key in ["", "a\nb", &"k".repeat(65)] {
            let wrong = Command { key: Some(key.to_owned()), ..command() };
            assert!(wrong.validate().is_err(), "{key:?}");
        }
        let mut long = command();
        if let Action::Device(device) = &mut long.action {
            device.arguments = "x".repeat(2049);
        }
        assert_eq!(long.validate(), Err(InvalidCommand::Arguments(2049)));
    }
}
