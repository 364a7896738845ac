//! MAVLink: the dialect both ends share, frames on the wire, payloads as values.

pub mod dialect;
pub mod frame;
pub mod payload;
