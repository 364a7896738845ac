//! A queue that stands on the link although the session keeps to its rate: what the transport sent again, or what the
//! link lacks of the rate that it is said to have.

use std::time::Duration;

use crate::time::Instant;

/// The shortest round trip of so long ago counts as one without a queue: routes change.
const WINDOW: Duration = Duration::from_secs(30);
/// More than jitter makes of a round trip.
const NOTICED: Duration = Duration::from_millis(400);
/// What jitter may make of it.
const LEFT: Duration = Duration::from_millis(200);
/// The most that is waited for at once.
const MOST: Duration = Duration::from_secs(2);

/// Watches round trips.
#[derive(Debug)]
pub(super) struct StandingQueue {
    /// The shortest ones of this window and of the one before.
    shortest: [Duration; 2],
    begun: Instant,
    /// When a queue was found last: what left before has not seen it shrink.
    found: Option<Instant>,
}

impl StandingQueue {
    /// Has seen none.
    pub(super) fn new() -> Self {
        StandingQueue { shortest: [Duration::MAX; 2], begun: Instant::default(), found: None }
    }

    /// A packet that left at `sent` took this long to be told of. Returns for how long the link should rest, as time of
    /// the link, for the queue to be gone.
    pub(super) fn handle_round_trip(
        &mut self,
        now: Instant,
        sent: Instant,
        round_trip: Duration,
    ) -> Option<Duration> {
        if now.since(self.begun) > WINDOW {
            self.shortest = [Duration::MAX, self.shortest[0]];
            self.begun = now;
        }
        self.shortest[0] = self.shortest[0].min(round_trip);
        let queue = round_trip - self.shortest[0].min(self.shortest[1]);
        if queue < NOTICED || self.found.is_some_and(|found| sent < found) {
            return None;
        }
        self.found = Some(now);
        Some((queue - LEFT).min(MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant(Duration::from_millis(millis))
    }

    /// The rests that follow from round trips told every second.
    fn rests(round_trips: impl IntoIterator<Item = u64>) -> Vec<(usize, u128)> {
        let mut queue = StandingQueue::new();
        let rest = |(second, millis): (usize, u64)| {
            let now = at(1000 * second as u64 + 20_000);
            let sent = Instant(now.0 - Duration::from_millis(millis));
            let rest = queue.handle_round_trip(now, sent, Duration::from_millis(millis))?;
            Some((second, rest.as_millis()))
        };
        round_trips.into_iter().enumerate().filter_map(rest).collect()
    }

    #[test]
    fn jitter_is_no_queue() {
        assert_eq!(rests((0..300).map(|second| 600 + second * 7919 % 350)), []);
    }

    #[test]
    fn a_queue_is_paid_once_and_again_by_what_left_since() {
        assert_eq!(rests([600, 620, 1600, 1500, 650]), [(2, 800)]);
        assert_eq!(rests([600, 620, 1600, 1600, 1600, 1600]), [(2, 800), (4, 800)]);
        assert_eq!(rests([600, 9000]), [(1, 2000)]);
    }

    #[test]
    fn a_longer_way_is_no_queue_for_ever() {
        let rests = rests([600; 5].into_iter().chain([1200; 200]));
        assert!(rests.iter().all(|(second, _)| *second < 65) && rests.len() > 10, "{rests:?}");
    }
}
