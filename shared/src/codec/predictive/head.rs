//! What a frame says about itself before its records.

use super::Keep;
use super::range_coder::BitCoder;

/// The most batches that a frame holds.
pub const MAX_PARTS: usize = 1 << PARTS_BITS;
const PARTS_BITS: u32 = 10;

/// Probability of a bit that is never 1: with it, a frame's first byte is at least 2, as the simple codec has 0 and 1.
const SIMPLE: u32 = 513;
const NEXT: u32 = 40_960;
const SINCE: u32 = 32_768;
/// That more records lie between than 16 bits can say.
const FAR: u32 = 1024;
const FOR_ALL: u32 = 32_768;
const BLOCK: u32 = 1024;

/// Which frame a frame continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Continues {
    /// None.
    Nothing,
    /// The one whose records end where its own begin.
    Previous,
    /// The one that began so many records before it.
    Since(u64),
}

/// All that stands before the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) continues: Continues,
    pub(super) keep: Keep,
    /// How many batches, 1..=[`MAX_PARTS`].
    pub(super) parts: usize,
    /// Whether a block of strings follows. Only where nothing is kept.
    pub(super) has_block: bool,
}

impl Head {
    /// What a decoder hands to [`code`](Self::code).
    pub(super) const UNKNOWN: Head =
        Head { continues: Continues::Nothing, keep: Keep::Nothing, parts: 1, has_block: false };

    /// Codes the head; `None` when decoding what is no frame of this codec.
    pub(super) fn code<C: BitCoder>(self, coder: &mut C) -> Option<Head> {
        if coder.code(SIMPLE, false) {
            return None;
        }
        let continues = if coder.code(NEXT, self.continues == Continues::Previous) {
            Continues::Previous
        } else if coder.code(SINCE, self.continues != Continues::Nothing) {
            let back = if let Continues::Since(back) = self.continues { back } else { 0 };
            Continues::Since(code_distance(coder, back))
        } else {
            Continues::Nothing
        };
        let nothing = if continues == Continues::Previous { 4096 } else { 32_768 };
        let keep = if coder.code(nothing, self.keep == Keep::Nothing) {
            Keep::Nothing
        } else if coder.code(FOR_ALL, self.keep == Keep::ForAll) {
            Keep::ForAll
        } else {
            Keep::ForNext
        };
        let several = if keep == Keep::Nothing { 16_384 } else { 1024 };
        let parts = if coder.code(several, self.parts > 1) {
            coder.code_raw(PARTS_BITS, (self.parts as u64).wrapping_sub(1)) as usize + 1
        } else {
            1
        };
        let has_block = keep == Keep::Nothing && coder.code(BLOCK, self.has_block);
        Some(Head { continues, keep, parts, has_block })
    }

    /// How many bits of the state's hash a frame of so many records carries. One that continues nothing has no state to
    /// be wrong about, and of one with a single record a second byte would be a large part.
    pub(super) fn check_bits(self, records: usize) -> u32 {
        if self.continues == Continues::Nothing || records == 1 { 8 } else { 16 }
    }
}

fn code_distance<C: BitCoder>(coder: &mut C, back: u64) -> u64 {
    if coder.code(FAR, !(1..1 << 16).contains(&back)) {
        return coder.code_raw(64, back);
    }
    let below = coder.code_raw(4, u64::from(63 - back.max(1).leading_zeros())) as u32;
    1 << below | coder.code_raw(below, back)
}

#[cfg(test)]
mod tests {
    use super::super::range_coder::{Decoder, Encoder};
    use super::*;

    #[test]
    fn every_head_comes_back_and_is_told_from_the_simple_codec() {
        for back in [1, 2, 3, 100, 65_535, 65_536, u64::MAX, 0] {
            for continues in [Continues::Nothing, Continues::Previous, Continues::Since(back)] {
                for keep in [Keep::Nothing, Keep::ForNext, Keep::ForAll] {
                    for parts in [1, 2, 77, MAX_PARTS] {
                        let has_block = keep == Keep::Nothing && parts == 77;
                        let head = Head { continues, keep, parts, has_block };
                        let mut coder = Encoder::new(usize::MAX);
                        head.code(&mut coder);
                        let bytes = coder.finish();
                        assert!(bytes[0] > 1, "{head:?} {bytes:?}");
                        assert_eq!(Head::UNKNOWN.code(&mut Decoder::new(&bytes)), Some(head));
                    }
                }
            }
        }
    }
}
