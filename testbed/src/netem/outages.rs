//! Changes netem's loss when an outage begins or ends.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tern_shared::time::Instant;

use super::{NetemError, qdisc};
use crate::emulator::use_realtime_priority;
use crate::link::PathProfile;
use crate::namespace::Namespace;

/// Above everything of ours: outages are to begin and end in time.
const PRIORITY: u8 = 50;
/// How often it is seen that `tc` still runs.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The thread that makes the changes; ended by dropping it.
#[derive(Debug)]
pub(super) struct Outages {
    failure: Arc<Mutex<Option<io::Error>>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Outages {
    /// `start`: of the link's time.
    pub(super) fn start(
        profile: PathProfile,
        router: &Namespace,
        devices: [&'static str; 2],
        start: std::time::Instant,
    ) -> Result<Outages, NetemError> {
        // It ends with its input, and so with this process.
        let tc = Command::new("tc")
            .args(["-netns", router.name(), "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut changes = Changes { tc, profile, devices, start };
        let failure = Arc::new(Mutex::new(None));
        let (stop, stopped) = channel();
        let thread_failure = Arc::clone(&failure);
        let thread = std::thread::Builder::new().name("outages".to_owned()).spawn(move || {
            use_realtime_priority(PRIORITY);
            if let Err(error) = changes.make(&stopped) {
                tracing::error!(%error, "outages end here");
                *lock(&thread_failure) = Some(error);
            }
        })?;
        Ok(Outages { failure, stop: Some(stop), thread: Some(thread) })
    }

    /// Fails with the reason when the thread has ended.
    pub(super) fn check(&self) -> io::Result<()> {
        lock(&self.failure).take().map_or(Ok(()), Err)
    }
}

impl Drop for Outages {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Changes {
    tc: Child,
    profile: PathProfile,
    devices: [&'static str; 2],
    start: std::time::Instant,
}

impl Changes {
    /// Until there are no more, or nobody holds the other end of `stopped`.
    fn make(&mut self, stopped: &Receiver<()>) -> io::Result<()> {
        let mut last = Instant::default();
        while let Some(next) = self.profile.outages.next_change(last) {
            loop {
                let left = next.0.saturating_sub(self.start.elapsed());
                if left.is_zero() {
                    break;
                }
                match stopped.recv_timeout(left.min(CHECK_INTERVAL)) {
                    Err(RecvTimeoutError::Timeout) => self.check()?,
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
            }
            let commands =
                qdisc::commands("change", self.devices, &self.profile, next).map_err(io::Error::other)?;
            let lines: String = commands.iter().map(|words| words.join(" ") + "\n").collect();
            let input = self.tc.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
            if input.write_all(lines.as_bytes()).is_err() {
                return self.check();
            }
            last = next;
        }
        Ok(())
    }

    /// `tc` ends at the first line that it cannot execute.
    fn check(&mut self) -> io::Result<()> {
        if self.tc.try_wait()?.is_none() {
            return Ok(());
        }
        let mut message = String::new();
        if let Some(errors) = &mut self.tc.stderr {
            errors.read_to_string(&mut message)?;
        }
        Err(io::Error::other(format!("`tc -batch` ended: {}", message.trim())))
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        drop(self.tc.stdin.take());
        // Nothing is left to be done when it cannot be waited for.
        let _ = self.tc.wait();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
