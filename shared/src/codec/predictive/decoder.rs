//! The end that takes frames.

use std::collections::BTreeMap;

use super::layout::Layouts;
use super::range_coder::{self, BitCoder};
use super::state::State;
use super::{Kept, MAX_STATES, TAG_KEY, TAG_NEXT, TAG_SINCE};
use crate::codec::varint::Reader;
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

    /// Decodes a frame whose first record has the number `first` into its records, in the order of their numbers.
    /// Takes any bytes, and frames of the simple codec.
    ///
    /// # Errors
    ///
    /// See [`FrameError`]. The state that the frame continued may be gone after an error; nothing wrong is returned but
    /// for one case in 256 of a state that is not the encoder's, which no encoder of this crate brings about.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        schemas: &SchemaTable,
        first: u64,
    ) -> Result<Vec<Record>, FrameError> {
        if bytes.len() > MAX_FRAME_BYTES {
            return Err(DecodeError::OverLimit("frame bytes").into());
        }
        let mut input = Reader::new(bytes);
        let tag = *input.take_bytes(1)?.first().unwrap_or(&0);
        let mut state = match tag {
            TAG_KEY => State::default(),
            TAG_NEXT => self.previous(first).ok_or(FrameError::NoBase { first })?,
            TAG_SINCE => {
                let at = first.wrapping_sub(input.take()?);
                self.kept.get(&at).map(|kept| kept.state.clone()).ok_or(FrameError::NoBase { first })?
            }
            _ => return Ok(codec::decode(bytes, schemas)?),
        };
        let check = *input.take_bytes(1)?.first().unwrap_or(&0);
        state.begin(first);
        let mut coder = range_coder::Decoder::new(input.rest());
        let keep = coder.code_raw(2, 0);
        let coded = state.code(&mut coder, schemas, &mut self.layouts, None);
        let mut records = match coded {
            Ok(records) if check == state.hash() as u8 && coder.is_spent() => records,
            Err(error @ DecodeError::UnknownSchema(_)) => return Err(error.into()),
            Err(error) if tag == TAG_KEY => return Err(error.into()),
            _ => return Err(FrameError::Desync { first }),
        };
        records.sort_by_key(|record| record.schema);
        if keep > 0 {
            let end = first.wrapping_add(records.len() as u64);
            self.kept.insert(first, Kept { end, state, lasting: keep > 1, acknowledged: false });
            while self.kept.len() > MAX_STATES {
                self.kept.pop_first();
            }
        }
        Ok(records)
    }

    /// Forgets all states.
    pub fn restart(&mut self) {
        self.kept.clear();
    }

    /// How many states are kept, at most [`MAX_STATES`].
    pub fn kept_states(&self) -> usize {
        self.kept.len()
    }

    fn previous(&mut self, first: u64) -> Option<State> {
        let (&at, kept) = self.kept.iter().rev().find(|(_, kept)| kept.end == first)?;
        if kept.lasting { Some(kept.state.clone()) } else { self.kept.remove(&at).map(|kept| kept.state) }
    }
}
