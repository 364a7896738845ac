//! Turns a batch of records into a frame and back.
//!
//! A frame is one postcard enum: the body as it is, or as an LZ4 block where that is smaller. The body is a sequence
//! of groups, one a schema, ascending by schema id:
//!
//! ```text
//! group  := schema id, records (1..), time column, a column a field
//! column := one value a record, each as the zigzag varint of its difference to the previous one (the first to zero)
//! ```
//!
//! All integers are postcard varints. `column.rs` has the column of each field kind, `docs/PROTOCOL.md` the bytes.
//!
//! Limits, which make any input safe to decode: a frame is at most [`MAX_FRAME_BYTES`] long, [`MAX_BODY_BYTES`] when
//! decompressed, and has at most [`MAX_FRAME_VALUES`] values.

mod column;
pub mod predictive;
mod varint;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::column::decimals_of;
use crate::batch::Batch;
use crate::id::SchemaId;
use crate::message::MAX_FRAME_BYTES;
use crate::record::Record;
use crate::schema::Schema;
use crate::time::Timestamp;
use varint::Reader;

/// The longest body after decompression, bytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;
/// The most values (records times fields, times included) in a frame: 8 MB of memory when decoded.
pub const MAX_FRAME_VALUES: usize = 256 * 1024;
/// Below this many bytes LZ4's block format never pays for its own length field.
const LZ4_MIN_BODY_BYTES: usize = 64;

/// The schemas of an epoch, by id.
pub type SchemaTable = BTreeMap<SchemaId, Arc<Schema>>;

/// A frame on the wire.
#[derive(Serialize, Deserialize)]
enum Frame<'a> {
    /// The body as it is.
    Plain(&'a [u8]),
    /// The body as an LZ4 block.
    Lz4 { body_bytes: u32, block: &'a [u8] },
}

/// Why bytes are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame uses a schema that was not declared.
    #[error("the frame uses schema {0}, which was not declared")]
    UnknownSchema(SchemaId),
    /// The bytes are cut short or make no sense.
    #[error("malformed frame: {0}")]
    Malformed(&'static str),
    /// The frame claims more records or bytes than a frame may have.
    #[error("the frame is over its limits: {0}")]
    OverLimit(&'static str),
}

/// Encodes a batch, whose records fit their schemas in `schemas` (a value of another type than its field's is taken
/// as zero, a record of a schema that is not there is left out: both are bugs of the caller).
pub fn encode(batch: &Batch, schemas: &SchemaTable) -> Vec<u8> {
    let mut body = Vec::with_capacity(batch.records().len() * 16);
    let mut time = Timestamp::default();
    for group in batch.records().chunk_by(|a, b| a.schema == b.schema) {
        let id = group[0].schema;
        let Some(schema) = schemas.get(&id) else {
            debug_assert!(false, "no schema {id}");
            continue;
        };
        varint::put(&mut body, u64::from(id.0));
        varint::put(&mut body, group.len() as u64);
        for record in group {
            varint::put_signed(&mut body, record.time.0.wrapping_sub(time.0));
            time = record.time;
        }
        time = group[0].time;
        for (index, field) in schema.fields.iter().enumerate() {
            column::encode(&mut body, field, group, index);
        }
    }
    let block = if body.len() < LZ4_MIN_BODY_BYTES { Vec::new() } else { lz4_flex::block::compress(&body) };
    let frame = if !block.is_empty() && block.len() + 3 < body.len() {
        Frame::Lz4 { body_bytes: body.len() as u32, block: &block }
    } else {
        Frame::Plain(&body)
    };
    postcard::to_stdvec(&frame).expect("two byte strings always encode")
}

/// Decodes a frame into its records, in the order of their sequence numbers. Takes any bytes.
pub fn decode(bytes: &[u8], schemas: &SchemaTable) -> Result<Vec<Record>, DecodeError> {
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(DecodeError::OverLimit("frame bytes"));
    }
    match postcard::take_from_bytes(bytes) {
        Ok((Frame::Plain(body), [])) => decode_body(body, schemas),
        Ok((Frame::Lz4 { body_bytes, block }, [])) => {
            let body_bytes = body_bytes as usize;
            if body_bytes > MAX_BODY_BYTES {
                return Err(DecodeError::OverLimit("body bytes"));
            }
            let body = lz4_flex::block::decompress(block, body_bytes)
                .map_err(|_| DecodeError::Malformed("not an LZ4 block"))?;
            decode_body(&body, schemas)
        }
        Ok(_) => Err(DecodeError::Malformed("bytes left over after the frame")),
        Err(_) => Err(DecodeError::Malformed("not a postcard frame")),
    }
}

fn decode_body(body: &[u8], schemas: &SchemaTable) -> Result<Vec<Record>, DecodeError> {
    let mut input = Reader::new(body);
    let mut records: Vec<Record> = Vec::new();
    let mut time = Timestamp::default();
    let mut values = 0usize;
    let mut previous = None;
    while !input.is_empty() {
        let id = u32::try_from(input.take()?).map_err(|_| DecodeError::Malformed("schema id"))?;
        let id = SchemaId(id);
        if previous.replace(id) >= Some(id) {
            return Err(DecodeError::Malformed("schemas out of order"));
        }
        let schema = schemas.get(&id).ok_or(DecodeError::UnknownSchema(id))?;
        let width = schema.fields.len();
        let count = usize::try_from(input.take()?).unwrap_or(usize::MAX);
        values = values.saturating_add(count.saturating_mul(width + 1));
        if values > MAX_FRAME_VALUES {
            return Err(DecodeError::OverLimit("values"));
        }
        if count == 0 {
            return Err(DecodeError::Malformed("a group without records"));
        }
        let first = records.len();
        for _ in 0..count {
            time = Timestamp(time.0.wrapping_add(input.take_signed()?));
            records.push(Record { schema: id, time, values: Vec::with_capacity(width) });
        }
        let group = &mut records[first..];
        time = group[0].time;
        for field in &schema.fields {
            column::decode(&mut input, field, group)?;
        }
    }
    Ok(records)
}

#[cfg(test)]
pub(crate) mod tests;
