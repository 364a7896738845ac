//! What clients see: the newest value of every stream, then everything as it comes.
//!
//! Subscriptions of the same shape (name, encoding, filter, and what their clients may see) share a feed: a record is
//! serialised once for all of them. The hub never waits for a client: one that falls behind is told what it missed and
//! goes on from the newest values.

pub mod counters;
pub mod cursor;
pub mod encode;
mod feed;
mod filter;
mod hub;
pub mod message;
pub mod operation;
mod positions;
mod rounds;
mod snapshot;
mod subscription;
mod thinning;
#[cfg(test)]
mod typescript;

pub use feed::{Feed, Next, Shape};
pub use filter::{Filter, InvalidFilter, Selection, matches_any, patterns};
pub use hub::{Arrival, Hub, PublishedRecord};
pub use positions::Positions;
pub use rounds::{Rounds, Subscriber};
pub use subscription::{Progress, Subscription};
