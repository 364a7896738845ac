//! The end that takes frames.

use std::collections::{BTreeMap, BTreeSet};

use super::head::{Continues, Head};
use super::layout::Layouts;
use super::range_coder::{self, BitCoder};
use super::state::{Parts, State, Tables};
use super::{Keep, Kept, MAX_STATES};
use crate::codec::{self, DecodeError, SchemaTable};
use crate::message::MAX_FRAME_BYTES;
use crate::record::Record;

/// Takes frames, and remembers what others may continue.
#[derive(Debug, Default)]
pub struct Decoder {
    kept: BTreeMap<u64, Kept>,
    /// The newest frame that another continued by its name.
    base: u64,
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
    /// See [`FrameError`]. The state that the frame continued may be gone after an error; nothing wrong is returned but
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
        let state = match head.continues {
            Continues::Nothing => Some(State::default()),
            Continues::Previous => self.previous(first),
            Continues::Since(back) => self.since(first.wrapping_sub(back)),
        };
        let mut state = state.ok_or(FrameError::NoBase { first })?;
        state.begin(first);
        let mut tables = Tables { schemas, layouts: &mut self.layouts, micros: &BTreeSet::new() };
        let coded = state.code(&mut coder, &mut tables, Parts::Coded(head.parts));
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
        if head.keep != Keep::Nothing {
            let end = first.wrapping_add(count as u64);
            let lasting = head.keep == Keep::ForAll;
            self.kept.insert(first, Kept { end, state, lasting, acknowledged: false });
            while self.kept.len() > MAX_STATES {
                self.kept.pop_first();
            }
        }
        Ok(parts)
    }

    /// Forgets all states.
    pub fn restart(&mut self) {
        self.kept.clear();
        self.base = 0;
    }

    /// How many states are kept, at most [`MAX_STATES`].
    pub fn kept_states(&self) -> usize {
        self.kept.len()
    }

    /// The encoder goes back no further than before: what is older than the base before this one, which a frame that
    /// was overtaken may still name, is not needed.
    fn since(&mut self, at: u64) -> Option<State> {
        let state = self.kept.get(&at)?.state.clone();
        if at > self.base {
            self.kept = self.kept.split_off(&self.base);
            self.base = at;
        }
        Some(state)
    }

    fn previous(&mut self, first: u64) -> Option<State> {
        let (&at, kept) = self.kept.iter().rev().find(|(_, kept)| kept.end == first)?;
        if kept.lasting { Some(kept.state.clone()) } else { self.kept.remove(&at).map(|kept| kept.state) }
    }
}
