//! The vehicle's end of Tern.
//!
//! Read in the order of the data flow: [`source`] takes telemetry in, [`spool`] keeps it while the link is down.

pub mod source;
pub mod spool;
