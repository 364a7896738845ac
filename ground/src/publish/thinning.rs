//! At most so many records a second of a stream, and always the newest in the end.

use std::sync::Arc;
use std::time::Duration;

use tern_shared::message::Lane;
use tern_shared::time::Timestamp;
use tokio::time::Instant;

use super::hub::PublishedRecord;

/// The records of one stream in one feed.
///
/// Live records go by their arrival: one that comes too early waits for its turn, unless a newer one takes its place.
/// Backlog comes in bursts and goes by its capture times, so that what is left of it is as dense as the live records
/// were.
#[derive(Debug)]
pub(super) struct Thinning {
    interval: Duration,
    next: Option<Instant>,
    waiting: Option<Arc<PublishedRecord>>,
    last_backlog: Option<Timestamp>,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinned {
    /// It is sent.
    Send,
    /// It waits until then, or for a newer one.
    Wait(Instant),
    /// It is not sent, or takes the place of one that waits.
    Drop,
}

impl Thinning {
    pub(super) fn new(interval: Duration) -> Self {
        Thinning { interval, next: None, waiting: None, last_backlog: None }
    }

    pub(super) fn admit(&mut self, now: Instant, published: &Arc<PublishedRecord>) -> Thinned {
        if published.lane == Lane::Backlog {
            return self.admit_backlog(published.record.time);
        }
        match self.next {
            Some(next) if now < next => match self.waiting.replace(published.clone()) {
                Some(_) => Thinned::Drop,
                None => Thinned::Wait(next),
            },
            _ => {
                self.waiting = None;
                self.next = Some(now + self.interval);
                Thinned::Send
            }
        }
    }

    /// When a record that waits is to be sent.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.as_ref().and(self.next)
    }

    /// The record whose turn it is.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Arc<PublishedRecord>> {
        self.due().filter(|due| *due <= now)?;
        self.next = Some(now + self.interval);
        self.waiting.take()
    }

    fn admit_backlog(&mut self, time: Timestamp) -> Thinned {
        let interval = self.interval.as_micros() as u64;
        if self.last_backlog.is_some_and(|last| time.0.abs_diff(last.0) < interval) {
            return Thinned::Drop;
        }
        self.last_backlog = Some(time);
        Thinned::Send
    }
}
