//! Postcard's varints: LEB128, at most ten bytes for 64 bits, signed numbers zigzagged.

use super::DecodeError;

/// Appends an unsigned number.
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number: zigzag, so that small ones of either sign are short.
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, (value.wrapping_shl(1) ^ (value >> 63)) as u64);
}

/// Reads a frame's body from the front.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// An unsigned number.
    pub(super) fn take(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            if index == 9 && byte > 1 {
                return Err(DecodeError::Malformed("varint over 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(DecodeError::Malformed("cut short in a varint"))
    }

    /// A signed number.
    pub(super) fn take_signed(&mut self) -> Result<i64, DecodeError> {
        let zigzag = self.take()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// The next `len` bytes.
    pub(super) fn take_bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Malformed("cut short"))?;
        self.rest = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn are_postcard_varints(unsigned: u64, signed: i64) {
            let mut bytes = Vec::new();
            put(&mut bytes, unsigned);
            prop_assert_eq!(&bytes, &postcard::to_stdvec(&unsigned).unwrap());
            prop_assert_eq!(Reader::new(&bytes).take().unwrap(), unsigned);
            bytes.clear();
            put_signed(&mut bytes, signed);
            prop_assert_eq!(&bytes, &postcard::to_stdvec(&signed).unwrap());
            prop_assert_eq!(Reader::new(&bytes).take_signed().unwrap(), signed);
        }
    }
}
