//! The spool's one row about itself.

use rusqlite::Connection;
use tern_shared::id::Epoch;

/// What the spool promised and what it holds, as of the last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) epoch: Epoch,
    /// The first sequence number of this run.
    pub(super) base: u64,
    /// One past the last number stored of this run.
    pub(super) high_water: u64,
    /// Where the next run will begin.
    pub(super) reserved: u64,
    /// Seconds that edges have been running on this spool.
    pub(super) age_clock: u64,
    pub(super) frames: u64,
    pub(super) records: u64,
    /// Estimated: frames and what a row costs beside its frame.
    pub(super) bytes: u64,
}

impl Meta {
    /// The row of a spool that no edge has run on.
    pub(super) fn fresh(epoch: Epoch) -> Meta {
        Meta { epoch, base: 0, high_water: 0, reserved: 0, age_clock: 0, frames: 0, records: 0, bytes: 0 }
    }

    pub(super) fn load(db: &Connection) -> rusqlite::Result<Meta> {
        db.prepare_cached(include_str!("sql/meta_load.sql"))?.query_row([], |row| {
            Ok(Meta {
                epoch: Epoch(row.get::<_, i64>(0)? as u64),
                base: number(row, 1)?,
                high_water: number(row, 2)?,
                reserved: number(row, 3)?,
                age_clock: number(row, 4)?,
                frames: number(row, 5)?,
                records: number(row, 6)?,
                bytes: number(row, 7)?,
            })
        })
    }

    pub(super) fn save(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached(include_str!("sql/meta_save.sql"))?
            .execute([
                self.epoch.0 as i64,
                integer(self.base),
                integer(self.high_water),
                integer(self.reserved),
                integer(self.age_clock),
                integer(self.frames),
                integer(self.records),
                integer(self.bytes),
            ])
            .map(drop)
    }
}

/// A column that is never negative.
pub(super) fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value = row.get::<_, i64>(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// A number as SQLite takes it. Sequence numbers of ours are far below `i64::MAX`; a caller's range may end above.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
