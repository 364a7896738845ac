//! A client's line: what is published goes straight onto its connection while the client's task has nothing to send, and
//! otherwise wakes that.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Clients;
use crate::publish::{Feed, Next, Progress, Subscriber, Subscription};
use crate::serve::{Sent, Wire};

/// The line of a client.
#[derive(Debug)]
pub(super) struct Line {
    clients: Arc<Clients>,
    /// `None` where only the client's task can send: with TLS, and server-sent events.
    wire: Option<Arc<Wire>>,
    /// Notified when the client's task has to look at its subscriptions.
    wake: Notify,
    /// The subscriptions that are sent straight; empty while the client's task sends.
    lent: Mutex<Vec<Lent>>,
}

#[derive(Debug)]
struct Lent {
    feed: Arc<Feed>,
    progress: Progress,
}

impl Line {
    pub(super) fn new(clients: Arc<Clients>, wire: Option<Arc<Wire>>) -> Self {
        Line { clients, wire, wake: Notify::new(), lent: Mutex::default() }
    }

    /// Waits until the client's task has to look at its subscriptions. May be dropped while it waits.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Whether anything can be sent straight.
    pub(super) fn is_direct(&self) -> bool {
        self.wire.is_some()
    }

    /// From here on what is published is sent straight, until [`Line::take_back`]. Everything of the client's own is flushed.
    pub(super) fn lend(&self, subscriptions: &[Subscription]) {
        let mut lent = self.lent();
        lent.extend(subscriptions.iter().map(|of| Lent { feed: of.feed().clone(), progress: of.progress() }));
        // What came before they were lent nobody has sent. What comes after this look is told again.
        if !subscriptions.iter().all(Subscription::is_current) {
            lent.clear();
            self.wake.notify_one();
        }
    }

    /// From here on the client's task sends. The subscriptions are those that were lent.
    pub(super) fn take_back(&self, subscriptions: &mut [Subscription]) {
        let mut lent = self.lent();
        for (subscription, lent) in subscriptions.iter_mut().zip(lent.drain(..)) {
            subscription.set_progress(lent.progress);
        }
    }

    /// Whether everything of the feed was sent.
    fn send(&self, lent: &mut Lent, now: Instant) -> bool {
        let Some(wire) = &self.wire else { return false };
        loop {
            let mut progress = lent.progress;
            match progress.next(&lent.feed, now) {
                Next::Nothing => return true,
                Next::Behind => return false,
                Next::Piece(piece) => {
                    let sent = wire.send(&piece.frames);
                    if sent == Sent::Nothing {
                        return false;
                    }
                    lent.progress = progress;
                    self.clients.counters.messages.fetch_add(piece.messages.len() as u64, Ordering::Relaxed);
                    if sent == Sent::Begun {
                        return false;
                    }
                }
            }
        }
    }

    fn lent(&self) -> MutexGuard<'_, Vec<Lent>> {
        // No code under this lock can leave a subscription half lent.
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Line {
    fn published(&self, feed: &Arc<Feed>, now: Instant) {
        let mut lent = self.lent();
        let lent = lent.iter_mut().find(|lent| Arc::ptr_eq(&lent.feed, feed));
        if !lent.is_some_and(|lent| self.send(lent, now)) {
            self.wake.notify_one();
        }
    }
}
