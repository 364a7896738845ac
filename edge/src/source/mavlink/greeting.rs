//! What we say to an autopilot so that it talks to us.
//!
//! We are an onboard computer of system 1: a ground station's heartbeat would arm the autopilot's failsafe for the day
//! on which we stop sending it.

use tern_shared::mavlink::dialect;
use tern_shared::mavlink::frame::{Frame, encode_v2};
use tern_shared::mavlink::payload;
use tern_shared::record::Value;

use super::compose;

const SYSTEM: u8 = 1;
/// MAV_COMP_ID_ONBOARD_COMPUTER.
const COMPONENT: u8 = 191;
/// MAV_TYPE_ONBOARD_CONTROLLER.
const TYPE: i64 = 18;
/// MAV_AUTOPILOT_INVALID: not a flight controller.
const AUTOPILOT: i64 = 8;
/// MAV_STATE_ACTIVE.
const STATE: i64 = 4;
/// MAV_COMP_ID_AUTOPILOT1.
const AUTOPILOT_COMPONENT: u8 = 1;
const HEARTBEAT: u32 = 0;

/// Request the streams again after this many seconds without any message but heartbeats.
const SILENT_SECONDS: u32 = 5;

/// Keeps a peer informed that we are there and, where asked to, that we want its streams.
#[derive(Debug)]
pub(super) struct Greeting {
    sequence: u8,
    rate_hz: Option<u16>,
    /// The system whose autopilot was heard last; 0, which means every system, before.
    vehicle: u8,
    /// Seconds without telemetry, or since it was requested.
    silent_seconds: u32,
}

impl Greeting {
    pub(super) fn new(rate_hz: Option<u16>) -> Self {
        Greeting { sequence: 0, rate_hz, vehicle: 0, silent_seconds: SILENT_SECONDS }
    }

    /// Notes what the peer said.
    pub(super) fn heard(&mut self, frame: &Frame<'_>) {
        if frame.message != HEARTBEAT {
            self.silent_seconds = 0;
        } else if frame.component == AUTOPILOT_COMPONENT && self.vehicle != frame.system {
            self.vehicle = frame.system;
            self.silent_seconds = SILENT_SECONDS;
        }
    }

    /// What to send in this second.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let heartbeat = [
            ("type", Value::Int(TYPE)),
            ("autopilot", Value::Int(AUTOPILOT)),
            ("system_status", Value::Int(STATE)),
            ("mavlink_version", Value::Int(3)),
        ];
        let mut bytes = self.message("HEARTBEAT", heartbeat);
        if let Some(rate_hz) = self.rate_hz
            && self.silent_seconds >= SILENT_SECONDS
        {
            self.silent_seconds = 0;
            // Stream id 0 is MAV_DATA_STREAM_ALL.
            let request = [
                ("target_system", Value::Int(self.vehicle.into())),
                (
                    "target_component",
                    Value::Int(if self.vehicle == 0 { 0 } else { AUTOPILOT_COMPONENT.into() }),
                ),
                ("req_message_rate", Value::Int(rate_hz.into())),
                ("start_stop", Value::Int(1)),
            ];
            bytes.extend(self.message("REQUEST_DATA_STREAM", request));
        }
        self.silent_seconds += 1;
        bytes
    }

    fn message<'a>(&mut self, name: &str, named: impl IntoIterator<Item = (&'a str, Value)>) -> Vec<u8> {
        let Some(layout) = dialect::message_named(name) else { return Vec::new() };
        let payload = payload::encode(layout, &compose(layout, named));
        self.sequence = self.sequence.wrapping_add(1);
        encode_v2(self.sequence, SYSTEM, COMPONENT, layout, &payload)
    }
}

#[cfg(test)]
mod tests {
    use tern_shared::mavlink::frame::{Candidate, Parser, inspect};

    use super::*;

    fn names(bytes: &[u8]) -> Vec<(&'static str, Vec<Value>)> {
        let mut seen = Vec::new();
        Parser::new().push(bytes, |frame| {
            let layout = frame.layout.unwrap();
            seen.push((layout.name, payload::decode(layout, frame.payload).unwrap()));
        });
        seen
    }

    #[test]
    fn streams_are_requested_at_first_and_when_they_stop() {
        let mut greeting = Greeting::new(Some(4));
        let request = |vehicle, component| {
            (
                "REQUEST_DATA_STREAM",
                vec![Value::Int(4), Value::Int(vehicle), Value::Int(component), Value::Int(0), Value::Int(1)],
            )
        };
        assert_eq!(names(&greeting.next())[1], request(0, 0));
        assert_eq!(names(&greeting.next()).len(), 1);

        let heard = |greeting: &mut Greeting, name| {
            let raw = encode_v2(0, 7, 1, dialect::message_named(name).unwrap(), &[1]);
            let Candidate::Certain(frame) = inspect(&raw) else { panic!("no frame") };
            greeting.heard(&frame);
        };
        heard(&mut greeting, "HEARTBEAT");
        assert_eq!(names(&greeting.next())[1], request(7, 1));
        for _ in 0..20 {
            heard(&mut greeting, "ATTITUDE");
            heard(&mut greeting, "HEARTBEAT");
            assert_eq!(names(&greeting.next()).len(), 1);
        }
        let requests = (0..10).filter(|_| names(&greeting.next()).len() == 2).count();
        assert_eq!(requests, 2);
    }

    #[test]
    fn nothing_is_requested_unless_asked_for() {
        let mut greeting = Greeting::new(None);
        assert!((0..20).all(|_| names(&greeting.next()).len() == 1));
    }
}
