//! From a path to a database that is ours alone, sound, and of the newest format.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use tern_shared::id::{Epoch, SchemaId};
use tern_shared::range::SequenceRange;
use tern_shared::schema::Schema;
use tern_shared::session::{Month, MonthSpent};
use tern_shared::time::Timestamp;

use super::error::{OpenError, StoreError};
use super::meta::{Meta, integer, number};
use super::{MovedAside, Synchronous};

/// Marks the file as ours: "Tern".
const APPLICATION_ID: i64 = 0x5465_726e;

/// What brings a file from format N to format N + 1, at index N.
const LADDER: [&str; 2] = [include_str!("sql/version_1.sql"), include_str!("sql/version_2.sql")];

/// Files up to this size are checked page by page at every start (some 0.5 s on a slow SD card). Larger ones only
/// after damage was seen: a start in flight must not wait.
const CHECKED_BYTES: u64 = 16 << 20;

/// Pages that the write-ahead log gathers before they go into the database: 4 MiB.
const CHECKPOINT_PAGES: u32 = 1000;

/// A database that was found sound, and what a start reads from it.
pub(super) struct Sound {
    pub(super) db: Connection,
    pub(super) meta: Meta,
    pub(super) schemas: BTreeMap<SchemaId, Arc<Schema>>,
    /// Earlier runs.
    pub(super) earlier: Vec<SequenceRange>,
    pub(super) spent: MonthSpent,
}

/// Opens the spool at `path`, creating it and its folder if need be. A file that is damaged, or no spool, is moved aside
/// for people to look at, and a new spool begun.
pub(super) fn open(
    path: &Path,
    synchronous: Synchronous,
    wall: Timestamp,
) -> Result<(Sound, Option<MovedAside>), OpenError> {
    let unavailable = |reason: String| OpenError::Unavailable { path: path.to_owned(), reason };
    // Absolute, and without SQLite's URI syntax, any file name means just that file.
    let path = &std::path::absolute(path).map_err(|error| unavailable(error.to_string()))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| unavailable(error.to_string()))?;
    }
    let damage = match attempt(path, synchronous) {
        Ok(sound) => return Ok((sound, None)),
        Err(Failure::Refused(error)) => return Err(error),
        Err(Failure::Damaged(reason)) => reason,
    };
    let to = move_aside(path, wall).map_err(|error| {
        unavailable(format!("it is damaged ({damage}) and cannot be moved aside: {error}"))
    })?;
    match attempt(path, synchronous) {
        Ok(sound) => Ok((sound, Some(MovedAside { to, reason: damage }))),
        Err(Failure::Refused(error)) => Err(error),
        Err(Failure::Damaged(reason)) => Err(unavailable(reason)),
    }
}

/// Makes the next [`open`] check the whole file, whatever its size.
pub(super) fn mark_suspect(path: &Path) -> std::io::Result<()> {
    fs::write(
        beside(path, ".suspect"),
        "The spool beside this file was found damaged: check it at the next start.\n",
    )
}

/// Sets how hard commits are pushed to the disk.
pub(super) fn set_synchronous(db: &Connection, synchronous: Synchronous) -> rusqlite::Result<()> {
    let level = match synchronous {
        Synchronous::Normal => "NORMAL",
        Synchronous::Full => "FULL",
    };
    db.pragma_update(None, "synchronous", level)
}

enum Failure {
    Refused(OpenError),
    Damaged(String),
}

fn attempt(path: &Path, synchronous: Synchronous) -> Result<Sound, Failure> {
    let judged = |error: rusqlite::Error| match (error.sqlite_error_code(), StoreError::from(error)) {
        // A plain error here is a table or column that a spool has and this file has not.
        (_, StoreError::Damaged(reason)) => Failure::Damaged(reason),
        (Some(ErrorCode::Unknown), other) => Failure::Damaged(other.to_string()),
        (Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked), _) => {
            Failure::Refused(OpenError::Locked { path: path.to_owned() })
        }
        (_, other) => {
            Failure::Refused(OpenError::Unavailable { path: path.to_owned(), reason: other.to_string() })
        }
    };
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(judged)?;
    lock(&db).map_err(judged)?;
    let found = format(&db).map_err(judged)??;
    let known = LADDER.len() as i64;
    if found > known {
        return Err(Failure::Refused(OpenError::Newer { path: path.to_owned(), found, known }));
    }
    configure(&db).map_err(judged)?;
    if found > 0 {
        check(&db, path).map_err(judged)??;
    }
    climb(&mut db, found).map_err(judged)?;
    if found == 0 {
        sync_folder(path);
    }
    set_synchronous(&db, synchronous).map_err(judged)?;
    load(db).map_err(judged)
}

/// Reads what a start needs, and sees that the rest is there.
fn load(db: Connection) -> rusqlite::Result<Sound> {
    let meta = Meta::load(&db)?;
    if meta.reserved > i64::MAX as u64 / 2 || meta.base > meta.high_water || meta.high_water > meta.reserved {
        return Err(rusqlite::Error::IntegralValueOutOfRange(0, integer(meta.reserved)));
    }
    let schemas = db
        .prepare_cached(include_str!("sql/schema_list.sql"))?
        .query_map([], |row| {
            let schema: Schema = postcard::from_bytes(row.get_ref(1)?.as_blob()?).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Blob, Box::new(error))
            })?;
            Ok((SchemaId(row.get(0)?), Arc::new(schema)))
        })?
        .collect::<Result<_, _>>()?;
    let earlier = db
        .prepare_cached(include_str!("sql/run_list.sql"))?
        .query_map([], |row| Ok(SequenceRange::new(number(row, 0)?, number(row, 1)?)))?
        .collect::<Result<_, _>>()?;
    let spent = db
        .prepare_cached(include_str!("sql/spent_load.sql"))?
        .query_row([], |row| Ok(MonthSpent { month: Month(row.get(0)?), bytes: number(row, 1)? }))
        .optional()?
        .unwrap_or_default();
    drop(db.prepare_cached(include_str!("sql/frame_newest_first.sql"))?);
    drop(db.prepare_cached(include_str!("sql/mark_touching.sql"))?);
    Ok(Sound { db, meta, schemas, earlier, spent })
}

fn lock(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(Duration::ZERO)?;
    // The first read takes the lock, and it is held to the end: a second edge on the same spool would give the same
    // sequence numbers to other records. It also spares the shared-memory file.
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")
}

fn configure(db: &Connection) -> rusqlite::Result<()> {
    db.set_prepared_statement_cache_capacity(32);
    db.pragma_update(None, "cache_size", -2000)?;
    db.pragma_update(None, "mmap_size", 0)?;
    // Until the epoch and the reserved numbers are safe; the configured level is set after that.
    set_synchronous(db, Synchronous::Full)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    db.pragma_update(None, "journal_size_limit", CHECKPOINT_PAGES * 4096)
}

/// Which format the file has; 0 for a new one.
fn format(db: &Connection) -> rusqlite::Result<Result<i64, Failure>> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, version) {
        (APPLICATION_ID, 1..) => Ok(version),
        (0, 0) if tables == 0 => Ok(0),
        _ => Err(Failure::Damaged("it is a database of another program".to_owned())),
    })
}

fn check(db: &Connection, path: &Path) -> rusqlite::Result<Result<(), Failure>> {
    let suspect = beside(path, ".suspect");
    if suspect.exists() || fs::metadata(path).is_ok_and(|file| file.len() <= CHECKED_BYTES) {
        let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Ok(Err(Failure::Damaged(verdict)));
        }
        // Left behind, it costs a check at the next start.
        let _ = fs::remove_file(suspect);
    }
    Ok(Ok(()))
}

/// Climbs the ladder from format `found` to the newest, in one transaction.
fn climb(db: &mut Connection, found: i64) -> rusqlite::Result<()> {
    if found < LADDER.len() as i64 {
        let change = db.transaction()?;
        for step in LADDER.iter().skip(found as usize) {
            change.execute_batch(step)?;
        }
        if found == 0 {
            Meta::fresh(Epoch(rand::random())).save(&change)?;
        }
        change.pragma_update(None, "application_id", APPLICATION_ID)?;
        change.pragma_update(None, "user_version", LADDER.len() as i64)?;
        change.commit()?;
    }
    Ok(())
}

/// Makes the name of a new file survive a power failure. Where the system cannot do that, the file may be gone after
/// one, and with it the epoch: a new history, in which no number is reused.
fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent()
        && let Err(error) = fs::File::open(folder).and_then(|folder| folder.sync_all())
    {
        tracing::debug!(%error, "cannot sync the spool's folder");
    }
}

fn move_aside(path: &Path, wall: Timestamp) -> std::io::Result<PathBuf> {
    let time = chrono::DateTime::from_timestamp_micros(wall.0).unwrap_or_default().format("%Y%m%dT%H%M%SZ");
    let mut to = beside(path, &format!(".corrupt-{time}"));
    let mut count = 1;
    while to.exists() {
        count += 1;
        to = beside(path, &format!(".corrupt-{time}-{count}"));
    }
    fs::rename(path, &to)?;
    for suffix in ["-wal", "-shm", ".suspect"] {
        if beside(path, suffix).exists() {
            fs::rename(beside(path, suffix), beside(&to, suffix))?;
        }
    }
    Ok(to)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
