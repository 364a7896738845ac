//! The vehicle's end of Tern.
//!
//! Read in the order of the data flow: [`source`] takes telemetry in, [`relay`] batches and numbers it, [`spool`]
//! keeps it while the link is down, [`link`] carries it to the ground. [`command`] is the way back.

pub mod clock;
pub mod command;
pub mod config;
pub mod link;
pub mod link_state;
pub mod metrics;
pub mod microseconds;
pub mod registry;
pub mod relay;
pub mod source;
pub mod spool;
pub mod status;
