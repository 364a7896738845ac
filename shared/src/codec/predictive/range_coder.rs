//! A binary range coder: 48 bits of range, probabilities of 16 bits, no bytes spent on its end.
//!
//! The encoder writes the shortest byte string that, with zeros appended for ever, lies in its final interval. So the
//! decoder takes zeros behind the end, and the length of the bytes is part of the message.

/// The part of the state that has left the interval's top byte.
const TOP: u64 = 1 << 48;
/// Below this the range is widened by a byte.
const BOTTOM: u64 = 1 << 40;

/// One end of a coded bit string. Both ends run the same model code; the encoder says what each bit is and the decoder
/// learns it.
pub(super) trait BitCoder {
    /// Whether bits come out of the coder.
    const DECODES: bool;

    /// Codes one bit, whose probability of being 1 is `p1` / 65536, in 1..=65535. The encoder returns `bit`; the
    /// decoder ignores it and returns what the encoder had.
    fn code(&mut self, p1: u32, bit: bool) -> bool;

    /// Whether more was asked for than the bytes hold: what came since is noise.
    fn is_exhausted(&self) -> bool;

    /// Codes the low `count` bits of `value`, at most 64, all as likely as not.
    fn code_raw(&mut self, count: u32, value: u64) -> u64 {
        (0..count).rev().fold(0, |sum, bit| sum << 1 | u64::from(self.code(1 << 15, value >> bit & 1 == 1)))
    }
}

/// Writes bits.
#[derive(Debug)]
pub(super) struct Encoder {
    low: u64,
    range: u64,
    bytes: Vec<u8>,
}

impl Encoder {
    /// Appends to `bytes`.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Encoder { low: 0, range: TOP - 1, bytes }
    }

    /// How many bytes there are, give or take a few.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes given and those written.
    pub(super) fn finish(mut self, keep: usize) -> Vec<u8> {
        let last = self.low + self.range - 1;
        for bytes in 0..=6 {
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
        while self.bytes.len() > keep && self.bytes.last() == Some(&0) {
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

    fn is_exhausted(&self) -> bool {
        false
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
        for _ in 0..6 {
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

    fn is_exhausted(&self) -> bool {
        self.missing > 8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_come_back(bits in prop::collection::vec((1u32..65536, any::<bool>()), 0..500)) {
            let mut encoder = Encoder::new(vec![7, 0]);
            for &(p1, bit) in &bits {
                encoder.code(p1, bit);
            }
            let bytes = encoder.finish(2);
            prop_assert_eq!(&bytes[..2], &[7, 0]);
            let mut decoder = Decoder::new(&bytes[2..]);
            for &(p1, bit) in &bits {
                prop_assert_eq!(decoder.code(p1, !bit), bit);
            }
            prop_assert!(!decoder.is_exhausted());
        }
    }

    #[test]
    fn certain_bits_cost_nothing() {
        let mut encoder = Encoder::new(Vec::new());
        for _ in 0..1000 {
            encoder.code(65535, true);
        }
        assert!(encoder.len() <= 1);
        assert!(encoder.finish(0).len() <= 1);
    }
}
