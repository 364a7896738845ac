//! How a residual is coded: its bit length around what is expected, its sign, its mantissa.
//!
//! Each decision mixes four probabilities: two that all fields share, by how large residuals have been of late, and two
//! of the field's own. The shared ones make a new field cheap; the field's own learn what is special about it.

use std::sync::Arc;

use super::first::Firsts;
use super::model::{Bit, Weights, cost, mix, step_mean};
use super::range_coder::BitCoder;

/// Decisions about a length: the first, then as many as this in either direction before they share one probability.
const REACH: usize = 8;
const UP: usize = 1;
const DOWN: usize = UP + REACH;
const LENGTHS: usize = DOWN + REACH;
/// Mantissa bits that are modelled, by how far the length is from the expected one.
const MANTISSA: usize = LENGTHS;
const BINS: usize = MANTISSA + 3 * 5;
/// Decisions of which a field has a second set, by context.
const NEAR: usize = 7;
const NEAR_CONTEXTS: usize = 6;

const SCALES: usize = 48;
const RECENTS: usize = 100;
const SIGNS: usize = 27;

const SHARED_LIMIT: u8 = 250;
const FIELD_LIMIT: u8 = 60;
const NEAR_LIMIT: u8 = 40;

/// What all fields know together.
#[derive(Clone, Debug)]
pub(super) struct SharedResiduals {
    /// Apart, as it is rarely used once every column has begun.
    pub(super) firsts: Arc<Firsts>,
    by_scale: [[Bit; BINS]; SCALES],
    by_recent: [[Bit; BINS]; RECENTS],
    signs: [Bit; SIGNS],
    weights: [[Weights; KINDS]; TRUSTS],
}
const TRUSTS: usize = 6;
const KINDS: usize = 5;

/// What one field knows about its residuals.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldResiduals {
    bins: [Bit; BINS],
    near: [[Bit; NEAR]; NEAR_CONTEXTS],
    signs: [Bit; 3],
    /// Mean cost of a residual, over the last 16 or so and over the last 4 or so; 256 = one bit.
    slow: u16,
    fast: u16,
    seen: u8,
    /// Lengths of the last two, and the last one's sign.
    last: [u8; 2],
    last_sign: u8,
}

/// What is known about a residual before it is coded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hint {
    /// Which way other predictors would have it: 0 none, 1 up, 2 down.
    pub(super) side: u8,
    /// Whether the fields before it in the record were surprising, 0..=2.
    pub(super) surprise: u8,
}

impl SharedResiduals {
    /// As every key frame begins.
    pub(super) fn new() -> Self {
        let bins = |scale: usize| {
            let mut bins = [Bit::sure(29000, 3); BINS];
            // A residual is longer than the whole bits of its mean cost in two of five cases.
            bins[0] = Bit::sure(if scale == 0 { 3000 } else { 24000 + 3000 * (scale & 1) as u16 }, 4);
            for (step, bin) in bins[UP..DOWN].iter_mut().enumerate() {
                *bin = Bit::sure(if step == 0 { 13000 } else { 20000 }, 3);
            }
            for bin in &mut bins[DOWN..LENGTHS] {
                *bin = Bit::sure(36000, 3);
            }
            bins
        };
        let weights = [0usize, 1, 2, 3, 4, 5].map(|trust| {
            let own = 5000 * trust as i32;
            [Weights([36000 - own, 30000 - own, own + 4000, own]); KINDS]
        });
        SharedResiduals {
            by_scale: std::array::from_fn(bins),
            by_recent: std::array::from_fn(|context| bins(usize::from(context >= 25) * 2)),
            firsts: Arc::new(Firsts::new()),
            signs: [Bit::sure(32768, 2); SIGNS],
            weights,
        }
    }
}

impl FieldResiduals {
    /// Knows nothing; expects residuals that cost `expected` (256 = one bit).
    pub(super) fn new(expected: u16) -> Self {
        let mut new = FieldResiduals {
            bins: [Bit::new(32768); BINS],
            near: [[Bit::new(32768); NEAR]; NEAR_CONTEXTS],
            signs: [Bit::new(32768); 3],
            slow: 0,
            fast: 0,
            seen: 0,
            last: [0; 2],
            last_sign: 0,
        };
        new.expect(expected);
        new
    }

    /// Expects residuals that cost `expected`. For a column that had none.
    pub(super) fn expect(&mut self, expected: u16) {
        self.slow = expected;
        self.fast = expected;
        self.last = [(expected >> 8) as u8; 2];
    }

    /// Whether the last residual was longer than expected (2), as expected (1) or zero (0).
    pub(super) fn surprise(&self) -> u8 {
        match self.last[0] {
            0 => 0,
            length if u16::from(length) > (self.slow >> 8) + 1 => 2,
            _ => 1,
        }
    }

    /// Codes a residual.
    pub(super) fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        shared: &mut SharedResiduals,
        hint: Hint,
        residual: i64,
    ) -> i64 {
        let level = (self.slow + self.fast) >> 1;
        let expected = (level >> 8).min(62) as u32;
        let wanted = length(residual);
        let scale = usize::from(level >> 7).min(SCALES - 1);
        let relative = |length: u8| (i32::from(length) - expected as i32 + 2).clamp(0, 4) as usize;
        let recent = (expected.min(3) as usize * 5 + relative(self.last[0])) * 5 + relative(self.last[1]);
        let trust = [0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 4]
            .get(usize::from(self.bins[0].seen()))
            .copied()
            .unwrap_or(if self.bins[0].seen() < 40 { 4 } else { 5 });
        let near_context = usize::from(hint.surprise) * 2 + usize::from(u32::from(self.last[0]) > expected);
        let by_scale = &mut shared.by_scale[scale];
        let by_recent = &mut shared.by_recent[recent];
        let weights = &mut shared.weights[trust];
        let (bins, near) = (&mut self.bins, &mut self.near[near_context]);
        let mut decide = |coder: &mut C, kind: usize, bin: usize, near_bin: usize, bit: bool| {
            let bin = bin % BINS;
            let inputs = [
                (&mut by_scale[bin], SHARED_LIMIT),
                (&mut by_recent[bin], SHARED_LIMIT),
                (&mut bins[bin], FIELD_LIMIT),
            ];
            let [a, b, c] = inputs;
            match near.get_mut(near_bin) {
                Some(near) => mix(coder, &mut weights[kind], [a, b, c, (near, NEAR_LIMIT)], bit),
                None => mix(coder, &mut weights[kind], [a, b, c], bit),
            }
        };

        let mut length = expected;
        if decide(coder, 0, 0, 0, wanted > expected) {
            length += 1;
            while length < 64 {
                let step = ((length - expected - 1) as usize).min(REACH - 1);
                if !decide(coder, 1, UP + step, 1 + step.min(2), wanted > length) {
                    break;
                }
                length += 1;
            }
        } else {
            while length > 0 {
                let step = ((expected - length) as usize).min(REACH - 1);
                if !decide(coder, 2, DOWN + step, 4 + step.min(2), wanted < length) {
                    break;
                }
                length -= 1;
            }
        }

        let mut magnitude = 0u64;
        let mut negative = false;
        if length > 0 {
            let wanted = residual.unsigned_abs();
            let mut left = length - 1;
            let away = (length as i32 - expected as i32 + 2).clamp(0, 4) as usize;
            magnitude = 1;
            if left > 0 {
                left -= 1;
                let bit = decide(coder, 3, MANTISSA + away * 3, NEAR, wanted >> left & 1 == 1);
                magnitude = 2 | u64::from(bit);
                if left > 0 {
                    left -= 1;
                    let bin = MANTISSA + away * 3 + 1 + usize::from(bit);
                    let bit = decide(coder, 4, bin, NEAR, wanted >> left & 1 == 1);
                    magnitude = magnitude << 1 | u64::from(bit);
                }
                magnitude = magnitude << left | coder.code_raw(left, wanted);
            }
            let sign = &mut self.signs[usize::from(hint.side)];
            if sign.seen() < 12 {
                let context = usize::from(hint.side) * 9 + usize::from(self.last_sign) * 3 + away.min(2);
                negative = shared.signs[context].code(coder, residual < 0, SHARED_LIMIT);
                sign.update(negative, FIELD_LIMIT);
            } else {
                negative = sign.code(coder, residual < 0, FIELD_LIMIT);
            }
        }
        let residual = if negative { (magnitude as i64).wrapping_neg() } else { magnitude as i64 };
        self.learn(residual, length as u8);
        residual
    }

    fn learn(&mut self, residual: i64, length: u8) {
        let cost = cost(residual);
        self.slow = step_mean(self.slow, cost, self.seen, 14);
        self.fast = step_mean(self.fast, cost, self.seen, 2);
        self.seen = self.seen.saturating_add(1);
        self.last = [length, self.last[0]];
        self.last_sign = if residual == 0 { 0 } else { 1 + u8::from(residual < 0) };
    }
}

/// Bits of the magnitude, 0..=64.
fn length(residual: i64) -> u32 {
    64 - residual.unsigned_abs().leading_zeros()
}
