//! Sets of sequence numbers on disk.

use rusqlite::{Connection, params};
use tern_shared::range::{RangeSet, SequenceRange};

use super::meta::{integer, number};

/// The most ranges in a set: ~100 kB on disk. Above, the two oldest become one, taking in the numbers between them.
pub(super) const MAX_RANGES: usize = 4096;

/// Which set.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Evicted and not acknowledged: what the ground must be told is lost.
    Evicted = 0,
    /// Acknowledged, but in frames with other records that are not.
    Acknowledged = 1,
}

/// The set's numbers in `range`.
pub(super) fn within(db: &Connection, kind: Kind, range: SequenceRange) -> rusqlite::Result<RangeSet> {
    Ok(touching(db, kind, range)?.iter().map(|known| known.intersect(&range)).collect())
}

/// Adds a range.
pub(super) fn insert(db: &Connection, kind: Kind, range: SequenceRange) -> rusqlite::Result<()> {
    change(db, kind, range, |set| set.insert(range))
}

/// Takes a range out.
pub(super) fn remove(db: &Connection, kind: Kind, range: SequenceRange) -> rusqlite::Result<()> {
    change(db, kind, range, |set| set.remove(range))
}

/// Keeps a set below [`MAX_RANGES`].
pub(super) fn bound(db: &Connection, kind: Kind) -> rusqlite::Result<()> {
    let count: i64 =
        db.prepare_cached(include_str!("sql/mark_count.sql"))?.query_row([kind as i64], |row| row.get(0))?;
    for _ in MAX_RANGES..count as usize {
        let oldest: Vec<SequenceRange> = db
            .prepare_cached(include_str!("sql/mark_oldest.sql"))?
            .query_map([kind as i64], |row| Ok(SequenceRange::new(number(row, 0)?, number(row, 1)?)))?
            .collect::<Result<_, _>>()?;
        if let [first, second] = oldest[..] {
            insert(db, kind, SequenceRange::new(first.end, second.start))?;
        }
    }
    Ok(())
}

fn change(
    db: &Connection,
    kind: Kind,
    range: SequenceRange,
    edit: impl FnOnce(&mut RangeSet),
) -> rusqlite::Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let before = touching(db, kind, range)?;
    let mut after = before.clone();
    edit(&mut after);
    if after == before {
        return Ok(());
    }
    for old in before.iter() {
        db.prepare_cached(include_str!("sql/mark_delete.sql"))?.execute([kind as i64, integer(old.start)])?;
    }
    for new in after.iter() {
        db.prepare_cached(include_str!("sql/mark_add.sql"))?.execute([
            kind as i64,
            integer(new.start),
            integer(new.end),
        ])?;
    }
    Ok(())
}

/// The set's ranges that overlap `range` or border on it, whole.
fn touching(db: &Connection, kind: Kind, range: SequenceRange) -> rusqlite::Result<RangeSet> {
    db.prepare_cached(include_str!("sql/mark_touching.sql"))?
        .query_map(params![kind as i64, integer(range.start), integer(range.end)], |row| {
            Ok(SequenceRange::new(number(row, 0)?, number(row, 1)?))
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn database() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("sql/version_1.sql")).unwrap();
        db
    }

    const EVERYTHING: SequenceRange = SequenceRange { start: 0, end: u64::MAX };

    proptest! {
        #[test]
        fn behaves_as_a_range_set_in_memory(
            steps in prop::collection::vec((any::<bool>(), 0u64..60, 0u64..12), 0..30),
            probe in 0u64..60,
        ) {
            let db = database();
            let mut model = RangeSet::new();
            for (add, start, len) in steps {
                let range = SequenceRange::new(start, start + len);
                if add {
                    insert(&db, Kind::Evicted, range).unwrap();
                    model.insert(range);
                } else {
                    remove(&db, Kind::Evicted, range).unwrap();
                    model.remove(range);
                }
                prop_assert_eq!(&within(&db, Kind::Evicted, EVERYTHING).unwrap(), &model);
            }
            let probe = SequenceRange::new(probe, probe + 7);
            let expected: RangeSet = model.overlapping(probe).map(|known| known.intersect(&probe)).collect();
            prop_assert_eq!(within(&db, Kind::Evicted, probe).unwrap(), expected);
            prop_assert!(within(&db, Kind::Acknowledged, EVERYTHING).unwrap().is_empty());
        }
    }

    #[test]
    fn a_set_in_too_many_pieces_grows_together_at_its_old_end() {
        let db = database();
        for i in 0..MAX_RANGES as u64 + 3 {
            insert(&db, Kind::Evicted, SequenceRange::new(10 * i, 10 * i + 1)).unwrap();
        }
        bound(&db, Kind::Evicted).unwrap();
        let set = within(&db, Kind::Evicted, EVERYTHING).unwrap();
        assert_eq!(set.range_count(), MAX_RANGES);
        assert_eq!(set.iter().next(), Some(SequenceRange::new(0, 31)));
    }
}
