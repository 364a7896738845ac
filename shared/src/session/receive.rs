//! The ground's end of a session: one a connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::commands;
use super::transmit::{Carrier, Channel, Transmit};
use crate::batch::Batch;
use crate::codec::{self, DecodeError, SchemaTable};
use crate::command::Answer;
use crate::id::SchemaId;
use crate::message::{
    Acknowledgement, ClockEstimate, FrameMessage, Gap, GapReason, Hello, Lane, MAX_ACK_RANGES,
    MAX_EARLY_MESSAGES, MessageError, PROTOCOL_VERSION, Probe, ProbeReply, Refusal, RefusalReason,
    SchemaAnnouncement, ToGround, ToVehicle, Welcome,
};
use crate::range::{RangeSet, SequenceRange};
use crate::record::Record;
use crate::schema::{InvalidSchema, MAX_SCHEMAS, Schema};
use crate::time::{Instant, Now};

/// The longest that committed records wait for their acknowledgement: the return channel is paid for too.
const ACK_INTERVAL: Duration = Duration::from_secs(1);
/// Disjoint ranges of sequence numbers that an epoch may be received in.
const MAX_RANGES: usize = 65_536;

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
    /// What became of an order.
    Answer(Answer),
    /// The vehicle said goodbye: acknowledge what is still to be committed, send it, close the transport.
    Goodbye,
    /// The session was refused, by us or for a breach of the protocol: log it, send what is left, close the
    /// transport.
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Hello has not come.
    Silent,
    /// Hello has come, [`GroundSession::welcome`] has not.
    Asked,
    /// Welcome.
    Open,
    /// The vehicle said goodbye.
    Leaving,
    /// Refused, or closed by us.
    Ended,
}

/// The ground's end of a session.
#[derive(Debug)]
pub struct GroundSession {
    agent: String,
    phase: Phase,
    /// [`Hello::base`].
    base: u64,
    schemas: SchemaTable,
    /// Everything received or known to be a gap, committed or on its way to the disk.
    accepted: RangeSet,
    committed: RangeSet,
    /// Committed, or received again, since the last acknowledgement.
    unacknowledged: Vec<SequenceRange>,
    acknowledge_at: Option<Instant>,
    /// What came between hello and welcome.
    waiting: Vec<Vec<u8>>,
    transmits: VecDeque<ToVehicle>,
    events: VecDeque<GroundEvent>,
}

impl GroundSession {
    /// A session that waits for a hello on a connection of this kind. `agent` is this program's name and version.
    pub fn new(agent: String, _carrier: Carrier) -> Self {
        GroundSession {
            agent,
            phase: Phase::Silent,
            base: 0,
            schemas: SchemaTable::new(),
            accepted: RangeSet::new(),
            committed: RangeSet::new(),
            unacknowledged: Vec::new(),
            acknowledge_at: None,
            waiting: Vec::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A message arrived.
    pub fn handle_message(&mut self, now: Now, bytes: &[u8]) {
        match self.phase {
            Phase::Silent => self.handle_hello(bytes),
            Phase::Asked if self.waiting.len() < MAX_EARLY_MESSAGES => self.waiting.push(bytes.to_vec()),
            Phase::Asked => self.refuse(Refusal::new(
                RefusalReason::TooLarge,
                format!("more than {MAX_EARLY_MESSAGES} messages before the welcome"),
            )),
            Phase::Open => {
                if let Err(refusal) = self.handle_open(now, bytes) {
                    self.refuse(refusal);
                }
            }
            Phase::Leaving | Phase::Ended => {}
        }
    }

    /// Accepts the vehicle: `committed` and `schemas` are what the history holds of its epoch.
    pub fn welcome(
        &mut self,
        now: Now,
        committed: RangeSet,
        schemas: impl IntoIterator<Item = (SchemaId, Arc<Schema>)>,
    ) {
        if self.phase != Phase::Asked {
            return;
        }
        self.phase = Phase::Open;
        self.accepted = committed.clone();
        self.committed = committed;
        self.schemas = schemas.into_iter().collect();
        let above = self.committed.iter().filter(|range| range.start > 0);
        let committed = Acknowledgement::new(self.floor(), above);
        let welcome = Welcome { protocol: PROTOCOL_VERSION, agent: self.agent.clone(), committed };
        self.transmits.push_back(ToVehicle::Welcome(welcome));
        for message in std::mem::take(&mut self.waiting) {
            self.handle_message(now, &message);
        }
    }

    /// Refuses the vehicle, or ends its session.
    pub fn refuse(&mut self, refusal: Refusal) {
        if self.phase == Phase::Ended {
            return;
        }
        self.phase = Phase::Ended;
        self.waiting.clear();
        self.transmits.push_back(ToVehicle::Refused(refusal.clone()));
        self.events.push_back(GroundEvent::Refused(refusal));
    }

    /// The history holds these records and gaps now (on disk, as promised): acknowledges them.
    pub fn handle_committed(&mut self, now: Now, ranges: &[SequenceRange]) {
        for &range in ranges {
            self.committed.insert(range);
            self.owe_acknowledgement(now.instant, range);
        }
        if self.phase == Phase::Leaving {
            self.acknowledge();
        }
    }

    /// The ground is shutting down: a last acknowledgement, then a goodbye.
    pub fn close(&mut self) {
        if self.phase != Phase::Ended {
            self.acknowledge();
            self.phase = Phase::Ended;
            self.transmits.push_back(ToVehicle::Goodbye);
        }
    }

    /// A timer is due.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.acknowledge_at.is_some_and(|at| at <= now.instant) {
            self.acknowledge();
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.acknowledge_at
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let message = self.transmits.pop_front()?;
        let channel = match &message {
            ToVehicle::Order(order) => commands::channel(order),
            _ => Channel::Stream,
        };
        Some(Transmit { channel, bytes: message.encode() })
    }

    /// The next thing to act on.
    pub fn poll_event(&mut self) -> Option<GroundEvent> {
        self.events.pop_front()
    }

    /// The schemas declared so far, by which the records of [`GroundEvent::Frame`] are read.
    pub fn schemas(&self) -> &SchemaTable {
        &self.schemas
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    pub(super) fn transmit(&mut self, message: ToVehicle) {
        self.transmits.push_back(message);
    }

    fn handle_hello(&mut self, bytes: &[u8]) {
        let version = ToGround::hello_version(bytes);
        let refusal = match (version, ToGround::decode(bytes)) {
            (Some(version), _) if version != PROTOCOL_VERSION => Refusal::new(
                RefusalReason::ProtocolVersion,
                format!(
                    "the edge speaks protocol {version}, this ground {PROTOCOL_VERSION}: update the older one"
                ),
            ),
            (_, Ok(ToGround::Hello(hello))) => {
                self.phase = Phase::Asked;
                self.base = hello.base;
                self.events.push_back(GroundEvent::Hello(hello));
                return;
            }
            // It overtook a hello that was lost or is late.
            (_, Ok(_)) => return,
            (_, Err(error)) => error.into(),
        };
        self.refuse(refusal);
    }

    fn handle_open(&mut self, now: Now, bytes: &[u8]) -> Result<(), Refusal> {
        match ToGround::decode(bytes)? {
            ToGround::Hello(_) => {
                // Sent again because our welcome was lost.
                let committed =
                    Acknowledgement::new(self.floor(), self.committed.iter().filter(|r| r.start > 0));
                let welcome = Welcome { protocol: PROTOCOL_VERSION, agent: self.agent.clone(), committed };
                self.transmits.push_back(ToVehicle::Welcome(welcome));
                Ok(())
            }
            ToGround::Schemas(schemas) => {
                schemas.into_iter().try_for_each(|schema| self.handle_schema(schema))
            }
            ToGround::Frame(frame) => self.handle_frame(now, frame),
            ToGround::Gap(gap) => self.handle_gap(now, gap),
            ToGround::Probe(Probe { sent, estimate }) => {
                self.transmits.push_back(ToVehicle::ProbeReply(ProbeReply { sent, ground: now.wall }));
                self.events.extend(estimate.map(GroundEvent::Clock));
                Ok(())
            }
            ToGround::Answer(answer) => {
                self.events.push_back(GroundEvent::Answer(answer));
                Ok(())
            }
            ToGround::Goodbye => {
                self.phase = Phase::Leaving;
                self.acknowledge();
                self.events.push_back(GroundEvent::Goodbye);
                Ok(())
            }
        }
    }

    fn handle_schema(&mut self, announcement: SchemaAnnouncement) -> Result<(), Refusal> {
        let SchemaAnnouncement { id, body } = announcement;
        let schema = body.resolve()?;
        match self.schemas.get(&id) {
            Some(known) if **known == schema => Ok(()),
            Some(known) => Err(Refusal::new(
                RefusalReason::Malformed,
                format!("schema {id} was {:?} and is now another", known.stream),
            )),
            None if id.0 >= MAX_SCHEMAS => Err(Refusal::new(
                RefusalReason::Malformed,
                format!("schema {id} is beyond the limit of {MAX_SCHEMAS} schemas an epoch"),
            )),
            None => {
                let schema = Arc::new(schema);
                self.schemas.insert(id, schema.clone());
                self.events.push_back(GroundEvent::Schema { id, schema });
                Ok(())
            }
        }
    }

    fn handle_frame(&mut self, now: Now, message: FrameMessage) -> Result<(), Refusal> {
        let FrameMessage { lane, offset, frame } = message;
        let records = match codec::decode(&frame, &self.schemas) {
            Ok(records) => records,
            Err(DecodeError::UnknownSchema(id)) => {
                self.transmits.push_back(ToVehicle::SchemaWanted(id));
                return Ok(());
            }
            Err(error) => return Err(Refusal::new(RefusalReason::Malformed, error.to_string())),
        };
        let range = self.range(offset, records.len() as u64)?;
        for part in self.accept(now, range)? {
            let event = if part == range {
                GroundEvent::Frame { lane, range, records: records.clone(), frame: frame.as_slice().into() }
            } else {
                let at = |sequence: u64| (sequence - range.start) as usize;
                let records = records[at(part.start)..at(part.end)].to_vec();
                let frame = codec::encode(&Batch::new(records.clone()), &self.schemas).into();
                GroundEvent::Frame { lane, range: part, records, frame }
            };
            self.events.push_back(event);
        }
        Ok(())
    }

    fn handle_gap(&mut self, now: Now, gap: Gap) -> Result<(), Refusal> {
        let range = self.range(gap.offset, gap.count)?;
        for range in self.accept(now, range)? {
            self.events.push_back(GroundEvent::Gap { range, reason: gap.reason });
        }
        Ok(())
    }

    /// The absolute range of a message's offset and count.
    fn range(&self, offset: i64, count: u64) -> Result<SequenceRange, Refusal> {
        let start = self.base.checked_add_signed(offset);
        let end = start.and_then(|start| start.checked_add(count));
        match (start, end) {
            (Some(start), Some(end)) if count > 0 => Ok(SequenceRange::new(start, end)),
            _ => Err(Refusal::new(
                RefusalReason::Malformed,
                format!("{count} records at offset {offset} from {} are no sequence numbers", self.base),
            )),
        }
    }

    /// Takes the range in and returns the parts that are new.
    fn accept(&mut self, now: Now, range: SequenceRange) -> Result<Vec<SequenceRange>, Refusal> {
        let new = self.accepted.missing_in(range);
        self.accepted.insert(range);
        if self.accepted.range_count() > MAX_RANGES {
            return Err(Refusal::new(
                RefusalReason::Malformed,
                format!("sequence numbers are scattered over more than {MAX_RANGES} ranges"),
            ));
        }
        if self.committed.covers(range) {
            // The acknowledgement was lost.
            self.owe_acknowledgement(now.instant, range);
        }
        Ok(new)
    }

    fn owe_acknowledgement(&mut self, now: Instant, range: SequenceRange) {
        self.unacknowledged.push(range);
        self.acknowledge_at.get_or_insert(now + ACK_INTERVAL);
        if self.unacknowledged.len() >= MAX_ACK_RANGES * 4 {
            self.acknowledge();
        }
    }

    /// Acknowledges what is owed: each range in full length, as the history holds it.
    fn acknowledge(&mut self) {
        self.acknowledge_at = None;
        if self.unacknowledged.is_empty() || matches!(self.phase, Phase::Silent | Phase::Asked | Phase::Ended)
        {
            return;
        }
        let owed: RangeSet = self
            .unacknowledged
            .drain(..)
            .flat_map(|range| self.committed.overlapping(range).collect::<Vec<_>>())
            .filter(|range| range.start > 0)
            .collect();
        let mut owed = owed.iter().peekable();
        loop {
            let some = owed.by_ref().take(MAX_ACK_RANGES);
            self.transmits.push_back(ToVehicle::Acknowledge(Acknowledgement::new(self.floor(), some)));
            if owed.peek().is_none() {
                break;
            }
        }
    }

    /// One past the range that begins with sequence number 0, which is all below it.
    fn floor(&self) -> u64 {
        self.committed.iter().next().filter(|range| range.start == 0).map_or(0, |range| range.end)
    }
}

impl Refusal {
    /// A refusal with its text for people.
    pub fn new(reason: RefusalReason, message: impl Into<String>) -> Self {
        Refusal { reason, message: message.into() }
    }
}

impl From<MessageError> for Refusal {
    fn from(error: MessageError) -> Self {
        let reason = match error {
            MessageError::TooLarge(_) => RefusalReason::TooLarge,
            MessageError::Malformed(_) | MessageError::Trailing(_) => RefusalReason::Malformed,
        };
        Refusal::new(reason, error.to_string())
    }
}

impl From<InvalidSchema> for Refusal {
    fn from(error: InvalidSchema) -> Self {
        let reason = match error {
            InvalidSchema::Dialect { .. } => RefusalReason::Dialect,
            _ => RefusalReason::Malformed,
        };
        Refusal::new(reason, error.to_string())
    }
}
