//! How long to wait before the next attempt.

use std::time::Duration;

/// Exponential back-off with jitter and a cap.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits about `first`, then twice as long each time, never over `cap`.
    pub fn new(first: Duration, cap: Duration) -> Self {
        Backoff { first, cap, next: first }
    }

    /// The wait before the next attempt. `random` (any number) spreads it over the upper half, so that vehicles which
    /// lost the same satellite do not come back in step.
    pub fn next_delay(&mut self, random: u32) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.cap);
        delay / 2 + (delay / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// An attempt succeeded: begins anew.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(1));
        let millis: Vec<u128> = (0..5).map(|_| backoff.next_delay(u32::MAX).as_millis()).collect();
        assert_eq!(millis, [200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.next_delay(0).as_millis(), 500);
        backoff.reset();
        assert_eq!(backoff.next_delay(0).as_millis(), 100);
    }
}
