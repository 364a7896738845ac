//! The spool's logic, without threads and clocks: one [`commit`](Store::commit) is one transaction.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, params};
use tern_shared::id::SchemaId;
use tern_shared::message::GapReason;
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::schema::{MAX_SCHEMAS, Schema};
use tern_shared::session::{Frame, MonthSpent};
use tern_shared::time::{Instant, Now, Timestamp};

use super::error::{OpenError, StoreError};
use super::marks::{self, Kind};
use super::meta::{Meta, integer, number};
use super::open::{self, Sound, set_synchronous};
use super::rows;
use super::{Opened, SpoolConfig, Synchronous};

/// Sequence numbers are reserved in blocks of this many.
pub const RUN_NUMBERS: u64 = 1 << 32;

/// Above it are no sequence numbers: half of what SQLite's integers hold.
const SEQUENCE_MAX: u64 = i64::MAX as u64 / 2;

/// What a row costs beside its frame's bytes, about: its own numbers, its share of page headers and slack.
pub const ROW_BYTES: u64 = 64;

/// The most frames in an answer to a fetch.
const FETCHED_FRAMES_MAX: usize = 1024;

/// The spool on disk.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
    synchronous: Synchronous,
    max_bytes: u64,
    max_age_seconds: Option<u64>,
    meta: Meta,
    opened_at: Instant,
    age_at_open: u64,
    /// Not written yet because transactions failed, or for [`rows::DELETED_FRAMES_MAX`].
    waiting: Waiting,
    not_stored: RangeSet,
    counts: Counts,
}

/// What to do in one transaction, in this order.
#[derive(Debug, Default)]
pub struct Changes {
    /// Schemas to keep.
    pub schemas: Vec<(SchemaId, Arc<Schema>)>,
    /// Frames to append, ascending.
    pub frames: Vec<Frame>,
    /// Acknowledged: what the spool can forget.
    pub acknowledged: RangeSet,
    /// What was spent of the month's budget by now.
    pub spent: Option<MonthSpent>,
}

/// The spool's answer to a fetch: what [`EdgeSession::handle_backlog`](tern_shared::session::EdgeSession::handle_backlog)
/// takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// What was searched: a suffix of what was asked.
    pub covered: SequenceRange,
    /// The frames found, newest first.
    pub frames: Vec<Frame>,
    /// The parts of `covered` that the spool does not hold, ascending.
    pub absent: Vec<(SequenceRange, GapReason)>,
}

/// Records counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Committed.
    pub committed_records: u64,
    /// Not stored, because the disk was full or failed or did not keep up.
    pub not_stored_records: u64,
    /// Evicted by a bound before they were acknowledged.
    pub evicted_records: u64,
}

/// What the spool holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Frames.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// About what they take on disk.
    pub bytes: u64,
}

#[derive(Clone, Debug, Default)]
struct Waiting {
    spent: Option<MonthSpent>,
    schemas: BTreeMap<SchemaId, Arc<Schema>>,
    acknowledged: RangeSet,
}

impl Store {
    /// Opens the spool, and durably reserves the numbers of this run before it returns.
    pub fn open(config: &SpoolConfig, now: Now) -> Result<(Store, Opened), OpenError> {
        let (Sound { db, meta, schemas, mut earlier, spent }, moved_aside) =
            open::open(&config.path, config.synchronous, now.wall)?;
        let previous = SequenceRange::new(meta.base, meta.high_water);
        let mut store = Store {
            db,
            path: config.path.clone(),
            synchronous: config.synchronous,
            max_bytes: config.max_bytes,
            max_age_seconds: config.max_age.map(|age| age.as_secs()),
            age_at_open: meta.age_clock,
            meta,
            opened_at: now.instant,
            waiting: Waiting::default(),
            not_stored: RangeSet::new(),
            counts: Counts::default(),
        };
        store.begin_run(previous).map_err(|error| OpenError::Unavailable {
            path: config.path.clone(),
            reason: error.to_string(),
        })?;
        earlier.extend((!previous.is_empty()).then_some(previous));
        let opened = Opened {
            epoch: store.meta.epoch,
            base: store.meta.base,
            schemas,
            earlier_runs: earlier,
            held: store.held(),
            spent,
            moved_aside,
        };
        Ok((store, opened))
    }

    /// Makes the changes in one transaction and enforces the bounds.
    ///
    /// # Errors
    ///
    /// The frames were not stored, and are counted and answered as such from here on. Schemas and acknowledgements
    /// are kept in memory and written with the next commit that succeeds. The store stays usable: call again.
    pub fn commit(&mut self, now: Instant, changes: Changes) -> Result<(), StoreError> {
        for (id, schema) in changes.schemas {
            if self.waiting.schemas.len() < MAX_SCHEMAS as usize {
                self.waiting.schemas.insert(id, schema);
            }
        }
        self.waiting.spent = changes.spent.or(self.waiting.spent);
        for range in changes.acknowledged.iter() {
            self.not_stored.remove(range);
            self.waiting.acknowledged.insert(range);
        }
        if self.waiting.acknowledged.range_count() > marks::MAX_RANGES {
            // The ground tells them again when the next session opens.
            self.waiting.acknowledged = RangeSet::new();
        }
        let frames = self.in_order(changes.frames);
        let result = self.transact(now, &frames);
        if result.is_err() {
            for frame in &frames {
                self.count_not_stored(frame.range);
            }
            if !frames.is_empty() {
                // What is acknowledged makes room even where nothing new finds any.
                let _ = self.transact(now, &[]);
            }
        }
        result
    }

    /// Whether another [`commit`](Self::commit), without changes, has something left to do.
    pub fn has_more_to_do(&self) -> bool {
        !self.waiting.acknowledged.is_empty() || self.meta.bytes > self.max_bytes && self.meta.frames > 0
    }

    /// The frames of `range`, newest first: about `max_bytes` of them, but at least one if there is one. A frame with
    /// some records in `range` is returned whole.
    ///
    /// What cannot be read because the file is damaged is stepped over, in growing steps, and answered as not stored.
    pub fn fetch(&self, range: SequenceRange, max_bytes: usize) -> Result<Fetched, StoreError> {
        let mut searched = range;
        let mut step = 1;
        let mut frames = loop {
            match self.read(searched, max_bytes) {
                Err(StoreError::Damaged(_)) if !searched.is_empty() => {
                    searched.end = searched.end.saturating_sub(step).max(searched.start);
                    step *= 2;
                }
                result => break result?,
            }
        };
        let damaged = SequenceRange::new(searched.end, range.end);
        let covered = SequenceRange::new(frames.covered_from, range.end);
        let held: RangeSet = frames.found.iter().map(|frame| frame.range).collect();
        let evicted = marks::within(&self.db, Kind::Evicted, covered)?;
        let mut absent = Vec::new();
        for gap in held.missing_in(covered) {
            let mut not_stored: RangeSet =
                self.not_stored.overlapping(gap).map(|known| known.intersect(&gap)).collect();
            not_stored.insert(gap.intersect(&damaged));
            let mut at = gap.start;
            while at < gap.end {
                let (end, reason) = if evicted.contains(at) {
                    (end_of(&evicted, at), GapReason::Evicted)
                } else if not_stored.contains(at) {
                    (end_of(&not_stored, at).min(next_start(&evicted, at)), GapReason::NotStored)
                } else {
                    (next_start(&evicted, at).min(next_start(&not_stored, at)), GapReason::Absent)
                };
                let end = end.min(gap.end);
                absent.push((SequenceRange::new(at, end), reason));
                at = end;
            }
        }
        Ok(Fetched { covered, frames: std::mem::take(&mut frames.found), absent })
    }

    /// Remembers records that never reached [`commit`](Self::commit).
    pub fn count_not_stored(&mut self, range: SequenceRange) {
        self.counts.not_stored_records += range.len();
        self.not_stored.insert(range);
        if self.not_stored.range_count() > marks::MAX_RANGES {
            let oldest: Vec<SequenceRange> = self.not_stored.iter().take(2).collect();
            self.not_stored.insert(SequenceRange::new(oldest[0].end, oldest[1].start));
        }
    }

    /// Brings what is committed into the database file and onto the disk: after it, a power failure loses nothing that
    /// was committed before it.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Has the next start check the whole file.
    pub fn mark_suspect(&self) -> std::io::Result<()> {
        open::mark_suspect(&self.path)
    }

    /// Counted since the start.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What is held.
    pub fn held(&self) -> Held {
        Held { frames: self.meta.frames, records: self.meta.records, bytes: self.meta.bytes }
    }

    /// Stands in for a disk without room.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) {
        self.db.pragma_update(None, "max_page_count", pages).unwrap();
    }

    /// One past the last sequence number committed in this run; its base when there is none.
    pub fn high_water(&self) -> u64 {
        self.meta.high_water
    }

    /// Leaves out frames that would overwrite others: a mistake of the caller's, which must not cost what is stored.
    fn in_order(&mut self, mut frames: Vec<Frame>) -> Vec<Frame> {
        let mut from = self.meta.high_water;
        frames.retain(|frame| {
            let fits =
                frame.range.start >= from && !frame.range.is_empty() && frame.range.end <= SEQUENCE_MAX;
            if fits {
                from = frame.range.end;
            } else {
                tracing::error!(range = %frame.range, from, "frame out of order, not stored");
                self.counts.not_stored_records += frame.range.len();
            }
            fits
        });
        frames
    }

    fn begin_run(&mut self, previous: SequenceRange) -> Result<(), StoreError> {
        let mut meta = self.meta.clone();
        meta.base = meta.reserved;
        meta.high_water = meta.base;
        meta.reserved = meta.base + RUN_NUMBERS;
        set_synchronous(&self.db, Synchronous::Full)?;
        let change = self.db.transaction()?;
        if !previous.is_empty() {
            change
                .prepare_cached(include_str!("sql/run_add.sql"))?
                .execute([integer(previous.start), integer(previous.end)])?;
        }
        meta.save(&change)?;
        change.commit()?;
        set_synchronous(&self.db, self.synchronous)?;
        self.meta = meta;
        Ok(())
    }

    fn transact(&mut self, now: Instant, frames: &[Frame]) -> Result<(), StoreError> {
        let mut meta = self.meta.clone();
        let used = frames.last().map_or(meta.high_water, |frame| frame.range.end);
        // Long before the block ends: numbers that are sent live may be ahead of what is stored.
        if used + RUN_NUMBERS / 2 <= meta.reserved {
            return self.write(now, frames, meta);
        }
        meta.reserved = (used + RUN_NUMBERS / 2).next_multiple_of(RUN_NUMBERS);
        set_synchronous(&self.db, Synchronous::Full)?;
        let result = self.write(now, frames, meta);
        set_synchronous(&self.db, self.synchronous)?;
        result
    }

    fn write(&mut self, now: Instant, frames: &[Frame], mut meta: Meta) -> Result<(), StoreError> {
        let age_clock = self.age_at_open + now.since(self.opened_at).as_secs();
        let mut waiting = self.waiting.clone();
        let change = self.db.transaction()?;
        for (id, schema) in std::mem::take(&mut waiting.schemas) {
            let body =
                postcard::to_stdvec(schema.as_ref()).map_err(|error| StoreError::Io(error.to_string()))?;
            change.prepare_cached(include_str!("sql/schema_put.sql"))?.execute(params![id.0, body])?;
        }
        let spent = waiting.spent.take();
        if let Some(MonthSpent { month, bytes }) = spent {
            change
                .prepare_cached(include_str!("sql/spent_save.sql"))?
                .execute(params![month.0, integer(bytes)])?;
        }
        for frame in frames {
            rows::append(&change, &mut meta, age_clock, frame)?;
        }
        for range in std::mem::take(&mut waiting.acknowledged).iter() {
            waiting.acknowledged.insert(rows::forget(&change, &mut meta, range)?);
        }
        let evicted = rows::evict(&change, &mut meta, age_clock, self.max_bytes, self.max_age_seconds)?;
        let idle = spent.is_none()
            && meta == self.meta
            && self.waiting.schemas.is_empty()
            && self.waiting.acknowledged.is_empty();
        if !idle {
            meta.age_clock = age_clock;
            meta.save(&change)?;
            change.commit()?;
        }
        self.counts.committed_records += frames.iter().map(|frame| frame.range.len()).sum::<u64>();
        self.counts.evicted_records += evicted;
        self.meta = meta;
        self.waiting = waiting;
        Ok(())
    }

    fn read(&self, range: SequenceRange, max_bytes: usize) -> Result<Read, StoreError> {
        let mut read = Read { found: Vec::new(), covered_from: range.start };
        if range.is_empty() {
            return Ok(read);
        }
        let mut bytes = 0;
        let mut statement = self.db.prepare_cached(include_str!("sql/frame_newest_first.sql"))?;
        let mut rows = statement.query([integer(range.end)])?;
        loop {
            let row = match rows.next() {
                Ok(row) => row,
                // What was read before the damage is answered; the next fetch begins at it.
                Err(_) if !read.found.is_empty() => break,
                Err(error) => return Err(error.into()),
            };
            let Some(row) = row else { return Ok(read) };
            let start = number(row, 0)?;
            let frame = SequenceRange::new(start, start.saturating_add(number(row, 1)?));
            if frame.end <= range.start {
                return Ok(read);
            }
            if bytes >= max_bytes && !read.found.is_empty() || read.found.len() == FETCHED_FRAMES_MAX {
                break;
            }
            let payload = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
            bytes += payload.len();
            read.found.push(Frame { range: frame, newest: Timestamp(row.get(2)?), bytes: payload.into() });
        }
        if let Some(oldest) = read.found.last() {
            read.covered_from = oldest.range.start.max(range.start);
        }
        Ok(read)
    }
}

struct Read {
    found: Vec<Frame>,
    covered_from: u64,
}

/// Where the set's range that holds `at` ends.
fn end_of(set: &RangeSet, at: u64) -> u64 {
    set.overlapping(SequenceRange::new(at, at.saturating_add(1))).next().map_or(at, |range| range.end)
}

/// Where the set's next range above `at` begins.
fn next_start(set: &RangeSet, at: u64) -> u64 {
    set.overlapping(SequenceRange::new(at, u64::MAX)).next().map_or(u64::MAX, |range| range.start)
}
