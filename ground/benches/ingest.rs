//! What a record costs the ground: decoding it, and committing it to the history.

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use tern_ground::config::Synchronous;
use tern_ground::history::{Content, Entry, Store};
use tern_ground::publish::cursor::Position;
use tern_shared::batch::Batch;
use tern_shared::codec::{self, SchemaTable};
use tern_shared::id::{Epoch, SchemaId};
use tern_shared::message::Lane;
use tern_shared::range::SequenceRange;
use tern_shared::record::{Record, Value};
use tern_shared::schema::{MavlinkOrigin, Schema};
use tern_shared::time::Timestamp;

/// Records a frame: 200 ms of a busy autopilot, and a full backlog frame.
const FRAME_RECORDS: [u64; 2] = [50, 1000];
/// Frames a transaction: a commit interval of a hundred vehicles.
const BATCH_FRAMES: u64 = 100;

fn main() {
    divan::main();
}

fn attitude() -> SchemaTable {
    let origin = MavlinkOrigin { system: 1, component: 1, message: 30 };
    let schema = Schema::of_mavlink(origin).expect("the dialect has ATTITUDE");
    SchemaTable::from([(SchemaId(0), Arc::new(schema))])
}

fn frame(records: u64, schemas: &SchemaTable) -> Arc<[u8]> {
    let record = |n: u64| {
        let angle = |k: f32| Value::F32((n as f32 * 0.02 * k).sin());
        let mut values = vec![Value::Int(n as i64 * 20)];
        values.extend([1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(angle));
        Record { schema: SchemaId(0), time: Timestamp::from_millis(n as i64 * 20), values }
    };
    codec::encode(&Batch::new((0..records).map(record).collect()), schemas).into()
}

#[divan::bench(args = FRAME_RECORDS)]
fn decode(bencher: Bencher<'_, '_>, records: u64) {
    let schemas = attitude();
    let frame = frame(records, &schemas);
    bencher
        .counter(ItemsCount::new(records))
        .bench(|| codec::decode(black_box(&frame), &schemas).expect("a frame"));
}

/// Without waiting for the disk, whose speed is not the ground's.
#[divan::bench(args = FRAME_RECORDS)]
fn commit(bencher: Bencher<'_, '_>, records: u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(&dir.path().join("history.sqlite"), Synchronous::Normal).expect("a history");
    let vehicle = "bench".parse().expect("a name");
    let epoch = store.open_epoch(&vehicle, Epoch(1), Timestamp(0)).expect("an epoch").key;
    let bytes = frame(records, &attitude());
    let mut next = 0;
    bencher
        .counter(ItemsCount::new(records * BATCH_FRAMES))
        .with_inputs(|| {
            let entry = |_| {
                let range = SequenceRange::new(next, next + records);
                next = range.end;
                let (started, ended) = (Timestamp(0), Timestamp(1));
                let (position, schemas) = (Position(range.start + 1), vec![SchemaId(0)]);
                let (lane, bytes) = (Lane::Live, bytes.clone());
                let content = Content::Frame { range, lane, position, schemas, started, ended, bytes };
                Entry { epoch, received: Timestamp(0), content, outcome: None }
            };
            (0..BATCH_FRAMES).map(entry).collect::<Vec<_>>()
        })
        .bench_local_values(|entries| store.commit(&entries).expect("a commit"));
}
