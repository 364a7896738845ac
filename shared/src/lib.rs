//! What both ends of a Tern link agree on, free of I/O.
//!
//! No tokio, no sockets, no database and no clock live here: time is an argument everywhere, so that a
//! twenty-minute outage is a test of milliseconds. Read in the order of the data flow:
//!
//! [`record`] and [`schema`] are what is carried, [`batch`] gathers it, [`codec`] turns a batch into a frame,
//! [`message`] is what crosses the link, [`session`] decides what crosses it when.

pub mod backoff;
pub mod batch;
pub mod clock;
pub mod codec;
pub mod command;
pub mod datagram;
pub mod environment;
pub mod id;
pub mod intake;
pub mod mavlink;
pub mod message;
pub mod pattern;
pub mod quantity;
pub mod quic;
pub mod range;
pub mod record;
pub mod schema;
pub mod session;
pub mod time;
