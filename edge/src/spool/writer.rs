//! The one thread that owns the store.
//!
//! It never waits for the relay: what the relay's channel does not take is kept and offered again, the newest status
//! in place of older ones, answers to fetches at most [`ANSWERS_MAX`]. And the relay never waits for it (see
//! [`inbox`](super::inbox)), so the two cannot block each other, whichever is slow.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tern_shared::message::GapReason;
use tern_shared::time;
use tokio::sync::mpsc;

use super::error::StoreError;
use super::inbox::{Batch, FETCHES_MAX, Fetch, Inbox};
use super::store::{Changes, Counts, Fetched, Held, Store};
use super::{CHECKPOINT_INTERVAL, SpoolEvent, SpoolState, SpoolStatus};

/// The most answers that wait for the relay to take them; the oldest gives way.
const ANSWERS_MAX: usize = 4;

/// When to offer events again that the relay's channel had no room for.
const OFFER_INTERVAL: Duration = Duration::from_millis(20);

/// When to try a fetch again that the system failed to read, unless a commit comes before.
const FETCH_RETRY_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    inbox: Arc<Inbox>,
    events: mpsc::Sender<SpoolEvent>,
    /// `None` when the spool could not be opened: nothing is stored, and every fetch is told so.
    store: Option<Store>,
    /// Counts where there is no store.
    not_stored_records: u64,
    began: Instant,
    /// What the last commit, checkpoint or fetch that failed said, until the same succeeds.
    commit_error: Option<StoreError>,
    checkpoint_error: Option<StoreError>,
    fetch_error: Option<StoreError>,
    checkpoint_at: Option<Instant>,
    /// Fetches that could not be read so far.
    retries: VecDeque<Fetch>,
    answers: VecDeque<Fetched>,
    status: SpoolStatus,
    status_is_news: bool,
}

impl Writer {
    /// `began` is the origin of the store's monotonic time.
    pub(super) fn new(
        inbox: Arc<Inbox>,
        events: mpsc::Sender<SpoolEvent>,
        store: Option<Store>,
        began: Instant,
    ) -> Writer {
        Writer {
            status: inbox.status(),
            inbox,
            events,
            store,
            not_stored_records: 0,
            began,
            commit_error: None,
            checkpoint_error: None,
            fetch_error: None,
            checkpoint_at: None,
            retries: VecDeque::new(),
            answers: VecDeque::new(),
            status_is_news: false,
        }
    }

    /// Runs until the handle closes or is dropped. The last status is left in the inbox.
    pub(super) fn run(mut self) {
        loop {
            let Batch { changes, refused, fetches, closing, .. } = self.inbox.take(self.wake_at());
            for range in refused.iter() {
                self.count_not_stored(range);
            }
            self.commit(changes);
            self.retries.extend(fetches);
            let surplus = self.retries.len().saturating_sub(FETCHES_MAX);
            self.retries.drain(..surplus);
            for fetch in std::mem::take(&mut self.retries) {
                self.fetch(fetch);
            }
            if closing || self.checkpoint_at.is_some_and(|at| at <= Instant::now()) {
                self.checkpoint();
            }
            self.update_status();
            self.offer_events();
            if closing {
                return;
            }
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let now = Instant::now();
        let more = self.commit_error.is_none() && self.store.as_ref().is_some_and(Store::has_more_to_do);
        let offers = self.status_is_news || !self.answers.is_empty();
        [
            more.then_some(now),
            offers.then(|| now + OFFER_INTERVAL),
            (!self.retries.is_empty()).then(|| now + FETCH_RETRY_INTERVAL),
            self.checkpoint_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn commit(&mut self, changes: Changes) {
        let Some(store) = &mut self.store else {
            for frame in &changes.frames {
                self.not_stored_records += frame.range.len();
            }
            return;
        };
        let before = (store.counts(), store.held());
        let result = store.commit(time::Instant(self.began.elapsed()), changes);
        if (store.counts(), store.held()) != before {
            self.checkpoint_at.get_or_insert_with(|| Instant::now() + CHECKPOINT_INTERVAL);
            self.status_is_news = true;
        }
        // Only a commit that had something to write shows that writing works again.
        if result.is_err() || store.counts().committed_records != before.0.committed_records {
            self.commit_error = self.judge("commit", result);
        }
    }

    fn checkpoint(&mut self) {
        self.checkpoint_at = None;
        if let Some(store) = &self.store {
            let result = store.checkpoint();
            if result.is_err() {
                self.checkpoint_at = Some(Instant::now() + CHECKPOINT_INTERVAL);
            }
            self.checkpoint_error = self.judge("checkpoint", result);
        }
    }

    fn fetch(&mut self, fetch: Fetch) {
        let Fetch { range, max_bytes } = fetch;
        let answer = match &self.store {
            Some(store) => store.fetch(range, max_bytes),
            None => {
                let absent = if range.is_empty() { vec![] } else { vec![(range, GapReason::NotStored)] };
                Ok(Fetched { covered: range, frames: vec![], absent })
            }
        };
        let result = match answer {
            Ok(fetched) => {
                if self.answers.len() == ANSWERS_MAX {
                    self.answers.pop_front();
                }
                self.answers.push_back(fetched);
                Ok(())
            }
            Err(error) => {
                // What cannot be read at the moment may be readable later: to call it lost would make it so.
                self.retries.push_back(fetch);
                Err(error)
            }
        };
        self.fetch_error = self.judge("fetch", result);
    }

    /// What of a result is to be remembered; has the file checked at the next start if it is damaged.
    fn judge(&self, operation: &str, result: Result<(), StoreError>) -> Option<StoreError> {
        let error = result.err()?;
        tracing::debug!(operation, %error, "the spool failed");
        if matches!(error, StoreError::Damaged(_))
            && let Some(Err(error)) = self.store.as_ref().map(Store::mark_suspect)
        {
            tracing::warn!(%error, "cannot mark the spool for a check at the next start");
        }
        Some(error)
    }

    fn count_not_stored(&mut self, range: tern_shared::range::SequenceRange) {
        match &mut self.store {
            Some(store) => store.count_not_stored(range),
            None => self.not_stored_records += range.len(),
        }
    }

    fn update_status(&mut self) {
        let error =
            [&self.commit_error, &self.checkpoint_error, &self.fetch_error].into_iter().flatten().next();
        let state = match (&self.store, error) {
            (None, _) => self.status.state.clone(),
            (_, None) => SpoolState::Ok,
            (_, Some(StoreError::Full)) => SpoolState::Full,
            (_, Some(error)) => SpoolState::Failed(error.to_string()),
        };
        let status = match &self.store {
            Some(store) => {
                SpoolStatus { state, up_to: store.high_water(), counts: store.counts(), held: store.held() }
            }
            None => SpoolStatus {
                state,
                up_to: 0,
                counts: Counts { not_stored_records: self.not_stored_records, ..Counts::default() },
                held: Held::default(),
            },
        };
        if status != self.status {
            // Whoever goes on without a store knows why.
            self.status_is_news = self.store.is_some();
            self.inbox.set_status(status.clone());
            self.status = status;
        }
    }

    fn offer_events(&mut self) {
        while let Some(answer) = self.answers.pop_front() {
            if let Err(error) = self.events.try_send(SpoolEvent::Fetched(answer)) {
                if let mpsc::error::TrySendError::Full(SpoolEvent::Fetched(answer)) = error {
                    self.answers.push_front(answer);
                }
                break;
            }
        }
        if self.status_is_news {
            let full = matches!(
                self.events.try_send(SpoolEvent::Spooled(self.status.clone())),
                Err(mpsc::error::TrySendError::Full(_))
            );
            self.status_is_news = full;
        }
    }
}
