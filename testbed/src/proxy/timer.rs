//! Waits to the microsecond: tokio's own timer counts in whole milliseconds, and is up to two late.

use std::io;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::net::unix::pipe;

/// A timer of the kernel.
#[derive(Debug)]
pub(super) struct Timer {
    /// No pipe, but read like one: what tokio has for files of other kinds is unsafe code.
    file: pipe::Receiver,
}

impl Timer {
    /// Needs a tokio runtime.
    pub(super) fn new() -> io::Result<Timer> {
        let file = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Timer { file: pipe::Receiver::from_owned_fd_unchecked(file)? })
    }

    /// Completes after so long. May be dropped and called again.
    pub(super) async fn wait(&self, duration: Duration) -> io::Result<()> {
        // A time of zero would switch the timer off.
        let duration = duration.max(Duration::from_nanos(1));
        // A link model's times are far below i64's range.
        let it_value =
            Timespec { tv_sec: duration.as_secs().cast_signed(), tv_nsec: duration.subsec_nanos().into() };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let time = Itimerspec { it_interval, it_value };
        timerfd_settime(&self.file, TimerfdTimerFlags::empty(), &time)?;
        loop {
            self.file.readable().await?;
            // How often it has expired; setting it anew forgets what has not been read.
            match self.file.try_read(&mut [0; 8]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result.map(|_| ()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wait_that_was_given_up_does_not_end_the_next_one() {
        let timer = Timer::new().unwrap();
        let given_up = tokio::time::timeout(Duration::from_millis(1), timer.wait(Duration::from_millis(20)));
        given_up.await.unwrap_err();
        let start = std::time::Instant::now();
        timer.wait(Duration::from_millis(50)).await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(50), "{:?}", start.elapsed());
        timer.wait(Duration::ZERO).await.unwrap();
    }
}
