//! Starts: again, elsewhere, on damage.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;
use tern_shared::id::SchemaId;
use tern_shared::message::GapReason;
use tern_shared::session::{Month, MonthSpent};

use super::super::Synchronous;
use super::super::store::RUN_NUMBERS;
use super::*;

#[test]
fn a_kill_keeps_what_was_committed_and_reuses_no_number() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, first) = open(folder.path());
    let frames: Vec<Frame> = (0..5).map(|i| frame(10 * i, 10 * i + 10, 300)).collect();
    append(&mut store, frames.clone());
    let changes = Changes { schemas: vec![(SchemaId(7), schema())], ..Changes::default() };
    store.commit(Instant::default(), changes).unwrap();
    let after = crash(store, folder.path());

    let (store, second) = open(after.path());
    assert_eq!(second.epoch, first.epoch);
    assert_eq!(second.base, RUN_NUMBERS);
    assert_eq!(second.earlier_runs, [range(0, 50)]);
    assert_eq!(second.schemas.get(&SchemaId(7)), Some(&schema()));
    let fetched = store.fetch(range(0, second.base), usize::MAX).unwrap();
    assert!(fetched.frames.iter().eq(frames.iter().rev()));
    assert_eq!(fetched.absent, [(range(50, RUN_NUMBERS), GapReason::Absent)]);
}

#[test]
fn a_run_that_stored_nothing_still_used_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let bases: Vec<u64> = (0..3).map(|_| open(folder.path()).1.base).collect();
    assert_eq!(bases, [0, RUN_NUMBERS, 2 * RUN_NUMBERS]);
}

#[test]
fn a_run_in_the_second_half_of_its_numbers_reserves_more() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path());
    append(&mut store, [frame(RUN_NUMBERS - 10, RUN_NUMBERS + 10, 100)]);
    let after = crash(store, folder.path());
    assert_eq!(open(after.path()).1.base, 2 * RUN_NUMBERS);
}

/// A power failure takes any part of the log that was not synced; the log is cut where it may be cut.
#[test]
fn a_power_failure_keeps_a_prefix_and_reuses_no_number() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, first) = open(folder.path());
    let log = |folder: &Path| folder.join("spool.db-wal");
    let synced = fs::metadata(log(folder.path())).unwrap().len();
    for i in 0..20 {
        append(&mut store, [frame(i, i + 1, 200)]);
    }
    let written = fs::metadata(log(folder.path())).unwrap().len();
    assert!(written > synced);
    for cut in (synced..=written).step_by(1777) {
        let after = tempfile::tempdir().unwrap();
        fs::copy(folder.path().join("spool.db"), after.path().join("spool.db")).unwrap();
        fs::copy(log(folder.path()), log(after.path())).unwrap();
        fs::OpenOptions::new().write(true).open(log(after.path())).unwrap().set_len(cut).unwrap();
        let (store, opened) = open(after.path());
        assert_eq!((opened.epoch, opened.base, opened.moved_aside), (first.epoch, RUN_NUMBERS, None));
        let frames = store.fetch(range(0, 100), usize::MAX).unwrap().frames;
        let starts: Vec<u64> = frames.iter().rev().map(|frame| frame.range.start).collect();
        assert_eq!(starts, (0..frames.len() as u64).collect::<Vec<_>>());
        assert_eq!(opened.held.frames, frames.len() as u64);
    }
}

#[test]
fn a_second_opener_is_refused_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path());
    append(&mut store, [frame(0, 5, 50)]);
    let error = try_open(folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("another process is using it"));
    append(&mut store, [frame(5, 9, 50)]);
    drop(store);
    assert_eq!(open(folder.path()).1.held.records, 9);
}

/// The damage is done to a spool of frames and schemas that was closed.
fn assert_moved_aside(damage: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, first) = open(folder.path());
    append(&mut store, (0..200).map(|i| frame(i, i + 1, 500)));
    drop(store);
    damage(&folder.path().join("spool.db"));
    let damaged = fs::read(folder.path().join("spool.db")).unwrap();

    let (mut store, second) = open(folder.path());
    let aside = second.moved_aside.expect("a damaged file is moved aside");
    assert_eq!(aside.to, folder.path().join("spool.db.corrupt-20261122T155747Z"));
    assert!(!aside.reason.is_empty());
    assert!(fs::read(aside.to).unwrap() == damaged, "it is kept as it was");
    assert_ne!(second.epoch, first.epoch);
    assert_eq!((second.base, second.held), (0, Default::default()));
    append(&mut store, [frame(0, 5, 50)]);
}

fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_flipped_header_is_moved_aside() {
    assert_moved_aside(|path| {
        let mut first = [0];
        fs::File::open(path).unwrap().read_exact(&mut first).unwrap();
        overwrite(path, 0, &[first[0] ^ 0x10]);
    });
}

#[test]
fn a_truncated_file_is_moved_aside() {
    assert_moved_aside(|path| {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    });
}

#[test]
fn garbage_is_moved_aside() {
    assert_moved_aside(|path| fs::write(path, [0xa5; 20_000]).unwrap());
}

#[test]
fn a_page_of_garbage_is_moved_aside() {
    assert_moved_aside(|path| {
        let pages = fs::metadata(path).unwrap().len() / 4096;
        overwrite(path, (pages - 3) * 4096, &[0xa5; 4096]);
    });
}

#[test]
fn a_database_of_another_program_is_moved_aside() {
    assert_moved_aside(|path| {
        fs::remove_file(path).unwrap();
        Connection::open(path)
            .unwrap()
            .execute_batch("CREATE TABLE history (a); INSERT INTO history VALUES (1)")
            .unwrap();
    });
}

#[test]
fn a_spool_without_one_of_its_tables_is_moved_aside() {
    assert_moved_aside(|path| {
        Connection::open(path).unwrap().execute_batch("DROP TABLE mark").unwrap();
    });
}

/// Even where the file is too large to be checked at every start.
#[test]
fn damage_found_while_running_is_stepped_over_and_checked_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool.db");
    let (mut store, _) = open(folder.path());
    append(&mut store, (0..5000).map(|i| frame(i, i + 1, 4000)));
    drop(store);
    let pages = fs::metadata(&path).unwrap().len() / 4096;
    assert!(pages * 4096 > 16 << 20);
    overwrite(&path, pages / 2 * 4096, &[0xa5; 8 * 4096]);

    let (store, opened) = open(folder.path());
    assert_eq!(opened.moved_aside, None);
    let mut end = 5000;
    let mut found = 0;
    let mut damaged = 0;
    while end > 0 {
        let fetched = store.fetch(range(0, end), 100_000).unwrap();
        assert!(fetched.covered.end == end && fetched.covered.start < end);
        found += fetched.frames.len() as u64;
        for (gap, reason) in fetched.absent {
            assert_eq!(reason, GapReason::NotStored);
            damaged += gap.len();
        }
        end = fetched.covered.start;
    }
    assert_eq!(found + damaged, 5000);
    assert!((1..=40).contains(&damaged), "{damaged} records lost to eight pages");
    store.mark_suspect().unwrap();
    drop(store);
    assert!(open(folder.path()).1.moved_aside.is_some());
    assert!(!folder.path().join("spool.db.suspect").exists());
}

#[test]
fn a_spool_of_a_later_release_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    Connection::open(folder.path().join("spool.db"))
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let error = try_open(folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, known: 2, .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_ladder_leads_from_an_empty_file_to_the_newest_format() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("spool.db"), "").unwrap();
    let (store, opened) = open(folder.path());
    assert_eq!(opened.moved_aside, None);
    drop(store);
    let db = Connection::open(folder.path().join("spool.db")).unwrap();
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 2);
    let tables: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(tables, ["frame", "mark", "meta", "run", "schema", "spent"]);
}

#[test]
fn a_spool_of_the_first_format_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, first) = open(folder.path());
    append(&mut store, [frame(0, 5, 50)]);
    drop(store);
    let db = Connection::open(folder.path().join("spool.db")).unwrap();
    db.execute_batch("DROP TABLE spent; PRAGMA user_version = 1").unwrap();
    drop(db);
    let (store, second) = open(folder.path());
    assert_eq!((second.epoch, second.moved_aside, second.spent), (first.epoch, None, MonthSpent::default()));
    assert_eq!(store.held().records, 5);
}

#[test]
fn what_the_month_has_cost_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, opened) = open(folder.path());
    assert_eq!(opened.spent, MonthSpent::default());
    for bytes in [7, 70_000] {
        let spent = Some(MonthSpent { month: Month(24_310), bytes });
        store.commit(Instant::default(), Changes { spent, ..Changes::default() }).unwrap();
    }
    let after = crash(store, folder.path());
    let (_store, opened) = open(after.path());
    assert_eq!(opened.spent, MonthSpent { month: Month(24_310), bytes: 70_000 });
}

#[test]
fn a_missing_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("var/lib/tern");
    drop(open(&below));
    assert!(below.join("spool.db").exists());
}

#[test]
fn a_folder_that_cannot_be_is_said_to_be_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    let error = try_open(&file.join("spool")).unwrap_err();
    assert!(matches!(error, OpenError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("check the folder"));
}

#[test]
fn full_synchronous_stores_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpoolConfig { synchronous: Synchronous::Full, ..config(folder.path()) };
    let (mut store, _) = Store::open(&config, at(0)).unwrap();
    append(&mut store, [frame(0, 5, 50)]);
    assert_eq!(store.held().records, 5);
}
