//! A column of integers: what is predicted, and what is coded of the difference.
//!
//! Several predictors run side by side. Each is judged by what its residuals would have cost of late; the best of them,
//! or their mean weighted by how good they are, is the prediction. All arithmetic is on integers and wraps.

use std::sync::Arc;

use super::first::Usual;
use super::model::{Bit, cost, step_mean};
use super::range_coder::BitCoder;
use super::residual::{FieldResiduals, Hint, SharedResiduals};

/// Predictors from outside the column that a value may have.
pub(super) const HINTS: usize = 4;
/// The column's own: hold, linear, half of linear, fast and slow mean.
const OWN: usize = 5;
const PREDICTORS: usize = OWN + HINTS + 1;
/// The mean of the others, weighted.
const BLEND: usize = PREDICTORS - 1;
/// How many costs a mean cost remembers.
const JUDGED: u8 = 18;
/// So many zero residuals in a row make a column quiet: it is then only held.
const QUIET: u16 = 8;
/// Predictions are not told apart farther than this from the last value.
const FAR: i64 = 1 << 41;

/// Which numbers follow which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ring {
    /// Integers of this many bits, which wrap.
    Bits(u32),
    /// Directions from `low` on, `turn` in all. Other values have a place too.
    Turn { low: i64, turn: i64 },
}

/// What is the same for all values of a column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) ring: Ring,
    /// Cost of the first difference as it is usual for such columns, 256 = a bit.
    pub(super) first_cost: u16,
    /// What is usual for the first value itself.
    pub(super) first: Usual,
}

/// What one column remembers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    residuals: FieldResiduals,
    /// Values so far, up to 255.
    seen: u8,
    /// The last two values, on an unrolled ring.
    last: i64,
    before: i64,
    /// Means over the last 2 and 8 or so, times 16.
    means: [i64; 2],
    /// Mean cost of each predictor's residuals.
    costs: [u16; PREDICTORS],
    /// How many of them there were: of the column's own predictors and the mean, and of each hint.
    judged: u8,
    hints_judged: [u8; HINTS],
    quiet: u16,
    /// The greatest common divisor of the differences so far, how many there were.
    step: u64,
    steps: u16,
    on_step: Bit,
}

/// Predictions from outside, and what is known beside.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outside {
    /// On the unrolled ring once there was a value.
    pub(super) hints: [Option<i64>; HINTS],
    /// Time since the last value over time between the last two, 256 = equal; 0 when unknown.
    pub(super) pace: i64,
    /// See [`Hint::surprise`].
    pub(super) surprise: u8,
}

impl Number {
    pub(super) fn new(shape: &Shape) -> Self {
        Number {
            residuals: FieldResiduals::new(shape.first_cost),
            seen: 0,
            last: 0,
            before: 0,
            means: [0; 2],
            costs: [0; PREDICTORS],
            judged: 0,
            hints_judged: [0; HINTS],
            quiet: 0,
            step: 0,
            steps: 0,
            on_step: Bit::new(62000),
        }
    }

    /// The last value on the unrolled ring; `None` before the first.
    pub(super) fn last(&self) -> Option<i64> {
        (self.seen > 0).then_some(self.last)
    }

    /// The next value if it is as far from the last as that from the one before, and how far that is.
    pub(super) fn next(&self) -> Option<(i64, i64)> {
        let step = self.last.wrapping_sub(self.before);
        (self.seen > 0).then_some((self.last.wrapping_add(step), step))
    }

    /// Takes a first value that was coded elsewhere.
    pub(super) fn begin(&mut self, value: i64) {
        self.seen = 1;
        self.last = value;
        self.before = value;
        self.means = [value.wrapping_shl(4); 2];
    }

    /// Whether the next value is only held against the last: predictions from outside do not count.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet >= QUIET
    }

    /// See [`Hint::surprise`].
    pub(super) fn surprise(&self) -> u8 {
        self.residuals.surprise()
    }

    /// Codes the next value.
    pub(super) fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        shared: &mut SharedResiduals,
        shape: &Shape,
        outside: &Outside,
        value: i64,
    ) -> i64 {
        if self.seen == 0 {
            return self.code_first(coder, shared, shape, outside, value);
        }
        if self.is_quiet() {
            let (residual, at) = self.code_from(coder, shared, shape, Hint::default(), self.last, value);
            if residual == 0 {
                return at.value;
            }
            self.means = [self.last << 4; 2];
            self.quiet = 0;
            self.advance(shape, at.unrolled);
            return at.value;
        }
        let mut predictions = self.predictions(outside);
        let best = self.best(&predictions);
        let blend = self.blend(&predictions, best);
        predictions.values[BLEND] = blend;
        let use_blend = self.costs[BLEND] <= self.costs[best];
        let single = predictions.values[best];
        let (prediction, other) = if use_blend { (blend, single) } else { (single, blend) };
        let other = if other == prediction { self.means[1] >> 4 } else { other };
        let hint = Hint {
            side: match other.wrapping_sub(prediction).signum() {
                0 => 0,
                1 => 1,
                _ => 2,
            },
            surprise: outside.surprise,
        };
        let (residual, at) = self.code_from(coder, shared, shape, hint, prediction, value);
        self.judge(&predictions, at.unrolled);
        self.quiet = if residual == 0 && at.unrolled == self.last { self.quiet + 1 } else { 0 };
        self.advance(shape, at.unrolled);
        at.value
    }

    fn code_first<C: BitCoder>(
        &mut self,
        coder: &mut C,
        shared: &mut SharedResiduals,
        shape: &Shape,
        outside: &Outside,
        value: i64,
    ) -> i64 {
        let mut predictions = [0; HINTS + 1];
        let mut count = 0;
        for prediction in outside.hints.iter().flatten().copied().chain([0]) {
            if !predictions[..count].contains(&prediction) {
                predictions[count] = prediction;
                count += 1;
            }
        }
        let differences = predictions.map(|prediction| shape.ring.difference(value, prediction));
        let (choice, residual) =
            Arc::make_mut(&mut shared.firsts).code(coder, shape.first, &differences[..count]);
        let at = shape.ring.moved(predictions[choice], residual);
        self.residuals.expect(if residual == 0 { 0x100 } else { shape.first_cost });
        self.begin(at.unrolled);
        at.value
    }

    /// Codes what is between the prediction and the value.
    fn code_from<C: BitCoder>(
        &mut self,
        coder: &mut C,
        shared: &mut SharedResiduals,
        shape: &Shape,
        hint: Hint,
        prediction: i64,
        value: i64,
    ) -> (i64, Place) {
        if self.steps >= 3 && self.step > 1 && matches!(shape.ring, Ring::Bits(_)) {
            let step = self.step as i64;
            let away = prediction.wrapping_sub(self.last);
            let prediction =
                self.last.wrapping_add((away.wrapping_add(step / 2)).div_euclid(step).wrapping_mul(step));
            let difference = shape.ring.difference(value, prediction);
            if self.on_step.code(coder, difference % step == 0, 60) {
                let residual = self.residuals.code(coder, shared, hint, difference / step);
                return (residual, shape.ring.moved(prediction, residual.wrapping_mul(step)));
            }
            self.step = 0;
            self.steps = 0;
        }
        let residual = self.residuals.code(coder, shared, hint, shape.ring.difference(value, prediction));
        (residual, shape.ring.moved(prediction, residual))
    }

    fn predictions(&self, outside: &Outside) -> Predictions {
        let slope = self.last.wrapping_sub(self.before);
        let paced = match outside.pace {
            0 => slope,
            pace => (slope.clamp(-FAR, FAR) * pace) >> 8,
        };
        let mut values = [0; PREDICTORS];
        values[0] = self.last;
        values[1] = self.last.wrapping_add(paced);
        values[2] = self.last.wrapping_add(slope / 2);
        values[3] = self.means[0].wrapping_add(8) >> 4;
        values[4] = self.means[1].wrapping_add(8) >> 4;
        let mut there = [true; BLEND];
        for ((hint, value), there) in
            outside.hints.iter().zip(&mut values[OWN..BLEND]).zip(&mut there[OWN..BLEND])
        {
            *value = hint.unwrap_or(self.last);
            *there = hint.is_some();
        }
        Predictions { values, there }
    }

    /// The predictor whose residuals have cost least.
    fn best(&self, predictions: &Predictions) -> usize {
        // Cost and index as one number: which is least is a matter of chance, and cheaper without branches.
        let key =
            |i: usize| u32::from(self.costs[i]) << 8 | if predictions.there[i] { i as u32 } else { u32::MAX };
        let least = (1..BLEND).fold(key(0), |least, i| least.min(key(i)));
        least as usize & 0xff
    }

    /// The mean of the predictions; one whose residuals cost a quarter bit more than the best one's weighs half.
    fn blend(&self, predictions: &Predictions, best: usize) -> i64 {
        let least = self.costs[best];
        let (mut sum, mut weights) = (0i64, 0i64);
        for i in 0..BLEND {
            if predictions.there[i] {
                let halvings = (self.costs[i].saturating_sub(least) >> 5).min(31);
                let weight = i64::from(HALVING[usize::from(halvings & 1)] >> (halvings >> 1));
                sum += weight * predictions.values[i].wrapping_sub(self.last).clamp(-FAR, FAR);
                weights += weight;
            }
        }
        let mean = (sum * 2 + weights).div_euclid(weights * 2);
        self.last.wrapping_add(mean)
    }

    fn judge(&mut self, predictions: &Predictions, value: i64) {
        for i in (0..OWN).chain([BLEND]) {
            let cost = cost(value.wrapping_sub(predictions.values[i]));
            self.costs[i] = step_mean(self.costs[i], cost, self.judged, JUDGED);
        }
        self.judged = self.judged.saturating_add(1);
        for (hint, judged) in self.hints_judged.iter_mut().enumerate() {
            let i = OWN + hint;
            if predictions.there[i] {
                let cost = cost(value.wrapping_sub(predictions.values[i]));
                self.costs[i] = step_mean(self.costs[i], cost, *judged, JUDGED);
                *judged = judged.saturating_add(1);
            }
        }
    }

    fn advance(&mut self, shape: &Shape, unrolled: i64) {
        let difference = unrolled.wrapping_sub(self.last).unsigned_abs();
        if difference != 0 && matches!(shape.ring, Ring::Bits(_)) {
            if self.step != 1 {
                self.step = gcd(self.step, difference);
            }
            self.steps = self.steps.saturating_add(1);
            if self.step == 1 && self.steps >= 64 {
                self.step = 0;
                self.steps = 0;
            }
        }
        self.before = self.last;
        self.last = unrolled;
        let scaled = unrolled.wrapping_shl(4);
        for (mean, share) in self.means.iter_mut().zip([1, 3]) {
            *mean = mean.wrapping_add(scaled.wrapping_sub(*mean) >> share);
        }
        self.seen = self.seen.saturating_add(1);
    }
}

/// What each predictor says, the blend last, and which of the others there are.
struct Predictions {
    values: [i64; PREDICTORS],
    there: [bool; BLEND],
}

/// 2^16 and 2^15.5: weights half a halving apart.
const HALVING: [u32; 2] = [65536, 46341];

/// A value, and where it lies on the unrolled ring.
struct Place {
    value: i64,
    unrolled: i64,
}

impl Ring {
    /// What has to be coded so that [`moved`](Self::moved) leads from `prediction` to `value`.
    fn difference(self, value: i64, prediction: i64) -> i64 {
        match self {
            Ring::Bits(bits) => sign_extend(value.wrapping_sub(prediction), bits),
            Ring::Turn { low, turn } => {
                let from = low + prediction.wrapping_sub(low).rem_euclid(turn);
                let half = turn / 2;
                if value < low {
                    value.wrapping_sub(low).wrapping_sub(half)
                } else if value >= low + turn {
                    value.wrapping_sub(low + turn).wrapping_add(turn - half)
                } else {
                    (value - from + half).rem_euclid(turn) - half
                }
            }
        }
    }

    /// The inverse of [`difference`](Self::difference).
    fn moved(self, prediction: i64, difference: i64) -> Place {
        match self {
            Ring::Bits(_) => {
                let value = prediction.wrapping_add(difference);
                Place { value, unrolled: value }
            }
            Ring::Turn { low, turn } => {
                let half = turn / 2;
                let from = low + prediction.wrapping_sub(low).rem_euclid(turn);
                if difference < -half {
                    let value = difference.wrapping_add(half).wrapping_add(low);
                    Place { value, unrolled: value }
                } else if difference >= turn - half {
                    let value = difference.wrapping_sub(turn - half).wrapping_add(low + turn);
                    Place { value, unrolled: value }
                } else {
                    let value = low + (from - low + difference).rem_euclid(turn);
                    Place { value, unrolled: prediction.wrapping_add(difference) }
                }
            }
        }
    }

    /// The place of `value` on the unrolled ring that is nearest to `near`.
    pub(super) fn unroll(self, value: i64, near: i64) -> i64 {
        match self {
            Ring::Bits(bits) => near.wrapping_add(sign_extend(value.wrapping_sub(near), bits)),
            Ring::Turn { turn, .. } => {
                let half = turn / 2;
                near.wrapping_add((value.wrapping_sub(near).wrapping_add(half)).rem_euclid(turn) - half)
            }
        }
    }
}

fn sign_extend(value: i64, bits: u32) -> i64 {
    let unused = 64 - bits;
    value.wrapping_shl(unused) >> unused
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_difference_leads_back(value: i64, prediction: i64, small in -40_000i64..40_000, bits in 1u32..=64) {
            for ring in [Ring::Turn { low: -31_416, turn: 62_832 }, Ring::Turn { low: 0, turn: 360 }] {
                for value in [value, small] {
                    prop_assert_eq!(ring.moved(prediction, ring.difference(value, prediction)).value, value);
                }
            }
            let ring = Ring::Bits(bits);
            let back = ring.moved(prediction, ring.difference(value, prediction)).value;
            prop_assert_eq!(sign_extend(back, bits), sign_extend(value, bits));
        }
    }
}
