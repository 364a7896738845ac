//! What a link of datagrams needs beneath the session, free of I/O.
//!
//! [`coding`] lets the ground recover packets that the sky lost without asking for them, [`loss`] tells how much is lost,
//! [`protection`] how often packets should leave and how much coding they should carry, and [`rate`] finds out how much
//! the link carries.

pub mod coding;
pub mod loss;
pub mod protection;
pub mod rate;
