//! Proves what Tern claims.
//!
//! [`link`] is a satellite link in software. [`proxy`] puts it between real processes on loopback, [`emulator`]
//! between two network namespaces, [`netem`] is the kernel's own in that place, in a [`guest`] where this kernel has
//! none; a [`path`] is any of them with its two ends. [`run`] sends a [`scenario`]'s samples through real binaries over
//! a path and measures, [`peers`] through what else there is, [`check`] measures the path itself, [`report`] and
//! [`compare`] show results, [`demo`] shows the whole on one machine, with a [`device`] to command; [`load`] shows how
//! much one ground carries. `tests/` push whole flights through it and kill it at random moments.

mod certificate;
pub mod check;
mod client;
pub mod codec;
pub mod compare;
pub mod demo;
pub mod device;
pub mod emulator;
mod folder;
pub mod guest;
pub mod latency;
pub mod link;
pub mod load;
pub mod namespace;
pub mod netem;
pub mod path;
pub mod peers;
pub mod process;
pub mod progress;
pub mod provenance;
pub mod proxy;
pub mod report;
pub mod run;
pub mod scenario;
