//! The first value of a column, of which only its unit is known and what other columns hold.

use super::model::Bit;
use super::range_coder::BitCoder;

/// Expected lengths, in bits, that are told apart.
const LENGTHS: usize = 41;
/// Signs are told apart by whether negative numbers are usual, and by whether something was predicted.
const SIGNS: usize = 4;
/// How many events these probabilities remember.
const LIMIT: u8 = 30;

/// What is known about the first values of columns together.
#[derive(Clone, Debug)]
pub(super) struct Firsts {
    /// Whether the prediction at hand is not the one, by how many came before it.
    others: [Bit; 8],
    zero: [[Bit; 2]; LENGTHS],
    /// The length less one as a path through a binary tree, by the expected length.
    lengths: [[Bit; 64]; LENGTHS],
    signs: [Bit; SIGNS],
}

/// What is usual for the first value of a column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    /// Bits of its magnitude.
    pub(super) length: u8,
    /// Whether it may well be negative.
    pub(super) signed: bool,
}

impl Firsts {
    pub(super) fn new() -> Self {
        Firsts {
            others: [Bit::sure(22000, 2); 8],
            zero: [[Bit::sure(26000, 2), Bit::sure(26000, 2)]; LENGTHS],
            lengths: std::array::from_fn(tree),
            signs: [Bit::sure(3000, 4), Bit::sure(28000, 4), Bit::sure(32768, 4), Bit::sure(32768, 4)],
        }
    }

    /// Codes which of several predictions serves best, and what the value is away from it. `differences` are to each
    /// prediction, the last of which is zero.
    pub(super) fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        usual: Usual,
        differences: &[i64],
    ) -> (usize, i64) {
        let last = differences.len().saturating_sub(1);
        let best = (0..differences.len()).min_by_key(|&i| differences[i].unsigned_abs()).unwrap_or(0);
        let mut choice = 0;
        while choice < last && self.others[choice.min(7)].code(coder, best > choice, LIMIT) {
            choice += 1;
        }
        let hinted = choice < last;
        let expected = usize::from(if hinted { usual.length / 2 } else { usual.length }).min(LENGTHS - 1);
        let wanted = differences.get(choice).copied().unwrap_or(0);
        if self.zero[expected][usize::from(hinted)].code(coder, wanted == 0, LIMIT) {
            return (choice, 0);
        }
        let path = 63u32.wrapping_sub(wanted.unsigned_abs().leading_zeros());
        let mut node = 1usize;
        for shift in (0..6).rev() {
            let bit = self.lengths[expected][node].code(coder, path >> shift & 1 == 1, LIMIT);
            node = node << 1 | usize::from(bit);
        }
        let left = node as u32 - 64;
        let magnitude = 1u64 << left | coder.code_raw(left, wanted.unsigned_abs());
        let sign = &mut self.signs[usize::from(hinted) * 2 + usize::from(usual.signed)];
        let negative = sign.code(coder, wanted < 0, LIMIT);
        (choice, if negative { (magnitude as i64).wrapping_neg() } else { magnitude as i64 })
    }
}

/// The tree of lengths 1..=64 where each bit away from `expected` makes a length less likely, to five eighths.
fn tree(expected: usize) -> [Bit; 64] {
    let mut weights = [0u64; 128];
    for length in 1..=64usize {
        let away = length.abs_diff(expected.max(1));
        weights[63 + length] = (0..away).fold(1 << 20, |weight, _| weight * 5 / 8) + 8;
    }
    for node in (1..64).rev() {
        weights[node] = weights[2 * node] + weights[2 * node + 1];
    }
    let mut tree = [Bit::new(32768); 64];
    for (node, bit) in tree.iter_mut().enumerate().skip(1) {
        let p1 = (weights[2 * node + 1] * 65536 / weights[node]).clamp(64, 65472);
        *bit = Bit::sure(p1 as u16, 2);
    }
    tree
}
