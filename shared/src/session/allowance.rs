//! What coded symbols may take of the link.

use std::time::Duration;

use crate::time::Instant;

/// How much may be saved up or overdrawn, as time of the link, seconds.
const SAVED_S: f64 = 0.25;

/// An account in bytes, which fills with time. Unlike the pacer's it forgets a debt that grows large: live records that
/// fill the link for a while keep symbols back only meanwhile.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    bytes: f64,
    bytes_per_second: f64,
    at: Instant,
}

impl Allowance {
    /// Time passes, at this rate.
    pub(super) fn handle_time(&mut self, now: Instant, bytes_per_second: f64) {
        let elapsed = now.since(self.at).as_secs_f64();
        self.at = now;
        self.bytes_per_second = bytes_per_second;
        self.bytes = (self.bytes + elapsed * bytes_per_second).min(SAVED_S * bytes_per_second);
    }

    /// So many bytes left.
    pub(super) fn charge(&mut self, bytes: usize) {
        self.bytes = (self.bytes - bytes as f64).max(-SAVED_S * self.bytes_per_second);
    }

    /// Whether there is more than so many bytes.
    pub(super) fn has(&self, bytes: usize) -> bool {
        self.bytes > bytes as f64
    }

    /// When there will be so many bytes, or as many as can be saved up.
    pub(super) fn at(&self, bytes: usize) -> Instant {
        let wanted = (bytes as f64).min(SAVED_S * self.bytes_per_second);
        let lacking = (wanted - self.bytes).max(0.0);
        self.at + Duration::from_secs_f64((lacking / self.bytes_per_second.max(1.0)).min(60.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant(Duration::from_millis(millis))
    }

    #[test]
    fn what_is_charged_comes_back_with_time() {
        let mut allowance = Allowance::default();
        allowance.handle_time(at(1_000), 1000.0);
        assert!(allowance.has(249) && !allowance.has(250), "no more than a quarter of a second is saved up");
        allowance.charge(200);
        assert_eq!(allowance.at(100), at(1_050));
        allowance.handle_time(at(1_050), 1000.0);
        assert_eq!(allowance.at(100), at(1_050));
        assert_eq!(allowance.at(5_000), at(1_200), "as much as can be saved up is enough");
    }

    #[test]
    fn a_large_debt_is_forgotten() {
        let mut allowance = Allowance::default();
        allowance.handle_time(at(1_000), 1000.0);
        allowance.charge(1_000_000);
        assert_eq!(allowance.at(0), at(1_250));
    }
}
