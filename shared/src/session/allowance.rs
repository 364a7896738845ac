//! What a kind of message may take of the link: live records, coded symbols.

use std::time::Duration;

use crate::time::Instant;

/// An account in bytes, which fills with time. Unlike the pacer's it forgets a debt that grows large: live records that
/// fill the link for a while keep symbols back only meanwhile.
#[derive(Debug)]
pub(super) struct Allowance {
    /// How much may be saved up or overdrawn, as time.
    saved: Duration,
    bytes: f64,
    bytes_per_second: f64,
    at: Instant,
}

impl Allowance {
    /// An empty one.
    pub(super) fn new(saved: Duration) -> Self {
        Allowance { saved, bytes: 0.0, bytes_per_second: 0.0, at: Instant::default() }
    }

    /// May save up or overdraw so much from here on.
    pub(super) fn set_saved(&mut self, saved: Duration) {
        self.saved = saved;
    }

    /// Time passes, at this rate.
    pub(super) fn handle_time(&mut self, now: Instant, bytes_per_second: f64) {
        let elapsed = now.since(self.at).as_secs_f64();
        self.at = now;
        self.bytes_per_second = bytes_per_second;
        self.bytes = (self.bytes + elapsed * bytes_per_second).min(self.saved_bytes());
    }

    /// So many bytes left.
    pub(super) fn charge(&mut self, bytes: usize) {
        self.bytes = (self.bytes - bytes as f64).max(-self.saved_bytes());
    }

    fn saved_bytes(&self) -> f64 {
        self.saved.as_secs_f64() * self.bytes_per_second
    }

    /// What there is, negative where it is overdrawn.
    pub(super) fn bytes(&self) -> f64 {
        self.bytes
    }

    /// When there will be so many bytes, or as many as can be saved up.
    pub(super) fn at(&self, bytes: usize) -> Instant {
        let wanted = (bytes as f64).min(self.saved_bytes());
        let lacking = (wanted - self.bytes).max(0.0);
        self.at + Duration::from_secs_f64((lacking / self.bytes_per_second.max(1.0)).min(60.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: Duration = Duration::from_millis(250);

    fn at(millis: u64) -> Instant {
        Instant(Duration::from_millis(millis))
    }

    #[test]
    fn what_is_charged_comes_back_with_time() {
        let mut allowance = Allowance::new(SAVED);
        allowance.handle_time(at(1_000), 1000.0);
        assert_eq!(allowance.bytes(), 250.0, "no more than a quarter of a second is saved up");
        allowance.charge(200);
        assert_eq!(allowance.at(100), at(1_050));
        allowance.handle_time(at(1_050), 1000.0);
        assert_eq!(allowance.at(100), at(1_050));
        assert_eq!(allowance.at(5_000), at(1_200), "as much as can be saved up is enough");
    }

    #[test]
    fn a_large_debt_is_forgotten() {
        let mut allowance = Allowance::new(SAVED);
        allowance.handle_time(at(1_000), 1000.0);
        allowance.charge(1_000_000);
        assert_eq!(allowance.at(0), at(1_250));
    }
}
