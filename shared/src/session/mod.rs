//! The session: what crosses the link when, free of I/O.
//!
//! The same on every transport, outliving them all. Each end owns one state machine and drives it alike: feed it what
//! happened (`handle_*`), send what [`poll_transmit`](EdgeSession::poll_transmit) gives, act on
//! [`poll_event`](EdgeSession::poll_event), and call `handle_timeout` when `poll_timeout` says so.

mod commands;
mod ledger;
mod pacing;
mod receive;
mod send;
mod transmit;

pub use receive::{GroundEvent, GroundSession};
pub use send::{EdgeEvent, EdgeSession, Frame, Identity, SendConfig, SendStats};
pub use transmit::{Carrier, Channel, Transmit};
