//! Bad input to the real binaries: each with a clear error, and nothing lost.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

#[path = "../common/mod.rs"]
mod common;

mod certificate;
mod client;
mod clock;
mod configuration;
mod disk;
mod end;
mod flood;
mod liar;
mod mavlink;
mod messages;
mod middlebox;
mod quic;
mod site;
mod spool_file;
mod tls;
