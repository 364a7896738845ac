//! Text and bytes.

use std::sync::Arc;

use super::first::Usual;
use super::history::{History, MAX_SAME, MIN_SAME};
use super::model::{Bit, Weights, mix};
use super::number::{Number, Outside, Ring, Shape};
use super::range_coder::{BitCoder, Encoder};
use super::stream::Common;
use crate::codec::column::text_or_bytes;
use crate::record::Value;
use crate::schema::FieldKind;

/// Contexts of one order, hashed.
const CONTEXTS: usize = 2048;
/// How many events a probability remembers: that of the byte alone, those by the bytes before, and that of a repetition.
const SINGLE_LIMIT: u8 = 250;
const ORDER_LIMIT: u8 = 30;
const REPEAT_LIMIT: u8 = 250;
/// The longest string that is remembered to be the same again.
const MAX_REMEMBERED_BYTES: usize = 512;
const LENGTH: Shape =
    Shape { ring: Ring::Bits(64), first_cost: 4 << 8, first: Usual { length: 4, signed: false } };
/// Weights of a column's texts before it had any: about what those of autopilots make of them.
const WEIGHTS: Weights = Weights([30000, 24000, 0, 38000]);

/// How many events the probabilities of the byte alone count for behind the primer: texts of another kind have letters in
/// other shares.
const PRIMED_SINGLE: u8 = 4;

/// Texts that all have known before the first one, each a line: the first of a vehicle are the dearest, as they come
/// while its link has everything to say, and autopilots say much the same. Letters and digits for those that do not.
pub(super) const PRIMER: &str = "\
0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz
status of the sensor: ok, error 0, warning, on, off, open, closed, low, high, ready, not found
ArduPilot Ready
Initialising
Calibrating barometer
Barometer 1 calibration complete
GPS 1: detected as u-blox at 230400 baud
EKF3 IMU0 initialised
EKF3 IMU1 tilt alignment complete
EKF3 IMU0 is using GPS
EKF3 IMU1 origin set
AHRS: EKF3 active
PreArm: Need Position Estimate
PreArm: Compass not calibrated
Arming motors
Disarming motors
Mission: 1 Takeoff
Reached command #2
Reached waypoint #3
Flight mode changed to RTL
Battery 1 is low 10.55V
Battery failsafe
Radio failsafe
EKF variance
Landing detected
Armed by external command
Disarmed by landing
connection lost";

/// What all texts know together: the byte by none to two bytes before, and what followed when the same came before.
#[derive(Clone, Debug)]
pub(super) struct SharedText {
    single: Vec<Bit>,
    orders: [Vec<Bit>; 2],
    history: History,
    /// By how much is the same, and the bit that is expected.
    repeats: [[Bit; 2]; MAX_SAME - MIN_SAME + 1],
}

/// What one column of text or bytes remembers.
#[derive(Clone, Debug)]
pub(super) struct ByteString {
    last: Vec<u8>,
    same: Bit,
    modelled: Bit,
    length: Number,
    /// Its own, as texts of different columns repeat themselves, or what others say, more or less.
    weights: Weights,
}

impl SharedText {
    /// One that knows the primer.
    pub(super) fn new() -> Self {
        let unknown = Bit::new(32768);
        let mut text = SharedText {
            single: vec![unknown; 256],
            orders: [0; 2].map(|_| vec![unknown; CONTEXTS]),
            history: History::new(),
            repeats: [[unknown; 2]; MAX_SAME - MIN_SAME + 1],
        };
        let mut coder = Encoder::new(usize::MAX);
        let mut weights = WEIGHTS;
        for line in PRIMER.lines() {
            text.code(&mut coder, &mut weights, line.len(), line.as_bytes());
        }
        text.single.iter_mut().for_each(|bit| *bit = bit.doubted(PRIMED_SINGLE));
        text
    }

    /// Codes a text of so many bytes, as far as there is one.
    fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        weights: &mut Weights,
        length: usize,
        bytes: &[u8],
    ) -> Vec<u8> {
        let mut out = Vec::new();
        let mut before = 0u32;
        while out.len() < length && !coder.is_exhausted() {
            let byte = bytes.get(out.len()).copied().unwrap_or(0);
            let byte = self.code_byte(coder, weights, before, byte);
            self.history.push(byte);
            before = before << 8 | u32::from(byte);
            out.push(byte);
        }
        self.history.push(0);
        out
    }

    /// Codes a byte after those in `before`, the last one lowest.
    fn code_byte<C: BitCoder>(&mut self, coder: &mut C, weights: &mut Weights, before: u32, byte: u8) -> u8 {
        let hashes = [0xff, 0xffff].map(|mask| (before & mask).wrapping_mul(0x9e37_79b1) >> 8);
        let mut expected = self.history.expected();
        let mut node = 1usize;
        for shift in (0..8).rev() {
            let [one, two] = &mut self.orders;
            let at = |hash: u32| {
                (hash.wrapping_add(node as u32).wrapping_mul(0x85eb_ca6b) >> 20) as usize % CONTEXTS
            };
            let [a, b, c] = [
                (&mut self.single[node], SINGLE_LIMIT),
                (&mut one[at(hashes[0])], ORDER_LIMIT),
                (&mut two[at(hashes[1])], ORDER_LIMIT),
            ];
            let bit_of = |byte: u8| byte >> shift & 1;
            let bit = match expected {
                Some((next, same)) => {
                    let repeat = &mut self.repeats[same - MIN_SAME][usize::from(bit_of(next))];
                    mix(coder, weights, [a, b, c, (repeat, REPEAT_LIMIT)], bit_of(byte) == 1)
                }
                None => mix(coder, weights, [a, b, c], bit_of(byte) == 1),
            };
            expected = expected.filter(|(next, _)| (bit_of(*next) == 1) == bit);
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
            weights: WEIGHTS,
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
                None if modelled => Arc::make_mut(common.text).code(coder, &mut self.weights, length, bytes),
                None => code_raw(coder, length, bytes),
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

/// Codes a string of so many bytes, as far as there is one, by no model.
fn code_raw<C: BitCoder>(coder: &mut C, length: usize, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while out.len() < length && !coder.is_exhausted() {
        let byte = bytes.get(out.len()).copied().unwrap_or(0);
        out.push(coder.code_raw(8, byte.into()) as u8);
    }
    out
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().filter(|&&byte| matches!(byte, 9 | 10 | 13 | 32..=126)).count() * 10 >= bytes.len() * 9
}
