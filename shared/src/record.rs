//! A record: one sample of one stream.

use crate::id::SchemaId;
use crate::time::Timestamp;

/// One sample: the values of a stream's fields at one instant, in the order of its schema's fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The schema that names and types the values.
    pub schema: SchemaId,
    /// When the edge took it in, by the edge's clock.
    pub time: Timestamp,
    /// One value a field. A value whose type does not fit its field is a bug of the source that made it.
    pub values: Vec<Value>,
}

/// The value of one field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The field was absent in this sample. Only fields that are `optional` in their schema take it.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer, or an unsigned one of up to 32 bits.
    Int(i64),
    /// An unsigned integer of 64 bits.
    UInt(u64),
    /// A 32-bit float; NaN and infinities are values like others.
    F32(f32),
    /// A 64-bit float; NaN and infinities are values like others.
    F64(f64),
    /// Text.
    Text(String),
    /// Bytes, and text of a `Text` field that is not UTF-8.
    Bytes(Vec<u8>),
}

impl Value {
    /// What a batch counts towards its size: about the most bytes that the value can take in a frame. What a frame
    /// holds beside its values (presence, counts) is at most a third of it on top.
    pub fn size_hint(&self) -> usize {
        match self {
            Value::Bool(_) => 2,
            Value::Null => 3,
            // A delta of two grid steps of 52 bits.
            Value::F32(_) => 8,
            Value::Int(_) | Value::UInt(_) | Value::F64(_) => 9,
            Value::Text(text) => text.len() + 3,
            Value::Bytes(bytes) => bytes.len() + 3,
        }
    }
}

impl Record {
    /// As [`Value::size_hint`], for all values and the time.
    pub fn size_hint(&self) -> usize {
        10 + self.values.iter().map(Value::size_hint).sum::<usize>()
    }
}

/// The largest record that the edge accepts, by [`Record::size_hint`], bytes: a batch that is one byte short of full
/// still fits a frame after the largest record came on top.
pub const MAX_RECORD_BYTES: usize = 16 * 1024;
