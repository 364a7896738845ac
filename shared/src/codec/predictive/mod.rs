//! The predictive codec: frames that continue what earlier frames began.
//!
//! ```text
//! frame := range coded: head (what it continues, what its state is kept for, parts), strings of LZ4 if any, a part after
//!          another, check
//! part  := number of records, then a record after another in the order of their times: which stream, when, the fields
//! ```
//!
//! A frame is told from those of the simple codec by its first byte, which is over 1. A key frame begins from nothing; a
//! next frame continues the frame whose records end where its own begin; a since frame says how far back the frame began
//! that it continues. Its parts are batches that follow each other: a live frame has one, a backlog frame as many as were
//! stored one by one. The check is of all that the frame and those it continues have carried, and of the record numbers: a
//! decoder that does not agree has another state than the encoder had, and asks for a key frame.
//!
//! Both ends run the same models over the same values, so each value teaches both what the next will be like. Read:
//! `state` (what is remembered), `contents` (what of it LZ4 shrinks), `events` (which stream when), `stream` (one record), `number` (predictors), `residual`
//! and `first` (what is coded), `model` and `range_coder` (how). `docs/CODEC.md` has the bytes.
//!
//! Bounds: an end keeps at most [`MAX_STATES`] states that share what is equal in them, of at most 16,384 columns; a
//! frame has at most the simple codec's bytes, records and values.

mod contents;
mod decoder;
mod encoder;
mod events;
mod first;
mod head;
mod history;
mod layout;
mod model;
mod number;
mod quantities;
mod range_coder;
mod residual;
mod state;
mod stream;
mod text;

#[cfg(test)]
mod document;
#[cfg(test)]
mod tests;

pub use self::decoder::{Decoder, FrameError};
pub use self::encoder::{Base, Encoder, Keep, TooLarge};
pub use self::head::MAX_PARTS;

/// The most states that either end keeps for frames to come.
pub const MAX_STATES: usize = MAX_LASTING_STATES + MAX_PASSING_STATES;
/// Those of them that any frame may continue. A decoder drops the oldest, so an encoder takes none before these.
const MAX_LASTING_STATES: usize = 24;
/// Those for the next frame only: one, and those whose next frame was lost or is late.
const MAX_PASSING_STATES: usize = 8;

/// Whether the frame continues the one whose records end where its own begin, and so cannot be decoded before that.
pub fn continues_previous(frame: &[u8]) -> bool {
    let head = head::Head::UNKNOWN.code(&mut range_coder::Decoder::new(frame));
    head.is_some_and(|head| head.continues == head::Continues::Previous)
}

/// A state after a frame, for a frame to come.
#[derive(Clone, Debug)]
struct Kept {
    /// The number after the frame's last record.
    end: u64,
    state: state::State,
    /// Whether it stays when a frame has continued it.
    lasting: bool,
    acknowledged: bool,
}
