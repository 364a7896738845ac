//! What commands may reach.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tern_shared::command::control::MAX_VALUES;
use tern_shared::command::mavlink::NAMES;

use crate::source::{Format, SourceKind, SourceUrl};

/// How long a program or device may take from its acceptance to its result, unless configured.
pub const RESULT_LIMIT: Duration = Duration::from_secs(60);

/// System and component id of a ground station, which is what commands come from unless configured.
pub const GROUND_STATION: (u8, u8) = (255, 190);

/// Which commands may pass, and to what. Nothing may that is not named here, whoever asks for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommandConfig {
    /// The autopilot, if MAVLink commands may pass.
    pub mavlink: Option<MavlinkConfig>,
    /// Devices by name.
    pub devices: BTreeMap<String, DeviceConfig>,
    /// Controls for set-points by name.
    pub controls: BTreeMap<String, ControlConfig>,
    /// Where ids are kept.
    pub journal: PathBuf,
}

/// MAVLink commands.
#[derive(Clone, Debug, PartialEq)]
pub struct MavlinkConfig {
    /// By which source the autopilot is reached: a MAVLink one.
    pub source: SourceUrl,
    /// What may pass.
    pub allow: Vec<MavlinkPermission>,
    /// Our system id in commands and set-points. ArduPilot takes set-points from its ground station only (255).
    pub system: u8,
    /// Our component id in them.
    pub component: u8,
}

/// A MAVLink command that may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MavlinkPermission {
    /// One of [`NAMES`].
    Name(&'static str),
    /// A `MAV_CMD`, with any parameters.
    Number(u16),
}

/// A device.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceConfig {
    /// What takes its commands.
    pub target: DeviceTarget,
    /// The commands that may pass.
    pub allow: Vec<String>,
    /// How long it may take from its acceptance to its result; a program: from its start to its end.
    pub result_limit: Duration,
}

/// What takes a device's commands.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceTarget {
    /// Whoever is at the other end of a JSON-lines source.
    Source(SourceUrl),
    /// A program and its arguments, started for each command.
    Program(Vec<String>),
}

/// A control that follows set-points.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlConfig {
    /// Where set-points go: a JSON-lines source, or a MAVLink one.
    pub source: SourceUrl,
    /// One an axis: free names for devices; for MAVLink `x`, `y`, `z`, `r` (MANUAL_CONTROL) or `rc1` to `rc8`
    /// (RC_CHANNELS_OVERRIDE).
    pub axes: Vec<String>,
    /// Where to go when set-points cease, one an axis.
    pub stop: Vec<i16>,
}

impl CommandConfig {
    /// Whether anything may pass.
    pub fn is_enabled(&self) -> bool {
        self.mavlink.is_some() || !self.devices.is_empty() || !self.controls.is_empty()
    }

    /// The sources that commands need.
    pub fn sources(&self) -> impl Iterator<Item = &SourceUrl> {
        let mavlink = self.mavlink.iter().map(|mavlink| &mavlink.source);
        let devices = self.devices.values().filter_map(|device| match &device.target {
            DeviceTarget::Source(source) => Some(source),
            DeviceTarget::Program(_) => None,
        });
        let controls = self.controls.values().map(|control| &control.source);
        mavlink.chain(devices).chain(controls)
    }
}

impl MavlinkPermission {
    /// From a name or a number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = NAMES.into_iter().find(|name| *name == text).map(MavlinkPermission::Name);
        name.or_else(|| text.parse().ok().map(MavlinkPermission::Number))
            .ok_or_else(|| format!("{text:?} is neither a MAV_CMD number nor one of {}", NAMES.join(", ")))
    }
}

/// Whether a source's peer understands JSON lines, or MAVLink.
pub fn speaks(source: &SourceUrl) -> Option<Format> {
    match source.kind() {
        SourceKind::Bytes { format, .. } => Some(*format),
        SourceKind::Replay { .. } | SourceKind::Simulated { .. } => None,
    }
}

impl ControlConfig {
    /// Whether its axes and its stop go together and with its source.
    pub fn validate(&self) -> Result<(), String> {
        if self.axes.is_empty() || self.axes.len() > MAX_VALUES {
            return Err(format!("1 to {MAX_VALUES} axes are expected"));
        }
        if self.stop.len() != self.axes.len() || self.stop.iter().any(|value| !(-1000..=1000).contains(value))
        {
            return Err("stop needs a value from -1000 to 1000 for every axis".to_owned());
        }
        match speaks(&self.source) {
            Some(Format::JsonLines) => Ok(()),
            Some(Format::Mavlink { .. }) => {
                let manual = |axis: &String| ["x", "y", "z", "r"].contains(&axis.as_str());
                if self.axes.iter().all(manual) || self.axes.iter().all(|axis| channel(axis).is_some()) {
                    Ok(())
                } else {
                    Err("axes of a MAVLink source are x, y, z, r, or rc1 to rc8".to_owned())
                }
            }
            Some(Format::Nmea) | None => Err("its source takes neither JSON lines nor MAVLink".to_owned()),
        }
    }
}

/// The radio channel of an axis: `rc1` to `rc8`.
pub(super) fn channel(axis: &str) -> Option<u8> {
    axis.strip_prefix("rc")?.parse().ok().filter(|channel| (1..=8).contains(channel))
}
