//! The ground's end of a session: one a connection.

use std::sync::Arc;

use crate::id::SchemaId;
use crate::message::{ClockEstimate, GapReason, Hello, Lane, Refusal};
use crate::range::{RangeSet, SequenceRange};
use crate::record::Record;
use crate::schema::Schema;
use crate::time::{Instant, Now};

/// What the ground does about a session, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum GroundEvent {
    /// A vehicle asks for a session: check its token, then call [`GroundSession::welcome`] or
    /// [`GroundSession::refuse`]. Frames that follow wait until then.
    Hello(Hello),
    /// A schema was declared: commit it before frames that use it.
    Schema {
        /// Its id in the epoch.
        id: SchemaId,
        /// The schema.
        schema: Arc<Schema>,
    },
    /// New records, none of which the session has seen before: publish at once, commit, then call
    /// [`GroundSession::handle_committed`].
    Frame {
        /// How they came.
        lane: Lane,
        /// Their sequence numbers.
        range: SequenceRange,
        /// The records, one a sequence number.
        records: Vec<Record>,
        /// The frame that carries exactly these records.
        frame: Arc<[u8]>,
    },
    /// Records that will never come: commit, then call [`GroundSession::handle_committed`].
    Gap {
        /// Their sequence numbers.
        range: SequenceRange,
        /// Why.
        reason: GapReason,
    },
    /// The vehicle's clock, compared to the ground's.
    Clock(ClockEstimate),
    /// The vehicle said goodbye: close the transport once everything is sent.
    Goodbye,
    /// The session was refused, by us or for a breach of the protocol: log it, send what is left, close the
    /// transport.
    Refused(Refusal),
}

/// The ground's end of a session.
#[derive(Debug)]
pub struct GroundSession {}

impl GroundSession {
    /// A session that waits for a hello. `agent` is this program's name and version.
    pub fn new(_agent: String) -> Self {
        todo!()
    }

    /// A message arrived.
    pub fn handle_message(&mut self, _now: Now, _bytes: &[u8]) {
        todo!()
    }

    /// Accepts the vehicle: `committed` and `schemas` are what the history holds of its epoch.
    pub fn welcome(
        &mut self,
        _now: Now,
        _committed: RangeSet,
        _schemas: impl IntoIterator<Item = (SchemaId, Arc<Schema>)>,
    ) {
        todo!()
    }

    /// Refuses the vehicle, or ends its session.
    pub fn refuse(&mut self, _refusal: Refusal) {
        todo!()
    }

    /// The history holds these records and gaps now (on disk, as promised): acknowledges them.
    pub fn handle_committed(&mut self, _now: Now, _ranges: &[SequenceRange]) {
        todo!()
    }

    /// The ground is shutting down: says goodbye after a last acknowledgement.
    pub fn close(&mut self, _now: Now) {
        todo!()
    }

    /// A timer is due.
    pub fn handle_timeout(&mut self, _now: Now) {
        todo!()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self, _now: Now) -> Option<Vec<u8>> {
        todo!()
    }

    /// The next thing to act on.
    pub fn poll_event(&mut self) -> Option<GroundEvent> {
        todo!()
    }
}
