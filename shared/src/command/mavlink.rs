//! MAVLink commands by name.
//!
//! A name is what people say and what allow-lists hold: `arm`, `rtl`. Numbers and parameters are those of the `MAV_CMD`
//! enumeration of MAVLink's common message set.

use serde::{Deserialize, Serialize};

use super::InvalidCommand;

/// MAV_FRAME_GLOBAL_RELATIVE_ALT_INT: degrees times 10^7, metres above home.
const ABOVE_HOME: u8 = 6;
/// The mode flag that says that the mode is the autopilot's own.
const CUSTOM_MODE: f32 = 1.0;
/// ArduPilot arms and disarms in spite of its checks with this.
const FORCE: f32 = 21196.0;

const ARM_DISARM: u16 = 400;
const SET_MODE: u16 = 176;
const LAND: u16 = 21;
const RETURN_TO_LAUNCH: u16 = 20;
const TAKE_OFF: u16 = 22;
const REPOSITION: u16 = 192;
const MISSION_START: u16 = 300;
const SET_RELAY: u16 = 181;
const SET_SERVO: u16 = 183;
const TRIGGER_CAMERA: u16 = 203;
const CAPTURE_START: u16 = 2000;
const CAPTURE_STOP: u16 = 2001;
const VIDEO_START: u16 = 2500;
const VIDEO_STOP: u16 = 2501;

/// One `COMMAND_LONG`, or a `COMMAND_INT` when it has a position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MavlinkCommand {
    /// Whose: a system id, or 0 for the autopilot that the edge hears.
    pub system: u8,
    /// Which component of it; 1 is the autopilot.
    pub component: u8,
    /// `MAV_CMD`.
    pub command: u16,
    /// `param1` and on, at most 7; those left out are 0. Beside a position at most 5, the fifth of which is `z`.
    pub params: Vec<f32>,
    /// Where, exactly.
    pub position: Option<Position>,
}

/// A position as `COMMAND_INT` carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// `MAV_FRAME`.
    pub frame: u8,
    /// Latitude in degrees times 10^7, or what the frame says.
    pub x: i32,
    /// Longitude in degrees times 10^7, or what the frame says.
    pub y: i32,
}

/// A MAVLink command as people mean it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verb {
    /// Lets the motors run.
    Arm,
    /// Stops the motors, if the autopilot finds it safe.
    Disarm,
    /// Switches to the mode with this number (`custom_mode`), which the autopilot's kind gives its meaning.
    Mode(u32),
    /// Climbs to this many metres above home.
    TakeOff(f32),
    /// Comes down where it is.
    Land,
    /// Returns to launch.
    ReturnToLaunch,
    /// Goes to a position and stays there.
    Reposition {
        /// Degrees times 10^7.
        latitude_e7: i32,
        /// Degrees times 10^7.
        longitude_e7: i32,
        /// Metres above home.
        altitude_m: f32,
    },
    /// Starts the mission.
    MissionStart,
    /// Sets a servo output.
    Servo {
        /// Which output, from 1.
        output: u8,
        /// Microseconds.
        pulse_us: u16,
    },
    /// Switches a relay.
    Relay {
        /// Which, from 0.
        relay: u8,
        /// To what.
        on: bool,
    },
    /// Takes one picture with a camera at the autopilot's trigger.
    Trigger,
    /// Takes pictures: this many, 0 for until stopped, this far apart.
    CaptureStart {
        /// Seconds.
        interval_s: f32,
        /// How many.
        count: u16,
    },
    /// Takes no more pictures.
    CaptureStop,
    /// Records video.
    VideoStart,
    /// Records no more video.
    VideoStop,
}

/// Every name that a command can be allowed by; [`MavlinkCommand::name`] gives one of these or none.
pub const NAMES: [&str; 17] = [
    "arm",
    "disarm",
    "force-arm",
    "force-disarm",
    "mode",
    "takeoff",
    "land",
    "rtl",
    "reposition",
    "mission-start",
    "servo",
    "relay",
    "camera-trigger",
    "camera-capture-start",
    "camera-capture-stop",
    "camera-video-start",
    "camera-video-stop",
];

impl MavlinkCommand {
    /// The command of a verb, for the autopilot that the edge hears.
    pub fn of(verb: Verb) -> Self {
        let long = |command: u16, params: &[f32]| MavlinkCommand {
            system: 0,
            component: 1,
            command,
            params: params.to_vec(),
            position: None,
        };
        match verb {
            Verb::Arm => long(ARM_DISARM, &[1.0]),
            Verb::Disarm => long(ARM_DISARM, &[0.0]),
            Verb::Mode(mode) => long(SET_MODE, &[CUSTOM_MODE, mode as f32]),
            Verb::TakeOff(altitude_m) => long(TAKE_OFF, &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, altitude_m]),
            Verb::Land => long(LAND, &[]),
            Verb::ReturnToLaunch => long(RETURN_TO_LAUNCH, &[]),
            Verb::Reposition { latitude_e7, longitude_e7, altitude_m } => MavlinkCommand {
                position: Some(Position { frame: ABOVE_HOME, x: latitude_e7, y: longitude_e7 }),
                // The ground speed as it is, changing to guided mode, heading as it is.
                ..long(REPOSITION, &[-1.0, 1.0, 0.0, f32::NAN, altitude_m])
            },
            Verb::MissionStart => long(MISSION_START, &[]),
            Verb::Servo { output, pulse_us } => long(SET_SERVO, &[output.into(), pulse_us.into()]),
            Verb::Relay { relay, on } => long(SET_RELAY, &[relay.into(), f32::from(u8::from(on))]),
            Verb::Trigger => long(TRIGGER_CAMERA, &[0.0, 0.0, 0.0, 0.0, 1.0]),
            Verb::CaptureStart { interval_s, count } => long(CAPTURE_START, &[0.0, interval_s, count.into()]),
            Verb::CaptureStop => long(CAPTURE_STOP, &[]),
            Verb::VideoStart => long(VIDEO_START, &[]),
            Verb::VideoStop => long(VIDEO_STOP, &[]),
        }
    }

    /// What it is called in [`NAMES`], by number and parameters: a command that was made by hand has its verb's name,
    /// and one that only resembles a verb (arming by force) has not.
    pub fn name(&self) -> Option<&'static str> {
        let param = |at: usize| self.params.get(at).copied().unwrap_or(0.0);
        Some(match self.command {
            ARM_DISARM => match (param(0), param(1)) {
                (1.0, 0.0) => "arm",
                (0.0, 0.0) => "disarm",
                (1.0, FORCE) => "force-arm",
                (0.0, FORCE) => "force-disarm",
                _ => return None,
            },
            SET_MODE => "mode",
            TAKE_OFF => "takeoff",
            LAND => "land",
            RETURN_TO_LAUNCH => "rtl",
            REPOSITION => "reposition",
            MISSION_START => "mission-start",
            SET_SERVO => "servo",
            SET_RELAY => "relay",
            TRIGGER_CAMERA => "camera-trigger",
            CAPTURE_START => "camera-capture-start",
            CAPTURE_STOP => "camera-capture-stop",
            VIDEO_START => "camera-video-start",
            VIDEO_STOP => "camera-video-stop",
            _ => return None,
        })
    }

    /// `param1` to `param7` (beside a position, `param1` to `param4` and `z`), with what was left out.
    pub fn all_params(&self) -> [f32; 7] {
        let mut all = [0.0; 7];
        for (at, param) in all.iter_mut().zip(&self.params) {
            *at = *param;
        }
        all
    }

    pub(super) fn validate(&self) -> Result<(), InvalidCommand> {
        let most = if self.position.is_some() { 5 } else { 7 };
        if self.params.len() > most { Err(InvalidCommand::Parameters) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_name_of_its_own() {
        let verbs = [
            Verb::Arm,
            Verb::Disarm,
            Verb::Mode(4),
            Verb::TakeOff(10.0),
            Verb::Land,
            Verb::ReturnToLaunch,
            Verb::Reposition { latitude_e7: 1, longitude_e7: 2, altitude_m: 3.0 },
            Verb::MissionStart,
            Verb::Servo { output: 9, pulse_us: 1500 },
            Verb::Relay { relay: 0, on: true },
            Verb::Trigger,
            Verb::CaptureStart { interval_s: 1.0, count: 0 },
            Verb::CaptureStop,
            Verb::VideoStart,
            Verb::VideoStop,
        ];
        let names: Vec<_> = verbs.iter().map(|&verb| MavlinkCommand::of(verb).name().unwrap()).collect();
        let expected: Vec<_> = NAMES.into_iter().filter(|name| !name.starts_with("force")).collect();
        assert_eq!(names, expected);
        assert!(verbs.iter().all(|&verb| MavlinkCommand::of(verb).validate().is_ok()));
    }

    #[test]
    fn arming_by_force_is_not_arming() {
        let forced =
            |params: &[f32]| MavlinkCommand { params: params.to_vec(), ..MavlinkCommand::of(Verb::Arm) };
        assert_eq!(forced(&[1.0, 21196.0]).name(), Some("force-arm"));
        assert_eq!(forced(&[0.0, 21196.0]).name(), Some("force-disarm"));
        for odd in [[1.0, 1.0], [0.5, 0.0], [f32::NAN, 0.0]] {
            assert_eq!(forced(&odd).name(), None);
        }
    }
}
