//! The ground: a real session over a history in memory that commits a moment later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tern_shared::codec::{self, SchemaTable};
use tern_shared::command::Answer;
use tern_shared::message::{Refusal, RefusalReason};
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::record::Record;
use tern_shared::session::{Carrier, GroundEvent, GroundSession, Transmit};
use tern_shared::time::{Instant, Now};

use super::watch::check_queues;

/// What a ground says that refuses on purpose.
pub(crate) const REFUSED: &str = "for a test";
const COMMIT_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Default)]
pub(crate) struct Ground {
    session: Option<GroundSession>,
    /// What was committed, by sequence number.
    pub(crate) history: BTreeMap<u64, Record>,
    /// Committed records and gaps.
    pub(crate) resolved: RangeSet,
    /// What an earlier history held that was lost with it.
    pub(crate) forgotten: RangeSet,
    schemas: SchemaTable,
    pending: Vec<(SequenceRange, Vec<Record>)>,
    commit_at: Option<Instant>,
    /// Whether the next hello is refused.
    refuses: bool,
    /// Somebody sent the beginning of a connection again, as one of their own.
    replayed: Option<GroundSession>,
    /// Whether that ever happened: then the history sees twice what each session sees once.
    was_replayed: bool,
    /// How the next connection carries.
    pub(crate) carrier: Option<Carrier>,
    /// Whether this connection's vehicle was welcomed.
    pub(crate) is_open: bool,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Ground::default()
    }

    pub(crate) fn connect(&mut self, refuses: bool) {
        self.commit(None);
        self.replayed = None;
        self.refuses = refuses;
        self.is_open = false;
        self.session = Some(GroundSession::new("simulation".into(), self.carrier.unwrap_or(Carrier::Stream)));
    }

    pub(crate) fn disconnect(&mut self) {
        self.session = None;
        self.is_open = false;
        self.replayed = None;
    }

    /// The process dies: what was not committed is lost.
    pub(crate) fn restart(&mut self) {
        self.pending.clear();
        self.replayed = None;
        self.commit_at = None;
    }

    pub(crate) fn lose_history(&mut self) {
        self.restart();
        for range in self.resolved.iter() {
            self.forgotten.insert(range);
        }
        self.history.clear();
        self.resolved = RangeSet::new();
        self.schemas.clear();
    }

    /// A message arrived. Returns what the vehicle answers to orders.
    pub(crate) fn handle_message(&mut self, now: Now, message: &[u8]) -> Vec<Answer> {
        let Some(mut session) = self.session.take() else { return Vec::new() };
        session.handle_message(now, message);
        let (answers, welcomed) = self.handle_events(now, &mut session);
        self.is_open |= welcomed;
        check_queues(&session.queues());
        self.session = Some(session);
        answers
    }

    /// The same messages come again, on a connection that nobody listens to.
    pub(crate) fn replay(&mut self, now: Now, messages: &[Vec<u8>]) {
        self.was_replayed = true;
        let mut session = GroundSession::new("simulation".into(), self.carrier.unwrap_or(Carrier::Stream));
        for message in messages {
            session.handle_message(now, message);
            self.handle_events(now, &mut session);
        }
        self.replayed = Some(session);
    }

    fn handle_events(&mut self, now: Now, session: &mut GroundSession) -> (Vec<Answer>, bool) {
        let (mut answers, mut welcomed) = (Vec::new(), false);
        while let Some(event) = session.poll_event() {
            match event {
                GroundEvent::Hello(_) if self.refuses => {
                    session.refuse(Refusal::new(RefusalReason::Dialect, REFUSED));
                }
                GroundEvent::Hello(_) => {
                    session.welcome(now, self.resolved.clone(), self.schemas.clone());
                    welcomed = true;
                }
                GroundEvent::Schema { id, schema } => {
                    self.schemas.insert(id, Arc::clone(&schema));
                }
                GroundEvent::Frame { range, records, frame, .. } => {
                    assert_eq!(range.len(), records.len() as u64);
                    assert_eq!(codec::decode(&frame, &self.schemas).unwrap(), records);
                    self.pending.push((range, records));
                    self.commit_at.get_or_insert(now.instant + COMMIT_INTERVAL);
                }
                GroundEvent::Gap { range, .. } => {
                    self.pending.push((range, Vec::new()));
                    self.commit_at.get_or_insert(now.instant + COMMIT_INTERVAL);
                }
                GroundEvent::Refused(refusal) => assert_eq!(refusal.message, REFUSED),
                GroundEvent::Answer(answer) => answers.push(answer),
                GroundEvent::Clock(_) | GroundEvent::Goodbye => {}
            }
        }
        (answers, welcomed)
    }

    fn commit(&mut self, now: Option<Now>) {
        self.commit_at = None;
        let mut ranges = Vec::new();
        for (range, records) in self.pending.drain(..) {
            let missing = self.resolved.missing_in(range);
            assert!(missing == [range] || self.was_replayed, "{range} is stored twice");
            let is_missing =
                |sequence: u64| missing.iter().any(|part| (part.start..part.end).contains(&sequence));
            let records = (range.start..).zip(records).filter(|(sequence, _)| is_missing(*sequence));
            self.history.extend(records);
            self.resolved.insert(range);
            ranges.push(range);
        }
        if let (Some(session), Some(now)) = (&mut self.session, now) {
            session.handle_committed(now, &ranges);
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if self.commit_at.is_some_and(|at| at <= now.instant) {
            self.commit(Some(now));
        }
        if let Some(session) = &mut self.session {
            session.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let session = self.session.as_ref().and_then(GroundSession::poll_timeout);
        [self.commit_at, session].into_iter().flatten().min()
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.session.as_mut()?.poll_transmit()
    }

    /// The session, once the vehicle was welcomed.
    pub(crate) fn open_session(&mut self) -> Option<&mut GroundSession> {
        self.session.as_mut().filter(|_| self.is_open)
    }

    /// It says goodbye and ends: what is left goes out first.
    pub(crate) fn close(&mut self, now: Now) {
        self.commit(Some(now));
        self.session.iter_mut().for_each(GroundSession::close);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }
}
