//! Frames as rows: what appending, forgetting and evicting do within a transaction.

use rusqlite::{Connection, params};
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::session::Frame;

use super::marks::{self, Kind};
use super::meta::{Meta, integer, number};
use super::store::ROW_BYTES;

/// The most frames that a transaction deletes on behalf of one acknowledged range, and the most that it evicts: 64 kB
/// frames included, this keeps the write-ahead log small. The rest follows in the next one.
pub(super) const DELETED_FRAMES_MAX: usize = 2000;

/// Appends a frame that is in order.
pub(super) fn append(
    db: &Connection,
    meta: &mut Meta,
    age_clock: u64,
    frame: &Frame,
) -> rusqlite::Result<()> {
    db.prepare_cached(include_str!("sql/frame_append.sql"))?.execute(params![
        integer(frame.range.start),
        integer(frame.range.len()),
        frame.newest.0,
        integer(age_clock),
        &frame.bytes[..],
    ])?;
    meta.high_water = frame.range.end;
    meta.frames += 1;
    meta.records += frame.range.len();
    meta.bytes += frame.bytes.len() as u64 + ROW_BYTES;
    Ok(())
}

/// Forgets what is acknowledged; returns the part of `range` that is left for another transaction.
pub(super) fn forget(
    db: &Connection,
    meta: &mut Meta,
    range: SequenceRange,
) -> rusqlite::Result<SequenceRange> {
    let cut = db
        .prepare_cached(include_str!("sql/forget_cut.sql"))?
        .query_map(params![integer(range.start), integer(range.end), DELETED_FRAMES_MAX as i64], |row| {
            number(row, 0)
        })?
        .next()
        .transpose()?
        .unwrap_or(range.end);
    let (now, later) = (SequenceRange::new(range.start, cut), SequenceRange::new(cut, range.end));
    let bounds = [integer(now.start), integer(now.end)];
    let (frames, records, bytes) = db
        .prepare_cached(include_str!("sql/forget_measure.sql"))?
        .query_row(bounds, |row| Ok((number(row, 0)?, number(row, 1)?, number(row, 2)?)))?;
    if frames > 0 {
        db.prepare_cached(include_str!("sql/forget_frames.sql"))?.execute(bounds)?;
        subtract(meta, frames, records, bytes);
    }
    marks::remove(db, Kind::Evicted, now)?;
    marks::remove(db, Kind::Acknowledged, now)?;
    // At either end, a frame may be acknowledged in part only.
    for number in [now.start, now.end.saturating_sub(1)] {
        let Some(row) = frame_with(db, number)? else { continue };
        marks::insert(db, Kind::Acknowledged, row.range.intersect(&now))?;
        if marks::within(db, Kind::Acknowledged, row.range)?.covers(row.range) {
            delete(db, meta, &row)?;
            marks::remove(db, Kind::Acknowledged, row.range)?;
        }
    }
    db.prepare_cached(include_str!("sql/run_forget.sql"))?.execute(bounds)?;
    Ok(later)
}

/// Evicts the oldest frames until the bounds are met; returns how many records were lost by it.
pub(super) fn evict(
    db: &Connection,
    meta: &mut Meta,
    age_clock: u64,
    max_bytes: u64,
    max_age_seconds: Option<u64>,
) -> rusqlite::Result<u64> {
    let mut evicted = RangeSet::new();
    for _ in 0..DELETED_FRAMES_MAX {
        let Some(oldest) = oldest_frame(db)? else { break };
        let aged = max_age_seconds.is_some_and(|limit| age_clock.saturating_sub(oldest.stored) > limit);
        if !aged && meta.bytes <= max_bytes {
            break;
        }
        delete(db, meta, &oldest)?;
        evicted.insert(oldest.range);
    }
    let mut lost = 0;
    for range in evicted.iter() {
        let acknowledged = marks::within(db, Kind::Acknowledged, range)?;
        marks::remove(db, Kind::Acknowledged, range)?;
        for part in acknowledged.missing_in(range) {
            marks::insert(db, Kind::Evicted, part)?;
            lost += part.len();
        }
    }
    if lost > 0 {
        marks::bound(db, Kind::Evicted)?;
    }
    Ok(lost)
}

struct Row {
    range: SequenceRange,
    stored: u64,
    bytes: u64,
}

fn oldest_frame(db: &Connection) -> rusqlite::Result<Option<Row>> {
    db.prepare_cached(include_str!("sql/frame_oldest.sql"))?.query_map([], row)?.next().transpose()
}

/// The frame that holds this sequence number.
fn frame_with(db: &Connection, sequence: u64) -> rusqlite::Result<Option<Row>> {
    let row = db
        .prepare_cached(include_str!("sql/frame_at.sql"))?
        .query_map([integer(sequence)], row)?
        .next()
        .transpose()?;
    Ok(row.filter(|row| row.range.end > sequence))
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let start = number(row, 0)?;
    let range = SequenceRange::new(start, start.saturating_add(number(row, 1)?));
    Ok(Row { range, stored: number(row, 2)?, bytes: number(row, 3)? })
}

fn delete(db: &Connection, meta: &mut Meta, row: &Row) -> rusqlite::Result<()> {
    db.prepare_cached(include_str!("sql/frame_delete.sql"))?.execute([integer(row.range.start)])?;
    subtract(meta, 1, row.range.len(), row.bytes);
    Ok(())
}

fn subtract(meta: &mut Meta, frames: u64, records: u64, payload_bytes: u64) {
    meta.frames = meta.frames.saturating_sub(frames);
    meta.records = meta.records.saturating_sub(records);
    meta.bytes = meta.bytes.saturating_sub(payload_bytes + frames * ROW_BYTES);
}
