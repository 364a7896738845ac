//! Commands as clients write them.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tern_shared::command::control::{FULL, SetPoint};
use tern_shared::command::ground::Draft;
use tern_shared::command::mavlink::{MavlinkCommand, Position, Verb};
use tern_shared::command::{Action, CommandId, DEFAULT_TIME_TO_LIVE, DeviceCommand, MAX_NAME_BYTES};
use tern_shared::time::Timestamp;

use super::malformed;
use crate::clock::wall_now;
use crate::publish::message::Problem;

/// A command as a client asks for it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandRequest {
    /// Its name, 16 hexadecimal digits at random; made here when it is left out. Asking again with the same name is
    /// safe.
    pub id: Option<String>,
    /// How long it may take until it begins, milliseconds (1 to 3,600,000; default 10,000).
    pub ttl_ms: Option<u32>,
    /// It cancels older commands with the same key that have not begun.
    pub key: Option<String>,
    /// What to do.
    pub action: ActionRequest,
}

/// What to do. The names of MAVLink commands are those of the edge's allow-list.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ActionRequest {
    /// Lets the motors run.
    Arm {},
    /// Stops the motors, if the autopilot finds it safe.
    Disarm {},
    /// Switches the mode.
    Mode {
        /// The autopilot's number of it (`custom_mode`).
        mode: u32,
    },
    /// Takes off.
    Takeoff {
        /// Metres above home.
        altitude_m: f32,
    },
    /// Comes down where it is.
    Land {},
    /// Returns to launch.
    Rtl {},
    /// Goes somewhere and stays there.
    Reposition {
        /// Degrees.
        latitude: f64,
        /// Degrees.
        longitude: f64,
        /// Metres above home.
        altitude_m: f32,
    },
    /// Starts the mission.
    MissionStart {},
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
    /// Takes one picture.
    CameraTrigger {},
    /// Takes pictures.
    CameraCaptureStart {
        /// Seconds between two.
        interval_s: f32,
        /// How many, 0 for until stopped.
        count: u16,
    },
    /// Takes no more pictures.
    CameraCaptureStop {},
    /// Records video.
    CameraVideoStart {},
    /// Records no more video.
    CameraVideoStop {},
    /// Any MAVLink command.
    Mavlink {
        /// `MAV_CMD`.
        command: u16,
        /// `param1` and on; what is left out is 0, `null` is NaN.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<Vec<Option<f32>>>"))]
        params: Vec<Option<f32>>,
        /// System id; 0 for the autopilot that the edge hears.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, as = "Option<u8>"))]
        system: u8,
        /// Component id.
        #[serde(default = "autopilot")]
        #[cfg_attr(test, ts(optional, as = "Option<u8>"))]
        component: u8,
        /// Makes it a `COMMAND_INT`.
        #[cfg_attr(test, ts(optional))]
        position: Option<PositionRequest>,
    },
    /// A command of a device.
    Device {
        /// The device's name at the edge.
        device: String,
        /// What it is asked for.
        command: String,
        /// How.
        #[serde(default)]
        #[cfg_attr(test, ts(optional, type = "{ [name: string]: unknown }"))]
        arguments: Map<String, Json>,
    },
}

/// A position as `COMMAND_INT` carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct PositionRequest {
    /// `MAV_FRAME`.
    pub frame: u8,
    /// Latitude in degrees times 10^7, or what the frame says.
    pub x: i32,
    /// Longitude in degrees times 10^7, or what the frame says.
    pub y: i32,
}

/// A set-point as a client asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlRequest {
    /// The control's name at the edge.
    pub control: String,
    /// One an axis, from -1 to 1.
    pub values: Vec<f64>,
    /// How long it counts from here on, milliseconds (1 to 10,000).
    pub life_ms: u16,
}

impl CommandRequest {
    pub(super) fn draft(self, issuer: &str) -> Result<Draft, Problem> {
        let id = match self.id {
            Some(text) => text.parse().map_err(malformed)?,
            None => CommandId(rand::random()),
        };
        let ttl = self.ttl_ms.map_or(DEFAULT_TIME_TO_LIVE, |ms| Duration::from_millis(ms.into()));
        let action = self.action.action()?;
        let issuer = issuer.chars().filter(|c| !c.is_control()).collect::<String>();
        let end = issuer.floor_char_boundary(MAX_NAME_BYTES);
        let issuer = if end == 0 { "anonymous" } else { &issuer[..end] }.to_owned();
        Ok(Draft { id, time_to_live: ttl, key: self.key, issuer, action })
    }
}

impl ActionRequest {
    fn action(self) -> Result<Action, Problem> {
        let verb = match self {
            ActionRequest::Device { device, command, arguments } => {
                let arguments = Json::Object(arguments).to_string();
                return Ok(Action::Device(DeviceCommand { device, command, arguments }));
            }
            ActionRequest::Mavlink { command, params, system, component, position } => {
                let params = params.into_iter().map(|param| param.unwrap_or(f32::NAN)).collect();
                let position = position.map(|PositionRequest { frame, x, y }| Position { frame, x, y });
                return Ok(Action::Mavlink(MavlinkCommand { system, component, command, params, position }));
            }
            ActionRequest::Arm {} => Verb::Arm,
            ActionRequest::Disarm {} => Verb::Disarm,
            ActionRequest::Mode { mode } => Verb::Mode(mode),
            ActionRequest::Takeoff { altitude_m } => Verb::TakeOff(altitude_m),
            ActionRequest::Land {} => Verb::Land,
            ActionRequest::Rtl {} => Verb::ReturnToLaunch,
            ActionRequest::Reposition { latitude, longitude, altitude_m } => {
                if latitude.abs() > 90.0 || longitude.abs() > 180.0 {
                    return Err(malformed("latitude or longitude out of range"));
                }
                let e7 = |degrees: f64| (degrees * 1e7).round() as i32;
                Verb::Reposition { latitude_e7: e7(latitude), longitude_e7: e7(longitude), altitude_m }
            }
            ActionRequest::MissionStart {} => Verb::MissionStart,
            ActionRequest::Servo { output, pulse_us } => Verb::Servo { output, pulse_us },
            ActionRequest::Relay { relay, on } => Verb::Relay { relay, on },
            ActionRequest::CameraTrigger {} => Verb::Trigger,
            ActionRequest::CameraCaptureStart { interval_s, count } => {
                Verb::CaptureStart { interval_s, count }
            }
            ActionRequest::CameraCaptureStop {} => Verb::CaptureStop,
            ActionRequest::CameraVideoStart {} => Verb::VideoStart,
            ActionRequest::CameraVideoStop {} => Verb::VideoStop,
        };
        Ok(Action::Mavlink(MavlinkCommand::of(verb)))
    }
}

impl ControlRequest {
    /// A set-point for a control; without a life of its own it counts for 1500 ms.
    pub fn new(control: String, values: Vec<f64>, life_ms: Option<u16>) -> Self {
        ControlRequest { control, values, life_ms: life_ms.unwrap_or(1500) }
    }

    /// Issued now; what is out of range stays so, and is refused.
    pub(super) fn set_point(&self) -> SetPoint {
        let steps = |value: &f64| (value * f64::from(FULL)).round() as i16;
        let issued: Timestamp = wall_now();
        let values = self.values.iter().map(|value| if value.is_finite() { steps(value) } else { i16::MAX });
        SetPoint { control: self.control.clone(), issued, life_ms: self.life_ms, values: values.collect() }
    }
}

fn autopilot() -> u8 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(json: &str) -> Result<Draft, String> {
        let request: CommandRequest = serde_json::from_str(json).map_err(|error| error.to_string())?;
        request.draft("ann").map_err(|error| error.to_string())
    }

    #[test]
    fn every_name_of_the_allow_list_can_be_asked_for() {
        for (json, name) in [
            (r#"{"kind":"arm"}"#, "arm"),
            (r#"{"kind":"disarm"}"#, "disarm"),
            (r#"{"kind":"mode","mode":4}"#, "mode"),
            (r#"{"kind":"takeoff","altitude_m":10}"#, "takeoff"),
            (r#"{"kind":"land"}"#, "land"),
            (r#"{"kind":"rtl"}"#, "rtl"),
            (r#"{"kind":"reposition","latitude":47.4,"longitude":8.5,"altitude_m":20}"#, "reposition"),
            (r#"{"kind":"mission-start"}"#, "mission-start"),
            (r#"{"kind":"servo","output":9,"pulse_us":1500}"#, "servo"),
            (r#"{"kind":"relay","relay":0,"on":true}"#, "relay"),
            (r#"{"kind":"camera-trigger"}"#, "camera-trigger"),
            (r#"{"kind":"camera-capture-start","interval_s":1,"count":0}"#, "camera-capture-start"),
            (r#"{"kind":"camera-capture-stop"}"#, "camera-capture-stop"),
            (r#"{"kind":"camera-video-start"}"#, "camera-video-start"),
            (r#"{"kind":"camera-video-stop"}"#, "camera-video-stop"),
            (r#"{"kind":"mavlink","command":400,"params":[1,21196]}"#, "force-arm"),
        ] {
            let Action::Mavlink(command) = draft(&format!("{{\"action\":{json}}}")).unwrap().action else {
                panic!("{json} is no MAVLink command");
            };
            assert_eq!(command.name(), Some(name), "{json}");
        }
    }

    #[test]
    fn what_makes_no_sense_says_why() {
        for (json, word) in [
            (r#"{"action":{"kind":"explode"}}"#, "explode"),
            (r#"{"action":{"kind":"rtl","now":true}}"#, "now"),
            (r#"{"id":"7","action":{"kind":"rtl"}}"#, "16 hexadecimal"),
            (r#"{"ttl":1,"action":{"kind":"rtl"}}"#, "ttl"),
            (
                r#"{"action":{"kind":"reposition","latitude":91,"longitude":0,"altitude_m":1}}"#,
                "out of range",
            ),
            (r#"{"action":{"kind":"device","device":"lamp","command":"switch","arguments":[]}}"#, "map"),
        ] {
            let error = draft(json).unwrap_err();
            assert!(error.contains(word), "{json}: {error}");
        }
    }

    #[test]
    fn deflections_out_of_range_are_refused() {
        let request = |values: &[f64]| ControlRequest {
            control: "drive".to_owned(),
            values: values.to_vec(),
            life_ms: 500,
        };
        assert_eq!(request(&[-1.0, 0.25]).set_point().values, [-1000, 250]);
        for wrong in [1.01, -2.0, 1e300, f64::NAN, f64::INFINITY] {
            request(&[wrong]).set_point().validate().unwrap_err();
        }
    }
}
