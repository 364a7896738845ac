//! Bounds: a disk without room, and those of the configuration.

use tern_shared::id::SchemaId;
use tern_shared::message::GapReason;

use super::super::StoreError;
use super::*;

/// As many 400-byte frames as the test is about, one a commit, until one does not fit.
fn fill(store: &mut Store, from: u64) -> u64 {
    for start in from..from + 10_000 {
        let changes = Changes { frames: vec![frame(start, start + 1, 400)], ..Changes::default() };
        match store.commit(Instant::default(), changes) {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error, StoreError::Full);
                return start;
            }
        }
    }
    panic!("the disk never filled up");
}

#[test]
fn a_full_disk_keeps_what_is_stored_and_stores_again_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path());
    store.limit_pages(40);
    let stored = fill(&mut store, 0);
    assert!(stored > 100);
    for start in stored + 1..stored + 10 {
        let changes = Changes { frames: vec![frame(start, start + 1, 40_000)], ..Changes::default() };
        assert_eq!(store.commit(Instant::default(), changes), Err(StoreError::Full));
    }
    assert_eq!(store.held().records, stored);
    assert_eq!(store.counts().not_stored_records, 10);
    let fetched = store.fetch(range(0, stored + 12), usize::MAX).unwrap();
    assert_eq!(fetched.frames.len() as u64, stored);
    assert_eq!(
        fetched.absent,
        [
            (range(stored, stored + 10), GapReason::NotStored),
            (range(stored + 10, stored + 12), GapReason::Absent)
        ]
    );

    store.limit_pages(4000);
    append(&mut store, [frame(stored + 10, stored + 11, 40_000)]);
    assert_eq!(store.held().records, stored + 1);
}

#[test]
fn acknowledgements_and_schemas_outlast_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path());
    store.limit_pages(40);
    let stored = fill(&mut store, 0);
    let changes = Changes {
        schemas: vec![(SchemaId(3), schema())],
        frames: vec![frame(stored + 1, stored + 2, 40_000)],
        acknowledged: [range(0, 50)].into_iter().collect(),
        ..Changes::default()
    };
    assert_eq!(store.commit(Instant::default(), changes), Err(StoreError::Full));
    assert_eq!(store.held().records, stored - 50, "the acknowledged make room all the same");
    append(&mut store, [frame(stored + 2, stored + 3, 400)]);
    drop(store);
    assert_eq!(open(folder.path()).1.schemas.len(), 1);
}

#[test]
fn the_oldest_are_evicted_first_counted_and_remembered_until_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpoolConfig { max_bytes: 10_000, ..config(folder.path()) };
    let (mut store, _) = Store::open(&config, at(0)).unwrap();
    append(&mut store, (0..12).map(|i| frame(10 * i, 10 * i + 10, 936)));
    assert_eq!((store.held().bytes, store.counts().evicted_records), (10_000, 20));
    drop(store);
    let (mut store, _) = Store::open(&config, at(0)).unwrap();
    assert_eq!(store.fetch(range(0, 30), 10).unwrap().absent, [(range(0, 20), GapReason::Evicted)]);
    acknowledge(&mut store, [range(0, 15)]);
    assert_eq!(
        store.fetch(range(0, 30), 10).unwrap().absent,
        [(range(0, 15), GapReason::Absent), (range(15, 20), GapReason::Evicted)]
    );
}

#[test]
fn age_is_running_time_so_no_clock_jump_and_no_night_without_power_evicts() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpoolConfig { max_age: Some(Duration::from_secs(3600)), ..config(folder.path()) };
    let (mut store, _) = Store::open(&config, at(0)).unwrap();
    append(&mut store, [frame(0, 10, 100)]);
    let commit = |store: &mut Store, seconds, start| {
        let changes = Changes { frames: vec![frame(start, start + 10, 100)], ..Changes::default() };
        store.commit(at(seconds).instant, changes).unwrap();
    };
    commit(&mut store, 3000, 10);
    drop(store);
    let tomorrow = Now { instant: Instant::default(), wall: WALL.offset_by(86_400_000_000) };
    let (mut store, opened) = Store::open(&config, tomorrow).unwrap();
    commit(&mut store, 600, opened.base);
    assert_eq!(store.held().frames, 3);
    commit(&mut store, 601, opened.base + 10);
    assert_eq!((store.held().frames, store.counts().evicted_records), (3, 10));
}

#[test]
fn the_file_stays_near_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpoolConfig { max_bytes: 4_000_000, ..config(folder.path()) };
    let (mut store, _) = Store::open(&config, at(0)).unwrap();
    for commit in 0..400u64 {
        let first = commit * 50;
        append(&mut store, (first..first + 50).map(|i| frame(i, i + 1, 200 + (i as usize * 37) % 1300)));
        // Live frames are acknowledged soon, all but every fifth.
        acknowledge(&mut store, (first..first + 50).filter(|i| i % 5 != 0).map(|i| range(i, i + 1)));
    }
    store.checkpoint().unwrap();
    let file = fs::metadata(folder.path().join("spool.db")).unwrap().len();
    let held = store.held().bytes;
    assert!(file < 4_000_000 * 115 / 100, "{file} bytes for {held}");
    assert!(fs::metadata(folder.path().join("spool.db-wal")).unwrap().len() < 6 << 20);
}

#[test]
fn an_acknowledgement_of_everything_after_a_long_outage_is_worked_off_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path());
    append(&mut store, (0..7000).map(|i| frame(i, i + 1, 10)));
    acknowledge(&mut store, [range(0, u64::MAX)]);
    let mut commits = 1;
    while store.has_more_to_do() {
        commits += 1;
        store.commit(Instant::default(), Changes::default()).unwrap();
    }
    assert_eq!((store.held(), commits), (Default::default(), 4));
}

#[test]
fn a_frame_out_of_order_is_counted_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(folder.path());
    append(
        &mut store,
        [frame(0, 10, 10), frame(5, 15, 10), frame(20, 20, 10), frame(u64::MAX - 5, u64::MAX, 10)],
    );
    append(&mut store, [frame(3, 4, 10), frame(10, 12, 10)]);
    assert_eq!((store.held().records, store.counts().not_stored_records), (12, 16));
}
