//! Proves what Tern claims.
//!
//! [`link`] is a satellite link in software, [`proxy`] puts it between real processes, [`demo`] shows the whole.

pub mod link;
