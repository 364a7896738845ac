//! Adaptive probabilities, and how several of them become one.
//!
//! A [`Bit`] learns the probability of one kind of decision: the first few events move it far, later ones less and
//! less. [`mix`] combines four of them in the logistic domain, with weights that are learnt too. Everything is integer
//! arithmetic, so that both ends agree whatever their processors.

use super::range_coder::BitCoder;

/// 65536 / (1 + e^-x) for x in -8, -7.5 ..= 8.
const SQUASH: [i32; 33] = [
    22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625, 24743, 32768, 40793,
    47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514,
];

/// The probability (of 65536) whose logit is `x` / 256, `x` taken as within -2047..=2047.
const fn squash(x: i32) -> i32 {
    let x = if x < -2047 {
        -2047
    } else if x > 2047 {
        2047
    } else {
        x
    } + 2048;
    let (index, part) = ((x >> 7) as usize, x & 127);
    (SQUASH[index] * (128 - part) + SQUASH[index + 1] * part) >> 7
}

/// [`squash`] of all it tells apart, from -2047 on.
static SQUASHED: [u16; 4095] = {
    let mut table = [0u16; 4095];
    let mut index = 0;
    while index < 4095 {
        table[index] = squash(index as i32 - 2047) as u16;
        index += 1;
    }
    table
};

/// The logit (times 256) of a probability (of 4096): the inverse of [`squash`].
static STRETCH: [i16; 4096] = {
    let mut table = [2047i16; 4096];
    let (mut next, mut x) = (0usize, -2047);
    while x <= 2047 {
        let to = (squash(x) >> 4) as usize;
        while next <= to {
            table[next] = x as i16;
            next += 1;
        }
        x += 1;
    }
    table
};

/// 65536 / (n + 1.6): how far the n-th event moves a probability.
static STEP: [u16; 256] = {
    let mut table = [0u16; 256];
    let mut n = 0;
    while n < 256 {
        table[n] = (655_360 / (10 * n + 16)) as u16;
        n += 1;
    }
    table
};

/// A mean after one more event, that remembers about `limit` of them and has seen `seen` so far.
pub(super) fn step_mean(mean: u16, event: u32, seen: u8, limit: u8) -> u16 {
    let step = i32::from(STEP[usize::from(seen.min(limit))]);
    (i32::from(mean) + (((event as i32 - i32::from(mean)) * step) >> 16)) as u16
}

/// The learnt probability that a decision is 1. Packed, as states are copied often and consist of these.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed)]
pub(super) struct Bit {
    p1: u16,
    seen: u8,
}

impl Bit {
    /// One that expects 1 with probability `p1` / 65536 and is not sure of it.
    pub(super) const fn new(p1: u16) -> Self {
        Bit { p1, seen: 0 }
    }

    /// As [`new`](Self::new), as if it had seen `seen` events already.
    pub(super) const fn sure(p1: u16, seen: u8) -> Self {
        Bit { p1, seen }
    }

    /// The same expectation, as if it came of at most `seen` events.
    pub(super) fn doubted(self, seen: u8) -> Self {
        Bit { seen: self.seen.min(seen), ..self }
    }

    /// How many events it has seen, up to its limit.
    pub(super) fn seen(self) -> u8 {
        self.seen
    }

    fn stretched(self) -> i32 {
        i32::from(STRETCH[usize::from(self.p1 >> 4)])
    }

    /// Learns from one event; `limit` is how many events it remembers.
    pub(super) fn update(&mut self, bit: bool, limit: u8) {
        let (p1, seen) = (i64::from(self.p1), self.seen);
        let target = if bit { 65535 } else { 0 };
        let step = i64::from(STEP[usize::from(seen)]);
        self.p1 = (p1 + (((target - p1) * step) >> 16)) as u16;
        self.seen = seen + u8::from(seen < limit);
    }

    /// Codes a decision by this probability alone.
    pub(super) fn code(&mut self, coder: &mut impl BitCoder, bit: bool, limit: u8) -> bool {
        let bit = coder.code(u32::from(self.p1).clamp(24, 65536 - 24), bit);
        self.update(bit, limit);
        bit
    }
}

/// Weights of the four inputs of [`mix`], 65536 = 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights(pub(super) [i32; 4]);

/// The largest weight: four times this times the largest logit fits 31 bits.
const MAX_WEIGHT: i32 = (1 << 18) - 1;

/// Codes a decision by four probabilities, or by the first three, each with how many events it remembers. A fourth that
/// knows nothing would change nothing.
#[inline(always)]
pub(super) fn mix<const N: usize>(
    coder: &mut impl BitCoder,
    weights: &mut Weights,
    inputs: [(&mut Bit, u8); N],
    bit: bool,
) -> bool {
    let mut stretched = [0; N];
    let mut sum = 0;
    for ((s, (input, _)), weight) in stretched.iter_mut().zip(&inputs).zip(&weights.0) {
        *s = input.stretched();
        sum += *s * weight;
    }
    let p1 = i32::from(SQUASHED[((sum >> 16).clamp(-2047, 2047) + 2047) as usize]);
    let bit = coder.code(p1 as u32, bit);
    let error = (if bit { 65535 } else { 0 }) - p1;
    for (weight, s) in weights.0.iter_mut().zip(stretched) {
        *weight = (*weight + ((s * error + (1 << 14)) >> 15)).clamp(-MAX_WEIGHT, MAX_WEIGHT);
    }
    for (input, limit) in inputs {
        input.update(bit, limit);
    }
    bit
}

/// About 256 times the binary logarithm of 2 |`x`| + 1: what a residual costs.
pub(super) fn cost(x: i64) -> u32 {
    let x = (x.unsigned_abs() << 1 | 1) | x.unsigned_abs() & 1 << 63;
    let top = 63 - x.leading_zeros();
    let fraction = (x << (63 - top) >> 55) as u32 & 255;
    top << 8 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squash_and_stretch_are_inverse() {
        for (p, &x) in (0..4096).zip(&STRETCH).skip(8).take(4080) {
            let back = squash(x.into()) >> 4;
            assert!((back - p).abs() <= 1 + p.min(4096 - p) / 64, "{p} {back}");
        }
    }

    #[test]
    fn cost_grows_with_the_residual() {
        assert_eq!([cost(0), cost(-1), cost(2)], [0, 256 + 128, 512 + 64]);
        assert!((1..62).all(|bits| cost(1 << bits) > cost(-1 << (bits - 1))));
    }
}
