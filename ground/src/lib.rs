//! The ground's end of Tern.
pub mod clock;
pub mod config;
pub mod history;
pub mod tls;
