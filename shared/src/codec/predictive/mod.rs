//! The predictive codec: frames that continue what earlier frames began.
//!
//! ```text
//! frame := tag (2 key, 3 next, 4 since), [records back (varint), since only], check (1 byte), body
//! body  := range coded: keep (2 bits), number of records, then a record after another in the order of their times:
//!          which stream, when, the fields
//! ```
//!
//! The head is postcard, continuing the simple codec's enum. A key frame begins from nothing; a next frame continues
//! the frame whose records end where its own begin; a since frame names the first record of the frame it continues. The
//! check is of all values that the frame and those it continues have carried, and of the record numbers: a decoder that
//! does not agree has another state than the encoder had, and asks for a key frame.
//!
//! Both ends run the same models over the same values, so each value teaches both what the next will be like. Read:
//! `state` (what is remembered), `events` (which stream when), `stream` (one record), `number` (predictors), `residual`
//! and `first` (what is coded), `model` and `range_coder` (how). `docs/CODEC.md` has the bytes.
//!
//! Bounds: an end keeps at most [`MAX_STATES`] states that share what is equal in them, of at most 16,384 columns; a
//! frame has at most the simple codec's bytes, records and values.

mod decoder;
mod encoder;
mod events;
mod first;
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
mod tests;

pub use self::decoder::{Decoder, FrameError};
pub use self::encoder::{Base, Encoder, Keep};

/// The most states that either end keeps for frames to come.
pub const MAX_STATES: usize = 32;

/// First byte of a key frame: the simple codec has 0 and 1.
const TAG_KEY: u8 = 2;
/// First byte of a frame that continues the one before.
const TAG_NEXT: u8 = 3;
/// First byte of a frame that says how many records back the frame began that it continues.
const TAG_SINCE: u8 = 4;

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
