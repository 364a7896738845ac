//! How much live payload there is.

use std::time::Duration;

use crate::time::Instant;

/// What live records take before any were encoded, bytes a second.
pub(super) const FIRST_LOAD: f64 = 500.0;
/// How many payloads they make, a second.
const FIRST_PAYLOADS: f64 = 10.0;
/// The longest of them, bytes.
const FIRST_MAX: usize = 100;
/// How long one measures before the averages move.
const INTERVAL: Duration = Duration::from_secs(1);
/// How much the newest interval decides.
const WEIGHT: f64 = 0.3;

/// Size and number of the payloads, averaged over some seconds.
#[derive(Debug)]
pub(super) struct Load {
    since: Instant,
    payloads: u32,
    bytes: usize,
    longest: usize,
    bytes_per_second: f64,
    payloads_per_second: f64,
    bytes_max: usize,
}

impl Default for Load {
    fn default() -> Self {
        Load {
            since: Instant::default(),
            payloads: 0,
            bytes: 0,
            longest: 0,
            bytes_per_second: FIRST_LOAD,
            payloads_per_second: FIRST_PAYLOADS,
            bytes_max: FIRST_MAX,
        }
    }
}

impl Load {
    /// A payload of so many bytes leaves.
    pub(super) fn push(&mut self, bytes: usize) {
        self.payloads += 1;
        self.bytes += bytes;
        self.longest = self.longest.max(bytes);
    }

    /// A report of the ground came: the averages move, at most once a second.
    pub(super) fn handle_report(&mut self, now: Instant) {
        let elapsed = now.since(self.since);
        if elapsed < INTERVAL {
            return;
        }
        let a_second = |amount: f64| amount / elapsed.as_secs_f64();
        self.bytes_per_second += (a_second(self.bytes as f64) - self.bytes_per_second) * WEIGHT;
        self.payloads_per_second += (a_second(self.payloads.into()) - self.payloads_per_second) * WEIGHT;
        self.bytes_max = self.longest.max(1);
        (self.since, self.payloads, self.bytes, self.longest) = (now, 0, 0, 0);
    }

    pub(super) fn bytes_per_second(&self) -> f64 {
        self.bytes_per_second
    }

    pub(super) fn payloads_per_second(&self) -> f64 {
        self.payloads_per_second
    }

    /// A payload's size in the mean, bytes.
    pub(super) fn mean_bytes(&self) -> f64 {
        self.bytes_per_second / self.payloads_per_second.max(0.01)
    }

    /// The longest payload of the last interval, bytes.
    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}
