//! The statements that write the history.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use tern_shared::codec::SchemaTable;
use tern_shared::id::{Epoch, SchemaId, VehicleId};
use tern_shared::message::{GapReason, Lane};
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::time::Timestamp;
use tracing::warn;

use super::{Content, Entry, EpochKey, EpochState, HistoryError, Run, Totals};
use crate::config::Synchronous;
use crate::publish::cursor::{HistoryTag, Position};

/// Step `n` brings a history of version `n` to version `n + 1`.
const LADDER: &[&str] = &[include_str!("sql/001_initial.sql"), include_str!("sql/002_positions.sql")];
/// Marks a SQLite file as a history: "TERN".
const APPLICATION_ID: i64 = 0x5445_524e;
/// How long to wait for another process that writes (somebody's repair). Commits fail after it, and are tried again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// The history's file, open for writing.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
}

/// What became of an entry in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was new.
    New,
    /// The history had all of it.
    Known,
    /// The history has part of it: a frame cannot be stored in halves.
    Conflict,
}

impl Store {
    /// Opens or makes the file, its folder included, and brings it to this release's version.
    pub fn open(path: &Path, synchronous: Synchronous) -> Result<Store, HistoryError> {
        if let Some(folder) = path.parent() {
            let failed = |error| HistoryError::Folder { path: path.to_owned(), error };
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let failed = |error| HistoryError::Open { path: path.to_owned(), error };
        let mut connection = Connection::open(path).map_err(failed)?;
        let version = check_version(&connection, path)?;
        configure(&connection, synchronous).map_err(failed)?;
        climb(&mut connection, version).map_err(failed)?;
        Ok(Store { connection })
    }

    /// Makes an epoch known and returns what there is of it.
    pub fn open_epoch(
        &mut self,
        vehicle: &VehicleId,
        epoch: Epoch,
        now: Timestamp,
    ) -> Result<EpochState, HistoryError> {
        let number = epoch.0.cast_signed();
        let find = |connection: &Connection| {
            connection
                .prepare_cached(include_str!("sql/select_epoch.sql"))?
                .query_row(params![vehicle.as_str(), number], |row| row.get(0).map(EpochKey))
                .optional()
        };
        let key = match find(&self.connection)? {
            Some(key) => key,
            None => {
                let transaction = self.begin()?;
                transaction
                    .execute(include_str!("sql/insert_vehicle.sql"), params![vehicle.as_str(), now.0])?;
                transaction.execute(
                    include_str!("sql/insert_epoch.sql"),
                    params![vehicle.as_str(), number, now.0],
                )?;
                transaction.commit()?;
                find(&self.connection)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?
            }
        };
        let committed = self
            .connection
            .prepare_cached(include_str!("sql/select_covered.sql"))?
            .query_map([key.0], range_of_row)?
            .collect::<Result<RangeSet, _>>()?;
        Ok(EpochState { key, committed, schemas: schemas(&self.connection, key)? })
    }

    /// Counts a run of the ground. Where that cannot be written, the run gets a name of its own: cursors of it are worth
    /// nothing to later runs.
    pub fn begin_run(&mut self, now: Timestamp) -> Result<Run, HistoryError> {
        let (tag, runs, last): (u32, u32, Option<i64>) =
            self.connection.query_row(include_str!("sql/select_run.sql"), [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let published = last.map_or(0, |last| Position(last.cast_unsigned()).run());
        let number = runs.max(published) + 1;
        let tag = match self.connection.execute(include_str!("sql/begin_run.sql"), [number]) {
            Ok(_) => tag,
            Err(error) => {
                warn!(%error, "the history cannot be written: cursors of this run end with it");
                tag ^ (now.0 as u32 | 1)
            }
        };
        Ok(Run { tag: HistoryTag(tag), number })
    }

    /// Remembers where the last records of schemas are.
    pub fn save_latest(
        &mut self,
        latest: &BTreeMap<(EpochKey, SchemaId), u64>,
    ) -> Result<(), rusqlite::Error> {
        let transaction = self.begin()?;
        let mut insert = transaction.prepare_cached(include_str!("sql/insert_latest.sql"))?;
        for ((epoch, schema), first) in latest {
            insert.execute(params![epoch.0, schema.0, first.cast_signed()])?;
        }
        drop(insert);
        transaction.commit()
    }

    /// All vehicles that ever connected.
    pub fn vehicles(&self) -> Result<Vec<String>, HistoryError> {
        vehicles(&self.connection)
    }

    /// How many records of a vehicle there are.
    pub fn totals(&self, vehicle: &VehicleId) -> Result<Totals, HistoryError> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/select_totals.sql"))?;
        Ok(statement.query_row([vehicle.as_str()], |row| {
            Ok(Totals { records: unsigned(row.get(0)?), lost_records: unsigned(row.get(1)?) })
        })?)
    }

    /// Writes all entries in one transaction: all of it or, on an error, nothing.
    pub fn commit(&mut self, entries: &[Entry]) -> Result<Vec<Stored>, rusqlite::Error> {
        let transaction = self.begin()?;
        let stored = entries.iter().map(|entry| write(&transaction, entry)).collect::<Result<_, _>>()?;
        transaction.commit()?;
        Ok(stored)
    }

    /// Writes as little as possible, to find out whether writing works.
    pub fn probe(&mut self) -> Result<(), rusqlite::Error> {
        let transaction = self.begin()?;
        transaction.pragma_update(None, "user_version", LATEST_VERSION)?;
        transaction.commit()
    }

    /// Bounds the file's size in pages of 4096 bytes, as a full disk does.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: u32) {
        self.connection.pragma_update(None, "max_page_count", pages).unwrap();
    }

    fn begin(&mut self) -> Result<Transaction<'_>, rusqlite::Error> {
        self.connection.transaction_with_behavior(TransactionBehavior::Immediate)
    }
}

/// The names of all vehicles.
pub(super) fn vehicles(connection: &Connection) -> Result<Vec<String>, HistoryError> {
    let mut statement = connection.prepare_cached(include_str!("sql/select_vehicles.sql"))?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The schemas of an epoch.
pub(super) fn schemas(connection: &Connection, epoch: EpochKey) -> Result<SchemaTable, HistoryError> {
    let mut statement = connection.prepare_cached(include_str!("sql/select_schemas.sql"))?;
    let mut rows = statement.query([epoch.0])?;
    let mut table = SchemaTable::new();
    while let Some(row) = rows.next()? {
        let id: u32 = row.get(0)?;
        let schema = postcard::from_bytes(row.get_ref(1)?.as_blob().unwrap_or_default())
            .map_err(|_| HistoryError::Schema { epoch: epoch.0, id })?;
        table.insert(SchemaId(id), Arc::new(schema));
    }
    Ok(table)
}

/// The version of a history; 0 for an empty file. Refuses files of other programs and of later releases.
pub(super) fn check_version(connection: &Connection, path: &Path) -> Result<u32, HistoryError> {
    let failed = |error| HistoryError::Open { path: path.to_owned(), error };
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(failed);
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    if application != APPLICATION_ID && (tables > 0 || application != 0 || version != 0) {
        return Err(HistoryError::Foreign { path: path.to_owned() });
    }
    match u32::try_from(version) {
        Ok(version) if version <= LATEST_VERSION => Ok(version),
        other => {
            let found = other.unwrap_or(u32::MAX);
            Err(HistoryError::Newer { path: path.to_owned(), found, known: LATEST_VERSION })
        }
    }
}

/// The version that this release writes.
pub(super) const LATEST_VERSION: u32 = LADDER.len() as u32;

fn configure(connection: &Connection, synchronous: Synchronous) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    let synchronous = match synchronous {
        Synchronous::Full => "full",
        Synchronous::Normal => "normal",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn climb(connection: &mut Connection, version: u32) -> Result<(), rusqlite::Error> {
    for (step, sql) in (1_u32..).zip(LADDER).skip(version as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", step)?;
        transaction.commit()?;
    }
    Ok(())
}

fn write(transaction: &Transaction<'_>, entry: &Entry) -> Result<Stored, rusqlite::Error> {
    let (epoch, received) = (entry.epoch, entry.received.0);
    match &entry.content {
        Content::Schema { id, schema } => {
            let body = postcard::to_stdvec(&**schema)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            transaction
                .prepare_cached(include_str!("sql/insert_schema.sql"))?
                .execute(params![epoch.0, id.0, body])?;
            Ok(Stored::New)
        }
        Content::Frame { range, lane, position, started, ended, bytes, schemas: _ } => {
            let known = covered_near(transaction, epoch, *range)?;
            if known.covers(*range) {
                return Ok(Stored::Known);
            }
            if known.overlapping(*range).next().is_some() {
                return Ok(Stored::Conflict);
            }
            let lane = match lane {
                Lane::Live => 0,
                Lane::Backlog => 1,
            };
            transaction.prepare_cached(include_str!("sql/insert_frame.sql"))?.execute(params![
                epoch.0,
                range.start.cast_signed(),
                range.len().cast_signed(),
                started.0,
                ended.0,
                received,
                lane,
                &bytes[..],
                position.0.cast_signed(),
            ])?;
            cover(transaction, epoch, &known, *range)?;
            Ok(Stored::New)
        }
        Content::Gap { range, reason } => {
            let known = covered_near(transaction, epoch, *range)?;
            for part in known.missing_in(*range) {
                transaction.prepare_cached(include_str!("sql/insert_gap.sql"))?.execute(params![
                    epoch.0,
                    part.start.cast_signed(),
                    part.end.cast_signed(),
                    reason_text(*reason),
                    reason.is_loss(),
                    received,
                ])?;
            }
            cover(transaction, epoch, &known, *range)?;
            Ok(Stored::New)
        }
        Content::Clock(estimate) => {
            transaction.prepare_cached(include_str!("sql/insert_clock.sql"))?.execute(params![
                epoch.0,
                received,
                estimate.offset_micros,
                estimate.uncertainty_micros
            ])?;
            Ok(Stored::New)
        }
    }
}

/// The covered ranges that overlap or touch `range`.
fn covered_near(
    transaction: &Transaction<'_>,
    epoch: EpochKey,
    range: SequenceRange,
) -> Result<RangeSet, rusqlite::Error> {
    let mut statement = transaction.prepare_cached(include_str!("sql/select_covered_before.sql"))?;
    let mut rows = statement.query(params![epoch.0, range.end.cast_signed()])?;
    let mut near = RangeSet::new();
    while let Some(row) = rows.next()? {
        let covered = range_of_row(row)?;
        // Ranges are disjoint and come in descending order: the first that ends too early is the last of interest.
        if covered.end < range.start {
            break;
        }
        near.insert(covered);
    }
    Ok(near)
}

/// Replaces the rows `near` by their union with `range`.
fn cover(
    transaction: &Transaction<'_>,
    epoch: EpochKey,
    near: &RangeSet,
    range: SequenceRange,
) -> Result<(), rusqlite::Error> {
    let mut delete = transaction.prepare_cached(include_str!("sql/delete_covered.sql"))?;
    let mut insert = transaction.prepare_cached(include_str!("sql/insert_covered.sql"))?;
    let mut union = near.clone();
    union.insert(range);
    for old in near.iter() {
        delete.execute(params![epoch.0, old.start.cast_signed()])?;
    }
    for new in union.iter() {
        insert.execute(params![epoch.0, new.start.cast_signed(), new.end.cast_signed()])?;
    }
    Ok(())
}

fn range_of_row(row: &rusqlite::Row<'_>) -> Result<SequenceRange, rusqlite::Error> {
    Ok(SequenceRange::new(unsigned(row.get(0)?), unsigned(row.get(1)?)))
}

/// Sequence numbers and counts below 2^63, which all that is stored are.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn reason_text(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Evicted => "evicted",
        GapReason::NotStored => "not-stored",
        GapReason::Absent => "absent",
    }
}

#[cfg(test)]
mod tests {
    use tern_shared::schema::Schema;

    use super::*;

    fn store(dir: &tempfile::TempDir) -> Store {
        Store::open(&dir.path().join("history.sqlite"), Synchronous::Normal).unwrap()
    }

    fn alpha() -> VehicleId {
        "alpha".parse().unwrap()
    }

    fn open(store: &mut Store) -> EpochState {
        store.open_epoch(&alpha(), Epoch(u64::MAX), Timestamp(1)).unwrap()
    }

    fn entry(epoch: EpochKey, content: Content) -> Entry {
        Entry { epoch, received: Timestamp(1000), content, outcome: None }
    }

    fn frame(start: u64, end: u64) -> Content {
        Content::Frame {
            range: SequenceRange::new(start, end),
            lane: Lane::Live,
            position: Position(start + 1),
            schemas: Vec::new(),
            started: Timestamp(5),
            ended: Timestamp(6),
            bytes: vec![1, 2, 3].into(),
        }
    }

    fn ranges(set: &RangeSet) -> Vec<(u64, u64)> {
        set.iter().map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn a_folder_that_is_missing_is_made_and_one_that_cannot_be_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/data/history.sqlite");
        Store::open(&path, Synchronous::Normal).unwrap();
        let error = Store::open(&path.join("within.sqlite"), Synchronous::Normal).unwrap_err().to_string();
        assert!(error.contains("history.path") && error.contains("within.sqlite"), "{error}");
    }

    #[test]
    fn what_was_committed_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let schema = Arc::new(Schema::of_mavlink_opaque());
        let mut first = store(&dir);
        let key = open(&mut first).key;
        let stored = first
            .commit(&[
                entry(key, Content::Schema { id: SchemaId(3), schema: schema.clone() }),
                entry(key, frame(0, 10)),
                entry(key, frame(20, 25)),
                entry(key, frame(10, 12)),
                entry(
                    key,
                    Content::Clock(tern_shared::message::ClockEstimate {
                        offset_micros: -5,
                        uncertainty_micros: 7,
                    }),
                ),
            ])
            .unwrap();
        assert_eq!(stored, [Stored::New; 5]);
        drop(first);

        let mut second = store(&dir);
        let state = open(&mut second);
        assert_eq!(ranges(&state.committed), [(0, 12), (20, 25)]);
        assert_eq!(state.schemas, SchemaTable::from([(SchemaId(3), schema)]));
        assert_eq!(state.key, key);
        assert_eq!(second.totals(&alpha()).unwrap(), Totals { records: 17, lost_records: 0 });
        let other = second.open_epoch(&alpha(), Epoch(2), Timestamp(2)).unwrap();
        assert!(other.committed.is_empty() && other.key != key);
    }

    #[test]
    fn a_frame_is_stored_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(&dir);
        let key = open(&mut store).key;
        let stored = store
            .commit(&[
                entry(key, frame(0, 10)),
                entry(key, frame(0, 10)),
                entry(key, frame(2, 4)),
                entry(key, frame(8, 12)),
                entry(key, frame(10, 12)),
            ])
            .unwrap();
        assert_eq!(stored, [Stored::New, Stored::Known, Stored::Known, Stored::Conflict, Stored::New]);
        assert_eq!(store.totals(&alpha()).unwrap().records, 12);
    }

    #[test]
    fn a_gap_covers_only_what_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(&dir);
        let key = open(&mut store).key;
        let gap = |start, end, reason| Content::Gap { range: SequenceRange::new(start, end), reason };
        store
            .commit(&[
                entry(key, frame(5, 8)),
                entry(key, gap(0, 10, GapReason::Evicted)),
                entry(key, gap(0, 10, GapReason::Evicted)),
                entry(key, gap(10, 100, GapReason::Absent)),
            ])
            .unwrap();
        assert_eq!(ranges(&open(&mut store).committed), [(0, 100)]);
        assert_eq!(store.totals(&alpha()).unwrap(), Totals { records: 3, lost_records: 7 });
    }

    #[test]
    fn gaps_of_any_width_leave_the_totals_readable() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(&dir);
        for number in 0..3 {
            let key = store.open_epoch(&alpha(), Epoch(number), Timestamp(1)).unwrap().key;
            let widest =
                Content::Gap { range: SequenceRange::new(0, i64::MAX as u64), reason: GapReason::Evicted };
            store.commit(&[entry(key, widest)]).unwrap();
        }
        let totals = Totals { records: 0, lost_records: i64::MAX as u64 };
        assert_eq!(store.totals(&alpha()).unwrap(), totals);
    }

    #[test]
    fn a_full_disk_takes_nothing_of_a_batch_and_heals() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(&dir);
        let key = open(&mut store).key;
        let large = || Content::Frame {
            range: SequenceRange::new(1, 2),
            lane: Lane::Backlog,
            position: Position(2),
            schemas: Vec::new(),
            started: Timestamp(5),
            ended: Timestamp(6),
            bytes: vec![0; 60_000].into(),
        };
        store.limit_pages(20);
        store.commit(&[entry(key, frame(0, 1)), entry(key, large())]).unwrap_err();
        assert!(open(&mut store).committed.is_empty());
        store.limit_pages(1000);
        store.probe().unwrap();
        store.commit(&[entry(key, frame(0, 1)), entry(key, large())]).unwrap();
        assert_eq!(ranges(&open(&mut store).committed), [(0, 2)]);
    }

    #[test]
    fn the_ladder_brings_an_empty_file_to_the_latest_version_and_stays_there() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let store = store(&dir);
            let version: u32 =
                store.connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
            assert_eq!(version, LATEST_VERSION);
        }
    }

    #[test]
    fn a_run_is_numbered_above_all_that_was_published_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(&dir);
        let first = store.begin_run(Timestamp(5)).unwrap();
        let second = store.begin_run(Timestamp(5)).unwrap();
        assert_eq!((first.tag, first.number, second.number), (second.tag, 1, 2));
        let key = open(&mut store).key;
        let Content::Frame { range, lane, schemas, started, ended, bytes, .. } = frame(0, 1) else {
            panic!()
        };
        let position = Position::before_run(9).plus(1);
        let late = Content::Frame { range, lane, position, schemas, started, ended, bytes };
        store.commit(&[entry(key, late)]).unwrap();
        assert_eq!(store.begin_run(Timestamp(5)).unwrap().number, 10);
        store.connection.pragma_update(None, "query_only", true).unwrap();
        let unwritten = store.begin_run(Timestamp(5)).unwrap();
        assert!(unwritten.number == 11 && unwritten.tag != first.tag);
    }

    #[test]
    fn a_history_of_the_first_version_is_brought_up_to_date() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.sqlite");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(LADDER[0]).unwrap();
        old.execute_batch(
            "INSERT INTO vehicle VALUES (1, 'alpha', 0); INSERT INTO epoch VALUES (1, 1, -1, 0);
             INSERT INTO frame VALUES (1, 0, 10, 5, 6, 7, 0, x'00'); INSERT INTO covered VALUES (1, 0, 10);",
        )
        .unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        let mut store = store(&dir);
        assert_eq!(ranges(&open(&mut store).committed), [(0, 10)]);
        assert_eq!(store.begin_run(Timestamp(5)).unwrap().number, 1);
    }

    #[test]
    fn files_that_are_no_history_of_this_release_are_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.sqlite");
        let open = || Store::open(&path, Synchronous::Full).unwrap_err();

        store(&dir).connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(open(), HistoryError::Newer { found: 99, known: LATEST_VERSION, .. }));

        let garbage = vec![b'x'; 8192];
        std::fs::write(&path, &garbage).unwrap();
        assert!(matches!(open(), HistoryError::Open { .. }));
        assert_eq!(std::fs::read(&path).unwrap(), garbage);

        std::fs::remove_file(&path).unwrap();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (a)").unwrap();
        assert!(matches!(open(), HistoryError::Foreign { .. }));
    }
}
