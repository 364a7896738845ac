//! What a link of datagrams needs beneath the session, free of I/O: [`coding`] lets the ground recover packets that
//! the sky lost without asking for them.

pub mod coding;
mod loss;
mod protection;

pub use loss::{LossMeter, LossReport};
pub use protection::{Pins, Protection};
