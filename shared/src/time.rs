//! The two kinds of time: wall-clock time that crosses the link, and monotonic time that drives timers.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Wall-clock time: microseconds since the Unix epoch, UTC, by the clock of whoever took it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole milliseconds since the Unix epoch, saturating at the ends of the range.
    pub fn from_millis(millis: i64) -> Self {
        Timestamp(millis.saturating_mul(1000))
    }

    /// Microseconds from `earlier` to `self`, saturating; negative when `earlier` is later.
    pub fn micros_since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This time moved by `micros` microseconds, saturating at the ends of the range.
    pub fn offset_by(self, micros: i64) -> Self {
        Timestamp(self.0.saturating_add(micros))
    }
}

/// Monotonic time since an origin of the caller's choosing (the start of the process, of a simulation).
///
/// A type of its own rather than [`std::time::Instant`], which no test can construct at will.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub Duration);

impl Instant {
    /// Time from `earlier` to `self`, zero when `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(duration))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.0.as_secs_f64())
    }
}

/// Both times at one moment: what every sans-IO entry point takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Drives timers and pacing.
    pub instant: Instant,
    /// Crosses the link, by this end's clock. It may jump either way between two calls.
    pub wall: Timestamp,
}
