//! The column of one field: one value a record of the group.
//!
//! ```text
//! column      := [presence] values                 presence only for optional fields
//! presence    := 0 | 1, bitmap of ceil(records / 8) bytes, least significant bit first, 1 = present
//! values      := deltas                            integers and truth values
//!              | exceptions, deltas                floats on a decimal grid: deltas of round(value * 10^decimals)
//!              | deltas                            exact floats: deltas of the bits in the order of the numbers
//!              | (length, bytes)*                  text and bytes
//! exceptions  := count, (present values skipped since the previous exception, the float's bits little-endian)*
//! ```
//!
//! Only values that are present and no exception stand in `deltas`. An exception is a float that has no place on its
//! grid: NaN, an infinity, a magnitude of 2^52 steps or more.

use super::DecodeError;
use super::varint::{self, Reader};
use crate::record::{Record, Value};
use crate::schema::{Field, FieldKind, MAX_DECIMALS};

/// Grid steps from which on a float is an exception: below, every step is an exact `f64`.
const GRID_LIMIT: f64 = (1u64 << 52) as f64;

/// Appends the column of field `index` of the group.
pub(super) fn encode(out: &mut Vec<u8>, field: &Field, group: &[Record], index: usize) {
    if field.optional {
        encode_presence(out, group, index);
    }
    let values = group
        .iter()
        .map(|record| value_of(record, index))
        .filter(|value| !field.optional || !matches!(value, Value::Null));
    match (field.kind, field.decimals) {
        (FieldKind::Text | FieldKind::Bytes, _) => {
            for value in values {
                let bytes = match value {
                    Value::Text(text) => text.as_bytes(),
                    Value::Bytes(bytes) => bytes,
                    _ => &[],
                };
                varint::put(out, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
        }
        (FieldKind::F32 | FieldKind::F64, Some(decimals)) => encode_grid(out, field.kind, decimals, values),
        (FieldKind::F32, None) => put_deltas(out, values.map(|v| ordered_f32(f32_bits(v)))),
        (FieldKind::F64, None) => put_deltas(out, values.map(|v| ordered_f64(f64_bits(v)))),
        _ => put_deltas(out, values.map(integer)),
    }
}

/// Reads a column and pushes its values onto the group's records.
pub(super) fn decode(input: &mut Reader<'_>, field: &Field, group: &mut [Record]) -> Result<(), DecodeError> {
    let present = if field.optional { decode_presence(input, group.len())? } else { None };
    let is_present = |position: usize| match present {
        Some(bitmap) => bitmap[position / 8] >> (position % 8) & 1 == 1,
        None => true,
    };
    let mut exceptions = match (field.kind, field.decimals) {
        (FieldKind::F32 | FieldKind::F64, Some(_)) => Exceptions::decode(input, field.kind, group.len())?,
        _ => Exceptions::default(),
    };
    let mut previous = 0i64;
    let mut order = 0;
    for (position, record) in group.iter_mut().enumerate() {
        if !is_present(position) {
            record.values.push(Value::Null);
            continue;
        }
        let exception = exceptions.take(order);
        order += 1;
        if let Some(value) = exception {
            record.values.push(value);
            continue;
        }
        if matches!(field.kind, FieldKind::Text | FieldKind::Bytes) {
            let length = usize::try_from(input.take()?).unwrap_or(usize::MAX);
            record.values.push(text_or_bytes(field.kind, input.take_bytes(length)?));
            continue;
        }
        previous = previous.wrapping_add(input.take_signed()?);
        record.values.push(number(field, previous));
    }
    if exceptions.is_empty() { Ok(()) } else { Err(DecodeError::Malformed("an exception beyond its column")) }
}

fn value_of(record: &Record, index: usize) -> &Value {
    record.values.get(index).unwrap_or(&Value::Null)
}

fn encode_presence(out: &mut Vec<u8>, group: &[Record], index: usize) {
    let present = |record: &Record| !matches!(value_of(record, index), Value::Null);
    if group.iter().all(present) {
        out.push(0);
        return;
    }
    out.push(1);
    for eight in group.chunks(8) {
        out.push(eight.iter().enumerate().map(|(bit, record)| u8::from(present(record)) << bit).sum());
    }
}

/// The bitmap of present values, `None` when all are.
fn decode_presence<'a>(input: &mut Reader<'a>, records: usize) -> Result<Option<&'a [u8]>, DecodeError> {
    match input.take_bytes(1)? {
        [0] => Ok(None),
        [1] => input.take_bytes(records.div_ceil(8)).map(Some),
        _ => Err(DecodeError::Malformed("presence is neither 0 nor 1")),
    }
}

fn put_deltas(out: &mut Vec<u8>, numbers: impl Iterator<Item = i64>) {
    let mut previous = 0i64;
    for number in numbers {
        varint::put_signed(out, number.wrapping_sub(previous));
        previous = number;
    }
}

fn encode_grid<'a>(
    out: &mut Vec<u8>,
    kind: FieldKind,
    decimals: u8,
    values: impl Iterator<Item = &'a Value> + Clone,
) {
    let exceptions = values.clone().enumerate().filter(|(_, value)| on_grid(value, decimals).is_none());
    varint::put(out, exceptions.clone().count() as u64);
    let mut next = 0;
    for (position, value) in exceptions {
        varint::put(out, (position - next) as u64);
        next = position + 1;
        match kind {
            FieldKind::F32 => out.extend_from_slice(&f32_bits(value).to_le_bytes()),
            _ => out.extend_from_slice(&f64_bits(value).to_le_bytes()),
        }
    }
    put_deltas(out, values.filter_map(|value| on_grid(value, decimals)));
}

/// The floats of a grid column that have no place on the grid, next one last.
#[derive(Default)]
struct Exceptions(Vec<(usize, Value)>);

impl Exceptions {
    fn decode(input: &mut Reader<'_>, kind: FieldKind, records: usize) -> Result<Self, DecodeError> {
        let count = usize::try_from(input.take()?).unwrap_or(usize::MAX);
        if count > records {
            return Err(DecodeError::Malformed("more exceptions than records"));
        }
        let mut exceptions = Vec::with_capacity(count);
        let mut next = 0usize;
        for _ in 0..count {
            let position = next.saturating_add(usize::try_from(input.take()?).unwrap_or(usize::MAX));
            let value = match kind {
                FieldKind::F32 => Value::F32(f32::from_bits(u32::from_le_bytes(array(input)?))),
                _ => Value::F64(f64::from_bits(u64::from_le_bytes(array(input)?))),
            };
            exceptions.push((position, value));
            next = position.saturating_add(1);
        }
        exceptions.reverse();
        Ok(Exceptions(exceptions))
    }

    fn take(&mut self, position: usize) -> Option<Value> {
        self.0.pop_if(|(at, _)| *at == position).map(|(_, value)| value)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn array<const N: usize>(input: &mut Reader<'_>) -> Result<[u8; N], DecodeError> {
    input.take_bytes(N)?.try_into().map_err(|_| DecodeError::Malformed("cut short"))
}

/// The grid steps of a float, `None` for an exception. Only the encoder computes this, so its rounding need not be
/// the same on every machine.
pub(super) fn on_grid(value: &Value, decimals: u8) -> Option<i64> {
    let float = match value {
        Value::F32(float) => f64::from(*float),
        Value::F64(float) => *float,
        _ => 0.0,
    };
    let steps = float * scale(decimals);
    // Rounded to the nearest: `f64::round` is a call into the C library on many processors.
    let nearest = steps + 0.5f64.copysign(steps);
    (nearest.abs() < GRID_LIMIT).then_some(nearest as i64)
}

/// The fewest decimals, `least` or more, on whose grid a float keeps every bit (but the sign of zero); `None` when there are
/// none.
pub fn decimals_of(float: f64, least: u8) -> Option<u8> {
    let comes_back = |decimals: &u8| {
        on_grid(&Value::F64(float), *decimals).is_some_and(|steps| steps as f64 / scale(*decimals) == float)
    };
    (least..=MAX_DECIMALS).find(comes_back)
}

/// 10^decimals, exact in `f64`.
fn scale(decimals: u8) -> f64 {
    const SCALES: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
    SCALES[usize::from(decimals.min(MAX_DECIMALS))]
}

/// The value of a field from the number in its column. The division of two exact `f64` is correctly rounded by
/// IEEE 754, hence the same on every machine.
pub(super) fn number(field: &Field, number: i64) -> Value {
    match (field.kind, field.decimals) {
        (FieldKind::F32, Some(decimals)) => Value::F32((number as f64 / scale(decimals)) as f32),
        (FieldKind::F64, Some(decimals)) => Value::F64(number as f64 / scale(decimals)),
        (FieldKind::F32, None) => Value::F32(f32::from_bits(ordered_f32(number as u32) as u32)),
        (FieldKind::F64, None) => Value::F64(f64::from_bits(ordered_f64(number as u64) as u64)),
        (FieldKind::Bool, _) => Value::Bool(number != 0),
        (FieldKind::U8, _) => Value::Int(i64::from(number as u8)),
        (FieldKind::I8, _) => Value::Int(i64::from(number as i8)),
        (FieldKind::U16, _) => Value::Int(i64::from(number as u16)),
        (FieldKind::I16, _) => Value::Int(i64::from(number as i16)),
        (FieldKind::U32, _) => Value::Int(i64::from(number as u32)),
        (FieldKind::I32, _) => Value::Int(i64::from(number as i32)),
        (FieldKind::U64, _) => Value::UInt(number as u64),
        (FieldKind::I64 | FieldKind::Text | FieldKind::Bytes, _) => Value::Int(number),
    }
}

pub(super) fn text_or_bytes(kind: FieldKind, bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if kind == FieldKind::Text => Value::Text(text.to_owned()),
        _ => Value::Bytes(bytes.to_vec()),
    }
}

pub(super) fn integer(value: &Value) -> i64 {
    match *value {
        Value::Int(number) => number,
        Value::UInt(number) => number as i64,
        Value::Bool(truth) => i64::from(truth),
        _ => 0,
    }
}

pub(super) fn f32_bits(value: &Value) -> u32 {
    if let Value::F32(float) = value { float.to_bits() } else { 0 }
}

pub(super) fn f64_bits(value: &Value) -> u64 {
    if let Value::F64(float) = value { float.to_bits() } else { 0 }
}

/// The bits of a float as an integer that orders like the floats do (sign and magnitude to two's complement). Its own
/// inverse.
pub(super) fn ordered_f32(bits: u32) -> i64 {
    let bits = bits as i32;
    i64::from(bits ^ ((bits >> 31) as u32 >> 1) as i32)
}

/// As [`ordered_f32`], for 64 bits.
pub(super) fn ordered_f64(bits: u64) -> i64 {
    let bits = bits as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}
