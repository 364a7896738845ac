//! The end that makes frames.

use std::collections::BTreeMap;

use super::layout::Layouts;
use super::range_coder::{self, BitCoder};
use super::state::{State, order};
use super::{Kept, MAX_STATES, TAG_KEY, TAG_NEXT, TAG_SINCE};
use crate::batch::Batch;
use crate::codec::{self, SchemaTable};
use crate::message::MAX_FRAME_BYTES;
use crate::record::Record;

/// What a frame continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing: a key frame, which decodes whatever came before.
    Key,
    /// The frame whose records end where this one's begin; a key frame where that was not kept.
    Previous,
    /// The newest frame that was acknowledged; a key frame where none was.
    Acknowledged,
}

/// What a frame's state is kept for, at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: backlog.
    Nothing,
    /// The frame that follows, and no other. Costs no copy.
    ForNext,
    /// Any frame, once it is acknowledged.
    ForAll,
}

/// Makes frames, and remembers what those made that others continue.
#[derive(Debug, Default)]
pub struct Encoder {
    kept: BTreeMap<u64, Kept>,
    layouts: Layouts,
}

impl Encoder {
    /// One that remembers nothing.
    pub fn new() -> Self {
        Encoder::default()
    }

    /// Encodes a batch of at least one record, the first of which has the number `first`.
    ///
    /// What the models would only make larger (noise), and a batch of more streams than a state holds, comes as a frame
    /// of the simple codec, which continues nothing and is not continued.
    ///
    /// Record times are rounded to milliseconds.
    pub fn encode(
        &mut self,
        batch: &Batch,
        schemas: &SchemaTable,
        first: u64,
        base: Base,
        keep: Keep,
    ) -> Vec<u8> {
        let (mut head, mut state) = self.base(first, base);
        let check = head.len();
        head.push(0);
        state.begin(first);
        let mut coder = range_coder::Encoder::new(head);
        coder.code_raw(2, keep as u64);
        let coded = state.code(&mut coder, schemas, &mut self.layouts, Some(&order(batch)));
        let mut frame = coder.finish(check + 1);
        frame[check] = state.hash() as u8;
        let most: usize = batch.records().iter().map(Record::size_hint).sum();
        // A frame that others can continue is worth some bytes.
        let worth = if keep == Keep::Nothing { most } else { most + most / 8 + 64 };
        if coded.is_err() || frame.len() > worth || frame.len() > MAX_FRAME_BYTES {
            return codec::encode(batch, schemas);
        }
        if keep == Keep::Nothing {
            let simple = if frame.len() > 512 { codec::encode(batch, schemas) } else { Vec::new() };
            return if simple.is_empty() || simple.len() >= frame.len() { frame } else { simple };
        }
        let end = first.wrapping_add(batch.records().len() as u64);
        let lasting = keep == Keep::ForAll;
        self.kept.insert(first, Kept { end, state, lasting, acknowledged: false });
        self.forget();
        frame
    }

    /// Says that the other end decoded the frame that begins with record `first`. States from before it are forgotten.
    pub fn acknowledge(&mut self, first: u64) {
        let Some(kept) = self.kept.get_mut(&first).filter(|kept| kept.lasting) else { return };
        kept.acknowledged = true;
        self.kept.retain(|&at, kept| at >= first || !kept.lasting);
    }

    /// Forgets all states: the next frame is a key frame. For when the other end asks for one, or another end begins.
    pub fn restart(&mut self) {
        self.kept.clear();
    }

    /// How many states are kept, at most [`MAX_STATES`].
    pub fn kept_states(&self) -> usize {
        self.kept.len()
    }

    fn base(&mut self, first: u64, base: Base) -> (Vec<u8>, State) {
        let found = match base {
            Base::Key => None,
            Base::Previous => self.kept.iter().rev().find(|(_, kept)| kept.end == first),
            Base::Acknowledged => self.kept.iter().rev().find(|(_, kept)| kept.acknowledged),
        };
        let Some((&at, kept)) = found else { return (vec![TAG_KEY], State::default()) };
        if kept.end == first {
            let state = if kept.lasting { Some(kept.state.clone()) } else { None };
            let state = state.or_else(|| self.kept.remove(&at).map(|kept| kept.state)).unwrap_or_default();
            return (vec![TAG_NEXT], state);
        }
        let mut head = vec![TAG_SINCE];
        codec::varint::put(&mut head, first.wrapping_sub(at));
        (head, kept.state.clone())
    }

    /// Keeps to [`MAX_STATES`]: the newest acknowledged state stays, then the oldest go first.
    fn forget(&mut self) {
        while self.kept.len() > MAX_STATES {
            let acknowledged = self.kept.iter().rev().find(|(_, kept)| kept.acknowledged).map(|(&at, _)| at);
            let Some(oldest) = self.kept.keys().copied().find(|at| Some(*at) != acknowledged) else { return };
            self.kept.remove(&oldest);
        }
    }
}
