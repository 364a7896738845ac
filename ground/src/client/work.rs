//! What a connection has asked of the history: one step at a time is worked on, and its messages are sent, in turn with the
//! other requests, before the next step begins.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Message;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Clients;
use crate::clock::wall_now;
use crate::json::epoch_seconds;
use crate::publish::encode::{Encoding, size};
use crate::publish::message::{ErrorCode, MissingReason, Problem, ToClient};
use crate::publish::{Positions, Shape, Subscription};
use crate::query::{Archive, Fill, HistoryQuery};

/// How long a fill waits for what was published before it to be in the history.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);
/// What is sent from the history before live messages are looked for again: so many messages, or one that is larger than
/// so many bytes.
const MAX_BATCH: usize = 16;
const MAX_BATCH_BYTES: usize = 16 * 1024;

/// The requests of a connection.
#[derive(Debug, Default)]
pub(super) struct Work {
    waiting: VecDeque<Job>,
    running: Option<JoinHandle<Option<Step>>>,
    /// What `running` is about; `None` when nobody wants it any more.
    running_name: Option<Name>,
    /// The step whose messages are being sent.
    sending: Option<Step>,
    /// Messages of no request.
    told: Vec<Message>,
}

/// A step that is done.
#[derive(Debug)]
pub(super) struct Step {
    /// `None` when that was the last.
    job: Option<Job>,
    name: Name,
    messages: VecDeque<Message>,
}

#[derive(Debug)]
enum Job {
    Fill(Fill),
    History(HistoryQuery),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Fill(String),
    History(String),
}

impl Work {
    /// Sends a message before everything else that is not on its way yet.
    pub(super) fn tell(&mut self, message: Message) {
        self.told.push(message);
    }

    /// Adds a fill.
    pub(super) fn fill(&mut self, fill: Fill) {
        self.waiting.push_front(Job::Fill(fill));
    }

    /// Adds a history request.
    pub(super) fn history(&mut self, query: HistoryQuery) {
        self.waiting.push_back(Job::History(query));
    }

    /// Ends the fill of a subscription, if there is one; nothing more of it is sent.
    pub(super) fn end_fill(&mut self, sub: &str) {
        self.end(&Name::Fill(sub.to_owned()));
    }

    /// Ends a history request and tells so; `false` when there is none of this name.
    pub(super) fn cancel(&mut self, id: &str, encoding: Encoding) -> bool {
        let was_there = self.end(&Name::History(id.to_owned()));
        if was_there {
            let end = ToClient::HistoryEnd { id, records: 0, next: None, error: None };
            self.told.push(encoding.encode(&end));
        }
        was_there
    }

    /// Whether a history request of this name is going on.
    pub(super) fn has_request(&self, id: &str) -> bool {
        self.names().any(|name| matches!(name, Name::History(name) if name == id))
    }

    /// How many history requests are going on.
    pub(super) fn requests(&self) -> usize {
        self.names().filter(|name| matches!(name, Name::History(_))).count()
    }

    /// The messages of no request.
    pub(super) fn take_told(&mut self) -> Option<Arc<[Message]>> {
        (!self.told.is_empty()).then(|| self.told.drain(..).collect())
    }

    /// Whether nothing is to be done or sent.
    pub(super) fn is_idle(&self) -> bool {
        self.told.is_empty() && self.names().next().is_none()
    }

    /// Done when a step is; may be dropped while it waits.
    pub(super) async fn finished(&mut self) {
        match &mut self.running {
            Some(running) => {
                // Fails when the step panicked, which ends its request.
                let step = running.await.ok().flatten();
                self.running = None;
                let wanted = self.running_name.take();
                self.sending = step.filter(|step| Some(&step.name) == wanted.as_ref());
            }
            None => pending().await,
        }
    }

    fn end(&mut self, name: &Name) -> bool {
        let count = self.names().count();
        self.waiting.retain(|job| job.name() != *name);
        self.running_name.take_if(|running| running == name);
        self.sending.take_if(|step| step.name == *name);
        self.names().count() < count
    }

    fn names(&self) -> impl Iterator<Item = Name> + '_ {
        let sending = self.sending.iter().map(|step| step.name.clone());
        self.waiting.iter().map(Job::name).chain(self.running_name.clone()).chain(sending)
    }
}

impl Step {
    fn take_batch(&mut self) -> Vec<Message> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < MAX_BATCH
            && bytes < MAX_BATCH_BYTES
            && let Some(message) = self.messages.pop_front()
        {
            bytes += size(&message);
            batch.push(message);
        }
        batch
    }
}

impl Work {
    /// What is sent while nothing live waits. Starts the next step when everything of the last is sent.
    pub(super) fn next_batch(
        &mut self,
        clients: &Clients,
        encoding: Encoding,
        subscriptions: &mut [Subscription],
    ) -> Option<Arc<[Message]>> {
        if let Some(step) = &mut self.sending {
            let batch = step.take_batch();
            if !batch.is_empty() {
                return Some(batch.into());
            }
        }
        if let Some(step) = self.sending.take() {
            self.settle(step, subscriptions);
        }
        if self.running.is_none()
            && let Some(job) = self.waiting.pop_front()
        {
            self.running_name = Some(job.name());
            let (archive, positions) = (clients.archive.clone(), clients.hub.positions().clone());
            self.running = Some(tokio::spawn(job.step(archive, positions, encoding)));
        }
        None
    }

    /// Everything of a step has been sent.
    fn settle(&mut self, step: Step, subscriptions: &mut [Subscription]) {
        let have = match &step.job {
            Some(Job::Fill(fill)) => Some(fill.have().clone()),
            _ => None,
        };
        if let Name::Fill(sub) = &step.name {
            let of_fill = subscriptions.iter_mut().find(|of| of.feed().shape.sub == *sub);
            of_fill.into_iter().for_each(|subscription| subscription.set_filling(have.clone()));
        }
        self.waiting.extend(step.job);
    }
}

impl Job {
    fn name(&self) -> Name {
        match self {
            Job::Fill(fill) => Name::Fill(fill.sub().to_owned()),
            Job::History(query) => Name::History(query.id().to_owned()),
        }
    }

    /// `None` when it failed without a word.
    async fn step(self, archive: Archive, positions: Arc<Positions>, encoding: Encoding) -> Option<Step> {
        if let Job::Fill(fill) = &self
            && !fill.has_begun()
            && timeout(SETTLE_LIMIT, positions.settled(fill.until())).await.is_err()
        {
            let text = "the history cannot be written: what was published lately is not in it";
            return Some(self.fail(Problem::new(ErrorCode::Unavailable, text), encoding));
        }
        match archive.place().await {
            Ok(place) => place.work(move |archive| self.work(archive, encoding)).await,
            Err(problem) => Some(self.fail(problem, encoding)),
        }
    }

    fn work(mut self, archive: &Archive, encoding: Encoding) -> Step {
        let name = self.name();
        let mut messages = VecDeque::new();
        let done = match &mut self {
            Job::Fill(fill) => match fill.step(archive) {
                Ok(step) => {
                    messages.extend(step.messages);
                    step.done
                }
                Err(problem) => return self.fail(problem, encoding),
            },
            Job::History(query) => {
                query.step(archive, &mut |message| messages.push_back(encoding.encode(message)))
            }
        };
        Step { job: (!done).then_some(self), name, messages }
    }

    /// The end of a request that cannot go on.
    fn fail(&self, problem: Problem, encoding: Encoding) -> Step {
        let mut messages = VecDeque::new();
        match self {
            Job::Fill(fill) => {
                let (shape, reason): (&Shape, _) = (fill.shape(), MissingReason::HistoryUnavailable);
                let now = epoch_seconds(wall_now());
                messages.push_back(Fill::impossible(shape, reason, &problem.message, now));
            }
            Job::History(query) => {
                query.end(Some(problem), &mut |message| messages.push_back(encoding.encode(message)));
            }
        }
        Step { job: None, name: self.name(), messages }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // A step that is in a thread ends by itself, with its page.
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}
