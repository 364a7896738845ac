//! Who tells the subscribers of feeds that something has come: some of one feed at a time, so that one with thousands of
//! them holds up no other, and on several threads at once.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::feed::Feed;

/// Who is told that a feed has something.
pub trait Subscriber: Debug + Send + Sync {
    /// There is a piece, or several. Must not wait.
    fn published(&self, feed: &Arc<Feed>, now: Instant);
}

/// Feeds with subscribers that are yet to be told.
#[derive(Debug, Default)]
pub struct Rounds {
    feeds: Mutex<VecDeque<Arc<Feed>>>,
    begun: Notify,
}

impl Rounds {
    /// A feed has something for its subscribers. It is not among the feeds yet.
    pub(super) fn begin(&self, feed: Arc<Feed>) {
        self.feeds().push_back(feed);
        self.begun.notify_one();
    }

    /// Tells subscribers for as long as it is polled. Several may.
    pub async fn run(&self) {
        loop {
            while self.tell_some() {
                yield_now().await;
            }
            self.begun.notified().await;
        }
    }

    /// Tells some subscribers of one feed; `false` when all of all feeds know.
    pub(super) fn tell_some(&self) -> bool {
        let Some(feed) = self.feeds().pop_front() else { return false };
        let (some, more) = feed.next_to_tell();
        if more {
            self.begin(feed.clone());
        } else if !self.feeds().is_empty() {
            // Whoever is told of a feed takes one, and has the next told.
            self.begun.notify_one();
        }
        let now = Instant::now();
        some.iter().for_each(|subscriber| subscriber.published(&feed, now));
        true
    }

    fn feeds(&self) -> MutexGuard<'_, VecDeque<Arc<Feed>>> {
        // No code under this lock can leave the queue half changed.
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Subscriber for Notify {
    fn published(&self, _feed: &Arc<Feed>, _now: Instant) {
        self.notify_one();
    }
}
