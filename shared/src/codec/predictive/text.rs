//! Text and bytes.

use std::sync::Arc;

use super::first::Usual;
use super::model::{Bit, Weights, mix};
use super::number::{Number, Outside, Ring, Shape};
use super::range_coder::BitCoder;
use super::stream::Common;
use crate::codec::column::text_or_bytes;
use crate::record::Value;
use crate::schema::FieldKind;

/// Contexts of one order, hashed.
const CONTEXTS: usize = 1024;
/// Orders beside the byte alone.
const ORDERS: usize = 3;
/// The longest string that is remembered to be the same again.
const MAX_REMEMBERED_BYTES: usize = 512;
const LENGTH: Shape =
    Shape { ring: Ring::Bits(64), first_cost: 4 << 8, first: Usual { length: 4, signed: false } };

/// What all texts know together: bytes by none to three bytes before.
#[derive(Clone, Debug)]
pub(super) struct SharedText {
    single: Vec<Bit>,
    orders: [Vec<Bit>; ORDERS],
    weights: [Weights; 8],
}

/// What one column of text or bytes remembers.
#[derive(Clone, Debug)]
pub(super) struct ByteString {
    last: Vec<u8>,
    same: Bit,
    modelled: Bit,
    length: Number,
}

impl SharedText {
    pub(super) fn new() -> Self {
        SharedText {
            single: vec![Bit::new(32768); 256],
            orders: [0; ORDERS].map(|_| vec![Bit::new(32768); CONTEXTS]),
            weights: [Weights([26000, 24000, 24000, 24000]); 8],
        }
    }

    /// Codes a byte after those in `before`, the last one lowest.
    fn code<C: BitCoder>(&mut self, coder: &mut C, before: u32, byte: u8) -> u8 {
        let hashes = [0xff, 0xffff, 0x00ff_ffff].map(|mask| (before & mask).wrapping_mul(0x9e37_79b1) >> 8);
        let mut node = 1usize;
        for shift in (0..8).rev() {
            let [one, two, three] = &mut self.orders;
            let at = |hash: u32| {
                (hash.wrapping_add(node as u32).wrapping_mul(0x85eb_ca6b) >> 20) as usize % CONTEXTS
            };
            let inputs = [
                (&mut self.single[node], 60),
                (&mut one[at(hashes[0])], 30),
                (&mut two[at(hashes[1])], 30),
                (&mut three[at(hashes[2])], 30),
            ];
            let bit = mix(coder, &mut self.weights[shift], inputs, byte >> shift & 1 == 1);
            node = node << 1 | usize::from(bit);
        }
        node as u8
    }
}

impl ByteString {
    pub(super) fn new() -> Self {
        ByteString {
            last: Vec::new(),
            same: Bit::new(20000),
            modelled: Bit::new(45000),
            length: Number::new(&LENGTH),
        }
    }

    pub(super) fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        common: &mut Common<'_>,
        kind: FieldKind,
        value: &Value,
    ) -> Value {
        let bytes = match value {
            Value::Text(text) => text.as_bytes(),
            Value::Bytes(bytes) => bytes,
            _ => &[],
        };
        if !self.same.code(coder, bytes == self.last, 30) {
            let wanted = bytes.len() as i64;
            let length = self.length.code(coder, common.residuals, &LENGTH, &Outside::default(), wanted);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            *common.bytes_left = common.bytes_left.filter(|left| length <= *left);
            if common.bytes_left.is_none() {
                return Value::Null;
            }
            let is_text = is_text(bytes);
            common.contents.gather(bytes, is_text);
            let modelled = self.modelled.code(coder, common.contents.are_modelled(is_text), 30);
            let apart = if modelled { None } else { common.contents.take::<C>(length, bytes) };
            self.last = match apart {
                None => code_in_place(coder, common.text, modelled, length, bytes),
                Some(Some(string)) => string,
                Some(None) => {
                    *common.bytes_left = None;
                    return Value::Null;
                }
            };
        }
        *common.bytes_left = common.bytes_left.and_then(|left| left.checked_sub(self.last.len()));
        for &byte in &self.last {
            *common.hash = (*common.hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
        let value = if C::DECODES { text_or_bytes(kind, &self.last) } else { Value::Null };
        if self.last.len() > MAX_REMEMBERED_BYTES {
            self.last = Vec::new();
        }
        value
    }
}

fn code_in_place<C: BitCoder>(
    coder: &mut C,
    text: &mut Arc<SharedText>,
    modelled: bool,
    length: usize,
    bytes: &[u8],
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut before = 0u32;
    for position in 0..length {
        if coder.is_exhausted() {
            break;
        }
        let byte = bytes.get(position).copied().unwrap_or(0);
        let byte = if modelled {
            Arc::make_mut(text).code(coder, before, byte)
        } else {
            coder.code_raw(8, byte.into()) as u8
        };
        before = before << 8 | u32::from(byte);
        out.push(byte);
    }
    out
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().filter(|&&byte| matches!(byte, 9 | 10 | 13 | 32..=126)).count() * 10 >= bytes.len() * 9
}
