//! The end that takes frames.

use std::collections::{BTreeMap, BTreeSet};

use super::contents::{Contents, code_block};
use super::head::{Continues, Head};
use super::layout::Layouts;
use super::range_coder::{self, BitCoder};
use super::state::{Parts, Tables};
use super::{Keep, Kept, MAX_LASTING_STATES, MAX_PASSING_STATES};
use crate::codec::{self, DecodeError, SchemaTable};
use crate::message::MAX_FRAME_BYTES;
use crate::record::Record;

/// Takes frames, and remembers what others may continue.
#[derive(Debug, Default)]
pub struct Decoder {
    kept: BTreeMap<u64, Kept>,
    layouts: Layouts,
}

/// Why a frame cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame continues one that was lost, or not kept: wait for a frame that continues another, or ask for a key
    /// frame.
    #[error("the frame from record {first} on continues a frame that is not here")]
    NoBase {
        /// The frame's first record.
        first: u64,
    },
    /// The frame does not fit the state that it claims to continue. Ask for a key frame.
    #[error("the frame from record {first} on does not fit the state it continues")]
    Desync {
        /// The frame's first record.
        first: u64,
    },
    /// The bytes are no frame, or one over its limits.
    #[error(transparent)]
    Frame(#[from] DecodeError),
}

impl Decoder {
    /// One that remembers nothing.
    pub fn new() -> Self {
        Decoder::default()
    }

    /// Decodes a frame whose first record has the number `first` into the batches that it was made of, each one's records
    /// in the order of their numbers. Takes any bytes, and frames of the simple codec.
    ///
    /// # Errors
    ///
    /// See [`FrameError`]. Nothing has changed then; nothing wrong is returned but
    /// for one case in 65536 (256 for a frame of one record) of a state that is not the encoder's, which no encoder of
    /// this crate brings about.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        schemas: &SchemaTable,
        first: u64,
    ) -> Result<Vec<Vec<Record>>, FrameError> {
        if bytes.len() > MAX_FRAME_BYTES {
            return Err(DecodeError::OverLimit("frame bytes").into());
        }
        let mut coder = range_coder::Decoder::new(bytes);
        let Some(head) = Head::UNKNOWN.code(&mut coder) else {
            return Ok(vec![codec::decode(bytes, schemas)?]);
        };
        let base = match head.continues {
            Continues::Nothing => None,
            Continues::Previous => Some(self.kept.iter().rev().find(|(_, kept)| kept.end == first)),
            Continues::Since(back) => Some(self.kept.get_key_value(&first.wrapping_sub(back))),
        };
        let base = base.map(|base| base.ok_or(FrameError::NoBase { first })).transpose()?;
        let used_up = base.filter(|(_, kept)| !kept.lasting).map(|(&at, _)| at);
        // A copy: a frame that cannot be decoded for want of a schema is tried again when that is there.
        let mut state = base.map(|(_, kept)| kept.state.clone()).unwrap_or_default();
        state.begin(first);
        let mut tables = Tables { schemas, layouts: &mut self.layouts, micros: &BTreeSet::new() };
        let block = head.has_block.then(|| code_block(&mut coder, 0, &[])).transpose();
        let coded = block.and_then(|block| {
            let mut contents = Contents::decoded(block);
            let parts = state.code(&mut coder, &mut tables, &mut contents, Parts::Coded(head.parts))?;
            if contents.is_spent() { Ok(parts) } else { Err(DecodeError::Malformed("a block too long")) }
        });
        let count = coded.as_ref().map_or(0, |parts| parts.iter().map(Vec::len).sum());
        let check_bits = head.check_bits(count);
        let check = coder.code_raw(check_bits, 0);
        let agrees = check == u64::from(state.hash()) & ((1 << check_bits) - 1);
        let parts = match coded {
            Ok(parts) if agrees && coder.is_spent() && !coder.is_exhausted() => parts,
            Err(error @ DecodeError::UnknownSchema(_)) => return Err(error.into()),
            Err(error) if head.continues == Continues::Nothing => return Err(error.into()),
            _ => return Err(FrameError::Desync { first }),
        };
        if let Some(at) = used_up {
            self.kept.remove(&at);
        }
        if head.keep != Keep::Nothing {
            let end = first.wrapping_add(count as u64);
            let lasting = head.keep == Keep::ForAll;
            self.kept.insert(first, Kept { end, state, lasting, acknowledged: false });
            // Those that only the next frame may continue do not drive out those that any may, nor these those.
            let room = if lasting { MAX_LASTING_STATES } else { MAX_PASSING_STATES };
            let alike = self.kept.iter().filter(|(_, kept)| kept.lasting == lasting);
            if alike.clone().count() > room {
                let oldest = alike.map(|(&at, _)| at).next();
                oldest.map(|at| self.kept.remove(&at));
            }
        }
        Ok(parts)
    }

    /// How many states are kept, at most [`MAX_STATES`].
    pub fn kept_states(&self) -> usize {
        self.kept.len()
    }
}
