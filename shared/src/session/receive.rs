//! The ground's end of a session: one a connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::arrival::Arrivals;
use super::assembly::Assembly;
use super::chain::{Chain, Decoded};
use super::feedback::{LONG_SILENCE, TOLD_TIMES};
use super::queues::QueueFill;
use super::transmit::{Carrier, Channel, Transmit};
use crate::batch::Batch;
use crate::codec::predictive::{Decoder, FrameError};
use crate::codec::{self, DecodeError, SchemaTable};
use crate::command::Answer;
use crate::id::SchemaId;
use crate::message::{
    Acknowledgement, ClockEstimate, FrameMessage, Gap, GapReason, Hello, Lack, Lane, LivePacket,
    MAX_ACK_RANGES, MAX_EARLY_MESSAGES, Object, PROTOCOL_VERSION, PacketHeader, Probe, ProbeReply, Refusal,
    RefusalReason, SchemaAnnouncement, ToGround, ToVehicle, Welcome,
};
use crate::range::{RangeSet, SequenceRange};
use crate::record::Record;
use crate::schema::{MAX_SCHEMAS, Schema};
use crate::time::{Instant, Now};

/// Datagrams that are kept before the hello: what a fast vehicle sends in the time that one overtakes another.
const MAX_DATAGRAMS_BEFORE_HELLO: usize = 32;
/// Objects that wait for their schemas.
const MAX_UNDECLARED: usize = 16;
/// Disjoint ranges of sequence numbers that an epoch may be received in.
pub(super) const MAX_RANGES: usize = 65_536;

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
        /// The frame that holds exactly these records, as [`codec::decode`] takes it.
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
    /// transport. Comes next, whatever else had come: the vehicle sends again what was not committed.
    Refused(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
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
    pub(super) phase: Phase,
    /// [`Hello::base`].
    base: u64,
    schemas: SchemaTable,
    /// Everything received or known to be a gap, committed or on its way to the disk.
    accepted: RangeSet,
    pub(super) committed: RangeSet,
    /// Committed, or received again, since the last acknowledgement.
    pub(super) unacknowledged: Vec<SequenceRange>,
    pub(super) acknowledge_at: Option<Instant>,
    /// What came between hello and welcome.
    waiting: Vec<Vec<u8>>,
    /// For frames that come on a stream, and for the backlog's.
    decoder: Decoder,
    /// On a carrier of datagrams.
    pub(super) datagrams: Option<Datagrams>,
    transmits: VecDeque<(Channel, ToVehicle)>,
    events: VecDeque<GroundEvent>,
}

/// What a connection of datagrams has beside.
#[derive(Debug)]
pub(super) struct Datagrams {
    /// The largest message that fits.
    max_bytes: usize,
    pub(super) arrivals: Arrivals,
    pub(super) chain: Chain,
    assembly: Assembly,
    /// Objects of the backlog that came ahead of a schema, with its id. The vehicle sends again what is not committed.
    pub(super) undeclared: VecDeque<(SchemaId, Vec<u8>)>,
    /// What the last feedbacks told as committed.
    pub(super) told: VecDeque<Vec<SequenceRange>>,
    pub(super) last_feedback: Option<Instant>,
    /// What that one told.
    pub(super) told_lack: Lack,
    /// Feedbacks that are still to come soon after a silence.
    pub(super) answers: u8,
    /// When to tell of a live payload that is missing, if it still is then.
    pub(super) hurried_at: Option<Instant>,
    /// Since when one is.
    pub(super) hurried_since: Option<Instant>,
    /// As the vehicle measured it last.
    pub(super) round_trip: Option<Duration>,
    /// [`Hello::finds_rate`].
    pub(super) finds_rate: bool,
}

impl GroundSession {
    /// A session that waits for a hello on a connection of this kind. `agent` is this program's name and version.
    pub fn new(agent: String, carrier: Carrier) -> Self {
        let datagrams = match carrier {
            Carrier::Stream => None,
            Carrier::Datagrams { max_bytes } => Some(Datagrams {
                max_bytes,
                arrivals: Arrivals::default(),
                chain: Chain::new(),
                assembly: Assembly::default(),
                undeclared: VecDeque::new(),
                told: VecDeque::new(),
                last_feedback: None,
                told_lack: Lack::Nothing,
                answers: 0,
                hurried_at: None,
                hurried_since: None,
                round_trip: None,
                finds_rate: false,
            }),
        };
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
            decoder: Decoder::new(),
            datagrams,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A message arrived.
    pub fn handle_message(&mut self, now: Now, bytes: &[u8]) {
        match self.phase {
            // Datagrams overtake the hello. Nobody knows yet who sends them, so little is kept.
            Phase::Silent if self.is_datagram(bytes) && ToGround::hello_version(bytes).is_none() => {
                if self.waiting.len() < MAX_DATAGRAMS_BEFORE_HELLO {
                    self.waiting.push(bytes.to_vec());
                }
            }
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

    /// Accepts the vehicle: `committed` and `schemas` are what the history holds of its epoch. Does nothing unless a hello
    /// waits for it.
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
        self.transmit(Channel::Stream, ToVehicle::Welcome(welcome));
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
        self.events.clear();
        self.transmit(Channel::Stream, ToVehicle::Refused(refusal.clone()));
        self.events.push_back(GroundEvent::Refused(refusal));
    }

    /// Whether it was refused, or closed by us.
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
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
            self.transmit(Channel::Stream, ToVehicle::Goodbye);
        }
    }

    /// A timer is due.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.poll_timeout().is_some_and(|at| at <= now.instant) {
            self.tell(now.instant);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next, if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let hurried_at = self.datagrams.as_ref().and_then(|datagrams| datagrams.hurried_at);
        [self.acknowledge_at, hurried_at].into_iter().flatten().min()
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let (channel, message) = self.transmits.pop_front()?;
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

    /// Everything that is bounded by a number of its own, whatever the link and the vehicle do.
    pub fn queues(&self) -> Vec<QueueFill> {
        let waits = if self.phase == Phase::Silent { MAX_DATAGRAMS_BEFORE_HELLO } else { MAX_EARLY_MESSAGES };
        let mut queues = vec![
            QueueFill::new("messages before the welcome", self.waiting.len(), waits),
            QueueFill::new("ranges of received records", self.accepted.range_count(), MAX_RANGES + 1),
            QueueFill::new("ranges to acknowledge", self.unacknowledged.len(), MAX_ACK_RANGES * 4),
        ];
        if let Some(datagrams) = &self.datagrams {
            queues.push(QueueFill::new("feedbacks to repeat", datagrams.told.len(), TOLD_TIMES));
            queues.push(datagrams.arrivals.queue());
            queues.push(datagrams.chain.queue());
            queues.push(datagrams.assembly.queue());
            queues.push(QueueFill::new(
                "objects without schemas",
                datagrams.undeclared.len(),
                MAX_UNDECLARED,
            ));
        }
        queues
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    pub(super) fn transmit(&mut self, channel: Channel, message: ToVehicle) {
        self.transmits.push_back((channel, message));
    }

    /// Whether the message can have come as a datagram.
    fn is_datagram(&self, bytes: &[u8]) -> bool {
        self.datagrams.as_ref().is_some_and(|datagrams| bytes.len() <= datagrams.max_bytes)
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
                if let Some(datagrams) = &mut self.datagrams {
                    datagrams.finds_rate = hello.finds_rate;
                }
                self.events.push_back(GroundEvent::Hello(hello));
                return;
            }
            (_, Ok(_)) => Refusal::new(RefusalReason::Malformed, "the first message is no hello"),
            (_, Err(error)) => error.into(),
        };
        self.refuse(refusal);
    }

    fn handle_open(&mut self, now: Now, bytes: &[u8]) -> Result<(), Refusal> {
        match ToGround::decode(bytes)? {
            ToGround::Hello(_) => Err(Refusal::new(RefusalReason::Malformed, "a second hello")),
            ToGround::Schemas(schemas) => {
                let mut is_news = false;
                for schema in schemas {
                    is_news |= self.handle_schema(schema)?;
                }
                if !is_news {
                    return Ok(());
                }
                self.decode_chain(now)?;
                let objects =
                    self.datagrams.as_mut().map(|datagrams| std::mem::take(&mut datagrams.undeclared));
                objects.into_iter().flatten().try_for_each(|(_, object)| self.decode_object(now, object))
            }
            ToGround::Frame(frame) => self.handle_frame(now, frame),
            ToGround::Gap(gap) => self.handle_gap(now, gap),
            ToGround::Probe(Probe { sent, estimate }) => {
                let reply = ToVehicle::ProbeReply(ProbeReply { sent, ground: now.wall });
                self.transmit(Channel::Datagram, reply);
                if let (Some(datagrams), Some(estimate)) = (&mut self.datagrams, estimate) {
                    // The offset is as uncertain as half the round trip that it was measured with.
                    datagrams.round_trip =
                        Some(Duration::from_micros(2 * u64::from(estimate.uncertainty_micros)));
                }
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
            ToGround::Live(packet) => self.handle_live(now, packet),
            ToGround::Backlog(packet) => {
                let (header, bytes) = (packet.header, packet.part.bytes.len());
                let object = |assembly: &mut Assembly| assembly.handle_packet(now.instant, packet);
                self.handle_backlog(now, header, bytes, object)
            }
            ToGround::Parity(packet) => {
                let (header, bytes) = (packet.header, packet.bytes.len());
                let object = |assembly: &mut Assembly| assembly.handle_parity(now.instant, packet);
                self.handle_backlog(now, header, bytes, object)
            }
        }
    }

    /// Returns whether it was unknown.
    fn handle_schema(&mut self, announcement: SchemaAnnouncement) -> Result<bool, Refusal> {
        let SchemaAnnouncement { id, body } = announcement;
        let schema = body.resolve()?;
        match self.schemas.get(&id) {
            Some(known) if **known == schema => Ok(false),
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
                Ok(true)
            }
        }
    }

    fn handle_frame(&mut self, now: Now, message: FrameMessage) -> Result<(), Refusal> {
        let FrameMessage { lane, object: Object { offset, skips, frame } } = message;
        let first = self.base.wrapping_add_signed(offset);
        let parts = self.decoder.decode(&frame, &self.schemas, first)?;
        self.handle_parts(now, lane, Decoded { offset, parts }, &skips)
    }

    fn handle_live(&mut self, now: Now, packet: LivePacket) -> Result<(), Refusal> {
        let Some(datagrams) = &mut self.datagrams else { return Err(datagram_on_a_stream()) };
        let silence = datagrams.arrivals.silence(now.instant);
        let bytes = packet.payload.len() + packet.symbols.encoded_bytes();
        if !datagrams.arrivals.handle_packet(now, packet.header, bytes) {
            return Ok(());
        }
        datagrams.chain.handle_packet(now.instant, packet)?;
        let long_silent = silence.is_none_or(|silence| silence >= LONG_SILENCE);
        self.decode_chain(now)?;
        self.owe_feedback(now.instant, long_silent);
        Ok(())
    }

    /// A datagram of so many bytes for the backlog's objects, one of which it may complete.
    fn handle_backlog(
        &mut self,
        now: Now,
        header: PacketHeader,
        bytes: usize,
        object: impl FnOnce(&mut Assembly) -> Option<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let Some(datagrams) = &mut self.datagrams else { return Err(datagram_on_a_stream()) };
        if !datagrams.arrivals.handle_packet(now, header, bytes) {
            return Ok(());
        }
        datagrams.chain.handle_other_packet(header.number);
        let object = object(&mut datagrams.assembly);
        object.map_or(Ok(()), |object| self.decode_object(now, object))?;
        self.owe_feedback(now.instant, false);
        Ok(())
    }

    /// Takes a whole object of the backlog.
    fn decode_object(&mut self, now: Now, object: Vec<u8>) -> Result<(), Refusal> {
        let Object { offset, skips, frame } = Object::decode(&object)?;
        let first = self.base.wrapping_add_signed(offset);
        let parts = match self.decoder.decode(&frame, &self.schemas, first) {
            // Datagrams overtake the stream.
            Err(FrameError::Frame(DecodeError::UnknownSchema(id))) => {
                if let Some(datagrams) = &mut self.datagrams {
                    datagrams.undeclared.push_back((id, object));
                    if datagrams.undeclared.len() > MAX_UNDECLARED {
                        datagrams.undeclared.pop_front();
                    }
                }
                return Ok(());
            }
            decoded => decoded?,
        };
        self.handle_parts(now, Lane::Backlog, Decoded { offset, parts }, &skips)
    }

    /// Takes all that can be decoded of the live lane.
    fn decode_chain(&mut self, now: Now) -> Result<(), Refusal> {
        while let Some(datagrams) = &mut self.datagrams
            && let Some(decoded) = datagrams.chain.poll(now.instant, &self.schemas, self.base)?
        {
            self.handle_parts(now, Lane::Live, decoded, &[])?;
        }
        Ok(())
    }

    fn handle_parts(&mut self, now: Now, lane: Lane, decoded: Decoded, skips: &[u64]) -> Result<(), Refusal> {
        let mut offset = decoded.offset;
        let skips = [0].iter().chain(skips).copied().chain(std::iter::repeat(0));
        for (records, skip) in decoded.parts.into_iter().zip(skips) {
            offset = offset.saturating_add_unsigned(skip);
            let range = self.range(offset, records.len() as u64)?;
            offset = offset.saturating_add_unsigned(range.len());
            for part in self.accept(now, range)? {
                let at = |sequence: u64| (sequence - range.start) as usize;
                let records = records[at(part.start)..at(part.end)].to_vec();
                let frame = codec::encode(&Batch::new(records.clone()), &self.schemas).into();
                self.events.push_back(GroundEvent::Frame { lane, range: part, records, frame });
            }
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
}

fn datagram_on_a_stream() -> Refusal {
    Refusal::new(RefusalReason::Malformed, "a datagram's message on a connection without datagrams")
}
