//! What a spool must be able to take.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tern_shared::range::SequenceRange;
use tern_shared::session::Frame;
use tern_shared::time::{Instant, Now, Timestamp};

use super::store::{Changes, Store};
use super::{OpenError, Opened, SpoolConfig};

mod full;
mod handle;
mod model;
mod opening;

/// 2026-11-22 15:57:47 UTC.
const WALL: Timestamp = Timestamp(1_795_363_067_000_000);

fn at(seconds: u64) -> Now {
    Now { instant: Instant(Duration::from_secs(seconds)), wall: WALL }
}

fn config(folder: &Path) -> SpoolConfig {
    SpoolConfig::new(folder.join("spool.db"))
}

fn open(folder: &Path) -> (Store, Opened) {
    try_open(folder).unwrap()
}

fn try_open(folder: &Path) -> Result<(Store, Opened), OpenError> {
    Store::open(&config(folder), at(0))
}

fn range(start: u64, end: u64) -> SequenceRange {
    SequenceRange::new(start, end)
}

/// A frame of which every byte says where it begins.
fn frame(start: u64, end: u64, size: usize) -> Frame {
    Frame {
        range: range(start, end),
        newest: WALL.offset_by(start as i64),
        bytes: vec![start as u8; size].into(),
    }
}

fn append(store: &mut Store, frames: impl IntoIterator<Item = Frame>) {
    let changes = Changes { frames: frames.into_iter().collect(), ..Changes::default() };
    store.commit(Instant::default(), changes).unwrap();
}

fn acknowledge(store: &mut Store, ranges: impl IntoIterator<Item = SequenceRange>) {
    let changes = Changes { acknowledged: ranges.into_iter().collect(), ..Changes::default() };
    store.commit(Instant::default(), changes).unwrap();
}

/// What the file system holds when the process is killed: the files as they are, under an open spool, which is then
/// dropped. Returns the folder of the copy.
fn crash(store: Store, folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    drop(store);
    copy
}

fn schema() -> Arc<tern_shared::schema::Schema> {
    Arc::new(tern_shared::schema::Schema::of_mavlink_opaque())
}
