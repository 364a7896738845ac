//! Controls that follow set-points, and stop by themselves when these cease.

use std::sync::Arc;
use std::time::Duration;

use tern_shared::command::control::{ControlReport, ControlState, Follow, Follower, SetPoint};
use tern_shared::command::{Moment, Reason};
use tern_shared::time::Instant;

use super::config::{ControlConfig, channel};
use super::mavlink::Autopilot;
use crate::source::Port;

/// A stop is said several times, this far apart: one that a bad cable eats must not be the only one.
const STOP_AGAIN: Duration = Duration::from_millis(100);
/// How often after the first.
const STOPS_AGAIN: u8 = 2;
/// How often at most the ground is told that set-points are refused.
const REFUSAL_INTERVAL: Duration = Duration::from_secs(5);

/// One control.
#[derive(Debug)]
pub(super) struct Control {
    name: String,
    axes: Vec<String>,
    stop: Vec<i16>,
    output: Output,
    follower: Follower,
    /// When to say stop again, and how often.
    stopping: Option<(Instant, u8)>,
    refused: Option<Instant>,
    /// Whether the ground knows that it follows.
    known_active: bool,
}

/// Where set-points go.
#[derive(Debug)]
pub(super) enum Output {
    Device(Port),
    Autopilot(Arc<Autopilot>),
}

impl Control {
    pub(super) fn new(name: &str, config: &ControlConfig, output: Output) -> Self {
        Control {
            name: name.to_owned(),
            axes: config.axes.clone(),
            stop: config.stop.clone(),
            output,
            follower: Follower::default(),
            stopping: None,
            refused: None,
            known_active: false,
        }
    }

    /// A set-point arrived.
    pub(super) fn handle(&mut self, moment: Moment, set_point: &SetPoint) -> Option<ControlReport> {
        if set_point.validate().is_err() || set_point.values.len() != self.axes.len() {
            return self.refuse(moment, Reason::Malformed);
        }
        let Follow::Go { until } = self.follower.handle(moment, set_point) else { return None };
        self.stopping = None;
        if !self.output.send(&self.name, &self.axes, &set_point.values, until.since(moment.now.instant)) {
            return self.refuse(moment, Reason::Unreachable);
        }
        let known = std::mem::replace(&mut self.known_active, true);
        (!known).then(|| self.report(moment, ControlState::Active, None))
    }

    /// The connection to the ground is gone. The control goes on until its last set-point is over.
    pub(super) fn handle_disconnected(&mut self) {
        self.follower.handle_disconnected();
        self.known_active = false;
    }

    pub(super) fn handle_timeout(&mut self, moment: Moment) -> Option<ControlReport> {
        let now = moment.now.instant;
        if self.follower.handle_timeout(now) {
            tracing::warn!(control = self.name, "set-points have ceased: stop");
            self.stopping = Some((now + STOP_AGAIN, STOPS_AGAIN));
            self.known_active = false;
            self.output.send(&self.name, &self.axes, &self.stop, Duration::ZERO);
            return Some(self.report(moment, ControlState::Stopped, Some(Reason::Ceased)));
        }
        if let Some((at, left)) = self.stopping
            && at <= now
        {
            self.stopping = (left > 1).then(|| (now + STOP_AGAIN, left - 1));
            self.output.send(&self.name, &self.axes, &self.stop, Duration::ZERO);
        }
        None
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.follower.poll_timeout(), self.stopping.map(|(at, _)| at)].into_iter().flatten().min()
    }

    fn refuse(&mut self, moment: Moment, reason: Reason) -> Option<ControlReport> {
        let now = moment.now.instant;
        if self.refused.is_some_and(|at| now.since(at) < REFUSAL_INTERVAL) {
            return None;
        }
        self.refused = Some(now);
        self.known_active = false;
        Some(self.report(moment, ControlState::Refused, Some(reason)))
    }

    fn report(&self, moment: Moment, state: ControlState, reason: Option<Reason>) -> ControlReport {
        ControlReport { control: self.name.clone(), state, at: moment.now.wall, reason }
    }
}

impl Output {
    /// Sends values; `left` is how long they count, zero for a stop. `false` when nobody would get them.
    fn send(&self, control: &str, axes: &[String], values: &[i16], left: Duration) -> bool {
        match self {
            Output::Device(port) => {
                let mut line = serde_json::Map::new();
                for (axis, value) in axes.iter().zip(values) {
                    line.insert(axis.clone(), (f64::from(*value) / 1000.0).into());
                }
                line.insert("control".to_owned(), control.into());
                line.insert("life_ms".to_owned(), (left.as_millis() as u64).into());
                port.send(format!("{}\n", serde_json::Value::Object(line)).into_bytes())
            }
            Output::Autopilot(autopilot) => match axes.first().and_then(|axis| channel(axis)) {
                Some(_) => autopilot.set("RC_CHANNELS_OVERRIDE", &channels(axes, values)),
                None => autopilot.set("MANUAL_CONTROL", &manual(axes, values)),
            },
        }
    }
}

/// Pulses of 1000 to 2000 us; channels without an axis are left as they are.
fn channels(axes: &[String], values: &[i16]) -> Vec<(&'static str, i64)> {
    const NAMES: [&str; 8] = [
        "chan1_raw",
        "chan2_raw",
        "chan3_raw",
        "chan4_raw",
        "chan5_raw",
        "chan6_raw",
        "chan7_raw",
        "chan8_raw",
    ];
    let pulse = |name: &'static str, number: u8| {
        let axis = axes.iter().zip(values).find(|(axis, _)| channel(axis) == Some(number));
        (name, axis.map_or(i64::from(u16::MAX), |(_, &value)| 1500 + i64::from(value) / 2))
    };
    NAMES.into_iter().zip(1..).map(|(name, number)| pulse(name, number)).collect()
}

/// Axes that are not there are marked as not used.
fn manual(axes: &[String], values: &[i16]) -> Vec<(&'static str, i64)> {
    let value = |name: &'static str| {
        let axis = axes.iter().zip(values).find(|(axis, _)| *axis == name);
        (name, axis.map_or(i64::from(i16::MAX), |(_, &value)| value.into()))
    };
    ["x", "y", "z", "r"].into_iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use tern_shared::message::ClockEstimate;
    use tern_shared::time::{Now, Timestamp};

    use super::*;

    fn at(millis: u64) -> Moment {
        let now = Now {
            instant: Instant(Duration::from_millis(millis)),
            wall: Timestamp::from_millis(millis as i64),
        };
        Moment { now, clock: Some(ClockEstimate { offset_micros: 0, uncertainty_micros: 80_000 }) }
    }

    fn set_point(issued: i64, values: &[i16]) -> SetPoint {
        SetPoint {
            control: "drive".to_owned(),
            issued: Timestamp::from_millis(issued),
            life_ms: 1000,
            values: values.to_vec(),
        }
    }

    #[tokio::test]
    async fn a_rover_whose_set_points_cease_is_stopped_and_told_so_three_times() {
        let config = ControlConfig {
            source: "jsonl+tcpin:127.0.0.1:0".parse().unwrap(),
            axes: vec!["steering".to_owned(), "throttle".to_owned()],
            stop: vec![0, 0],
        };
        config.validate().unwrap();
        let port = Port::new();
        let mut control = Control::new("drive", &config, Output::Device(port.clone()));
        let report = control.handle(at(400), &set_point(100, &[0, 500])).unwrap();
        assert_eq!((report.state, report.reason), (ControlState::Refused, Some(Reason::Unreachable)));

        let mut outgoing = port.outgoing();
        let report = control.handle(at(500), &set_point(200, &[-250, 500])).unwrap();
        assert_eq!(report.state, ControlState::Active);
        let line = outgoing.next().await;
        let expected = r#"{"control":"drive","life_ms":600,"steering":-0.25,"throttle":0.5}"#;
        assert_eq!(std::str::from_utf8(&line).unwrap().trim_end(), expected);
        // The ground has been told of a refusal not long ago.
        assert_eq!(control.handle(at(500), &set_point(300, &[0])), None);

        let mut now = 0;
        let mut reports = Vec::new();
        while let Some(timeout) = control.poll_timeout() {
            now = timeout.0.as_millis() as u64;
            reports.extend(control.handle_timeout(at(now)).map(|report| (now, report.state)));
        }
        assert_eq!(reports, [(1100, ControlState::Stopped)]);
        assert_eq!(now, 1300);
        let stop = r#"{"control":"drive","life_ms":0,"steering":0.0,"throttle":0.0}"#;
        for _ in 0..3 {
            assert_eq!(std::str::from_utf8(&outgoing.next().await).unwrap().trim_end(), stop);
        }
    }

    #[test]
    fn autopilots_get_pulses_or_deflections() {
        let axes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let pulses: Vec<i64> =
            channels(&axes(&["rc3", "rc1"]), &[1000, -1000]).into_iter().map(|(_, us)| us).collect();
        assert_eq!(pulses, [1000, 65535, 2000, 65535, 65535, 65535, 65535, 65535]);
        let sticks = manual(&axes(&["y", "x"]), &[-1000, 500]);
        assert_eq!(sticks, [("x", 500), ("y", -1000), ("z", 32767), ("r", 32767)]);
    }
}
