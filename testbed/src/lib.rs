//! Proves what Tern claims.
//!
//! [`link`] is a satellite link in software. [`proxy`] puts it between real processes on loopback, [`emulator`]
//! between two network namespaces; a [`path`] is either with its two ends. [`run`] sends a [`scenario`]'s samples
//! through real binaries over a path and measures, [`check`] measures the path itself, [`demo`] shows the whole on
//! one machine, with a [`device`] to command; [`load`] shows how much one ground carries. `tests/` push whole flights
//! through it and kill it at random moments.

pub mod check;
mod client;
pub mod codec;
pub mod demo;
pub mod device;
pub mod emulator;
pub mod latency;
pub mod link;
pub mod load;
pub mod namespace;
pub mod path;
pub mod process;
pub mod proxy;
pub mod run;
pub mod scenario;
