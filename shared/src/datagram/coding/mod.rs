//! A sliding-window random linear code over GF(256): lost payloads come back without a round trip.
//!
//! Packets carry payloads, and some coded [`Symbols`]. Payloads are cut into *units* of [`UNIT_BYTES`], numbered
//! consecutively, and a symbol is a linear combination of the units in a window *before* that of its packet's payload (the
//! packet is lost as a whole, so a symbol would be of no use to the payload beside it). The ground subtracts what it has
//! and solves for what it lacks: as many symbols as lost units inside the windows, and all of them are back.
//!
//! ```text
//! packet:  payload, units n, n+1, n+2 | window 7, two symbols | symbol           | symbol
//!                                                               n-7 n-6 ... n-1    the same, other coefficients
//! ```
//!
//! Payloads differ in length, so a symbol as long as the longest of its window would cost more than most losses are worth: a
//! symbol is as long as a unit. A packet's symbols cost a byte or two together, and so does the number of the payload's first
//! unit ([`UnitNumbers`]). Everything else follows from the packet's own number. `docs/PROTOCOL.md` has the arithmetic.

mod gf256;
mod numbers;
mod receiver;
mod sender;
mod symbol;
#[cfg(test)]
mod tests;

pub use numbers::{CERTAIN_PACKETS, UnitNumbers};
pub use receiver::{CodingReceiver, CodingStats};
pub use sender::{CodingSender, PayloadTooLong};
pub use symbol::{Symbols, units_of};

/// How long a unit is, and a symbol. With 16, and with 8, more comes late where losses come in bursts: `docs/EXPERIMENTS.md`.
pub const UNIT_BYTES: usize = 14;

/// The most payloads that the vehicle has a symbol reach back.
pub const MAX_WINDOW: u8 = 64;

/// The most units that a symbol combines.
pub const MAX_WINDOW_UNITS: u16 = 512;

/// The most lost units that symbols bring back together: what a longer outage lost goes with the backlog.
pub const MAX_LOST_UNITS: u16 = 256;

/// The longest payload, bytes: what a packet carries at most.
pub const MAX_PAYLOAD_BYTES: usize = 1400;

/// The most units of a payload: behind its length, it is two bytes longer.
pub const MAX_PAYLOAD_UNITS: usize = (MAX_PAYLOAD_BYTES + 2).div_ceil(UNIT_BYTES);

/// The most symbols in a packet.
pub const MAX_SYMBOLS_PER_PACKET: u8 = MAX_PAYLOAD_UNITS as u8;

/// How far back the ground remembers units and hopes for lost ones, numbers. Twice the largest window, so that
/// packets may come out of order by as much as that.
pub const HORIZON: usize = 2 * MAX_WINDOW_UNITS as usize;
