//! What a link of datagrams needs beneath the session, free of I/O.
//!
//! [`coding`] lets the ground recover packets that the sky lost without asking for them, [`loss`] tells how much is lost,
//! and [`protection`] how often packets should leave and how much coding they should carry.

pub mod coding;
pub mod loss;
pub mod protection;
