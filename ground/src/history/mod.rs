//! What every vehicle sent, in one SQLite file that one thread writes.
//!
//! Frames are kept as they came, in the order of (epoch, first sequence number). Writes gather for the commit
//! interval, or until there are 512, and are committed in one transaction; only then are they reported as committed, and only then may a vehicle forget them. With
//! `synchronous = full` a commit is on the disk: nothing reported is lost in a power cut. With `normal` it is with the
//! operating system: a power cut may take what came since the last checkpoint.
//!
//! A commit that fails (a full disk) is reported as such, so that the vehicle keeps its data; nothing is held back in
//! memory for it, and writing is tried again with the next batch, at least once a second.

mod reader;
mod store;
mod thread;

use std::path::PathBuf;
use std::sync::Arc;

use tern_shared::codec::SchemaTable;
use tern_shared::id::{Epoch, SchemaId, VehicleId};
use tern_shared::message::{ClockEstimate, GapReason, Lane};
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::schema::Schema;
use tern_shared::time::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use crate::publish::cursor::{HistoryTag, Position};

pub(crate) use reader::PAGE_FRAMES;
pub use reader::{EpochRow, FramePage, HistoryReader, StoredFrame, TimeSpan};
pub use store::{Store, Stored};
pub use thread::{Command, spawn};

/// Names an epoch of a vehicle within the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EpochKey(i64);

/// What the history holds of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochState {
    /// What to call it in [`Entry`].
    pub key: EpochKey,
    /// Its committed records and gaps.
    pub committed: RangeSet,
    /// Its schemas.
    pub schemas: SchemaTable,
}

/// How many records of a vehicle, over all epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// In the history.
    pub records: u64,
    /// Known to be lost.
    pub lost_records: u64,
}

/// One run of a ground on a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The history's own name.
    pub tag: HistoryTag,
    /// The run's number, higher than that of all before.
    pub number: u32,
}

/// Something to commit.
#[derive(Debug)]
pub struct Entry {
    /// Whose.
    pub epoch: EpochKey,
    /// When it came, by the ground's clock.
    pub received: Timestamp,
    /// What came.
    pub content: Content,
    /// Whom to tell about frames and gaps. Never waited for: it must have room for everything it is owed.
    pub outcome: Option<mpsc::Sender<Outcome>>,
}

/// What came.
#[derive(Clone, Debug)]
pub enum Content {
    /// A schema. One that could not be committed is kept and goes before the next frames.
    Schema {
        /// Its id in the epoch.
        id: SchemaId,
        /// The schema.
        schema: Arc<Schema>,
    },
    /// Records.
    Frame {
        /// Their sequence numbers, below 2^63.
        range: SequenceRange,
        /// How they came.
        lane: Lane,
        /// The place of the first in the order of publication; the others follow it.
        position: Position,
        /// What they are made of.
        schemas: Vec<SchemaId>,
        /// The earliest capture time.
        started: Timestamp,
        /// The latest capture time.
        ended: Timestamp,
        /// The frame.
        bytes: Arc<[u8]>,
    },
    /// Records that will never come.
    Gap {
        /// Their sequence numbers, below 2^63.
        range: SequenceRange,
        /// Why.
        reason: GapReason,
    },
    /// A changed estimate of the vehicle's clock.
    Clock(ClockEstimate),
}

impl Content {
    /// The sequence numbers that its outcome is about.
    pub fn range(&self) -> Option<SequenceRange> {
        match *self {
            Content::Frame { range, .. } | Content::Gap { range, .. } => Some(range),
            Content::Schema { .. } | Content::Clock(_) => None,
        }
    }
}

/// What became of a frame or gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the history, as durable as configured.
    Committed(SequenceRange),
    /// It is not, and the history does not have it: only the vehicle has.
    NotCommitted(SequenceRange),
}

/// Whether commits succeed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// They do.
    #[default]
    Good,
    /// They do not; the text says why.
    Failing(String),
}

/// Why the history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Its folder is not there and cannot be made.
    #[error("history.path = {}: its folder cannot be made: {error}", path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is damaged, cannot be opened, or is no SQLite file.
    #[error(
        "history {}: {error}. It is left as it is: restore it from a backup, or start with another history.path",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        error: rusqlite::Error,
    },
    /// There is no file to read.
    #[error("there is no history at {}: name the ground's with --history or --config", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is a SQLite file of another program.
    #[error("{} is a SQLite file, but no history of tern-ground", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later release wrote it.
    #[error("history {} has version {found}, this release knows up to {known}: use a later release", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest this release knows.
        known: u32,
    },
    /// It was made by an earlier release, and a reader cannot bring it up to date.
    #[error("history {} has version {found}: start tern-ground once, which brings it to {known}", path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that can be read.
        known: u32,
    },
    /// Reading or writing failed.
    #[error("history: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored schema cannot be read back.
    #[error("history: schema {id} of epoch row {epoch} is damaged")]
    Schema {
        /// The row of its epoch.
        epoch: i64,
        /// Its id.
        id: u32,
    },
    /// The history's thread has ended.
    #[error("the history has been closed")]
    Closed,
}

/// The way to the history's thread.
#[derive(Clone, Debug)]
pub struct History {
    commands: mpsc::Sender<Command>,
    health: watch::Receiver<Health>,
}

impl History {
    /// A handle to the thread that [`spawn`] started on the other ends.
    pub fn new(commands: mpsc::Sender<Command>, health: watch::Receiver<Health>) -> Self {
        History { commands, health }
    }

    /// What the history holds of an epoch, everything written before included. Makes the epoch known.
    pub async fn open_epoch(
        &self,
        vehicle: VehicleId,
        epoch: Epoch,
        now: Timestamp,
    ) -> Result<EpochState, HistoryError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::OpenEpoch { vehicle, epoch, now, reply }).await?;
        answer.await.map_err(|_| HistoryError::Closed)?
    }

    /// How many records of a vehicle there are.
    pub async fn totals(&self, vehicle: VehicleId) -> Result<Totals, HistoryError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Totals { vehicle, reply }).await?;
        answer.await.map_err(|_| HistoryError::Closed)?
    }

    /// Hands something over to be committed; waits while the queue is full.
    pub async fn write(&self, entry: Entry) -> Result<(), HistoryError> {
        self.send(Command::Write(entry)).await
    }

    /// Whether commits succeed; changes as they do.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    async fn send(&self, command: Command) -> Result<(), HistoryError> {
        self.commands.send(command).await.map_err(|_| HistoryError::Closed)
    }
}
