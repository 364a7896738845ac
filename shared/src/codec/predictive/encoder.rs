//! The end that makes frames.

use std::collections::{BTreeMap, BTreeSet};

use super::contents::{Contents, code_block};
use super::head::{Continues, Head, MAX_PARTS};
use super::layout::Layouts;
use super::range_coder::{self, BitCoder};
use super::state::{Parts, State, Tables};
use super::{Kept, MAX_LASTING_STATES, MAX_PASSING_STATES};
use crate::batch::Batch;
use crate::codec::{self, SchemaTable};
use crate::id::SchemaId;
use crate::message::MAX_FRAME_BYTES;
use crate::record::Record;

/// What a frame continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing: a key frame, which decodes whatever came before.
    Key,
    /// The frame whose records end where this one's begin, else the newest of those before that were kept; a key frame
    /// where none was.
    Previous,
    /// The newest frame that was acknowledged; a key frame where none was.
    Acknowledged,
}

/// What a frame's state is kept for, at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: backlog.
    Nothing,
    /// The frame that follows, and no other.
    ForNext,
    /// Any frame, once it is acknowledged.
    ForAll,
}

/// The parts do not fit a frame of so many bytes, or not the limits of a frame: encode fewer of them, or a smaller
/// batch. The encoder is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these records do not fit a frame of {max_bytes} bytes")]
pub struct TooLarge {
    /// What there was room for.
    pub max_bytes: usize,
}

/// Makes frames, and remembers what those made that others continue.
#[derive(Debug, Default)]
pub struct Encoder {
    kept: BTreeMap<u64, Kept>,
    /// The end of the last frame whose state was ever kept.
    kept_until: u64,
    /// States of frames below this number count as lost at the other end until it acknowledges them.
    doubted_until: u64,
    layouts: Layouts,
    micros: BTreeSet<SchemaId>,
}

impl Encoder {
    /// One that remembers nothing.
    pub fn new() -> Self {
        Encoder::default()
    }

    /// Carries this stream's capture times in microseconds, where those of others are rounded to milliseconds. Costs
    /// more than a byte a record. Takes effect with the next frame that does not continue one which knew the stream.
    pub fn carry_microseconds(&mut self, schema: SchemaId) {
        self.micros.insert(schema);
    }

    /// Encodes batches, one or up to [`MAX_PARTS`] of them, of which the first one's first record has the number
    /// `first` and each other's the number after the last of the one before. They come back as they are given.
    ///
    /// What the models would only make larger (noise), and a batch of more streams than a state holds, comes as a frame
    /// of the simple codec if it is the only one. Such a frame continues nothing and is not continued.
    ///
    /// The state after a frame is kept only if the frame has records, all of them with numbers above those of every frame
    /// whose state was kept before.
    ///
    /// Record times are rounded to milliseconds but for streams that [carry microseconds](Self::carry_microseconds).
    ///
    /// # Errors
    ///
    /// [`TooLarge`] when the frame would have more than `max_bytes` or be over the limits of a frame: nothing has
    /// changed then.
    pub fn encode(
        &mut self,
        parts: &[Batch],
        schemas: &SchemaTable,
        first: u64,
        base: Base,
        keep: Keep,
        max_bytes: usize,
    ) -> Result<Vec<u8>, TooLarge> {
        let max_bytes = max_bytes.min(MAX_FRAME_BYTES);
        let too_large = TooLarge { max_bytes };
        if !(1..=MAX_PARTS).contains(&parts.len()) {
            return Err(too_large);
        }
        let simple = || match parts {
            [batch] => Some(codec::encode(batch, schemas)).filter(|frame| frame.len() <= max_bytes),
            _ => None,
        };
        let (continues, at, mut state) = self.base(first, base);
        let count: usize = parts.iter().map(|batch| batch.records().len()).sum();
        // So that two frames never end alike: which one a frame continues must not depend on what was lost.
        let keep = if count == 0 || first < self.kept_until { Keep::Nothing } else { keep };
        let head = Head { continues, keep, parts: parts.len(), has_block: false };
        state.begin(first);
        let mut tables = Tables { schemas, layouts: &mut self.layouts, micros: &self.micros };
        let coded = match keep {
            Keep::Nothing => code_smallest(head, &state, &mut tables, parts),
            _ => code(head, None, &mut state, &mut tables, &mut Contents::default(), parts, max_bytes),
        };
        let Some(frame) = coded.filter(|frame| frame.len() <= max_bytes) else {
            return simple().ok_or(too_large);
        };
        let most: usize = parts.iter().flat_map(Batch::records).map(Record::size_hint).sum();
        // A frame that others can continue is worth some bytes.
        let worth = if keep == Keep::Nothing { most } else { most + most / 8 + 64 };
        // Repetition over long distances is what LZ4 finds and the models do not.
        if (frame.len() > worth || keep == Keep::Nothing && frame.len() > 512)
            && let Some(simple) = simple().filter(|simple| simple.len() < frame.len())
        {
            return Ok(simple);
        }
        // What was kept for the next frame only is used up.
        if at.is_some_and(|at| self.kept.get(&at).is_some_and(|kept| !kept.lasting)) {
            self.kept.retain(|kept, _| Some(*kept) != at);
        }
        if keep != Keep::Nothing {
            let end = first.wrapping_add(count as u64);
            self.kept_until = end;
            let lasting = keep == Keep::ForAll;
            self.kept.insert(first, Kept { end, state, lasting, acknowledged: false });
            self.forget();
        }
        Ok(frame)
    }

    /// Says that the other end decoded the frame that begins with record `first`. States from before it are forgotten.
    pub fn acknowledge(&mut self, first: u64) {
        let Some(kept) = self.kept.get_mut(&first).filter(|kept| kept.lasting) else { return };
        kept.acknowledged = true;
        self.kept.retain(|&at, kept| at >= first || !kept.lasting);
    }

    /// Takes all frames so far for lost of which the other end does not say that it decoded them: none continues them.
    pub fn doubt(&mut self) {
        self.doubted_until = self.kept_until;
    }

    /// Forgets all states: the next frame is a key frame. For when the other end asks for one, or another end begins.
    /// Numbers go on; another epoch takes another encoder.
    pub fn restart(&mut self) {
        self.kept.clear();
    }

    /// How many states are kept, at most [`MAX_STATES`].
    pub fn kept_states(&self) -> usize {
        self.kept.len()
    }

    /// What the frame continues, the first record of that, and its state.
    fn base(&self, first: u64, base: Base) -> (Continues, Option<u64>, State) {
        let acknowledged = || self.kept.iter().rev().find(|(_, kept)| kept.acknowledged);
        let found = match base {
            Base::Key => None,
            Base::Previous => {
                let before = self.kept.range(..first).rev().take_while(|&(&at, _)| at >= self.doubted_until);
                let previous = before.clone().find(|(_, kept)| kept.end == first).or(before.clone().next());
                previous.or_else(acknowledged)
            }
            Base::Acknowledged => acknowledged(),
        };
        match found {
            None => (Continues::Nothing, None, State::default()),
            Some((&at, kept)) if kept.end == first => (Continues::Previous, Some(at), kept.state.clone()),
            Some((&at, kept)) => (Continues::Since(first.wrapping_sub(at)), Some(at), kept.state.clone()),
        }
    }

    /// Keeps the states that the decoder keeps when every frame reaches it. One older than these is gone there, even if it
    /// was acknowledged.
    fn forget(&mut self) {
        for (lasting, room) in [(true, MAX_LASTING_STATES), (false, MAX_PASSING_STATES)] {
            let mut alike = self.kept.iter().filter(|(_, kept)| kept.lasting == lasting);
            if alike.clone().count() > room {
                let oldest = alike.next().map(|(&at, _)| at);
                oldest.map(|at| self.kept.remove(&at));
            }
        }
    }
}

/// A frame that nothing continues: with or without a block, whichever is smaller.
fn code_smallest(head: Head, begun: &State, tables: &mut Tables<'_>, parts: &[Batch]) -> Option<Vec<u8>> {
    let mut contents = Contents::gathering();
    // Whatever its size, as a block holds all strings of the frame.
    let mut frame = code(head, None, &mut begun.clone(), tables, &mut contents, parts, usize::MAX)?;
    for (apart, length, block) in contents.blocks(frame.len()) {
        let (head, block) = (Head { has_block: true, ..head }, Some((length, block.as_slice())));
        let mut contents = Contents::apart(apart);
        if let Some(other) =
            code(head, block, &mut begun.clone(), tables, &mut contents, parts, frame.len() - 1)
        {
            frame = other;
        }
    }
    Some(frame)
}

/// A frame; `None` when it does not fit. `block` is how long it is decompressed, and itself.
fn code(
    head: Head,
    block: Option<(usize, &[u8])>,
    state: &mut State,
    tables: &mut Tables<'_>,
    contents: &mut Contents,
    parts: &[Batch],
    max_bytes: usize,
) -> Option<Vec<u8>> {
    let mut coder = range_coder::Encoder::new(max_bytes);
    head.code(&mut coder);
    if let Some((length, block)) = block {
        code_block(&mut coder, length, block).ok()?;
    }
    state.code(&mut coder, tables, contents, Parts::Given(parts)).ok()?;
    let records = parts.iter().map(|part| part.records().len()).sum();
    coder.code_raw(head.check_bits(records), state.hash().into());
    Some(coder.finish()).filter(|frame| frame.len() <= max_bytes)
}
