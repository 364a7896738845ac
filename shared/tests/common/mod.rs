//! What tests of sessions in virtual time have in common.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::sync::Arc;
use std::time::Duration;

use tern_shared::batch::Batch;
use tern_shared::codec::{self, SchemaTable};
use tern_shared::id::SchemaId;
use tern_shared::range::SequenceRange;
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Class, Field, FieldKind, Origin, Schema};
use tern_shared::session::Frame;
use tern_shared::time::{Instant, Now, Timestamp};

/// So long after the start.
pub(crate) fn at(millis: u64) -> Now {
    let instant = Instant(Duration::from_millis(millis));
    Now { instant, wall: Timestamp::from_millis(1_700_000_000_000 + millis as i64) }
}

/// A stream of texts.
pub(crate) fn schema() -> (SchemaId, Arc<Schema>) {
    let fields = vec![Field::new("text", FieldKind::Text)];
    let schema = Schema { stream: "text".to_owned(), origin: Origin::Sensor, class: Class::Live, fields };
    (SchemaId(0), Arc::new(schema))
}

/// The same number for the same seed.
pub(crate) fn random(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
}

/// A frame of one text that does not shrink.
pub(crate) fn frame(sequence: u64, at: Now, text_bytes: u64) -> Frame {
    let text = (0..text_bytes).map(|n| char::from(b' ' + (random(sequence * 1000 + n) % 95) as u8)).collect();
    let record = Record { schema: SchemaId(0), time: at.wall, values: vec![Value::Text(text)] };
    let table: SchemaTable = [schema()].into_iter().collect();
    let bytes: Arc<[u8]> = codec::encode(&Batch::new(vec![record]), &table).into();
    Frame { range: SequenceRange::new(sequence, sequence + 1), newest: at.wall, bytes }
}
