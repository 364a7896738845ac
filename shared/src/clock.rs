//! How far the edge's clock is from the ground's.
//!
//! NTP's on-wire calculation (RFC 5905, section 8) with one answer a probe: the ground's time is taken to belong to
//! the middle of the round trip, so half of the round trip bounds the error. Estimates are kept against the monotonic
//! clock; a wall clock that jumps (a Raspberry Pi without a battery that hears of NTP) changes the offset at once and
//! costs no new measurement.

use std::collections::VecDeque;
use std::time::Duration;

use crate::message::{ClockEstimate, Probe, ProbeReply};
use crate::time::{Instant, Now, Timestamp};

/// How many answers compete for the best one.
const KEPT: usize = 8;
/// The age at which an answer is dropped: crystals drift about 50 ms an hour.
const MAX_AGE: Duration = Duration::from_secs(20 * 60);

/// The edge's knowledge of the ground's clock.
#[derive(Debug, Default)]
pub struct ClockFilter {
    /// The probe on its way.
    probing: Option<(Timestamp, Instant)>,
    answers: VecDeque<Answer>,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    at: Instant,
    /// Ground wall clock minus edge monotonic clock, microseconds.
    ground_minus_instant: i64,
    uncertainty_micros: u32,
}

impl ClockFilter {
    /// The next probe to send.
    pub fn probe(&mut self, now: Now) -> Probe {
        self.probing = Some((now.wall, now.instant));
        Probe { sent: now.wall, estimate: self.estimate(now) }
    }

    /// An answer arrived; one that answers another probe than the last is left out.
    pub fn handle_reply(&mut self, now: Now, reply: ProbeReply) {
        let Some((_, sent)) = self.probing.take_if(|(wall, _)| *wall == reply.sent) else { return };
        let half_trip = now.instant.since(sent) / 2;
        let middle = sent + half_trip;
        if self.answers.len() == KEPT {
            self.answers.pop_front();
        }
        self.answers.push_back(Answer {
            at: now.instant,
            ground_minus_instant: reply.ground.0.saturating_sub(micros(middle)),
            uncertainty_micros: u32::try_from(half_trip.as_micros()).unwrap_or(u32::MAX),
        });
    }

    /// The best answer of the last minutes, against the wall clock as it stands.
    pub fn estimate(&self, now: Now) -> Option<ClockEstimate> {
        let fresh = self.answers.iter().filter(|answer| now.instant.since(answer.at) < MAX_AGE);
        let best = fresh.min_by_key(|answer| answer.uncertainty_micros)?;
        let ground_now = best.ground_minus_instant.saturating_add(micros(now.instant));
        Some(ClockEstimate {
            offset_micros: ground_now.saturating_sub(now.wall.0),
            uncertainty_micros: best.uncertainty_micros,
        })
    }
}

fn micros(instant: Instant) -> i64 {
    i64::try_from(instant.0.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(millis: u64, wall_millis: i64) -> Now {
        Now { instant: Instant(Duration::from_millis(millis)), wall: Timestamp::from_millis(wall_millis) }
    }

    #[test]
    fn the_offset_is_within_half_a_round_trip_and_survives_a_jump_of_the_edge_clock() {
        let mut filter = ClockFilter::default();
        assert_eq!(filter.estimate(now(0, 5_000)), None);
        let probe = filter.probe(now(0, 5_000));
        // The ground is an hour ahead and 300 of the 700 ms were on the way up.
        let reply = ProbeReply { sent: probe.sent, ground: Timestamp::from_millis(3_605_300) };
        filter.handle_reply(now(700, 5_700), reply);
        let estimate = filter.estimate(now(700, 5_700)).unwrap();
        assert_eq!((estimate.offset_micros, estimate.uncertainty_micros), (3_599_950_000, 350_000));
        // The edge's clock is set right: 50 ms of the 350 ms uncertainty are left.
        let estimate = filter.estimate(now(1_000, 3_606_000)).unwrap();
        assert_eq!(estimate.offset_micros, -50_000);
    }

    #[test]
    fn an_answer_to_another_probe_is_left_out() {
        let mut filter = ClockFilter::default();
        filter.probe(now(0, 0));
        filter.handle_reply(now(10, 10), ProbeReply { sent: Timestamp(77), ground: Timestamp(0) });
        assert_eq!(filter.estimate(now(10, 10)), None);
    }
}
