//! What the relay hands to the spool's thread: a bounded queue that coalesces, and never makes the relay wait.
//!
//! Appends are bounded by number and bytes: above, the newest is refused, because what was accepted before is
//! already promised. Acknowledgements merge into one set, schemas are at most [`MAX_SCHEMAS`], fetches at most
//! [`FETCHES_MAX`], of which the oldest gives way: the session that asked has moved on.
//!
//! The thread takes everything at once and does schemas, appends, acknowledgements, fetches in this order, so a fetch
//! sees every append that came before it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::schema::MAX_SCHEMAS;
use tern_shared::session::Frame;

use super::SpoolStatus;
use super::marks::MAX_RANGES;
use super::store::Changes;

/// The most frames that wait.
const FRAMES_MAX: usize = 4096;
/// The most bytes of frames that wait.
const BYTES_MAX: usize = 4 << 20;
/// The most fetches that wait.
pub(super) const FETCHES_MAX: usize = 16;
/// A commit does not wait for its time when this many bytes wait for it.
const BATCH_BYTES: usize = 1 << 20;
/// A commit does not wait for its time when this many frames wait for it.
const BATCH_FRAMES: usize = 1024;

/// A request for backlog.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fetch {
    pub(super) range: SequenceRange,
    pub(super) max_bytes: usize,
}

/// Everything that waited.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) changes: Changes,
    /// Records of frames that were refused.
    pub(super) refused: RangeSet,
    pub(super) fetches: VecDeque<Fetch>,
    pub(super) closing: bool,
    bytes: usize,
    since: Option<Instant>,
}

/// Shared by the handle and the thread.
pub(super) struct Inbox {
    waiting: Mutex<Batch>,
    wake: Condvar,
    commit_interval: Duration,
    status: Mutex<SpoolStatus>,
}

impl Inbox {
    pub(super) fn new(commit_interval: Duration, status: SpoolStatus) -> Arc<Inbox> {
        Arc::new(Inbox {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            commit_interval,
            status: Mutex::new(status),
        })
    }

    /// Queues what `put` adds to the batch, and wakes the thread if it has to know.
    pub(super) fn put<T>(&self, put: impl FnOnce(&mut Batch) -> T) -> T {
        let mut waiting = lock(&self.waiting);
        let due = waiting.due(self.commit_interval);
        let result = put(&mut waiting);
        waiting.since.get_or_insert_with(Instant::now);
        if waiting.due(self.commit_interval) != due {
            self.wake.notify_one();
        }
        result
    }

    /// Waits until a commit is due, or until `wake_at`, and takes what waits.
    pub(super) fn take(&self, wake_at: Option<Instant>) -> Batch {
        let mut waiting = lock(&self.waiting);
        loop {
            let due = [waiting.due(self.commit_interval), wake_at].into_iter().flatten().min();
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            waiting = match left {
                Some(Duration::ZERO) => return std::mem::take(&mut *waiting),
                Some(left) => self.wake.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    pub(super) fn status(&self) -> SpoolStatus {
        lock(&self.status).clone()
    }

    pub(super) fn set_status(&self, status: SpoolStatus) {
        *lock(&self.status) = status;
    }
}

impl Batch {
    /// Whether there is room for the frame; it waits for the commit if so.
    pub(super) fn append(&mut self, frame: Frame) -> Result<(), Frame> {
        if self.changes.frames.len() >= FRAMES_MAX || self.bytes + frame.bytes.len() > BYTES_MAX {
            // At most one range between any two frames that wait.
            self.refused.insert(frame.range);
            return Err(frame);
        }
        self.bytes += frame.bytes.len();
        self.changes.frames.push(frame);
        Ok(())
    }

    /// More pieces than the ground ever tells at once are dropped: it tells them again when the next session opens.
    pub(super) fn acknowledge(&mut self, ranges: &[SequenceRange]) {
        for range in ranges {
            if self.changes.acknowledged.range_count() < MAX_RANGES {
                self.changes.acknowledged.insert(*range);
            }
        }
    }

    pub(super) fn fetch(&mut self, fetch: Fetch) {
        if self.fetches.len() == FETCHES_MAX {
            self.fetches.pop_front();
        }
        self.fetches.push_back(fetch);
    }

    fn due(&self, commit_interval: Duration) -> Option<Instant> {
        let full = self.bytes >= BATCH_BYTES
            || self.changes.frames.len() >= BATCH_FRAMES
            || self.changes.schemas.len() >= MAX_SCHEMAS as usize;
        let at_once = full || self.closing || !self.fetches.is_empty();
        self.since.map(|since| if at_once { since } else { since + commit_interval })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
