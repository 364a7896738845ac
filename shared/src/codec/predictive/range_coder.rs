//! A binary range coder: 48 bits of range, probabilities of 16 bits, no bytes spent on its end.
//!
//! The encoder writes the shortest byte string that, with zeros appended for ever, lies in its final interval. So the
//! decoder takes zeros behind the end, and the length of the bytes is part of the message.

/// The part of the state that has left the interval's top byte.
const TOP: u64 = 1 << 48;
/// Below this the range is widened by a byte.
const BOTTOM: u64 = 1 << 40;
/// How many bytes the decoder is ahead.
const AHEAD: usize = 6;
/// How many bytes may be missing at the end.
const MAX_MISSING: u32 = 8;

/// One end of a coded bit string. Both ends run the same model code; the encoder says what each bit is and the decoder
/// learns it.
pub(super) trait BitCoder {
    /// Whether bits come out of the coder.
    const DECODES: bool;

    /// Codes one bit, whose probability of being 1 is `p1` / 65536, in 1..=65535. The encoder returns `bit`; the
    /// decoder ignores it and returns what the encoder had.
    fn code(&mut self, p1: u32, bit: bool) -> bool;

    /// Codes `count` bits, at most 16, all as likely as not: `value` has no others.
    fn code_few(&mut self, count: u32, value: u64) -> u64;

    /// Whether to give up: when decoding, more was asked for than the bytes hold, so that what came since is noise; when
    /// encoding, there are more bytes than there may be.
    fn is_exhausted(&self) -> bool;

    /// Codes the low `count` bits of `value`, at most 64, all as likely as not.
    fn code_raw(&mut self, count: u32, value: u64) -> u64 {
        let (mut left, mut sum) = (count, 0);
        while left > 0 {
            let few = left.min(16);
            left -= few;
            sum = sum << few | self.code_few(few, value >> left & ((1 << few) - 1));
        }
        sum
    }
}

/// Writes bits.
#[derive(Debug)]
pub(super) struct Encoder {
    low: u64,
    range: u64,
    bytes: Vec<u8>,
    max_bytes: usize,
}

impl Encoder {
    /// One that is exhausted when it has written more than `max_bytes`.
    pub(super) fn new(max_bytes: usize) -> Self {
        Encoder { low: 0, range: TOP - 1, bytes: Vec::new(), max_bytes }
    }

    /// The bytes written. Zeros are left out at their end, but for those that a decoder would miss: see
    /// [`is_exhausted`](BitCoder::is_exhausted).
    pub(super) fn finish(mut self) -> Vec<u8> {
        let least = (self.bytes.len() + AHEAD).saturating_sub(MAX_MISSING as usize);
        let last = self.low + self.range - 1;
        for bytes in 0..=AHEAD {
            let mask = (TOP - 1) >> (8 * bytes);
            let value = (self.low + mask) & !mask;
            if value <= last {
                self.low = value;
                self.carry();
                for _ in 0..bytes {
                    self.shift();
                }
                break;
            }
        }
        while self.bytes.len() > least && self.bytes.last() == Some(&0) {
            self.bytes.pop();
        }
        self.bytes
    }

    fn carry(&mut self) {
        if self.low >= TOP {
            self.low -= TOP;
            for byte in self.bytes.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
    }

    fn shift(&mut self) {
        self.bytes.push((self.low >> 40) as u8);
        self.low = self.low << 8 & (TOP - 1);
    }
}

impl BitCoder for Encoder {
    const DECODES: bool = false;

    fn code(&mut self, p1: u32, bit: bool) -> bool {
        let bound = (self.range >> 16) * u64::from(p1);
        if bit {
            self.range = bound;
        } else {
            self.low += bound;
            self.range -= bound;
            self.carry();
        }
        while self.range < BOTTOM {
            self.shift();
            self.range <<= 8;
        }
        bit
    }

    fn code_few(&mut self, count: u32, value: u64) -> u64 {
        self.range >>= count;
        self.low += self.range * value;
        self.carry();
        while self.range < BOTTOM {
            self.shift();
            self.range <<= 8;
        }
        value
    }

    fn is_exhausted(&self) -> bool {
        self.bytes.len() > self.max_bytes
    }
}

/// Reads bits.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    /// The coded value, relative to the interval's start.
    offset: u64,
    range: u64,
    rest: &'a [u8],
    missing: u32,
}

impl<'a> Decoder<'a> {
    /// Reads `bytes` from the front.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Decoder { offset: 0, range: TOP - 1, rest: bytes, missing: 0 };
        for _ in 0..AHEAD {
            decoder.shift();
        }
        decoder.missing = 0;
        decoder
    }

    /// Whether every byte was needed.
    pub(super) fn is_spent(&self) -> bool {
        self.rest.is_empty()
    }

    fn shift(&mut self) {
        let byte = match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => {
                self.missing = self.missing.saturating_add(1);
                0
            }
        };
        self.offset = self.offset << 8 | u64::from(byte);
    }
}

impl BitCoder for Decoder<'_> {
    const DECODES: bool = true;

    fn code(&mut self, p1: u32, _: bool) -> bool {
        let bound = (self.range >> 16) * u64::from(p1);
        let bit = self.offset < bound;
        if bit {
            self.range = bound;
        } else {
            self.offset -= bound;
            self.range -= bound;
        }
        while self.range < BOTTOM {
            self.shift();
            self.range <<= 8;
        }
        bit
    }

    fn code_few(&mut self, count: u32, _: u64) -> u64 {
        self.range >>= count;
        // The encoder leaves out what is above the last part; what damage puts there counts to that part.
        let value = (self.offset / self.range).min((1 << count) - 1);
        self.offset = (self.offset - self.range * value).min(self.range - 1);
        while self.range < BOTTOM {
            self.shift();
            self.range <<= 8;
        }
        value
    }

    fn is_exhausted(&self) -> bool {
        self.missing > MAX_MISSING
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_come_back(bits in prop::collection::vec((1u32..65536, any::<bool>(), 0u32..=64, any::<u64>()), 0..300)) {
            let cut = |count: u32, raw: u64| raw & u64::MAX.checked_shr(64 - count).unwrap_or(0);
            let mut encoder = Encoder::new(usize::MAX);
            for &(p1, bit, count, raw) in &bits {
                encoder.code(p1, bit);
                encoder.code_raw(count, raw);
            }
            let bytes = encoder.finish();
            let mut decoder = Decoder::new(&bytes);
            for &(p1, bit, count, raw) in &bits {
                prop_assert_eq!(decoder.code(p1, !bit), bit);
                prop_assert_eq!(decoder.code_raw(count, 0), cut(count, raw));
            }
            prop_assert!(decoder.is_spent() && !decoder.is_exhausted());
        }
    }

    #[test]
    fn zeros_at_the_end_come_back() {
        for zeros in 0..40 {
            let mut encoder = Encoder::new(usize::MAX);
            encoder.code_raw(64, u64::MAX);
            (0..zeros).for_each(|_| _ = encoder.code_raw(8, 0));
            let bytes = encoder.finish();
            let mut decoder = Decoder::new(&bytes);
            assert_eq!(decoder.code_raw(64, 0), u64::MAX);
            assert!((0..zeros).all(|_| decoder.code_raw(8, 1) == 0 && !decoder.is_exhausted()));
            assert!(decoder.is_spent());
        }
    }

    #[test]
    fn certain_bits_cost_nothing() {
        let mut encoder = Encoder::new(usize::MAX);
        for _ in 0..1000 {
            encoder.code(65535, true);
        }
        assert!(encoder.finish().len() <= 1);
    }
}
