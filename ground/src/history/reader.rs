//! Reads the history without the thread that writes it, in the same process or another one.

use std::ops::Range;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use tern_shared::codec::SchemaTable;
use tern_shared::id::{Epoch, VehicleId};
use tern_shared::message::{ClockEstimate, Lane};
use tern_shared::time::Timestamp;

use super::store::{LATEST_VERSION, check_version, schemas, vehicles};
use super::{EpochKey, HistoryError};
use crate::publish::cursor::Position;

/// Frames in a page: what is held in memory at a time, at most 4 MB.
pub(crate) const PAGE_FRAMES: u32 = 64;

/// The history's file, open for reading.
#[derive(Debug)]
pub struct HistoryReader {
    connection: Connection,
}

/// A span of capture times, its end exclusive.
pub type TimeSpan = Range<Timestamp>;

/// A frame, and how it came.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredFrame {
    /// Its epoch.
    pub epoch: EpochKey,
    /// The sequence number of its first record.
    pub first: u64,
    /// When it arrived.
    pub received: Timestamp,
    /// On which lane.
    pub lane: Lane,
    /// The place of its first record in the order of publication; the start where there was none yet.
    pub position: Position,
    /// The frame.
    pub bytes: Vec<u8>,
}

/// An epoch of a vehicle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochRow {
    /// What to call it.
    pub key: EpochKey,
    /// Whose.
    pub vehicle: String,
    /// Its number.
    pub epoch: Epoch,
}

/// Some frames of an epoch, in the order of their sequence numbers.
#[derive(Debug)]
pub struct FramePage {
    /// The frames.
    pub frames: Vec<StoredFrame>,
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
            .query_map(params![epoch.0, from, last, span.start.0, span.end.0, PAGE_FRAMES], frame)?;
        let frames: Vec<StoredFrame> = rows.collect::<Result<_, _>>()?;
        let next =
            frames.last().filter(|_| frames.len() == PAGE_FRAMES as usize).map(|frame| frame.first + 1);
        Ok(FramePage { frames, next })
    }

    /// All epochs in the order of their first arrival.
    pub fn all_epochs(&self) -> Result<Vec<EpochRow>, HistoryError> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/select_all_epochs.sql"))?;
        let rows = statement.query_map([], |row| {
            let epoch = Epoch(row.get::<_, i64>(2)?.cast_unsigned());
            Ok(EpochRow { key: EpochKey(row.get(0)?), vehicle: row.get(1)?, epoch })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The last frames of an epoch, the last first.
    pub fn last_frames(&self, epoch: EpochKey, count: u32) -> Result<Vec<StoredFrame>, HistoryError> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/select_last_frames.sql"))?;
        Ok(statement.query_map(params![epoch.0, count], frame)?.collect::<Result<_, _>>()?)
    }

    /// The frames with the last records of an epoch's schemas, as far as that is written down, the last first.
    pub fn latest_frames(&self, epoch: EpochKey) -> Result<Vec<StoredFrame>, HistoryError> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/select_latest_frames.sql"))?;
        Ok(statement.query_map([epoch.0], frame)?.collect::<Result<_, _>>()?)
    }

    /// The position of the frame that holds a position, or of the last before it.
    pub fn published_at(&self, position: Position) -> Result<Position, HistoryError> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/select_published_at.sql"))?;
        let found: Option<i64> = statement.query_row([position.0.cast_signed()], |row| row.get(0))?;
        Ok(found.map_or(position, |found| Position(found.cast_unsigned())))
    }

    /// Frames of some epochs in the order in which they were published, those that start in `from..=until`. A page a
    /// query: less than a page is the end.
    pub fn published(
        &self,
        epochs: &[EpochKey],
        from: Position,
        until: Position,
    ) -> Result<Vec<StoredFrame>, HistoryError> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/select_published.sql"))?;
        let (from, until) = (from.0.cast_signed(), until.0.cast_signed());
        let rows = statement.query_map(params![from, until, json_list(epochs), PAGE_FRAMES], frame)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Where to begin so that at most `limit` records of some epochs lie between there and `until`; at `after` when there
    /// are no more.
    pub fn published_limit(
        &self,
        epochs: &[EpochKey],
        after: Position,
        until: Position,
        limit: u64,
    ) -> Result<Position, HistoryError> {
        let mut statement =
            self.connection.prepare_cached(include_str!("sql/select_published_counts.sql"))?;
        let mut rows =
            statement.query(params![after.0.cast_signed(), until.0.cast_signed(), json_list(epochs)])?;
        let mut records = 0u64;
        while let Some(row) = rows.next()? {
            let count = row.get::<_, i64>(1)?.cast_unsigned();
            records += count;
            if records > limit {
                return Ok(Position(row.get::<_, i64>(0)?.cast_unsigned() + count - 1));
            }
        }
        Ok(after)
    }

    /// When the first frame at or after a position arrived.
    pub fn arrival(&self, position: Position) -> Result<Option<Timestamp>, HistoryError> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/select_arrival.sql"))?;
        let received = statement.query_row([position.0.cast_signed()], |row| row.get(0)).optional()?;
        Ok(received.map(Timestamp))
    }

    /// The estimate of a vehicle's clock that was good at a time.
    pub fn clock(&self, epoch: EpochKey, received: Timestamp) -> Result<Option<ClockEstimate>, HistoryError> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/select_clock.sql"))?;
        let estimate = statement.query_row(params![epoch.0, received.0], |row| {
            Ok(ClockEstimate { offset_micros: row.get(0)?, uncertainty_micros: row.get(1)? })
        });
        Ok(estimate.optional()?)
    }

    /// The earliest and the latest capture time of an epoch.
    pub fn time_bounds(&self, epoch: EpochKey) -> Result<Option<(Timestamp, Timestamp)>, HistoryError> {
        let mut statement = self.connection.prepare_cached(include_str!("sql/select_time_bounds.sql"))?;
        let bounds = statement
            .query_row([epoch.0], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?;
        Ok(bounds.0.zip(bounds.1).map(|(first, last)| (Timestamp(first), Timestamp(last))))
    }
}

fn frame(row: &rusqlite::Row<'_>) -> Result<StoredFrame, rusqlite::Error> {
    Ok(StoredFrame {
        epoch: EpochKey(row.get(0)?),
        first: row.get::<_, i64>(1)?.cast_unsigned(),
        received: Timestamp(row.get(2)?),
        lane: if row.get::<_, i64>(3)? == 0 { Lane::Live } else { Lane::Backlog },
        position: Position(row.get::<_, Option<i64>>(4)?.unwrap_or_default().cast_unsigned()),
        bytes: row.get(5)?,
    })
}

fn json_list(epochs: &[EpochKey]) -> String {
    let numbers: Vec<String> = epochs.iter().map(|epoch| epoch.0.to_string()).collect();
    format!("[{}]", numbers.join(","))
}
