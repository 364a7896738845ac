//! Keeps frames on disk until the ground has them.
//!
//! # Constraints
//!
//! - 50,000 records a second in, on one slow core; the relay never waits for the disk.
//! - Under 10 MB of memory, whatever is stored: 2 MB of SQLite page cache, no memory map, at most 4 MB of frames on
//!   their way in (`inbox.rs`), at most 4 answers on their way out. No index of the frames is kept in memory.
//! - A sequence number is never given twice, although frames are sent before they are stored: each start reserves
//!   2^32 numbers, synced to the disk before the first is used, and begins at the next block. A run that comes to the
//!   second half of its block reserves the next one as well.
//! - What is stored is deleted only when the ground acknowledged it, or by a bound ([`SpoolConfig::max_bytes`],
//!   [`SpoolConfig::max_age`]): then the oldest goes first, counted, and remembered until the ground knows the gap.
//!
//! # On disk
//!
//! One SQLite database, format in `sql/version_*.sql`: a row about the spool itself, a row a frame keyed by its first
//! sequence number, sets of ranges (evicted, partly acknowledged), schemas as postcard, what the month has cost. A commit writes one page
//! beside those of its frames. `user_version` is the format, `application_id` says that it is a spool. Beside it lie the
//! write-ahead log `-wal` (4 MB, more only while deletions of several thousand frames are under way) and, after
//! damage was seen, a note `.suspect` that has the next start check every page.
//!
//! Pages that deletion frees are used again, so the file grows to about `max_bytes` and stays there; it is not
//! shrunk, because it would only grow again in the next outage. Frames count with [`store::ROW_BYTES`] bytes more than
//! they have; the file ends within some 15 % of that sum.
//!
//! # Loss windows
//!
//! - What waits for its commit (at most [`SpoolConfig::commit_interval`] and the time the disk takes) is lost when the
//!   process is killed. It was sent live all the same.
//! - What is committed ([`SpoolEvent::Spooled`]) survives the end of the process, however it comes.
//! - Power failure: see [`Synchronous`].
//!
//! # When the disk is full or fails
//!
//! What is stored stays and is served; new frames are not stored, counted, and answered as [`GapReason::NotStored`]
//! (until the process ends; after that as [`GapReason::Absent`]). Nothing is evicted to make room, because what was
//! reported as spooled is a promise, and whoever filled the disk would fill that too. Every commit tries again, so
//! storing goes on with the first frame after there is space. A start needs room for a few pages: without it, the spool is
//! [`OpenError::Unavailable`] and left as it is for a later start.
//!
//! # Age
//!
//! Counted in seconds that edges have been running on the spool, by the monotonic clock: a clock that jumps, or is
//! wrong until the first fix, evicts nothing. Time without power does not count, which errs on the side of keeping.
//!
//! [`GapReason::NotStored`]: tern_shared::message::GapReason::NotStored
//! [`GapReason::Absent`]: tern_shared::message::GapReason::Absent

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tern_shared::id::{Epoch, SchemaId};
use tern_shared::range::SequenceRange;
use tern_shared::schema::{MAX_SCHEMAS, Schema};
use tern_shared::session::{Frame, MonthSpent};
use tern_shared::time::{Now, Timestamp};
use tokio::sync::mpsc;

mod error;
mod inbox;
mod marks;
mod meta;
mod open;
mod rows;
pub mod store;
#[cfg(test)]
mod tests;
mod writer;

pub use error::{OpenError, StoreError};
pub use store::{Counts, Fetched, Held};

use inbox::{Fetch, Inbox};
use store::Store;
use writer::Writer;

/// How often what is committed is synced to the disk with [`Synchronous::Normal`].
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);

/// How hard commits are pushed to the disk: what a power failure may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Synced with every checkpoint: every [`CHECKPOINT_INTERVAL`] (5 s), or 4 MiB of log if that comes first. A power
    /// failure loses at most what was committed since; the file stays sound, and no sequence number is given twice.
    #[default]
    Normal,
    /// Every commit is synced: a power failure loses nothing that was committed (on a disk that does what it is told).
    /// Costs a sync every commit interval, which wears an SD card and takes it 5-50 ms.
    Full,
}

/// Where the spool lies and what bounds it.
#[derive(Clone, Debug)]
pub struct SpoolConfig {
    /// The file. Its folder is made if it does not exist.
    pub path: PathBuf,
    /// About the most bytes on disk: the oldest frames are evicted above. Below the size of a frame nothing is kept.
    pub max_bytes: u64,
    /// The oldest that a frame may grow, in running time; `None` for no such bound.
    pub max_age: Option<Duration>,
    /// What a power failure may cost.
    pub synchronous: Synchronous,
    /// How long a frame may wait for others to be committed with. 50 ms costs an SD card some 150 kB/s of log at any
    /// rate of telemetry; longer saves wear and loses more when the process is killed.
    pub commit_interval: Duration,
}

impl SpoolConfig {
    /// The defaults: 1 GiB, any age, [`Synchronous::Normal`], 50 ms.
    pub fn new(path: impl Into<PathBuf>) -> SpoolConfig {
        SpoolConfig {
            path: path.into(),
            max_bytes: 1 << 30,
            max_age: None,
            synchronous: Synchronous::Normal,
            commit_interval: Duration::from_millis(50),
        }
    }
}

/// What a start finds.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Which history of sequence numbers.
    pub epoch: Epoch,
    /// The first sequence number of this run; all numbers from here on are unused.
    pub base: u64,
    /// The schemas of the epoch.
    pub schemas: BTreeMap<SchemaId, Arc<Schema>>,
    /// The numbers that earlier runs stored records under, as far as not all of a run is acknowledged. Numbers
    /// beyond a run's end may have been sent, but were never committed.
    pub earlier_runs: Vec<SequenceRange>,
    /// What is held for the ground.
    pub held: Held,
    /// What earlier runs have spent of a month's budget.
    pub spent: MonthSpent,
    /// A damaged spool was found, and this is a new one, with a new epoch.
    pub moved_aside: Option<MovedAside>,
}

/// A damaged spool that was kept for people to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedAside {
    /// Where it lies: `NAME.corrupt-<UTC>`.
    pub to: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// What the spool tells the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolEvent {
    /// Something was committed, could not be, or the state changed; never from [`SpoolHandle::unavailable`]. When the
    /// channel is full, the newest stands for all before it.
    Spooled(SpoolStatus),
    /// Answers [`SpoolHandle::fetch`], in the order asked.
    Fetched(Fetched),
}

/// How the spool is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolStatus {
    /// Whether it can store.
    pub state: SpoolState,
    /// One past the last sequence number committed in this run.
    pub up_to: u64,
    /// Records counted since the start.
    pub counts: Counts,
    /// What is held for the ground.
    pub held: Held,
}

/// Whether the spool can store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolState {
    /// It can.
    Ok,
    /// The disk is full: what is stored stays, new frames are only sent live.
    Full,
    /// It failed, for this reason; it is tried again with every commit.
    Failed(String),
}

/// The relay's end of the spool. No method but [`close`](Self::close) waits for anything.
pub struct SpoolHandle {
    inbox: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
}

impl SpoolHandle {
    /// Opens the spool and starts its thread. `events` may be of any capacity; the spool never waits for it.
    pub fn open(
        config: &SpoolConfig,
        wall: Timestamp,
        events: mpsc::Sender<SpoolEvent>,
    ) -> Result<(SpoolHandle, Opened), OpenError> {
        let began = Instant::now();
        let now = Now { instant: tern_shared::time::Instant::default(), wall };
        let (store, opened) = Store::open(config, now)?;
        let status = SpoolStatus {
            state: SpoolState::Ok,
            up_to: opened.base,
            counts: Counts::default(),
            held: opened.held,
        };
        let handle =
            SpoolHandle::start(Inbox::new(config.commit_interval, status), events, Some(store), began)
                .map_err(|error| OpenError::Unavailable {
                    path: config.path.clone(),
                    reason: error.to_string(),
                })?;
        Ok((handle, opened))
    }

    /// Stands in for a spool that cannot be opened: a random epoch, nothing is stored, every fetch is answered with
    /// [`NotStored`](tern_shared::message::GapReason::NotStored), and the state says why.
    pub fn unavailable(
        reason: &OpenError,
        events: mpsc::Sender<SpoolEvent>,
    ) -> std::io::Result<(SpoolHandle, Opened)> {
        let status = SpoolStatus {
            state: SpoolState::Failed(reason.to_string()),
            up_to: 0,
            counts: Counts::default(),
            held: Held::default(),
        };
        let inbox = Inbox::new(Duration::from_millis(50), status);
        let handle = SpoolHandle::start(inbox, events, None, Instant::now())?;
        let opened = Opened {
            epoch: Epoch(rand::random()),
            base: 0,
            schemas: BTreeMap::new(),
            earlier_runs: Vec::new(),
            held: Held::default(),
            spent: MonthSpent::default(),
            moved_aside: None,
        };
        Ok((handle, opened))
    }

    /// Stores the frame with the next commit. Frames come in ascending order.
    ///
    /// # Errors
    ///
    /// Returns the frame when the disk does not keep up and the queue is full: it is not stored, counted, and
    /// answered as such.
    pub fn append(&self, frame: Frame) -> Result<(), Frame> {
        self.inbox.put(|batch| batch.append(frame))
    }

    /// Keeps a schema, before the frames that are appended after it. Beyond [`MAX_SCHEMAS`] at once, none is kept.
    pub fn put_schema(&self, id: SchemaId, schema: Arc<Schema>) {
        self.inbox.put(|batch| {
            if batch.changes.schemas.len() < MAX_SCHEMAS as usize {
                batch.changes.schemas.push((id, schema));
            }
        });
    }

    /// Keeps what was spent of the month's budget, in place of what was kept before.
    pub fn put_spent(&self, spent: MonthSpent) {
        self.inbox.put(|batch| batch.changes.spent = Some(spent));
    }

    /// The ground has committed these: the spool forgets them.
    pub fn acknowledge(&self, ranges: &[SequenceRange]) {
        self.inbox.put(|batch| batch.acknowledge(ranges));
    }

    /// Asks for the frames of `range`, newest first, about `max_bytes` of them: answered with [`SpoolEvent::Fetched`].
    /// At most 16 wait; the oldest is dropped above. Damaged parts are answered as not stored; where reading fails
    /// otherwise, the answer comes when it succeeds.
    pub fn fetch(&self, range: SequenceRange, max_bytes: usize) {
        self.inbox.put(|batch| batch.fetch(Fetch { range, max_bytes }));
    }

    /// How the spool is, as of its last commit.
    pub fn status(&self) -> SpoolStatus {
        let mut status = self.inbox.status();
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            status.state = SpoolState::Failed("the spool's thread has ended, see the log".to_owned());
        }
        status
    }

    /// Commits what waits, syncs it to the disk and ends the thread. Blocks as long as the disk takes for that: call
    /// it last, or where blocking is allowed.
    pub fn close(mut self) -> SpoolStatus {
        self.end();
        self.inbox.status()
    }

    fn start(
        inbox: Arc<Inbox>,
        events: mpsc::Sender<SpoolEvent>,
        store: Option<Store>,
        began: Instant,
    ) -> std::io::Result<SpoolHandle> {
        let writer = Writer::new(inbox.clone(), events, store, began);
        let thread = std::thread::Builder::new().name("spool".to_owned()).spawn(move || writer.run())?;
        Ok(SpoolHandle { inbox, thread: Some(thread) })
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.inbox.put(|batch| batch.closing = true);
            if thread.join().is_err() {
                let mut status = self.inbox.status();
                status.state = SpoolState::Failed("the spool's thread has panicked, see the log".to_owned());
                self.inbox.set_status(status);
            }
        }
    }
}

impl Drop for SpoolHandle {
    fn drop(&mut self) {
        self.end();
    }
}
