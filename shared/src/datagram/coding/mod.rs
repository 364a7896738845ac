//! A sliding-window random linear code over GF(256): lost payloads come back without a round trip.
//!
//! Packets carry payloads, numbered consecutively, and some coded [`Symbols`]. A symbol is a linear combination of the
//! payloads in a window *before* that of its packet (the packet is lost as a whole, so a symbol would be of no use to the
//! payload beside it). The ground subtracts what it has and solves for what it lacks: as many symbols as losses inside the
//! windows, and all of them are back.
//!
//! ```text
//! packet:  payload n | window 4, two symbols | symbol           | symbol
//!                                              n-4 n-3 n-2 n-1    the same, other coefficients
//! ```
//!
//! A symbol costs what the longest payload of its window does with its length, and a packet's symbols one byte together,
//! as does the number of the payload ([`PayloadNumbers`]). Everything else follows from the packet's own number.
//! `docs/PROTOCOL.md` has the arithmetic.

mod gf256;
mod numbers;
mod receiver;
mod sender;
mod symbol;
#[cfg(test)]
mod tests;

pub use numbers::{CERTAIN_PACKETS, PayloadNumbers};
pub use receiver::{CodingReceiver, CodingStats};
pub use sender::{CodingSender, PayloadTooLong};
pub use symbol::Symbols;

/// The most payloads that a symbol combines.
pub const MAX_WINDOW: u8 = 64;

/// The most symbols in a packet.
pub const MAX_SYMBOLS_PER_PACKET: u8 = 4;

/// The longest payload, bytes: what a packet carries at most.
pub const MAX_PAYLOAD_BYTES: usize = 1400;

/// How far back the ground remembers payloads and hopes for lost ones, numbers. Twice the largest window, so that
/// packets may come out of order by as much as that.
pub const HORIZON: usize = 2 * MAX_WINDOW as usize;
