//! What one client is yet to be sent of one feed.
//!
//! A client is behind when messages were dropped from the feed's queue, or have waited for it for over 2 s: sending them
//! would show the past as if it were live, so it is told what it missed and goes on from the newest values.

use std::sync::Arc;

use axum::extract::ws::Message;
use tokio::time::Instant;

use super::Hub;
use super::cursor::{Cursor, Position};
use super::feed::{Feed, Next, Place};
use super::message::ToClient;
use super::snapshot::Snapshot;
use crate::clock::wall_now;
use crate::json::epoch_seconds;

/// A client's place in a feed.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    feed: Arc<Feed>,
    number: u64,
    progress: Progress,
    snapshot: Option<Snapshot>,
    /// Where the feed began.
    live_after: Position,
    /// What the client has from before that, while the rest of it is filled.
    filling: Option<Cursor>,
}

/// How far a client has been sent a feed.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    place: Place,
    /// Everything up to here has been given out.
    delivered: Position,
}

impl Progress {
    /// What comes next.
    pub fn next(&mut self, feed: &Feed, now: Instant) -> Next {
        let next = feed.next(&mut self.place, now);
        if let Next::Piece(piece) = &next {
            self.delivered = piece.up_to;
        }
        next
    }
}

impl Subscription {
    pub(super) fn new(hub: Arc<Hub>, feed: Arc<Feed>, number: u64, place: Place, snapshot: Snapshot) -> Self {
        let live_after = snapshot.until();
        Subscription {
            hub,
            feed,
            number,
            progress: Progress { place, delivered: Position::START },
            snapshot: Some(snapshot),
            live_after,
            filling: None,
        }
    }

    /// The feed, and with it what the subscription is to.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Where the feed began: what was published after this comes from it.
    pub fn live_after(&self) -> Position {
        self.live_after
    }

    /// Says what the client has from before the feed began, while the rest of it is filled; `None` when all is. A client that
    /// falls behind has its fill ended.
    pub fn set_filling(&mut self, have: Option<Cursor>) {
        self.filling = have.map(|have| Cursor { live_after: Some(self.live_after), ..have });
    }

    /// What the client has from before the feed began, while the rest is filled.
    pub fn filling(&self) -> Option<&Cursor> {
        self.filling.as_ref()
    }

    /// How far the client has been sent the feed.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Says how far the client has been sent the feed by somebody else.
    pub fn set_progress(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// Whether there is nothing to send but what the feed has.
    pub fn is_live(&self) -> bool {
        self.snapshot.is_none() && self.filling.is_none()
    }

    /// Whether every piece of the feed has been given out.
    pub fn is_current(&self) -> bool {
        self.feed.is_current(&self.progress.place)
    }

    /// Whether everything has been given out.
    pub(super) fn is_idle(&self) -> bool {
        self.is_live() && self.feed.is_at_end(&self.progress.place)
    }

    /// What comes next, `None` when there is nothing yet. Adds what the client was too slow for to `missed`.
    pub fn next(&mut self, now: Instant, missed: &mut u64) -> Option<Arc<[Message]>> {
        if let Some(snapshot) = &mut self.snapshot {
            let chunk = snapshot.chunk(&self.hub, &self.feed);
            if !chunk.is_empty() {
                return Some(chunk.into());
            }
            self.progress.delivered = snapshot.until();
            self.snapshot = None;
            return Some(Arc::new([self.ready()]));
        }
        match self.progress.next(&self.feed, now) {
            Next::Piece(piece) => Some(piece.messages),
            Next::Behind => {
                let hub = self.hub.clone();
                // Under the hub's lock, so that the feed goes on where the snapshot ends.
                let _state = hub.lock();
                let published = hub.positions().last();
                let count = self.feed.skip(&mut self.progress.place, now, published);
                *missed += count;
                let told = self.missed(count);
                self.snapshot = Some(Snapshot::new(self.progress.delivered, published));
                Some(Arc::new([told]))
            }
            Next::Nothing => None,
        }
    }

    fn ready(&self) -> Message {
        let shape = &self.feed.shape;
        let server_time = epoch_seconds(wall_now());
        let cursor = self.filling.clone().unwrap_or_else(|| self.hub.cursor(self.progress.delivered));
        shape.encoding.encode(&ToClient::Ready { sub: &shape.sub, server_time, cursor })
    }

    fn missed(&mut self, count: u64) -> Message {
        let shape = &self.feed.shape;
        let from = match self.filling.take() {
            Some(mut have) => {
                have.add(self.live_after, self.progress.delivered);
                Cursor { live_after: None, ..have }
            }
            None => self.hub.cursor(self.progress.delivered),
        };
        shape.encoding.encode(&ToClient::Missed { sub: &shape.sub, count, from })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.unsubscribe(&self.feed, self.number);
    }
}

#[cfg(test)]
mod tests;
