//! The thread that owns the history's file.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tern_shared::id::{Epoch, SchemaId, VehicleId};
use tern_shared::schema::Schema;
use tern_shared::time::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, error, info};

use super::{Content, Entry, EpochKey, EpochState, Health, HistoryError, Outcome, Store, Stored, Totals};
use crate::publish::Positions;

/// A batch closes when it has this many entries (at most 64 kB each), whatever the commit interval is.
pub(super) const MAX_BATCH_ENTRIES: usize = 512;
/// How often a history that fails is tried when nothing comes in.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is written down where the last records of every stream are. After a crash, those of the frames since are
/// found by looking through the last frames.
const LATEST_INTERVAL: Duration = Duration::from_secs(10);

/// What the thread is asked for.
#[derive(Debug)]
pub enum Command {
    /// What is there of an epoch, after everything that was asked before.
    OpenEpoch {
        /// Whose.
        vehicle: VehicleId,
        /// Which.
        epoch: Epoch,
        /// When it was seen first, if it is new.
        now: Timestamp,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<EpochState, HistoryError>>,
    },
    /// How many records there are.
    Totals {
        /// Of which vehicle.
        vehicle: VehicleId,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Totals, HistoryError>>,
    },
    /// Commit this with the next batch.
    Write(Entry),
}

/// Starts the thread. It ends, everything committed, when all senders of `commands` are gone.
pub fn spawn(
    store: Store,
    commit_interval: Duration,
    commands: mpsc::Receiver<Command>,
    health: watch::Sender<Health>,
    positions: Arc<Positions>,
) -> io::Result<JoinHandle<()>> {
    // The runtime is for waiting on commands with a deadline; nothing else runs on it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut writer = Writer {
        store,
        commit_interval,
        health,
        positions,
        batch: Vec::new(),
        unsaved: BTreeMap::new(),
        latest: BTreeMap::new(),
        latest_saved: None,
    };
    std::thread::Builder::new()
        .name("history".to_owned())
        .spawn(move || runtime.block_on(writer.run(commands)))
}

struct Writer {
    store: Store,
    commit_interval: Duration,
    health: watch::Sender<Health>,
    batch: Vec<Entry>,
    /// Schemas whose commit failed: frames that use them can only be read with them, so they go first.
    unsaved: BTreeMap<(EpochKey, SchemaId), Arc<Schema>>,
    positions: Arc<Positions>,
    /// The last frames with records of these schemas, since that was written down.
    latest: BTreeMap<(EpochKey, SchemaId), u64>,
    latest_saved: Option<Instant>,
}

impl Writer {
    async fn run(&mut self, mut commands: mpsc::Receiver<Command>) {
        let mut deadline = None;
        loop {
            let command = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, commands.recv()).await,
                None => Ok(commands.recv().await),
            };
            match command {
                Ok(Some(Command::Write(entry))) => {
                    if self.batch.is_empty() {
                        deadline = Some(Instant::now() + self.commit_interval);
                    }
                    self.batch.push(entry);
                    // A steady stream of commands would never let the timeout fire.
                    if self.batch.len() >= MAX_BATCH_ENTRIES
                        || deadline.is_some_and(|at| at <= Instant::now())
                    {
                        deadline = self.commit();
                    }
                }
                Ok(Some(Command::OpenEpoch { vehicle, epoch, now, reply })) => {
                    deadline = self.commit();
                    // Nobody waits for the answer when the connection is gone.
                    let _ = reply.send(self.store.open_epoch(&vehicle, epoch, now));
                }
                Ok(Some(Command::Totals { vehicle, reply })) => {
                    let _ = reply.send(self.store.totals(&vehicle));
                }
                Err(_) => deadline = self.commit(),
                Ok(None) => {
                    self.commit();
                    self.save_latest();
                    return;
                }
            }
        }
    }

    /// Commits the batch and tells the outcomes. Returns when to try again, if commits fail.
    fn commit(&mut self) -> Option<Instant> {
        let failing = *self.health.borrow() != Health::Good;
        if !self.batch.is_empty() || (failing && !self.unsaved.is_empty()) {
            self.commit_batch();
        } else if failing {
            let result = self.store.probe();
            self.report(&result);
        }
        (*self.health.borrow() != Health::Good).then(|| Instant::now() + RETRY_INTERVAL)
    }

    fn commit_batch(&mut self) {
        let unsaved = std::mem::take(&mut self.unsaved);
        let mut entries: Vec<Entry> = unsaved
            .into_iter()
            .map(|((epoch, id), schema)| {
                let content = Content::Schema { id, schema };
                Entry { epoch, received: Timestamp::default(), content, outcome: None }
            })
            .collect();
        entries.append(&mut self.batch);
        let result = self.store.commit(&entries);
        // First the reason, then the outcomes: who is told that something was not committed looks here why.
        self.report(&result);
        let mut frames = Vec::new();
        for (i, entry) in entries.into_iter().enumerate() {
            let stored = result.as_ref().ok().map(|stored| stored[i]);
            if let Content::Frame { range, position, schemas, .. } = &entry.content {
                frames.push(*position);
                let of_epoch = schemas.iter().map(|schema| (entry.epoch, *schema));
                for schema in of_epoch.filter(|_| stored == Some(Stored::New)) {
                    let first = self.latest.entry(schema).or_default();
                    *first = range.start.max(*first);
                }
            }
            if let (None, Content::Schema { id, schema }) = (stored, &entry.content) {
                self.unsaved.insert((entry.epoch, *id), schema.clone());
            }
            if let (Some(range), Some(outcome)) = (entry.content.range(), entry.outcome) {
                if stored == Some(Stored::Conflict) {
                    error!(epoch = ?entry.epoch, %range, "the history has a part of this frame already");
                }
                let told = match stored {
                    Some(Stored::New | Stored::Known) => Outcome::Committed(range),
                    Some(Stored::Conflict) | None => Outcome::NotCommitted(range),
                };
                // Fails only when the connection is gone.
                let _ = outcome.try_send(told);
            }
        }
        self.positions.settle(frames);
        if let Ok(stored) = &result {
            debug!(entries = stored.len(), "committed");
            let now = Instant::now();
            if now.duration_since(*self.latest_saved.get_or_insert(now)) >= LATEST_INTERVAL {
                self.latest_saved = Some(now);
                self.save_latest();
            }
        }
    }

    fn save_latest(&mut self) {
        // What cannot be written now goes with the next.
        if self.store.save_latest(&self.latest).is_ok() {
            self.latest.clear();
        }
    }

    fn report<T>(&self, result: &Result<T, rusqlite::Error>) {
        let health = match result {
            Ok(_) => Health::Good,
            Err(error) => Health::Failing(error.to_string()),
        };
        self.health.send_if_modified(|current| {
            if *current == health {
                return false;
            }
            match &health {
                Health::Good => info!("the history can be written again"),
                Health::Failing(error) => {
                    error!(%error, "the history cannot be written: vehicles keep their data until it can");
                }
            }
            *current = health;
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use tern_shared::message::Lane;
    use tern_shared::range::SequenceRange;

    use super::*;
    use crate::config::Synchronous;
    use crate::history::History;
    use crate::publish::cursor::{HistoryTag, Position};

    struct Setup {
        history: History,
        thread: JoinHandle<()>,
        _dir: tempfile::TempDir,
    }

    fn start(commit_interval: Duration, prepare: impl FnOnce(&mut Store)) -> Setup {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(&dir.path().join("history.sqlite"), Synchronous::Normal).unwrap();
        prepare(&mut store);
        let (commands, receiver) = mpsc::channel(16);
        let (health, health_seen) = watch::channel(Health::Good);
        let positions = Arc::new(Positions::new(HistoryTag(1), Position::START));
        let thread = spawn(store, commit_interval, receiver, health, positions).unwrap();
        Setup { history: History::new(commands, health_seen), thread, _dir: dir }
    }

    fn frame(epoch: EpochKey, start: u64, outcome: &mpsc::Sender<Outcome>) -> Entry {
        let content = Content::Frame {
            range: SequenceRange::new(start, start + 10),
            lane: Lane::Live,
            position: Position(start + 1),
            schemas: Vec::new(),
            started: Timestamp(1),
            ended: Timestamp(2),
            bytes: vec![7; 3000].into(),
        };
        Entry { epoch, received: Timestamp(3), content, outcome: Some(outcome.clone()) }
    }

    fn alpha() -> VehicleId {
        "alpha".parse().unwrap()
    }

    #[tokio::test]
    async fn outcomes_follow_the_commit() {
        let setup = start(Duration::from_millis(1), |_| ());
        let (outcome, mut outcomes) = mpsc::channel(8);
        let key = setup.history.open_epoch(alpha(), Epoch(1), Timestamp(0)).await.unwrap().key;
        setup.history.write(frame(key, 0, &outcome)).await.unwrap();
        assert_eq!(outcomes.recv().await, Some(Outcome::Committed(SequenceRange::new(0, 10))));
        setup.history.write(frame(key, 5, &outcome)).await.unwrap();
        assert_eq!(outcomes.recv().await, Some(Outcome::NotCommitted(SequenceRange::new(5, 15))));
        assert_eq!(*setup.history.health().borrow(), Health::Good);
    }

    #[tokio::test]
    async fn opening_an_epoch_flushes_what_was_written_before() {
        let setup = start(Duration::from_secs(3600), |_| ());
        let (outcome, mut outcomes) = mpsc::channel(8);
        let key = setup.history.open_epoch(alpha(), Epoch(1), Timestamp(0)).await.unwrap().key;
        setup.history.write(frame(key, 0, &outcome)).await.unwrap();
        let state = setup.history.open_epoch(alpha(), Epoch(1), Timestamp(0)).await.unwrap();
        assert_eq!(state.committed.len(), 10);
        assert!(outcomes.try_recv().is_ok());
    }

    #[tokio::test]
    async fn closing_commits_what_is_left() {
        let setup = start(Duration::from_secs(3600), |_| ());
        let (outcome, mut outcomes) = mpsc::channel(8);
        let key = setup.history.open_epoch(alpha(), Epoch(1), Timestamp(0)).await.unwrap().key;
        setup.history.write(frame(key, 0, &outcome)).await.unwrap();
        drop(setup.history);
        setup.thread.join().unwrap();
        assert_eq!(outcomes.recv().await, Some(Outcome::Committed(SequenceRange::new(0, 10))));
    }

    #[tokio::test]
    async fn a_full_disk_is_told_and_schemas_are_not_forgotten() {
        // Room for the tables and the epoch, not for a batch of frames.
        let setup = start(Duration::from_millis(1), |store| {
            store.open_epoch(&alpha(), Epoch(1), Timestamp(0)).unwrap();
            store.limit_pages(28);
        });
        let mut health = setup.history.health();
        let (outcome, mut outcomes) = mpsc::channel(64);
        let key = setup.history.open_epoch(alpha(), Epoch(1), Timestamp(0)).await.unwrap().key;
        let mut refused = 0;
        for n in 0..30 {
            setup.history.write(frame(key, n * 10, &outcome)).await.unwrap();
            match outcomes.recv().await.unwrap() {
                Outcome::Committed(_) => assert_eq!(refused, 0),
                Outcome::NotCommitted(_) => refused += 1,
            }
        }
        assert!(refused > 0);
        assert!(matches!(&*health.borrow_and_update(), Health::Failing(why) if why.contains("full")));
        // A single small write succeeds, which the thread finds out by itself.
        health.wait_for(|health| *health == Health::Good).await.unwrap();
    }
}
