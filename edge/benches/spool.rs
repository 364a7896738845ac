//! What the spool takes in, forgets and gives back. Frames of 50 records and 600 bytes; an item is a record.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use tern_edge::spool::store::{Changes, Store};
use tern_edge::spool::{SpoolConfig, SpoolEvent, SpoolHandle, Synchronous};
use tern_shared::range::SequenceRange;
use tern_shared::session::Frame;
use tern_shared::time::{Instant, Now, Timestamp};

const FRAME_RECORDS: u64 = 50;
const FRAME_BYTES: usize = 600;
/// What 50 ms bring at 50,000 records a second.
const COMMIT_FRAMES: u64 = 50;
const FRAMES: u64 = 2000;

fn main() {
    divan::main();
}

fn frame(index: u64) -> Frame {
    let start = index * FRAME_RECORDS;
    let bytes: Arc<[u8]> = (0..FRAME_BYTES).map(|i| (i as u64 * 31 + index) as u8).collect();
    Frame { range: SequenceRange::new(start, start + FRAME_RECORDS), newest: Timestamp(start as i64), bytes }
}

fn config(folder: &tempfile::TempDir, synchronous: Synchronous) -> SpoolConfig {
    SpoolConfig { synchronous, ..SpoolConfig::new(folder.path().join("spool.db")) }
}

fn commits(per_commit: u64) -> Vec<Changes> {
    let frames: Vec<Frame> = (0..FRAMES).map(frame).collect();
    frames
        .chunks(per_commit as usize)
        .map(|frames| Changes { frames: frames.to_vec(), ..Changes::default() })
        .collect()
}

fn empty(synchronous: Synchronous) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, _) = Store::open(&config(&folder, synchronous), Now::default()).expect("a new spool");
    (folder, store)
}

fn filled() -> (tempfile::TempDir, Store) {
    let (folder, mut store) = empty(Synchronous::Normal);
    for changes in commits(COMMIT_FRAMES) {
        store.commit(Instant::default(), changes).expect("room on the disk");
    }
    (folder, store)
}

/// Commits of 50 frames, and of one: the worst that a slow trickle can ask for.
#[divan::bench(args = [COMMIT_FRAMES, 1], sample_count = 20, sample_size = 1)]
fn append(bencher: Bencher<'_, '_>, per_commit: u64) {
    bencher
        .counter(ItemsCount::new(FRAMES * FRAME_RECORDS))
        .with_inputs(|| (empty(Synchronous::Normal), commits(per_commit)))
        .bench_local_values(|((folder, mut store), commits)| {
            for changes in commits {
                store.commit(Instant::default(), changes).expect("room on the disk");
            }
            (folder, store)
        });
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn append_full_synchronous(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(FRAMES * FRAME_RECORDS))
        .with_inputs(|| (empty(Synchronous::Full), commits(COMMIT_FRAMES)))
        .bench_local_values(|((folder, mut store), commits)| {
            for changes in commits {
                store.commit(Instant::default(), changes).expect("room on the disk");
            }
            (folder, store)
        });
}

/// From the first append to the last commit, through the thread.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn append_through_the_handle(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(FRAMES * FRAME_RECORDS))
        .with_inputs(|| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let (sender, events) = tokio::sync::mpsc::channel::<SpoolEvent>(16);
            let (handle, _) =
                SpoolHandle::open(&config(&folder, Synchronous::Normal), Timestamp::default(), sender)
                    .expect("a new spool");
            (folder, handle, events, (0..FRAMES).map(frame).collect::<Vec<_>>())
        })
        .bench_local_values(|(folder, handle, events, frames)| {
            for frame in frames {
                handle.append(frame).expect("a queue that takes two seconds' worth");
            }
            let status = handle.close();
            assert_eq!(status.counts.committed_records, FRAMES * FRAME_RECORDS);
            (folder, events)
        });
}

/// An acknowledgement for every ten frames, five to a commit, each leaving a frame out.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn acknowledge(bencher: Bencher<'_, '_>) {
    bencher.counter(ItemsCount::new(FRAMES * FRAME_RECORDS * 9 / 10)).with_inputs(filled).bench_local_values(
        |(folder, mut store)| {
            for commit in (0..FRAMES).step_by(50) {
                let ranges = (commit..commit + 50).step_by(10);
                let acknowledged = ranges
                    .map(|first| SequenceRange::new(first * FRAME_RECORDS, (first + 9) * FRAME_RECORDS))
                    .collect();
                store
                    .commit(Instant::default(), Changes { acknowledged, ..Changes::default() })
                    .expect("room on the disk");
            }
            assert_eq!(store.held().frames, FRAMES / 10);
            (folder, store)
        },
    );
}

/// Everything, newest first, 16 kB at a time.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn fetch(bencher: Bencher<'_, '_>) {
    let (_folder, store) = filled();
    bencher.counter(ItemsCount::new(FRAMES * FRAME_RECORDS)).bench_local(|| {
        let mut end = FRAMES * FRAME_RECORDS;
        while end > 0 {
            let fetched = store.fetch(SequenceRange::new(0, end), 16_384).expect("a sound spool");
            end = fetched.covered.start;
        }
    });
}
