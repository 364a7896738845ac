//! Where the bytes of a frame's texts and byte strings stand: each in its place, or all of one kind in an LZ4 block before
//! the records, which finds repetition over long distances that the models do not.
//!
//! ```text
//! block := its length decompressed less one (18 bits), its own length less one (16 bits), its bytes; all as raw bits
//! ```

use super::range_coder::BitCoder;
use crate::codec::{DecodeError, MAX_BODY_BYTES};
use crate::message::MAX_FRAME_BYTES;

const LENGTH_BITS: u32 = MAX_BODY_BYTES.trailing_zeros();
const BLOCK_BITS: u32 = MAX_FRAME_BYTES.trailing_zeros();
/// Below this many bytes a block is not tried.
const MIN_BYTES: usize = 64;

/// Which strings stand in the block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Apart {
    /// None: there is no block.
    #[default]
    Nothing,
    /// Those that are no text.
    Bytes,
    /// All.
    All,
}

/// The contents of a frame's strings, while the frame is coded.
#[derive(Debug, Default)]
pub(super) struct Contents {
    apart: Apart,
    /// What the block holds, and how much of that was taken.
    block: Option<(Vec<u8>, usize)>,
    /// What stood in place and could stand in a block: what is no text, and all. Empty but for frames that may have one.
    gathered: Option<[Vec<u8>; 2]>,
}

impl Contents {
    /// For an encoder that will ask whether a block is worth it.
    pub(super) fn gathering() -> Self {
        Contents { gathered: Some(Default::default()), ..Contents::default() }
    }

    /// For an encoder that has put these strings into a block.
    pub(super) fn apart(apart: Apart) -> Self {
        Contents { apart, block: Some((Vec::new(), 0)), gathered: None }
    }

    /// For a decoder, with what stood in the block.
    pub(super) fn decoded(block: Option<Vec<u8>>) -> Self {
        Contents { block: block.map(|block| (block, 0)), ..Contents::default() }
    }

    /// Whether a string is coded by the models; an encoder's choice.
    pub(super) fn are_modelled(&self, is_text: bool) -> bool {
        is_text && self.apart != Apart::All
    }

    /// Takes note of a string that is not the one before; an encoder's.
    pub(super) fn gather(&mut self, bytes: &[u8], is_text: bool) {
        if let Some([binary, all]) = &mut self.gathered {
            all.extend_from_slice(bytes);
            if !is_text {
                binary.extend_from_slice(bytes);
            }
        }
    }

    /// The next string out of the block, `bytes` when encoding. `None` where there is no block, `Some(None)` where it has
    /// not so much left.
    pub(super) fn take<C: BitCoder>(&mut self, length: usize, bytes: &[u8]) -> Option<Option<Vec<u8>>> {
        let (block, taken) = self.block.as_mut()?;
        if !C::DECODES {
            return Some(Some(bytes.to_vec()));
        }
        let string = block[*taken..].get(..length).map(<[u8]>::to_vec);
        *taken += string.as_ref().map_or(0, Vec::len);
        Some(string)
    }

    /// Whether nothing of the block is left.
    pub(super) fn is_spent(&self) -> bool {
        self.block.as_ref().is_none_or(|(block, taken)| *taken >= block.len())
    }

    /// The blocks that could make a frame of `frame_bytes` smaller: of which strings, how long decompressed, compressed.
    pub(super) fn blocks(self, frame_bytes: usize) -> impl Iterator<Item = (Apart, usize, Vec<u8>)> {
        let [binary, all] = self.gathered.unwrap_or_default();
        let all = if all.len() == binary.len() { Vec::new() } else { all };
        [(Apart::Bytes, binary), (Apart::All, all)].into_iter().filter_map(move |(apart, bytes)| {
            if !(MIN_BYTES..=MAX_BODY_BYTES).contains(&bytes.len()) {
                return None;
            }
            let block = lz4_flex::block::compress(&bytes);
            (block.len() < frame_bytes.min(bytes.len()).min(MAX_FRAME_BYTES)).then_some((
                apart,
                bytes.len(),
                block,
            ))
        })
    }
}

/// Codes a block: one of 1 to 65,536 bytes that becomes 1 to 262,144.
pub(super) fn code_block<C: BitCoder>(
    coder: &mut C,
    length: usize,
    block: &[u8],
) -> Result<Vec<u8>, DecodeError> {
    let length = coder.code_raw(LENGTH_BITS, (length as u64).wrapping_sub(1)) as usize + 1;
    let block_length = coder.code_raw(BLOCK_BITS, (block.len() as u64).wrapping_sub(1)) as usize + 1;
    let mut coded = Vec::new();
    for position in 0..block_length {
        if coder.is_exhausted() {
            return Err(DecodeError::Malformed("cut short"));
        }
        coded.push(coder.code_raw(8, block.get(position).copied().unwrap_or(0).into()) as u8);
    }
    if !C::DECODES {
        return Ok(Vec::new());
    }
    match lz4_flex::block::decompress(&coded, length) {
        Ok(bytes) if bytes.len() == length => Ok(bytes),
        _ => Err(DecodeError::Malformed("not an LZ4 block")),
    }
}
