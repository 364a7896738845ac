//! Recordings as records: the messages of a `.tlog`, typed by the dialect, under one schema a stream.

use std::collections::HashMap;
use std::sync::Arc;

use tern_shared::codec::SchemaTable;
use tern_shared::id::SchemaId;
use tern_shared::mavlink::frame::{Candidate, inspect};
use tern_shared::mavlink::payload;
use tern_shared::record::{Record, Value};
use tern_shared::schema::{MavlinkOrigin, Schema};
use tern_shared::time::Timestamp;

/// A flight as the codec sees it.
#[derive(Debug, Default)]
pub struct Recording {
    /// The schemas of its streams.
    pub schemas: SchemaTable,
    /// Its records, in the order of the file.
    pub records: Vec<Record>,
}

const STAMP_BYTES: usize = 8;

/// Reads a tlog: eight bytes of big-endian microseconds, one MAVLink frame, repeated. What is no entry is skipped.
/// Takes the messages for which `wanted` says so by name; `exact` makes every float bit for bit.
pub fn read(bytes: &[u8], exact: bool, wanted: impl Fn(&str) -> bool) -> Recording {
    let mut recording = Recording::default();
    let mut ids: HashMap<Option<MavlinkOrigin>, SchemaId> = HashMap::new();
    let mut rest = bytes;
    while rest.len() > STAMP_BYTES {
        let (stamp, after) = rest.split_at(STAMP_BYTES);
        let (Candidate::Certain(frame) | Candidate::Plausible(frame)) = inspect(after) else {
            rest = &rest[1..];
            continue;
        };
        rest = &after[frame.raw.len()..];
        let micros = stamp.iter().fold(0i64, |sum, &byte| sum << 8 | i64::from(byte));
        let typed = frame.layout.and_then(|layout| Some((layout, payload::decode(layout, frame.payload)?)));
        let (name, origin, values) = match typed {
            Some((layout, values)) => {
                let origin = MavlinkOrigin {
                    system: frame.system,
                    component: frame.component,
                    message: frame.message,
                };
                (layout.name, Some(origin), values)
            }
            None => ("", None, vec![Value::Bytes(frame.raw.to_owned())]),
        };
        if !wanted(name) {
            continue;
        }
        let next = SchemaId(ids.len() as u32);
        let id = *ids.entry(origin).or_insert_with(|| {
            let schema = origin.and_then(Schema::of_mavlink).unwrap_or_else(Schema::of_mavlink_opaque);
            recording.schemas.insert(next, Arc::new(if exact { schema.exact() } else { schema }));
            next
        });
        recording.records.push(Record { schema: id, time: Timestamp(micros), values });
    }
    recording
}
