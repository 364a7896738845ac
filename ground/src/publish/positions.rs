//! Gives records their positions, and knows up to where the history has all of them.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::cursor::{HistoryTag, Position};

/// The positions of this run of the ground.
#[derive(Debug)]
pub struct Positions {
    history: HistoryTag,
    given: Mutex<Given>,
    settled: watch::Sender<Position>,
}

#[derive(Debug)]
struct Given {
    last: Position,
    /// The first positions of frames that the history has yet to commit or to refuse.
    unsettled: BTreeSet<Position>,
}

impl Positions {
    /// Positions after `last`.
    pub fn new(history: HistoryTag, last: Position) -> Self {
        let given = Mutex::new(Given { last, unsettled: BTreeSet::new() });
        Positions { history, given, settled: watch::Sender::new(last) }
    }

    /// The history that they belong to.
    pub fn history(&self) -> HistoryTag {
        self.history
    }

    /// The last that was given.
    pub fn last(&self) -> Position {
        self.lock().last
    }

    /// Gives positions to the records of a frame, at least one; returns that of the first. The frame is to be
    /// [settled](Self::settle).
    pub fn take(&self, records: u64) -> Position {
        let mut given = self.lock();
        let first = given.last.plus(1);
        given.last = given.last.plus(records);
        given.unsettled.insert(first);
        first
    }

    /// The history has committed these frames, or never will; named by the positions of their first records.
    pub fn settle(&self, frames: impl IntoIterator<Item = Position>) {
        let mut given = self.lock();
        for first in frames {
            given.unsettled.remove(&first);
        }
        let settled = match given.unsettled.first() {
            Some(first) => Position(first.0 - 1),
            None => given.last,
        };
        self.settled.send_if_modified(|current| std::mem::replace(current, settled) != settled);
    }

    /// Waits until all frames up to a position are settled.
    pub async fn settled(&self, up_to: Position) {
        if self.lock().unsettled.first().is_none_or(|first| *first > up_to) {
            return;
        }
        // The sender lives as long as `self`.
        let _ = self.settled.subscribe().wait_for(|settled| *settled >= up_to).await;
    }

    fn lock(&self) -> MutexGuard<'_, Given> {
        // No code under this lock can leave it half changed.
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_settled_out_of_order_waits_for_what_is_before_it() {
        let positions = Positions::new(HistoryTag(1), Position(100));
        positions.settled(Position(100)).await;
        let (first, second) = (positions.take(10), positions.take(5));
        assert_eq!((first, second, positions.last()), (Position(101), Position(111), Position(115)));
        positions.settle([second]);
        let wait = positions.settled(Position(112));
        tokio::pin!(wait);
        tokio::select! {
            biased;
            () = &mut wait => panic!("the first frame is on its way"),
            () = std::future::ready(()) => {}
        }
        positions.settle([first]);
        wait.await;
    }
}
