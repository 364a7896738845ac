//! What the same records take in other encodings.

use tern_shared::batch::Batch;
use tern_shared::codec::SchemaTable;
use tern_shared::mavlink::{dialect, frame, payload};
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Origin, Schema};

/// Bytes of a record as a MAVLink v2 frame, without a signature.
pub(super) fn mavlink2_bytes(record: &Record, schema: &Schema) -> usize {
    let layout = match schema.origin {
        Origin::Mavlink(origin) => dialect::message(origin.message),
        _ => None,
    };
    match (layout, record.values.first()) {
        (Some(layout), _) => {
            frame::encode_v2(0, 1, 1, layout, &payload::encode(layout, &record.values)).len()
        }
        (None, Some(Value::Bytes(raw))) => raw.len(),
        _ => 0,
    }
}

/// Bytes of a record as one JSON object.
pub(super) fn json_bytes(record: &Record, schema: &Schema) -> usize {
    let mut object = serde_json::Map::new();
    object.insert("t".into(), (record.time.0 / 1000).into());
    object.insert("stream".into(), schema.stream.rsplit('/').next().unwrap_or_default().into());
    for (field, value) in schema.fields.iter().zip(&record.values) {
        let value = match value {
            Value::Null => continue,
            Value::Bool(truth) => (*truth).into(),
            Value::Int(number) => (*number).into(),
            Value::UInt(number) => (*number).into(),
            Value::F32(float) => float.to_string().parse::<f64>().unwrap_or_default().into(),
            Value::F64(float) => (*float).into(),
            Value::Text(text) => text.as_str().into(),
            Value::Bytes(bytes) => bytes.clone().into(),
        };
        object.insert(field.name.clone(), value);
    }
    serde_json::Value::Object(object).to_string().len()
}

/// Bytes of a batch as postcard rows, compressed as one LZ4 block where that is smaller.
pub(super) fn postcard_lz4_bytes(batch: &Batch, schemas: &SchemaTable) -> usize {
    let mut rows = Vec::new();
    for record in batch.records() {
        let Some(schema) = schemas.get(&record.schema) else { continue };
        rows.extend(postcard::to_stdvec(&(record.schema.0, record.time.0 / 1000)).unwrap_or_default());
        for value in record.values.iter().take(schema.fields.len()) {
            let bytes = match value {
                Value::Null => postcard::to_stdvec(&()),
                Value::Bool(truth) => postcard::to_stdvec(truth),
                Value::Int(number) => postcard::to_stdvec(number),
                Value::UInt(number) => postcard::to_stdvec(number),
                Value::F32(float) => postcard::to_stdvec(float),
                Value::F64(float) => postcard::to_stdvec(float),
                Value::Text(text) => postcard::to_stdvec(text),
                Value::Bytes(bytes) => postcard::to_stdvec(bytes),
            };
            rows.extend(bytes.unwrap_or_default());
        }
    }
    rows.len().min(lz4_flex::block::compress(&rows).len()) + 1
}
