//! The vehicle's end of a session: one a process, across all its connections.

use std::sync::Arc;
use std::time::Duration;

use crate::id::{Epoch, SchemaId, VehicleId};
use crate::message::{ClockEstimate, GapReason, Refusal};
use crate::range::SequenceRange;
use crate::schema::Schema;
use crate::time::{Instant, Now, Timestamp};

/// Who this vehicle is.
#[derive(Clone)]
pub struct Identity {
    /// Its name.
    pub vehicle: VehicleId,
    /// The spool's epoch.
    pub epoch: Epoch,
    /// The first sequence number of this start.
    pub base: u64,
    /// Its secret; empty for none.
    pub token: String,
    /// Name and version of this program.
    pub agent: String,
}

/// A frame and what the session must know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its records' sequence numbers.
    pub range: SequenceRange,
    /// The newest capture time in it.
    pub newest: Timestamp,
    /// The encoded records.
    pub bytes: Arc<[u8]>,
}

/// How to send.
#[derive(Clone, Debug)]
pub struct SendConfig {
    /// The link's rate, bits a second on the wire, headers counted. `None` for no limit.
    pub rate_bits_per_second: Option<u64>,
    /// What a message costs on the wire beside its own bytes.
    pub overhead_bytes: usize,
    /// When to send a frame again that was not acknowledged; `None` on transports that do that themselves.
    pub retransmit_after: Option<Duration>,
    /// How long to wait for a sign of the ground while frames are unacknowledged, before the connection is given up.
    pub silence_limit: Duration,
}

/// What the vehicle does about a session, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdgeEvent {
    /// The ground accepted the session.
    Established {
        /// Name and version of the ground.
        agent: String,
    },
    /// The ground refused the session: close the transport, tell people.
    Refused(Refusal),
    /// The ground has gone silent or said goodbye: close the transport and connect again.
    Disconnect {
        /// For the log.
        reason: String,
    },
    /// The ground has committed these: the spool can forget them.
    Acknowledged(Vec<SequenceRange>),
    /// Read backlog from the spool, newest first, and hand it to [`EdgeSession::handle_backlog`].
    FetchBacklog {
        /// Within these sequence numbers.
        range: SequenceRange,
        /// About this many bytes of frames, but at least one frame.
        max_bytes: usize,
    },
    /// A new estimate of the ground's clock.
    Clock(ClockEstimate),
}

/// Counters for status lines and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendStats {
    /// Frames sent on the live lane.
    pub live_frames: u64,
    /// Frames sent from the backlog.
    pub backlog_frames: u64,
    /// Bytes sent on the wire, headers counted.
    pub wire_bytes: u64,
    /// Records acknowledged.
    pub acknowledged_records: u64,
    /// Records waiting in the spool for their turn (not counting what is on its way).
    pub backlog_records: u64,
    /// Records sent and not acknowledged yet.
    pub in_flight_records: u64,
    /// Records told to the ground as lost.
    pub lost_records: u64,
}

/// The vehicle's end of a session.
#[derive(Debug)]
pub struct EdgeSession {}

impl EdgeSession {
    /// A session without a connection. Everything below `identity.base` is taken to be backlog until the ground says
    /// otherwise.
    pub fn new(_identity: Identity, _config: SendConfig) -> Self {
        todo!()
    }

    /// A schema exists from here on: every session declares it before the first frame that uses it.
    pub fn handle_schema(&mut self, _id: SchemaId, _schema: Arc<Schema>) {
        todo!()
    }

    /// A new frame, whose range follows the previous one's; the spool has been given it as well.
    pub fn handle_frame(&mut self, _now: Now, _frame: Frame) {
        todo!()
    }

    /// The spool's answer to [`EdgeEvent::FetchBacklog`]: the frames found, newest first, the range that the search
    /// covered (a suffix of what was asked) and the parts of it that the spool does not hold.
    pub fn handle_backlog(
        &mut self,
        _now: Now,
        _covered: SequenceRange,
        _frames: Vec<Frame>,
        _absent: Vec<(SequenceRange, GapReason)>,
    ) {
        todo!()
    }

    /// A transport is up.
    pub fn handle_connected(&mut self, _now: Now) {
        todo!()
    }

    /// The transport is gone: what was not acknowledged is backlog.
    pub fn handle_disconnected(&mut self, _now: Now) {
        todo!()
    }

    /// A message arrived.
    pub fn handle_message(&mut self, _now: Now, _bytes: &[u8]) {
        todo!()
    }

    /// A timer is due.
    pub fn handle_timeout(&mut self, _now: Now) {
        todo!()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) or [`poll_transmit`](Self::poll_transmit) next, if
    /// nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// The next message to send, if the rate allows one.
    pub fn poll_transmit(&mut self, _now: Now) -> Option<Vec<u8>> {
        todo!()
    }

    /// The next thing to act on.
    pub fn poll_event(&mut self) -> Option<EdgeEvent> {
        todo!()
    }

    /// Counters.
    pub fn stats(&self) -> SendStats {
        todo!()
    }
}
