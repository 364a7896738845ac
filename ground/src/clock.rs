//! The process's clocks, as the sans-IO session takes them.

use std::time::Duration;

use chrono::Utc;
use tern_shared::time::{Instant, Now, Timestamp};

/// Monotonic time since the process started, and wall-clock time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Clock { origin: tokio::time::Instant::now() }
    }

    /// Both times.
    pub fn now(&self) -> Now {
        Now { instant: Instant(self.origin.elapsed()), wall: wall_now() }
    }

    /// When tokio's timers reach `instant`.
    pub fn deadline(&self, instant: Instant) -> tokio::time::Instant {
        // A year stands for never: tokio's timers cannot reach further than the platform's clock.
        self.origin + instant.0.min(self.origin.elapsed() + Duration::from_secs(365 * 24 * 3600))
    }
}

/// Wall-clock time by this computer's clock.
pub fn wall_now() -> Timestamp {
    Timestamp(Utc::now().timestamp_micros())
}
