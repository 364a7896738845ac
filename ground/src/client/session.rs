//! What one client has asked for and is yet to be sent, whatever it is connected by.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::ws::Message;
use tern_shared::pattern::Pattern;
use tokio::time::Instant;

use super::Clients;
use super::commands::Desk;
use super::line::Line;
use super::work::Work;
use crate::access::Grant;
use crate::publish::Subscription;
use crate::publish::cursor::Cursor;
use crate::publish::encode::Encoding;
use crate::serve::Wire;

/// A client.
#[derive(Debug)]
pub struct Session {
    pub(super) clients: Arc<Clients>,
    pub(super) encoding: Encoding,
    /// `None` until a token has come where one is needed.
    pub(super) grant: Option<Arc<Grant>>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) work: Work,
    pub(super) desk: Desk,
    /// Told when a subscription has something.
    pub(super) line: Arc<Line>,
    /// Which subscription is asked first, so that a busy one leaves the others their turn.
    turn: usize,
}

impl Session {
    /// A client without subscriptions. On `wire`, what is published may be sent as WebSocket frames by somebody else
    /// while nothing else is to be sent, see [`Session::lend`].
    pub fn new(
        clients: Arc<Clients>,
        encoding: Encoding,
        grant: Option<Arc<Grant>>,
        wire: Option<Arc<Wire>>,
    ) -> Self {
        let desk = Desk::new(&clients.commands);
        let line = Arc::new(Line::new(clients.clone(), wire));
        let (subscriptions, work) = Default::default();
        Session { clients, encoding, grant, subscriptions, work, desk, line, turn: 0 }
    }

    /// Whether what is published can be sent by somebody else: nothing but that is to be sent.
    pub(super) fn may_lend(&self) -> bool {
        let are_live = self.subscriptions.iter().all(Subscription::is_live);
        self.line.is_direct() && self.work.is_idle() && are_live && !self.subscriptions.is_empty()
    }

    /// Has what is published sent by somebody else. Everything else is flushed. Until [`Session::take_back`] the
    /// subscriptions stay as they are.
    pub(super) fn lend(&self) {
        self.line.lend(&self.subscriptions);
    }

    /// From here on what is published is sent from [`Session::next_batch`].
    pub(super) fn take_back(&mut self) {
        self.line.take_back(&mut self.subscriptions);
    }

    /// What is sent next: answers, then live records; what was read from the history fills the pauses. `None` when there is
    /// nothing: wait for [`Session::changed`].
    pub fn next_batch(&mut self) -> Option<Arc<[Message]>> {
        if let Some(told) = self.work.take_told() {
            return Some(told);
        }
        let now = Instant::now();
        let count = self.subscriptions.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            let mut missed = 0;
            let batch = self.subscriptions[at].next(now, &mut missed);
            if missed > 0 {
                self.clients.counters.missed_records.fetch_add(missed, Ordering::Relaxed);
                // A fill would make a client that is too slow even slower. It is told from where to resume.
                let sub = self.subscriptions[at].feed().shape.sub.clone();
                self.work.end_fill(&sub);
            }
            if batch.is_some() {
                self.turn = (at + 1) % count;
                return batch;
            }
        }
        self.work.next_batch(&self.clients, self.encoding, &mut self.subscriptions)
    }

    /// Waits until there may be something to send. May be dropped while it waits.
    pub async fn changed(&mut self) {
        let line = self.line.clone();
        tokio::select! {
            () = line.woken() => {}
            () = self.answered() => {}
        }
    }

    /// Waits until there may be an answer to send. May be dropped while it waits.
    pub(super) async fn answered(&mut self) {
        tokio::select! {
            () = self.work.finished() => {}
            message = self.desk.next(self.grant.as_deref(), self.encoding) => self.work.tell(message),
        }
    }

    /// The place that has been reached when everything has been given out.
    pub fn idle_cursor(&self) -> Option<Cursor> {
        let is_idle = self.work.is_idle();
        is_idle.then(|| self.clients.hub.idle_cursor(self.subscriptions.iter())).flatten()
    }

    /// The subscriptions, for a connection that has one.
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// The vehicles that the client may see.
    pub(super) fn scope(&self) -> Arc<[Pattern]> {
        self.grant.as_ref().map_or_else(|| Arc::from([]), |grant| grant.view.clone())
    }
}
