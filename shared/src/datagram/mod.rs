//! What a link of datagrams needs beneath the session, free of I/O: [`coding`] lets the ground recover packets that
//! the sky lost without asking for them.

pub mod coding;
pub mod loss;
pub mod protection;
