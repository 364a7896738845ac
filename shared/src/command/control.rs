//! Continuous control: a stream of set-points, of which only the newest counts, and none for long.
//!
//! The vehicle follows a set-point until its life is over, by the ground's clock as the vehicle knows it, at the late end
//! of what it knows. When none comes in time it stops by itself: the dead-man's switch is at the vehicle, where no outage
//! can keep it from acting.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{InvalidCommand, Moment, Reason, check_name};
use crate::time::{Instant, Timestamp};

/// The most values of a set-point.
pub const MAX_VALUES: usize = 8;
/// The longest life of a set-point.
pub const MAX_LIFE: Duration = Duration::from_secs(10);
/// Values are thousandths of full deflection: -1000 to 1000.
pub const FULL: i16 = 1000;

/// Where somebody wants a control to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPoint {
    /// The control's name in the edge's configuration: `drive`.
    pub control: String,
    /// When it was issued, by the ground's clock. The latest is the newest.
    pub issued: Timestamp,
    /// It counts no longer than this after `issued`, milliseconds.
    pub life_ms: u16,
    /// One an axis, thousandths of full deflection.
    pub values: Vec<i16>,
}

/// What a control does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlReport {
    /// Which.
    pub control: String,
    /// What it does.
    pub state: ControlState,
    /// Since when, by the vehicle's clock.
    pub at: Timestamp,
    /// Why, where there is more to say.
    pub reason: Option<Reason>,
}

/// What a control does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlState {
    /// It follows set-points.
    Active,
    /// It is stopped.
    Stopped,
    /// The edge does not take set-points for it.
    Refused,
}

impl SetPoint {
    /// Until when it counts, by the ground's clock.
    pub fn expires(&self) -> Timestamp {
        self.issued.offset_by(i64::from(self.life_ms) * 1000)
    }

    /// Whether it is within the limits of this module.
    pub fn validate(&self) -> Result<(), InvalidCommand> {
        check_name("the control's name", &self.control)?;
        let life = Duration::from_millis(self.life_ms.into());
        if life.is_zero() || life > MAX_LIFE {
            return Err(InvalidCommand::Life);
        }
        if self.values.len() > MAX_VALUES {
            return Err(InvalidCommand::Values(self.values.len()));
        }
        match self.values.iter().position(|value| !(-FULL..=FULL).contains(value)) {
            Some(at) => Err(InvalidCommand::Deflection(at + 1)),
            None => Ok(()),
        }
    }
}

/// The vehicle's end of one control.
#[derive(Debug, Default)]
pub struct Follower {
    newest: Option<Timestamp>,
    /// Until when the control may follow; `None` when it is stopped.
    until: Option<Instant>,
}

/// What to do about a set-point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Nothing: it is late, older than another, or of unknown age.
    Ignore,
    /// Go there.
    Go {
        /// Not later than this.
        until: Instant,
    },
}

impl Follower {
    /// A set-point arrived.
    pub fn handle(&mut self, moment: Moment, set_point: &SetPoint) -> Follow {
        let Some(ground) = moment.ground_latest() else { return Follow::Ignore };
        let left = set_point.expires().micros_since(ground);
        if left <= 0 || self.newest.is_some_and(|newest| set_point.issued <= newest) {
            return Follow::Ignore;
        }
        // No longer than its life from here on, whatever the clocks say.
        let left = Duration::from_micros(left as u64).min(Duration::from_millis(set_point.life_ms.into()));
        self.newest = Some(set_point.issued);
        let until = moment.now.instant + left;
        self.until = Some(until);
        Follow::Go { until }
    }

    /// The connection is gone, and with it everything older than what comes by the next.
    pub fn handle_disconnected(&mut self) {
        self.newest = None;
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.until
    }

    /// Whether set-points have ceased: stop.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        self.until.take_if(|until| *until <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ClockEstimate;
    use crate::time::Now;

    /// The ground's clock is an hour ahead and known to 300 ms.
    fn at(millis: u64) -> Moment {
        let now = Now {
            instant: Instant(Duration::from_millis(millis)),
            wall: Timestamp::from_millis(millis as i64),
        };
        let clock = ClockEstimate { offset_micros: 3_600_000_000, uncertainty_micros: 280_000 };
        Moment { now, clock: Some(clock) }
    }

    fn issued(millis: i64) -> SetPoint {
        SetPoint {
            control: "drive".to_owned(),
            issued: Timestamp::from_millis(3_600_000 + millis),
            life_ms: 1000,
            values: vec![0, 500],
        }
    }

    #[test]
    fn what_is_out_of_range_is_told_with_the_range() {
        let sound = issued(0);
        sound.validate().unwrap();
        let wrong = [
            (
                SetPoint { values: vec![0, FULL + 1], ..sound.clone() },
                InvalidCommand::Deflection(2),
                "-1 to 1",
            ),
            (SetPoint { values: vec![i16::MIN], ..sound.clone() }, InvalidCommand::Deflection(1), "value 1"),
            (SetPoint { values: vec![0; 9], ..sound.clone() }, InvalidCommand::Values(9), "at most 8 values"),
            (SetPoint { life_ms: 0, ..sound.clone() }, InvalidCommand::Life, "1 ms to 10 s"),
            (SetPoint { life_ms: 10_001, ..sound }, InvalidCommand::Life, "1 ms to 10 s"),
        ];
        for (set_point, error, text) in wrong {
            assert_eq!(set_point.validate(), Err(error.clone()));
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn the_newest_counts_and_when_they_cease_the_control_stops() {
        let mut follower = Follower::default();
        // 300 ms on its way, 300 ms of doubt: 400 ms are left.
        let until = Instant(Duration::from_millis(700));
        assert_eq!(follower.handle(at(300), &issued(0)), Follow::Go { until });
        let until = Instant(Duration::from_millis(900));
        assert_eq!(follower.handle(at(500), &issued(200)), Follow::Go { until });
        // One that was overtaken.
        assert_eq!(follower.handle(at(510), &issued(100)), Follow::Ignore);
        assert_eq!(follower.handle(at(510), &issued(200)), Follow::Ignore);
        assert!(!follower.handle_timeout(Instant(Duration::from_millis(899))));
        assert!(follower.handle_timeout(Instant(Duration::from_millis(900))));
        assert_eq!(follower.poll_timeout(), None);
        assert!(matches!(follower.handle(at(1000), &issued(600)), Follow::Go { .. }));
    }

    #[test]
    fn one_that_is_late_or_of_unknown_age_is_not_followed() {
        let mut follower = Follower::default();
        assert_eq!(follower.handle(at(700), &issued(0)), Follow::Ignore);
        assert_eq!(follower.handle(Moment { clock: None, ..at(300) }, &issued(0)), Follow::Ignore);
    }

    #[test]
    fn a_ground_clock_that_was_set_back_does_not_lock_the_control() {
        let mut follower = Follower::default();
        assert_ne!(follower.handle(at(300), &issued(0)), Follow::Ignore);
        follower.handle_disconnected();
        let back =
            Moment { clock: Some(ClockEstimate { offset_micros: 0, uncertainty_micros: 1 }), ..at(5300) };
        let set_point = SetPoint { issued: Timestamp::from_millis(5000), ..issued(0) };
        assert_ne!(follower.handle(back, &set_point), Follow::Ignore);
    }
}
