//! tlog: MAVLink frames, each behind its capture time in 8 bytes, big-endian, microseconds since the Unix epoch.
//!
//! Typed messages are encoded anew as MAVLink 2, unsigned, with a running sequence byte a component; frames that came
//! opaque go out byte for byte.

use std::collections::BTreeMap;
use std::io::{self, Write};

use tern_shared::codec::SchemaTable;
use tern_shared::id::SchemaId;
use tern_shared::mavlink::dialect::{self, MessageLayout};
use tern_shared::mavlink::{frame, payload};
use tern_shared::record::{Record, Value};
use tern_shared::schema::{MavlinkOrigin, Origin, Schema};

use super::Sink;

pub(super) struct Tlog<W> {
    output: W,
    /// The epoch's schemas that can be encoded.
    layouts: BTreeMap<SchemaId, (MavlinkOrigin, &'static MessageLayout)>,
    /// The next sequence byte by (system, component).
    sequences: BTreeMap<(u8, u8), u8>,
}

impl<W: Write> Tlog<W> {
    pub(super) fn new(output: W) -> Self {
        Tlog { output, layouts: BTreeMap::new(), sequences: BTreeMap::new() }
    }

    fn encode(&mut self, origin: MavlinkOrigin, layout: &MessageLayout, values: &[Value]) -> Vec<u8> {
        let MavlinkOrigin { system, component, .. } = origin;
        let next = self.sequences.entry((system, component)).or_default();
        let sequence = *next;
        *next = next.wrapping_add(1);
        frame::encode_v2(sequence, system, component, layout, &payload::encode(layout, values))
    }
}

impl<W: Write> Sink for Tlog<W> {
    fn begin_epoch(&mut self, schemas: &SchemaTable) {
        let encodable = schemas.iter().filter_map(|(&id, schema)| {
            let Origin::Mavlink(origin) = schema.origin else { return None };
            // A vehicle with another dialect may lay the message out otherwise.
            let layout = dialect::message(origin.message).filter(|layout| is_laid_out_by(schema, layout))?;
            Some((id, (origin, layout)))
        });
        self.layouts = encodable.collect();
    }

    fn write(&mut self, schema: &Schema, record: &Record) -> io::Result<bool> {
        let encoded;
        let frame = match (schema.origin, record.values.as_slice()) {
            (Origin::MavlinkOpaque, [Value::Bytes(frame)]) => frame,
            (Origin::Mavlink(_), values) => match self.layouts.get(&record.schema) {
                Some(&(origin, layout)) => {
                    encoded = self.encode(origin, layout, values);
                    &encoded
                }
                None => return Ok(false),
            },
            _ => return Ok(false),
        };
        let micros = u64::try_from(record.time.0).unwrap_or(0);
        self.output.write_all(&micros.to_be_bytes())?;
        self.output.write_all(frame)?;
        Ok(true)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn is_laid_out_by(schema: &Schema, layout: &MessageLayout) -> bool {
    let fields = layout.fields();
    fields.len() == schema.fields.len()
        && fields.iter().zip(&schema.fields).all(|(a, b)| a.name == b.name && a.kind == b.kind)
}
