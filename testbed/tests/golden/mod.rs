//! The golden frames of the predictive codec: what they are made of, and how they are written down.

pub(crate) mod cases;

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tern_shared::batch::Batch;
use tern_shared::codec::SchemaTable;
use tern_shared::codec::predictive::{Base, Decoder, Encoder, Keep};
use tern_shared::id::SchemaId;
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Origin, Schema};

/// Frames that one encoder made one after another, and all that a decoder needs.
pub(crate) struct Case {
    name: &'static str,
    schemas: SchemaTable,
    encoder: Encoder,
    decoder: Decoder,
    next: u64,
    frames: Vec<Json>,
}

impl Case {
    pub(crate) fn new(name: &'static str, first: u64, schemas: Vec<Schema>) -> Case {
        let schemas = schemas.into_iter().zip(0..).map(|(schema, id)| (SchemaId(id * 3), Arc::new(schema)));
        let (encoder, decoder) = (Encoder::new(), Decoder::new());
        Case { name, schemas: schemas.collect(), encoder, decoder, next: first, frames: Vec::new() }
    }

    pub(crate) fn schema(&self, index: usize) -> (SchemaId, &Schema) {
        let id = SchemaId(index as u32 * 3);
        (id, &self.schemas[&id])
    }

    pub(crate) fn carry_microseconds(&mut self, index: usize) {
        self.encoder.carry_microseconds(SchemaId(index as u32 * 3));
    }

    /// Encodes a frame, decodes it, and notes it. Returns the number of its first record.
    pub(crate) fn frame(&mut self, base: Base, keep: Keep, parts: Vec<Vec<Record>>) -> u64 {
        let first = self.next;
        let parts: Vec<Batch> = parts.into_iter().map(Batch::new).collect();
        let frame = self.encoder.encode(&parts, &self.schemas, first, base, keep, usize::MAX).unwrap();
        assert!(frame[0] >= 2, "{}: a simple frame", self.name);
        let decoded = self.decoder.decode(&frame, &self.schemas, first).unwrap();
        assert_eq!(decoded.len(), parts.len());
        self.next += decoded.iter().map(Vec::len).sum::<usize>() as u64;
        let parts: Vec<Vec<Json>> = decoded.iter().map(|part| part.iter().map(record).collect()).collect();
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        self.frames.push(json!({ "first": first, "hex": hex, "parts": parts }));
        first
    }

    pub(crate) fn acknowledge(&mut self, first: u64) {
        self.encoder.acknowledge(first);
    }

    pub(crate) fn to_json(&self) -> Json {
        let schemas: Vec<Json> = self.schemas.iter().map(|(id, schema)| declaration(*id, schema)).collect();
        json!({ "case": self.name, "schemas": schemas, "frames": self.frames })
    }
}

fn declaration(id: SchemaId, schema: &Schema) -> Json {
    let system = if let Origin::Mavlink(origin) = schema.origin { origin.system } else { 0 };
    let fields: Vec<Json> = schema
        .fields
        .iter()
        .map(|field| {
            json!([field.name, format!("{:?}", field.kind), field.unit, field.decimals, field.optional])
        })
        .collect();
    json!({ "id": id.0, "system": system, "fields": fields })
}

fn record(record: &Record) -> Json {
    json!([record.schema.0, record.time.0, record.values.iter().map(value).collect::<Vec<Json>>()])
}

fn value(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => json!(truth),
        Value::Int(number) => json!(number),
        Value::UInt(number) => json!(number),
        Value::F32(float) => json!({ "f32": format!("{:08x}", float.to_bits()) }),
        Value::F64(float) => json!({ "f64": format!("{:016x}", float.to_bits()) }),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => {
            json!({ "bytes": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() })
        }
    }
}
