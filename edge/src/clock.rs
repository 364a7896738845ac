//! The process's clocks, as the sans-IO session takes them.

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
        self.origin + instant.0
    }
}

/// Wall-clock time by this computer's clock.
pub fn wall_now() -> Timestamp {
    Timestamp(Utc::now().timestamp_micros())
}
