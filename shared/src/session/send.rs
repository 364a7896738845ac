//! The vehicle's end of a session: one a process, across all its connections.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::commands::Answers;
use super::ledger::{AcknowledgedUnsent, Ledger};
use super::pacing::Pacer;
use super::transmit::{Carrier, Channel, Transmit};
use crate::clock::ClockFilter;
use crate::codec::{self, SchemaTable};
use crate::command::Order;
use crate::id::{Epoch, SchemaId, Token, VehicleId};
use crate::message::{
    Acknowledgement, ClockEstimate, FrameMessage, Gap, GapReason, Hello, Lane, MAX_EARLY_MESSAGES,
    PROTOCOL_VERSION, Refusal, RefusalReason, SchemaAnnouncement, SchemaBody, ToGround, ToVehicle, Welcome,
};
use crate::range::SequenceRange;
use crate::schema::Schema;
use crate::time::{Instant, Now, Timestamp};

/// What a packet carries of a message, about: the usual MTU of 1500 without headers.
const PACKET_BYTES: usize = 1400;
/// Frames that wait for the live lane. When more come than the link carries, the oldest goes to the backlog.
const LIVE_QUEUE_FRAMES: usize = 4;
/// Messages on their way before the session waits for acknowledgements.
const MAX_IN_FLIGHT: usize = 1024;
/// Messages between the hello and the welcome: what the ground keeps, less what it may get twice.
const EARLY_MESSAGES: usize = MAX_EARLY_MESSAGES / 2;
/// Backlog fetched from the spool at once: about this much time of the link...
const FETCH_TIME: Duration = Duration::from_secs(2);
/// ... within these bounds, bytes.
const FETCH_BYTES: std::ops::RangeInclusive<usize> = 4096..=256 * 1024;
/// Time between clock probes once the first ones are answered. Also keeps an idle connection alive.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// Time between the first probes of a session.
const FIRST_PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// How many those are.
const FIRST_PROBES: u32 = 3;

/// Who this vehicle is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name.
    pub vehicle: VehicleId,
    /// The spool's epoch.
    pub epoch: Epoch,
    /// The first sequence number of this start.
    pub base: u64,
    /// Its secret.
    pub token: Token,
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
    /// What a packet costs on the wire beside our bytes. A long message takes several.
    pub overhead_bytes: usize,
    /// When to send a frame again that was not acknowledged; `None` on transports that do that themselves.
    pub retransmit_after: Option<Duration>,
    /// How long to wait for a sign of the ground while frames are unacknowledged, before the connection is given up.
    pub silence_limit: Duration,
    /// On a stream transport: after this much of that silence nothing more is sent, because the transport would keep
    /// it and deliver it late, ahead of fresher data. `None` on datagram transports, whose first datagram after an
    /// outage is fresh.
    pub hold_after: Option<Duration>,
}

/// What the vehicle does about a session, in order.
#[derive(Clone, Debug, PartialEq)]
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
    /// On [`Carrier::Datagrams`]: whether the ground has been silent over the limit while something was sent. While it
    /// is, a new connection should be tried beside this one, which stays in use until the new one stands.
    Silent(bool),
    /// A new estimate of the ground's clock.
    Clock(ClockEstimate),
    /// [`EdgeSession::close`] is done: nothing more will be sent.
    Closed,
    /// The ground asks for something; [`EdgeSession::answer`] it.
    Order(Order),
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
    /// Records sent and not acknowledged yet.
    pub in_flight_records: u64,
    /// Whether the ground has acknowledged everything there is, gaps included.
    pub settled: bool,
    /// Records told to the ground as lost.
    pub lost_records: u64,
}

/// Where the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is none.
    Down,
    /// Hello has to be sent, or was sent at this time. Live frames follow it without waiting for the answer.
    Greeting { sent: Option<Instant> },
    /// The ground said welcome.
    Open,
    /// Goodbye was sent: what is on its way may still be acknowledged.
    Leaving,
    /// The ground refused or was given up: nothing is sent until the next connection.
    Refused,
}

/// What goes out besides frames, before them.
#[derive(Debug, Default)]
struct Control {
    /// Schemas that this connection has not declared yet.
    schemas: BTreeSet<SchemaId>,
    /// Messages sent on this connection before the welcome.
    early: usize,
    answers: Answers,
    gaps: VecDeque<(SequenceRange, GapReason)>,
    probes_sent: u32,
    next_probe: Option<Instant>,
}

/// The vehicle's end of a session.
#[derive(Debug)]
pub struct EdgeSession {
    identity: Identity,
    config: SendConfig,
    schemas: SchemaTable,
    /// The ground's dialect differs from ours: declare MAVLink schemas field by field.
    schemas_in_full: bool,
    phase: Phase,
    /// When the ground was last heard, or the connection made.
    heard: Instant,
    pacer: Pacer,
    clock: ClockFilter,
    ledger: Ledger,
    control: Control,
    /// Oldest first.
    live: VecDeque<Frame>,
    /// Fetched from the spool, newest first.
    backlog: VecDeque<Frame>,
    fetching: bool,
    closing: bool,
    events: VecDeque<EdgeEvent>,
    stats: SendStats,
}

impl EdgeSession {
    /// A session without a connection. Everything below `identity.base` is taken to be backlog until the ground says
    /// otherwise.
    pub fn new(identity: Identity, config: SendConfig) -> Self {
        EdgeSession {
            ledger: Ledger::new(identity.base),
            pacer: Pacer::new(config.rate_bits_per_second),
            identity,
            config,
            schemas: SchemaTable::new(),
            schemas_in_full: false,
            phase: Phase::Down,
            heard: Instant::default(),
            clock: ClockFilter::default(),
            control: Control::default(),
            live: VecDeque::new(),
            backlog: VecDeque::new(),
            fetching: false,
            closing: false,
            events: VecDeque::new(),
            stats: SendStats::default(),
        }
    }

    /// A schema exists from here on: every session declares it before the first frame that uses it.
    pub fn handle_schema(&mut self, id: SchemaId, schema: Arc<Schema>) {
        self.schemas.insert(id, schema);
        self.control.schemas.insert(id);
    }

    /// A new frame, whose range follows the previous one's; the spool has been given it as well.
    pub fn handle_frame(&mut self, frame: Frame) {
        self.ledger.add(frame.range);
        self.live.push_back(frame);
        if self.live.len() > LIVE_QUEUE_FRAMES
            && let Some(oldest) = self.live.pop_front()
        {
            self.ledger.put_back(oldest.range);
        }
    }

    /// The spool's answer to [`EdgeEvent::FetchBacklog`]: the frames found, newest first, the range that the search
    /// covered (a suffix of what was asked) and the parts of it that the spool does not hold.
    pub fn handle_backlog(
        &mut self,
        covered: SequenceRange,
        frames: Vec<Frame>,
        absent: Vec<(SequenceRange, GapReason)>,
    ) {
        self.fetching = false;
        if self.phase != Phase::Open {
            return;
        }
        self.ledger.take(covered);
        // One that the disk damaged would have the ground refuse this session and every later one.
        let (sound, damaged): (Vec<Frame>, Vec<Frame>) =
            frames.into_iter().partition(|frame| is_sound(frame, &self.schemas));
        let lost = damaged.into_iter().map(|frame| (frame.range, GapReason::NotStored));
        let gaps = lost.chain(absent).filter(|(range, _)| !self.ledger.is_acknowledged(*range));
        self.control.gaps.extend(gaps);
        self.backlog.extend(sound.into_iter().filter(|frame| !self.ledger.is_acknowledged(frame.range)));
    }

    /// A transport is up.
    pub fn handle_connected(&mut self, now: Now, _carrier: Carrier) {
        self.handle_disconnected();
        self.phase = Phase::Greeting { sent: None };
        self.heard = now.instant;
    }

    /// The transport is gone: what was not acknowledged is backlog.
    pub fn handle_disconnected(&mut self) {
        self.phase = Phase::Down;
        self.ledger.recall();
        for frame in self.backlog.drain(..) {
            self.ledger.put_back(frame.range);
        }
        for (range, _) in self.control.gaps.drain(..) {
            self.ledger.put_back(range);
        }
        self.control = Control { schemas: self.schemas.keys().copied().collect(), ..Control::default() };
    }

    /// A message arrived.
    pub fn handle_message(&mut self, now: Now, bytes: &[u8]) {
        if matches!(self.phase, Phase::Down | Phase::Refused) {
            return;
        }
        let message = match ToVehicle::decode(bytes) {
            Ok(message) => message,
            Err(error) => return self.give_up(format!("the ground sent nonsense: {error}")),
        };
        self.heard = now.instant;
        match message {
            ToVehicle::Welcome(welcome) => self.handle_welcome(now, welcome),
            ToVehicle::Acknowledge(acknowledgement) => self.handle_acknowledgement(&acknowledgement),
            ToVehicle::SchemaWanted(id) => {
                if self.schemas.contains_key(&id) {
                    self.control.schemas.insert(id);
                }
                // The frames that needed it were dropped.
                self.ledger.recall();
            }
            ToVehicle::ProbeReply(reply) => {
                self.clock.handle_reply(now, reply);
                self.events.extend(self.clock.estimate(now).map(EdgeEvent::Clock));
            }
            ToVehicle::Refused(refusal) => {
                self.schemas_in_full |= refusal.reason == RefusalReason::Dialect;
                self.phase = Phase::Refused;
                self.events.push_back(EdgeEvent::Refused(refusal));
            }
            ToVehicle::Order(order) => self.events.push_back(EdgeEvent::Order(order)),
            ToVehicle::Goodbye if self.phase == Phase::Leaving => self.events.push_back(EdgeEvent::Closed),
            ToVehicle::Goodbye => self.give_up("the ground is shutting down".to_owned()),
        }
    }

    /// The edge is shutting down: what is in the live lane leaves, then a goodbye, and [`EdgeEvent::Closed`] follows
    /// once everything sent is acknowledged. Without a connection it is closed at once; what was not sent is in the
    /// spool.
    pub fn close(&mut self) {
        self.closing = true;
        if !matches!(self.phase, Phase::Open | Phase::Greeting { .. }) {
            self.events.push_back(EdgeEvent::Closed);
        }
    }

    /// A timer is due.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.silence_deadline().is_some_and(|deadline| deadline <= now.instant) {
            let limit = self.config.silence_limit.as_secs_f64();
            return self.give_up(format!("nothing heard of the ground for {limit:.1} s"));
        }
        if let Some(after) = self.config.retransmit_after {
            self.ledger.recall_overdue(now.instant, after);
            if let Phase::Greeting { sent: Some(sent) } = self.phase
                && sent + after <= now.instant
            {
                self.phase = Phase::Greeting { sent: None };
                self.control.schemas.extend(self.schemas.keys().copied());
            }
        }
        self.want_backlog();
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and then [`poll_transmit`](Self::poll_transmit) next, if
    /// nothing else happens before. [`poll_transmit`](Self::poll_transmit) has to have returned `None` before.
    pub fn poll_timeout(&mut self, now: Now) -> Option<Instant> {
        if matches!(self.phase, Phase::Down | Phase::Refused) {
            return None;
        }
        let pacing = if self.has_message(now.instant) { self.pacer.ready(now.instant).err() } else { None };
        let after = self.config.retransmit_after;
        let overdue = after.and_then(|after| self.ledger.first_overdue(after));
        let greeting = match (self.phase, after) {
            (Phase::Greeting { sent: Some(sent) }, Some(after)) => Some(sent + after),
            _ => None,
        };
        // One that is due already waits for the pacer.
        let probe = self.control.next_probe.filter(|&due| self.phase == Phase::Open && due > now.instant);
        [self.silence_deadline(), pacing, overdue, greeting, probe].into_iter().flatten().min()
    }

    /// The next message to send, if there is one and the rate allows it. `stream_has_room` says whether a message on
    /// [`Channel::Stream`] can be taken; when one waits for room, [`poll_timeout`](Self::poll_timeout) says when to ask
    /// again.
    pub fn poll_transmit(&mut self, now: Now, stream_has_room: bool) -> Option<Transmit> {
        if !stream_has_room {
            return None;
        }
        self.want_backlog();
        if !self.has_message(now.instant) || self.pacer.ready(now.instant).is_err() {
            return None;
        }
        let message = self.next_message(now)?.encode();
        self.control.early += usize::from(matches!(self.phase, Phase::Greeting { .. }));
        let packets = 1 + message.len() / PACKET_BYTES;
        let wire_bytes = message.len() + packets * self.config.overhead_bytes;
        self.pacer.charge(wire_bytes);
        self.stats.wire_bytes += wire_bytes as u64;
        Some(Transmit { channel: Channel::Stream, bytes: message })
    }

    /// The next thing to act on.
    pub fn poll_event(&mut self) -> Option<EdgeEvent> {
        self.events.pop_front()
    }

    /// Counters.
    pub fn stats(&self) -> SendStats {
        SendStats {
            acknowledged_records: self.ledger.acknowledged_records(),
            in_flight_records: self.ledger.in_flight_records(),
            settled: self.ledger.is_settled(),
            lost_records: self.ledger.lost_records(),
            ..self.stats
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    pub(super) fn answers(&mut self) -> &mut Answers {
        &mut self.control.answers
    }

    pub(super) fn clock_filter(&self) -> &ClockFilter {
        &self.clock
    }

    fn handle_welcome(&mut self, now: Now, welcome: Welcome) {
        if !matches!(self.phase, Phase::Greeting { .. }) {
            return;
        }
        if welcome.protocol != PROTOCOL_VERSION {
            let theirs = welcome.protocol;
            return self
                .give_up(format!("the ground speaks protocol {theirs}, this edge {PROTOCOL_VERSION}"));
        }
        self.phase = Phase::Open;
        self.control.next_probe = Some(now.instant);
        self.events.push_back(EdgeEvent::Established { agent: welcome.agent });
        let below = SequenceRange::new(0, welcome.committed.floor);
        let committed = welcome.committed.ranges().chain([below]);
        let held = self.live.iter().map(|frame| frame.range);
        let news = self.ledger.restart(committed, held);
        self.settle(news);
    }

    fn handle_acknowledgement(&mut self, acknowledgement: &Acknowledgement) {
        let below = SequenceRange::new(0, acknowledgement.floor);
        let news = self.ledger.acknowledge(acknowledgement.ranges().chain([below]));
        self.settle(news);
    }

    fn settle(&mut self, news: Result<Vec<SequenceRange>, AcknowledgedUnsent>) {
        match news {
            Ok(news) => {
                self.live.retain(|frame| !self.ledger.is_acknowledged(frame.range));
                self.backlog.retain(|frame| !self.ledger.is_acknowledged(frame.range));
                self.control.gaps.retain(|(range, _)| !self.ledger.is_acknowledged(*range));
                if !news.is_empty() {
                    self.events.push_back(EdgeEvent::Acknowledged(news));
                }
                if self.phase == Phase::Leaving && self.ledger.in_flight_count() == 0 {
                    self.events.push_back(EdgeEvent::Closed);
                }
            }
            Err(AcknowledgedUnsent { claimed, next }) => self.give_up(format!(
                "the ground holds records up to {claimed} of epoch {}, this spool made only {next}: was the spool \
                 copied or restored? Move it away to begin a new epoch",
                self.identity.epoch
            )),
        }
    }

    fn give_up(&mut self, reason: String) {
        self.phase = Phase::Refused;
        self.events.push_back(EdgeEvent::Disconnect { reason });
    }

    /// Since when an answer of the ground is awaited: the later of the last sign of it and the oldest message that it
    /// has not acknowledged.
    fn awaiting_since(&self) -> Option<Instant> {
        let awaited = match self.phase {
            Phase::Down | Phase::Refused => None,
            Phase::Greeting { .. } => Some(self.heard),
            Phase::Open | Phase::Leaving => self.ledger.oldest_in_flight(),
        };
        awaited.map(|since| since.max(self.heard))
    }

    fn silence_deadline(&self) -> Option<Instant> {
        self.awaiting_since().map(|since| since + self.config.silence_limit)
    }

    /// Whether the ground has been silent for so long that a stream transport must be stuck.
    fn holds(&self, now: Instant) -> bool {
        let Some((since, limit)) = self.awaiting_since().zip(self.config.hold_after) else { return false };
        since + limit <= now
    }

    fn want_backlog(&mut self) {
        let idle = self.backlog.is_empty() && self.control.gaps.is_empty() && !self.fetching && !self.closing;
        if self.phase != Phase::Open || !idle {
            return;
        }
        if let Some(range) = self.ledger.newest_pending() {
            self.fetching = true;
            let bytes = self.config.rate_bits_per_second.unwrap_or(u64::MAX) / 8;
            let bytes = usize::try_from(bytes.saturating_mul(FETCH_TIME.as_secs())).unwrap_or(usize::MAX);
            let max_bytes = bytes.clamp(*FETCH_BYTES.start(), *FETCH_BYTES.end());
            self.events.push_back(EdgeEvent::FetchBacklog { range, max_bytes });
        }
    }

    fn has_message(&self, now: Instant) -> bool {
        let room = self.ledger.in_flight_count() < MAX_IN_FLIGHT;
        if self.holds(now) {
            return false;
        }
        match self.phase {
            Phase::Down | Phase::Leaving | Phase::Refused => false,
            Phase::Greeting { sent: None } => true,
            Phase::Greeting { .. } => {
                self.control.early < EARLY_MESSAGES
                    && (!self.control.schemas.is_empty() || (room && !self.live.is_empty()))
            }
            Phase::Open => {
                !self.control.schemas.is_empty()
                    || !self.control.answers.is_empty()
                    || self.control.next_probe.is_some_and(|due| due <= now)
                    || (room
                        && !(self.live.is_empty() && self.backlog.is_empty() && self.control.gaps.is_empty()))
                    || self.closing
            }
        }
    }

    /// What goes next: hello, schemas, answers to commands, the newest live frame, then, in an open session, a due probe,
    /// gaps, backlog, and goodbye.
    fn next_message(&mut self, now: Now) -> Option<ToGround> {
        if let Phase::Greeting { sent: sent @ None } = &mut self.phase {
            *sent = Some(now.instant);
            return Some(self.hello());
        }
        if !self.control.schemas.is_empty() {
            return Some(ToGround::Schemas(self.announce()));
        }
        if let Some(answer) = self.control.answers.pop() {
            return Some(ToGround::Answer(answer));
        }
        let room = self.ledger.in_flight_count() < MAX_IN_FLIGHT;
        if let Some(frame) = self.live.pop_back_if(|_| room) {
            self.stats.live_frames += 1;
            return Some(self.frame(now, Lane::Live, frame));
        }
        if self.phase != Phase::Open {
            return None;
        }
        if self.control.next_probe.is_some_and(|due| due <= now.instant) {
            self.control.probes_sent += 1;
            let first = self.control.probes_sent < FIRST_PROBES;
            let interval = if first { FIRST_PROBE_INTERVAL } else { PROBE_INTERVAL };
            self.control.next_probe = Some(now.instant + interval);
            return Some(ToGround::Probe(self.clock.probe(now)));
        }
        if self.closing {
            self.phase = Phase::Leaving;
            self.settle(Ok(Vec::new()));
            return Some(ToGround::Goodbye);
        }
        if let Some((range, reason)) = self.control.gaps.pop_front_if(|_| room) {
            self.ledger.sent(self.leaves(now, 0), range, Some(reason));
            let offset = self.offset(range);
            return Some(ToGround::Gap(Gap { offset, count: range.len(), reason }));
        }
        let frame = self.backlog.pop_front_if(|_| room)?;
        self.stats.backlog_frames += 1;
        Some(self.frame(now, Lane::Backlog, frame))
    }

    /// The next schemas to declare, as many as share a packet, but at least one.
    fn announce(&mut self) -> Vec<SchemaAnnouncement> {
        let mut announcements = Vec::new();
        let mut bytes = 0;
        while bytes < PACKET_BYTES
            && let Some(id) = self.control.schemas.pop_first()
        {
            let Some(schema) = self.schemas.get(&id) else { continue };
            let body = if self.schemas_in_full {
                SchemaBody::Full(Schema::clone(schema))
            } else {
                SchemaBody::compact(schema)
            };
            let announcement = SchemaAnnouncement { id, body };
            bytes += announcement.encoded_bytes();
            if bytes > PACKET_BYTES && !announcements.is_empty() {
                self.control.schemas.insert(id);
                break;
            }
            announcements.push(announcement);
        }
        announcements
    }

    fn hello(&self) -> ToGround {
        let Identity { vehicle, epoch, base, token, agent } = self.identity.clone();
        ToGround::Hello(Hello { protocol: PROTOCOL_VERSION, vehicle, epoch, base, token, agent })
    }

    fn frame(&mut self, now: Now, lane: Lane, frame: Frame) -> ToGround {
        self.ledger.sent(self.leaves(now, frame.bytes.len()), frame.range, None);
        ToGround::Frame(FrameMessage { lane, offset: self.offset(frame.range), frame: frame.bytes.to_vec() })
    }

    /// When a message of about this size, sent now, has left at the link's rate: on a narrow link a large frame takes
    /// longer than the ground may be silent.
    fn leaves(&self, now: Now, bytes: usize) -> Instant {
        let bits = (bytes + self.config.overhead_bytes) as u64 * 8;
        let micros = self.config.rate_bits_per_second.map_or(0, |rate| bits * 1_000_000 / rate.max(1));
        now.instant + Duration::from_micros(micros)
    }

    fn offset(&self, range: SequenceRange) -> i64 {
        range.start.wrapping_sub(self.identity.base) as i64
    }
}

/// Whether the ground can read the frame, and reads as many records as its range names.
fn is_sound(frame: &Frame, schemas: &SchemaTable) -> bool {
    codec::decode(&frame.bytes, schemas).is_ok_and(|records| records.len() as u64 == frame.range.len())
}
