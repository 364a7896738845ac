//! Reads the history without the thread that writes it, in the same process or another one.

use std::ops::Range;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, params};
use tern_shared::codec::SchemaTable;
use tern_shared::id::VehicleId;
use tern_shared::time::Timestamp;

use super::store::{LATEST_VERSION, check_version, schemas, vehicles};
use super::{EpochKey, HistoryError};

/// Frames in a page: what an export holds in memory at a time, at most 4 MB.
const PAGE_FRAMES: u32 = 64;

/// The history's file, open for reading.
#[derive(Debug)]
pub struct HistoryReader {
    connection: Connection,
}

/// A span of capture times, its end exclusive.
pub type TimeSpan = Range<Timestamp>;

/// Some frames of an epoch, in the order of their sequence numbers.
#[derive(Debug)]
pub struct FramePage {
    /// The first sequence number and the bytes of each.
    pub frames: Vec<(u64, Vec<u8>)>,
    /// Where the next page starts, `None` after the last.
    pub next: Option<u64>,
}

impl HistoryReader {
    /// Opens a history that exists. Its folder must be writable unless a ground has it open: SQLite puts an index of the
    /// write-ahead log there.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        let failed = |error| HistoryError::Open { path: path.to_owned(), error };
        if !path.is_file() {
            return Err(HistoryError::Missing { path: path.to_owned() });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        match check_version(&connection, path)? {
            LATEST_VERSION => Ok(HistoryReader { connection }),
            found => Err(HistoryError::Older { path: path.to_owned(), found, known: LATEST_VERSION }),
        }
    }

    /// The names of all vehicles.
    pub fn vehicles(&self) -> Result<Vec<String>, HistoryError> {
        vehicles(&self.connection)
    }

    /// A vehicle's epochs in the order of their first arrival.
    pub fn epochs(&self, vehicle: &VehicleId) -> Result<Vec<EpochKey>, HistoryError> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/select_epochs.sql"))?;
        let keys = statement.query_map([vehicle.as_str()], |row| row.get(0).map(EpochKey))?;
        Ok(keys.collect::<Result<_, _>>()?)
    }

    /// The schemas of an epoch.
    pub fn schemas(&self, epoch: EpochKey) -> Result<SchemaTable, HistoryError> {
        schemas(&self.connection, epoch)
    }

    /// The first and last sequence number of a frame with a record in `span`, `None` when there is none.
    pub fn frame_span(&self, epoch: EpochKey, span: &TimeSpan) -> Result<Option<(u64, u64)>, HistoryError> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/select_frame_span.sql"))?;
        let bounds = statement.query_row(params![epoch.0, span.start.0, span.end.0], |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
        Ok(bounds.0.zip(bounds.1).map(|(first, last)| (first.cast_unsigned(), last.cast_unsigned())))
    }

    /// The frames that start in `from..=last` and may have records in `span`.
    ///
    /// A page a query, so that a long export does not keep the write-ahead log from being emptied.
    pub fn frames(
        &self,
        epoch: EpochKey,
        from: u64,
        last: u64,
        span: &TimeSpan,
    ) -> Result<FramePage, HistoryError> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/select_frames.sql"))?;
        let (from, last) = (from.cast_signed(), last.cast_signed());
        let rows = statement
            .query_map(params![epoch.0, from, last, span.start.0, span.end.0, PAGE_FRAMES], |row| {
                Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))
            })?;
        let frames: Vec<(u64, Vec<u8>)> = rows.collect::<Result<_, _>>()?;
        let next =
            frames.last().filter(|_| frames.len() == PAGE_FRAMES as usize).map(|&(first, _)| first + 1);
        Ok(FramePage { frames, next })
    }
}
