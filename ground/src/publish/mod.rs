//! What web clients see: the newest value of every stream, then everything as it comes.
//!
//! A record is serialised once; every client sends the same bytes. The hub never waits for a client: one that falls
//! behind is told how much it missed and starts again from the newest values.

pub mod browser;
mod filter;
mod hub;
pub mod message;
pub mod origin;
mod subscription;

pub use filter::{Filter, InvalidFilter, Pattern};
pub use hub::{Hub, NewestValue, Piece, Update};
pub use subscription::{Next, Subscription};
