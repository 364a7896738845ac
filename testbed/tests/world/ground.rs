//! The ground: a real session over a history in memory that commits a moment later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tern_shared::codec::{self, SchemaTable};
use tern_shared::message::{Refusal, RefusalReason};
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::record::Record;
use tern_shared::session::{Carrier, GroundEvent, GroundSession, Transmit};
use tern_shared::time::{Instant, Now};

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
    /// How the next connection carries.
    pub(crate) carrier: Option<Carrier>,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Ground::default()
    }

    pub(crate) fn connect(&mut self, refuses: bool) {
        self.commit(None);
        self.refuses = refuses;
        self.session = Some(GroundSession::new("simulation".into(), self.carrier.unwrap_or(Carrier::Stream)));
    }

    pub(crate) fn disconnect(&mut self) {
        self.session = None;
    }

    /// The process dies: what was not committed is lost.
    pub(crate) fn restart(&mut self) {
        self.pending.clear();
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

    pub(crate) fn handle_message(&mut self, now: Now, message: &[u8]) {
        let Some(session) = &mut self.session else { return };
        session.handle_message(now, message);
        while let Some(event) = session.poll_event() {
            match event {
                GroundEvent::Hello(_) if self.refuses => {
                    session.refuse(Refusal::new(RefusalReason::Dialect, REFUSED));
                }
                GroundEvent::Hello(_) => session.welcome(now, self.resolved.clone(), self.schemas.clone()),
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
                GroundEvent::Clock(_) | GroundEvent::Answer(_) | GroundEvent::Goodbye => {}
            }
        }
    }

    fn commit(&mut self, now: Option<Now>) {
        self.commit_at = None;
        let mut ranges = Vec::new();
        for (range, records) in self.pending.drain(..) {
            assert_eq!(self.resolved.missing_in(range), [range], "{range} is stored twice");
            self.resolved.insert(range);
            self.history.extend((range.start..).zip(records));
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

    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }
}
