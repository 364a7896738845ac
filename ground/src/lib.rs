//! The ground's end of Tern.
pub mod clock;
pub mod config;
pub mod history;
pub mod tls;
pub mod json;
pub mod publish;
