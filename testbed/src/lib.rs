//! Proves what Tern claims.
//!
//! [`link`] is a satellite link in software. [`proxy`] puts it between real processes on loopback, [`emulator`]
//! between two network namespaces; a [`path`] is either with its two ends. [`run`] sends a [`scenario`]'s samples
//! through real binaries over a path and measures, [`peers`] through what else there is, [`check`] measures the path
//! itself, [`report`] and [`compare`] show results, [`demo`] shows the whole on one machine. `tests/` push whole flights through it and kill it at random moments.

pub mod check;
mod client;
pub mod codec;
pub mod compare;
pub mod demo;
pub mod emulator;
pub mod latency;
pub mod link;
pub mod namespace;
pub mod path;
pub mod peers;
pub mod process;
pub mod proxy;
pub mod report;
pub mod run;
pub mod scenario;
