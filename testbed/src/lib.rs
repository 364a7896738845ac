//! Proves what Tern claims.
//!
//! [`link`] is a satellite link in software, [`proxy`] puts it between real processes, [`demo`] shows the whole on
//! one machine. `tests/` push whole flights through it and kill it at random moments.

pub mod codec;
pub mod demo;
pub mod link;
pub mod process;
pub mod proxy;
