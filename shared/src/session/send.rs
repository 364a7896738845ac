//! The vehicle's end of a session: one a process, across all its connections.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::allowance::Allowance;
use super::arrival::FEEDBACK_PACKETS;
use super::backlog::BacklogLane;
use super::budget::{Budget, BudgetChange, Budgets, MonthSpent, Thinning};
use super::commands::Answers;
use super::declarations::{Declarations, Repeating};
use super::ledger::{FalseClaim, Ledger};
use super::live::LiveLane;
use super::pacing::{Line, Pacer, Unforeseen};
use super::packets::{Content, Packets};
use super::shield::{Pins, Shield};
use super::transmit::{Carrier, Transmit};
use crate::batch::Batch;
use crate::clock::ClockFilter;
use crate::codec::{self, SchemaTable};
use crate::command::Order;
use crate::datagram::loss::LossReport;
use crate::datagram::rate::AutoRate;
use crate::id::{Epoch, SchemaId, Token, VehicleId};
use crate::message::{
    Acknowledgement, ClockEstimate, Feedback, GapReason, Lack, PROTOCOL_VERSION, Refusal, RefusalReason,
    ToVehicle, Welcome,
};
use crate::range::SequenceRange;
use crate::record::Record;
use crate::schema::Schema;
use crate::time::{Instant, Now, Timestamp};

/// What comes together after a pause may take this much time of the link.
const DIVIDED_TIME: Duration = Duration::from_millis(300);
/// What live records may take of the link: a tenth is left for the backlog and for control. Symbols take what the records
/// leave of the rest.
const LIVE_SHARE: f64 = 0.9;
/// What a packet costs beside our bytes: IP, TCP, TLS, WebSocket...
const STREAM_OVERHEAD: usize = 80;
/// ... or IP, UDP and QUIC. What QUIC sends beside, acknowledgements and repetitions on its stream, is charged as it is
/// counted.
const DATAGRAM_OVERHEAD: usize = 53;
/// What a packet's header, its payload's and its symbols' take at most, bytes.
const PACKET_HEADER_BYTES: usize = 24;
/// Backlog fetched from the spool at once: about this much time of the link...
const FETCH_TIME: Duration = Duration::from_secs(2);
/// ... within these bounds, bytes.
const FETCH_BYTES: std::ops::RangeInclusive<usize> = 16 * 1024..=1024 * 1024;
/// What is kept of it, bytes: newer records are fetched before older ones have left.
pub(super) const FETCHED_BYTES: usize = 2 * *FETCH_BYTES.end();
/// The batch window of a stream transport, whose packets cost 80 bytes of headers.
const STREAM_WINDOW: Duration = Duration::from_millis(200);
/// The round trip before any was measured: geostationary, loaded.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(1500);
/// A live payload that is lost may come by coded symbols that the ground asks for, within so many round trips.
const ASKED_ROUND_TRIPS: u32 = 3;
/// What a new connection costs, about.
const CONNECTION_BYTES: u64 = 6000;
/// The longest that the narrowness of a link makes the ground's silence be waited for.
const SILENCE_LIMIT_MAX: Duration = Duration::from_secs(60);
/// What a datagram may take longer than the round trip to be acknowledged: the ground gathers for a second, commits, and
/// may lose an acknowledgement.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(2500);

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
    /// Whether the rate is found out ([`AutoRate`]) instead, at most `rate_bits_per_second`. Takes [`Carrier::Datagrams`];
    /// a stream keeps to the rate that was found last.
    pub auto_rate: bool,
    /// What may be spent.
    pub budgets: Budgets,
    /// What a packet costs on the wire beside our bytes; `None` for what the carrier's headers are. A long message takes
    /// several packets.
    pub overhead_bytes: Option<usize>,
    /// How long to wait for a sign of the ground while frames are unacknowledged, before the connection is given up or,
    /// on datagrams, another is tried beside it. After half of it nothing is sent but what is live, because the rest
    /// would be paid for in vain; on a stream nothing at all, because it would be delivered late, ahead of fresher data.
    /// Where a new connection takes the link longer than that, it is that long, up to a minute.
    pub silence_limit: Duration,
    /// How long a record waits for company; `None` for what suits the carrier, the rate and the loss.
    pub batch_window: Option<Duration>,
    /// What of the protection against loss does not follow the measured loss.
    pub pins: Pins,
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
    /// A budget came to another stage: tell people.
    Budget(BudgetChange),
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
    /// The rate that is kept to, bits a second, as configured, found out or allowed by the budget; `None` for no limit.
    pub rate_bits_per_second: Option<u64>,
    /// What was spent since the start, both directions, headers counted.
    pub flight_bytes: u64,
    /// What was spent this month, with earlier starts.
    pub month: MonthSpent,
    /// What is left of the scarcest budget; `None` without one.
    pub budget_left_bytes: Option<u64>,
    /// What the budgets allow.
    pub thinning: Thinning,
    /// Records told to the ground as lost.
    pub lost_records: u64,
    /// The last measured round trip, on datagrams.
    pub round_trip: Option<Duration>,
    /// How the link to the ground loses packets, as the ground sees it.
    pub loss: Option<LossReport>,
    /// The last packet's one-way delay to the ground, milliseconds, as uncertain as the clock estimate.
    pub one_way_millis: Option<i64>,
}

/// Where the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is none.
    Down,
    /// Hello has to be sent, or was. Live frames follow it without waiting for the answer.
    Greeting { sent: bool },
    /// The ground said welcome.
    Open,
    /// Goodbye was sent: what is on its way may still be acknowledged.
    Leaving,
    /// The ground refused or was given up: nothing is sent until the next connection.
    Refused,
}

/// What goes out besides frames, before them.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// Messages sent on this connection before the welcome.
    pub(super) early: usize,
    pub(super) answers: Answers,
    pub(super) gaps: VecDeque<(SequenceRange, GapReason)>,
    pub(super) probes_sent: u32,
    pub(super) next_probe: Option<Instant>,
}

/// What a connection of datagrams has beside.
#[derive(Debug)]
pub(super) struct Datagrams {
    /// The largest message that fits.
    max_bytes: usize,
    pub(super) packets: Packets,
    pub(super) shield: Shield,
    /// The packet after the last parity.
    pub(super) parity_from: u32,
    /// The payload that left last: its packet, and the number after its last record.
    pub(super) last_payload: Option<(u32, u64)>,
    /// Live frames that others may continue once they are acknowledged, by first record: their ranges.
    pub(super) bases: BTreeMap<u64, SequenceRange>,
    /// Since when something is on its way and nothing was heard.
    pub(super) unheard_since: Option<Instant>,
    round_trip: Option<Duration>,
}

impl Datagrams {
    /// What a message has room for, bytes, beside its packet's header.
    pub(super) fn room(&self) -> usize {
        self.max_bytes.saturating_sub(PACKET_HEADER_BYTES)
    }
}

/// The vehicle's end of a session.
#[derive(Debug)]
pub struct EdgeSession {
    pub(super) identity: Identity,
    pub(super) config: SendConfig,
    pub(super) declarations: Declarations,
    pub(super) phase: Phase,
    /// When the ground was last heard, or the connection made.
    heard: Instant,
    pub(super) pacer: Pacer,
    pub(super) line: Line,
    pub(super) unforeseen: Unforeseen,
    pub(super) budget: Budget,
    /// Where the rate is found out.
    pub(super) auto_rate: Option<AutoRate>,
    pub(super) clock: ClockFilter,
    pub(super) ledger: Ledger,
    pub(super) control: Control,
    pub(super) live: LiveLane,
    pub(super) backlog: BacklogLane,
    /// On a carrier of datagrams.
    pub(super) datagrams: Option<Datagrams>,
    /// What live records may take of the link.
    pub(super) live_share: Allowance,
    pub(super) fetching: bool,
    /// Since when one fetch has followed another.
    pub(super) fetching_since: Option<Instant>,
    pub(super) closing: bool,
    events: VecDeque<EdgeEvent>,
    pub(super) stats: SendStats,
}

impl EdgeSession {
    /// A session without a connection. Everything below `identity.base` is taken to be backlog until the ground says
    /// otherwise.
    pub fn new(identity: Identity, config: SendConfig) -> Self {
        EdgeSession {
            ledger: Ledger::new(identity.base),
            pacer: Pacer::of_link(config.rate_bits_per_second),
            line: Line::default(),
            unforeseen: Unforeseen::default(),
            budget: Budget::new(config.budgets),
            auto_rate: config.auto_rate.then(|| AutoRate::new(config.rate_bits_per_second)),
            identity,
            config,
            declarations: Declarations::default(),
            phase: Phase::Down,
            heard: Instant::default(),
            clock: ClockFilter::default(),
            control: Control::default(),
            live: LiveLane::new(),
            backlog: BacklogLane::default(),
            datagrams: None,
            live_share: Allowance::new(DIVIDED_TIME),
            fetching: false,
            fetching_since: None,
            closing: false,
            events: VecDeque::new(),
            stats: SendStats::default(),
        }
    }

    /// A schema exists from here on: every connection declares it before the first frame that uses it.
    pub fn handle_schema(&mut self, id: SchemaId, schema: Arc<Schema>) {
        self.declarations.insert(id, schema);
    }

    /// Carries the capture times of this schema's records in microseconds, which costs more than a byte a record; those of
    /// others are rounded to milliseconds. To be called before its first frame.
    pub fn carry_microseconds(&mut self, id: SchemaId) {
        self.live.carry_microseconds(id);
        self.backlog.carry_microseconds(id);
    }

    /// How long a record should wait for company before its batch closes.
    pub fn batch_window(&self) -> Duration {
        let suited = self.datagrams.as_ref().map_or(STREAM_WINDOW, |datagrams| datagrams.shield.tick());
        let window = self.config.batch_window.unwrap_or(suited);
        if self.budget.thinning() >= Thinning::HalfLive { window * 2 } else { window }
    }

    /// Divides the records of a batch that closed into those that the live lane has no room for, which go only to the
    /// spool ([`handle_stored`](Self::handle_stored)), and those that it takes ([`handle_frame`](Self::handle_frame)).
    /// Either may be empty. The former get the lower sequence numbers.
    pub fn divide(&mut self, now: Now, batch: Batch) -> (Batch, Batch) {
        self.live_share.set_saved(DIVIDED_TIME.max(self.batch_window() * 2));
        let bytes = self.rate_bits_per_second().map_or(f64::INFINITY, |rate| {
            self.live_share.handle_time(now.instant, rate as f64 / 8.0 * LIVE_SHARE);
            self.live_share.bytes() - self.overhead_bytes() as f64
        });
        let thinning = self.budget.thinning();
        let keeps_back = self.keeps_back_unknown(now.instant);
        let (known, unknown): (Vec<Record>, Vec<Record>) =
            batch.into_records().into_iter().partition(|record| !keeps_back || self.is_known(record.schema));
        let schemas = self.declarations.schemas();
        let (mut rest, live) = self.live.divide(known, schemas, bytes.max(0.0), thinning);
        rest.extend(unknown);
        (Batch::new(rest), Batch::new(live))
    }

    /// Whether records of streams that the ground may not know go to the backlog: what was declared in the dark comes late, as a
    /// reliable stream repeats it ever more seldom, and would hold up all records that share its frames. Where it knows none, as
    /// just after the start, there are no others, and perhaps only what it says is lost.
    fn keeps_back_unknown(&self, now: Instant) -> bool {
        let is_dark = self.phase == Phase::Open && self.is_dark(now);
        is_dark && self.datagrams.is_some() && self.declarations.is_any_known(self.heard, self.round_trip())
    }

    /// Whether this stream's declaration had reached the ground when that was last heard.
    fn is_known(&self, schema: SchemaId) -> bool {
        self.declarations.is_known(schema, self.heard, self.round_trip())
    }

    /// The round trip as it was measured last on datagrams.
    fn round_trip(&self) -> Duration {
        let measured = self.datagrams.as_ref().and_then(|datagrams| datagrams.round_trip);
        measured.unwrap_or(FIRST_ROUND_TRIP)
    }

    /// How schemas go again in an open session on datagrams.
    pub(super) fn repeating(&self) -> Option<Repeating> {
        let datagrams = self.datagrams.as_ref().filter(|_| self.is_open())?;
        Some(Repeating {
            room: datagrams.room(),
            overhead_bytes: self.overhead_bytes(),
            bytes_per_second: self.bytes_per_second(),
            round_trip: self.round_trip(),
            apart: datagrams.shield.after_burst(),
            times: datagrams.shield.repetitions(),
        })
    }

    /// A new frame for the live lane, whose range follows the previous one's; the spool has been given it as well.
    pub fn handle_frame(&mut self, frame: Frame) {
        self.ledger.add(frame.range);
        self.live.push(frame);
        self.bound_live();
    }

    /// New records that only the spool has been given: backlog. Their range follows the previous frame's.
    pub fn handle_stored(&mut self, range: SequenceRange) {
        self.ledger.add(range);
        self.ledger.put_back(range);
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
            frames.into_iter().partition(|frame| is_sound(frame, self.declarations.schemas()));
        let lost = damaged.into_iter().map(|frame| (frame.range, GapReason::NotStored));
        let gaps = lost.chain(absent).filter(|(range, _)| !self.ledger.is_acknowledged(*range));
        self.control.gaps.extend(gaps);
        let ledger = &self.ledger;
        self.backlog.extend(sound.into_iter().filter(|frame| !ledger.is_acknowledged(frame.range)));
        while let Some(oldest) = self.backlog.overflow(FETCHED_BYTES) {
            self.ledger.put_back(oldest);
        }
    }

    /// A connection is up: the only one from here on.
    pub fn handle_connected(&mut self, now: Now, carrier: Carrier) {
        self.handle_disconnected();
        self.phase = Phase::Greeting { sent: false };
        self.heard = now.instant;
        self.live.restart();
        if let Some(auto_rate) = &mut self.auto_rate {
            auto_rate.restart();
        }
        // Fear would fill a link of which not even the rate is known.
        let loss = self.stats.loss.or(self.auto_rate.as_ref().map(|_| LossReport::ASSUMED));
        self.datagrams = match carrier {
            Carrier::Stream => None,
            Carrier::Datagrams { max_bytes } => Some(Datagrams {
                max_bytes,
                packets: Packets::default(),
                shield: Shield::new(
                    self.config.pins,
                    self.rate_bits_per_second(),
                    self.config.overhead_bytes.unwrap_or(DATAGRAM_OVERHEAD),
                    loss,
                ),
                parity_from: 0,
                last_payload: None,
                bases: BTreeMap::new(),
                unheard_since: None,
                round_trip: None,
            }),
        };
    }

    /// The connection is gone: what was not acknowledged is backlog.
    pub fn handle_disconnected(&mut self) {
        self.phase = Phase::Down;
        self.ledger.recall();
        for range in self.backlog.clear() {
            self.ledger.put_back(range);
        }
        for (range, _) in self.control.gaps.drain(..) {
            self.ledger.put_back(range);
        }
        self.control = Control::default();
        self.declarations.restart();
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
        let was_dark = self.is_open() && self.datagrams.is_some() && self.is_dark(now.instant);
        let heard = std::mem::replace(&mut self.heard, now.instant);
        self.budget.handle_estimate(now.instant, bytes.len() + self.overhead_bytes());
        if let Some(datagrams) = &mut self.datagrams {
            datagrams.unheard_since = None;
            if datagrams.shield.set_silent(false) {
                self.events.push_back(EdgeEvent::Silent(false));
            }
        }
        if let Some(repeating) = self.repeating().filter(|_| was_dark) {
            self.declarations.declare_again(now.instant, heard, repeating);
        }
        match message {
            ToVehicle::Welcome(welcome) => self.handle_welcome(now, welcome),
            ToVehicle::Acknowledge(acknowledgement) => self.handle_acknowledgement(&acknowledgement),
            ToVehicle::Feedback(feedback) => self.handle_feedback(now, &feedback),
            ToVehicle::ProbeReply(reply) => {
                self.clock.handle_reply(now, reply);
                self.events.extend(self.clock.estimate(now).map(EdgeEvent::Clock));
            }
            ToVehicle::Refused(refusal) => {
                if refusal.reason == RefusalReason::Dialect {
                    self.declarations.use_full_form();
                }
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
            let Some(datagrams) = &mut self.datagrams else {
                let limit = self.silence_limit().as_secs_f64();
                return self.give_up(format!("nothing heard of the ground for {limit:.1} s"));
            };
            datagrams.shield.set_silent(true);
            self.events.push_back(EdgeEvent::Silent(true));
        }
        if let Some(after) = self.acknowledged_within() {
            self.ledger.recall_overdue(now.instant, after);
            let ledger = &self.ledger;
            self.backlog.retain_objects(|range| ledger.is_in_flight(range));
        }
        self.want_backlog(now.instant);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) and then [`poll_transmit`](Self::poll_transmit) next, if
    /// nothing else happens before. [`poll_transmit`](Self::poll_transmit) has to have returned `None` before.
    pub fn poll_timeout(&mut self, now: Now) -> Option<Instant> {
        if matches!(self.phase, Phase::Down | Phase::Refused) {
            return None;
        }
        let transmit = self.transmit_timeout(now.instant);
        let overdue = self.acknowledged_within().and_then(|after| self.ledger.first_overdue(after));
        [self.silence_deadline(), transmit, overdue].into_iter().flatten().min()
    }

    /// The next message to send, if there is one and the rate allows it. `stream_has_room` says whether a message on
    /// [`Channel::Stream`](super::Channel::Stream) can be taken; when one waits for room,
    /// [`poll_timeout`](Self::poll_timeout) says when to ask again.
    pub fn poll_transmit(&mut self, now: Now, stream_has_room: bool) -> Option<Transmit> {
        self.want_backlog(now.instant);
        let transmit = self.next_transmit(now, stream_has_room)?;
        if let Some(datagrams) = &mut self.datagrams {
            datagrams.unheard_since.get_or_insert(now.instant);
        }
        Some(transmit)
    }

    /// The next thing to act on.
    pub fn poll_event(&mut self) -> Option<EdgeEvent> {
        self.events.pop_front().or_else(|| self.budget.poll_change().map(EdgeEvent::Budget))
    }

    /// What earlier starts of the edge have spent of a month's budget. Call it before anything is sent.
    pub fn handle_month_spent(&mut self, spent: MonthSpent) {
        self.budget.restore(spent);
    }

    /// What the transport has really sent and received since the start of the edge, all connections and attempts, headers
    /// counted. In between the session counts what it hears and sends by estimate.
    pub fn handle_counted(&mut self, now: Now, sent_bytes: u64, received_bytes: u64) {
        let unforeseen = self.unforeseen.handle_counted(sent_bytes);
        // What a handshake of TCP has sent is told when that is over, and off the link.
        if let Some(datagrams) = &mut self.datagrams {
            datagrams.shield.charge(unforeseen);
            self.pacer.charge(now.instant, unforeseen);
            self.line.charge(now.instant, self.rate_bits_per_second(), unforeseen);
        }
        let estimate = self.clock.estimate(now);
        let offset_micros = estimate.map_or(0, |estimate| estimate.offset_micros);
        self.budget.handle_time(now.wall.offset_by(offset_micros), estimate.is_some());
        self.budget.handle_counted(now.instant, sent_bytes.saturating_add(received_bytes));
    }

    /// Counters.
    pub fn stats(&self) -> SendStats {
        SendStats {
            acknowledged_records: self.ledger.acknowledged_records(),
            in_flight_records: self.ledger.in_flight_records(),
            settled: self.ledger.is_settled(),
            lost_records: self.ledger.lost_records(),
            rate_bits_per_second: self.rate_bits_per_second(),
            flight_bytes: self.budget.flight_bytes(),
            month: self.budget.month(),
            budget_left_bytes: self.budget.left_bytes(),
            thinning: self.budget.thinning(),
            ..self.stats
        }
    }

    /// What the live lane has no room for is backlog.
    pub(super) fn bound_live(&mut self) {
        while let Some(oldest) = self.live.overflow() {
            self.ledger.put_back(oldest.range);
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
        let held = self.live.ranges();
        let news = self.ledger.restart(committed, held);
        self.settle(news);
    }

    fn handle_acknowledgement(&mut self, acknowledgement: &Acknowledgement) {
        let below = SequenceRange::new(0, acknowledgement.floor);
        let news = self.ledger.acknowledge(acknowledgement.ranges().chain([below]));
        self.settle(news);
    }

    /// What the ground says of the datagrams that arrived.
    fn handle_feedback(&mut self, now: Now, feedback: &Feedback) {
        self.handle_acknowledgement(&feedback.committed);
        let patience = self.round_trip() * ASKED_ROUND_TRIPS;
        let Some(datagrams) = &mut self.datagrams else { return };
        let window = datagrams.shield.window();
        let fate = datagrams.packets.handle_feedback(now.instant, feedback, window, patience);
        datagrams.round_trip = fate.round_trip.or(datagrams.round_trip);
        if let Some((units, symbols)) = fate.since {
            datagrams.shield.handle_came(units);
            if let Some(wanted) = feedback.wanted {
                datagrams.shield.handle_wanted(wanted, feedback.largest, units, symbols);
            }
        }
        if let Some(auto_rate) = &mut self.auto_rate {
            let (newest, arrived) = (feedback.largest, feedback.arrived_millis);
            auto_rate.handle_feedback(now.instant, newest, arrived, feedback.missing_ranges());
            let rate = auto_rate.rate_bits_per_second();
            datagrams.shield.set_rate(self.budget.bits_per_second().map_or(rate, |most| most.min(rate)));
        }
        datagrams.shield.handle_report(now.instant, feedback.largest, feedback.loss, datagrams.round_trip);
        self.stats.round_trip = datagrams.round_trip;
        self.stats.loss = Some(feedback.loss);
        if let (Some(raw), Some(clock)) = (fate.raw_delay_millis, self.clock.estimate(now)) {
            // Both clocks are told modulo 65,536 ms, and so is their difference.
            let delay = i64::from(raw) - clock.offset_micros.div_euclid(1000);
            self.stats.one_way_millis = Some((delay as i16).into());
        }
        match feedback.lack {
            Lack::Nothing => {}
            Lack::KeyFrame => {
                self.live.restart();
                datagrams.bases.clear();
            }
            Lack::Schema(id) => {
                if let Some(repeating) = self.repeating() {
                    self.declarations.declare_lost(now.instant, id, repeating);
                }
            }
        }
        for content in fate.lost {
            self.handle_lost(content);
        }
    }

    /// A datagram will not arrive any more: what it carried goes again, behind what is live.
    pub(super) fn handle_lost(&mut self, content: Content) {
        match content {
            Content::Live { range, .. } => {
                self.ledger.give_back(range);
                if let Some(datagrams) = &mut self.datagrams {
                    datagrams.bases.remove(&range.start);
                }
            }
            Content::Fragment(fragment) => self.backlog.lost(fragment),
            Content::Symbols | Content::Parity => {}
        }
    }

    pub(super) fn settle(&mut self, news: Result<Vec<SequenceRange>, FalseClaim>) {
        match news {
            Ok(news) => {
                let ledger = &self.ledger;
                self.live.retain(|range| !ledger.is_acknowledged(range));
                self.backlog.retain(|range| !ledger.is_acknowledged(range));
                self.control.gaps.retain(|(range, _)| !ledger.is_acknowledged(*range));
                if let Some(datagrams) = &mut self.datagrams {
                    let live = &mut self.live;
                    datagrams.bases.retain(|&first, range| {
                        let is_acknowledged = ledger.is_acknowledged(*range);
                        if is_acknowledged {
                            live.acknowledge(first);
                        }
                        !is_acknowledged
                    });
                }
                if !news.is_empty() {
                    self.events.push_back(EdgeEvent::Acknowledged(news));
                }
                if self.phase == Phase::Leaving && self.ledger.in_flight_count() == 0 {
                    self.events.push_back(EdgeEvent::Closed);
                }
            }
            Err(FalseClaim::Unmade { claimed, next }) => self.give_up(format!(
                "the ground holds records up to {claimed} of epoch {}, this spool made only {next}: was the spool \
                 copied or restored? Move it away to begin a new epoch",
                self.identity.epoch
            )),
            Err(FalseClaim::Scattered) => self.give_up(format!(
                "the ground acknowledges records of epoch {} in too many ranges: the rest is kept",
                self.identity.epoch
            )),
            Err(FalseClaim::Unsent(range)) => self.give_up(format!(
                "the ground acknowledges records {range} of epoch {}, which were not sent to it: they are kept",
                self.identity.epoch
            )),
        }
    }

    fn give_up(&mut self, reason: String) {
        self.phase = Phase::Refused;
        self.events.push_back(EdgeEvent::Disconnect { reason });
    }

    /// Since when an answer of the ground is awaited.
    pub(super) fn awaiting_since(&self) -> Option<Instant> {
        let awaited = match (self.phase, &self.datagrams) {
            (Phase::Down | Phase::Refused, _) => None,
            (Phase::Greeting { .. }, _) => Some(self.heard),
            (Phase::Open | Phase::Leaving, Some(datagrams)) => datagrams.unheard_since,
            (Phase::Open | Phase::Leaving, None) => self.ledger.oldest_in_flight(),
        };
        awaited.map(|since| since.max(self.heard))
    }

    fn silence_deadline(&self) -> Option<Instant> {
        // With the budget spent, another connection could not be paid for.
        let told = self.datagrams.as_ref().is_some_and(|datagrams| datagrams.shield.is_silent())
            || self.budget.thinning() == Thinning::Spent;
        self.awaiting_since().filter(|_| !told).map(|since| since + self.silence_limit())
    }

    /// On a narrow link another connection fills the link for seconds, and would be missed by what waits behind it.
    pub(super) fn silence_limit(&self) -> Duration {
        let rate = self.rate_bits_per_second().unwrap_or(u64::MAX).max(1);
        let connecting = Duration::from_millis(CONNECTION_BYTES * 8000 / rate).min(SILENCE_LIMIT_MAX);
        self.config.silence_limit.max(connecting)
    }

    /// Whether the ground has been silent for so long that what is sent is probably lost, or stuck in a stream.
    pub(super) fn is_dark(&self, now: Instant) -> bool {
        self.dark_at().is_some_and(|dark| dark <= now)
    }

    /// Since when it is, or will be if nothing is heard.
    pub(super) fn dark_at(&self) -> Option<Instant> {
        self.awaiting_since().map(|since| since + self.silence_limit() / 2)
    }

    /// How long a message may be unacknowledged before it counts as lost; `None` on a stream, which loses nothing.
    fn acknowledged_within(&self) -> Option<Duration> {
        let datagrams = self.datagrams.as_ref()?;
        let gathered = datagrams.shield.payload_interval() * FEEDBACK_PACKETS;
        Some(self.round_trip() + ACKNOWLEDGED_WITHIN + gathered)
    }

    /// What a packet costs beside our bytes.
    pub(super) fn overhead_bytes(&self) -> usize {
        let carrier = if self.datagrams.is_some() { DATAGRAM_OVERHEAD } else { STREAM_OVERHEAD };
        self.config.overhead_bytes.unwrap_or(carrier)
    }

    fn want_backlog(&mut self, now: Instant) {
        if self.fetching {
            return;
        }
        let Some(range) = self.wanted_backlog(now) else {
            self.fetching_since = None;
            return;
        };
        self.fetching = true;
        self.fetching_since.get_or_insert(now);
        let max_bytes = self.bytes_in(FETCH_TIME).clamp(*FETCH_BYTES.start(), *FETCH_BYTES.end());
        self.events.push_back(EdgeEvent::FetchBacklog { range, max_bytes });
    }

    /// What the spool should read next.
    fn wanted_backlog(&self, now: Instant) -> Option<SequenceRange> {
        let idle = self.control.gaps.is_empty() && !self.closing;
        let may_leave = idle && self.budget.thinning() == Thinning::None;
        // In the dark nothing of it leaves, and what lies between its frames and was sent comes back later: read then, all
        // of it is in order.
        if self.phase != Phase::Open || !may_leave || self.is_dark(now) {
            return None;
        }
        let range = self.ledger.newest_pending()?;
        // What the live lane had no room for goes before what is older.
        let is_newest = self.backlog.newest_fetched().is_none_or(|fetched| fetched.end <= range.start);
        // A few records between others that are on their way fill no object. Reading far ahead is for nothing when the link
        // narrows.
        let is_next = self.backlog.oldest_fetched().is_some_and(|fetched| range.end <= fetched.start)
            && self.backlog.fetched_bytes() < self.object_bytes() / 4;
        (is_newest || is_next).then_some(range)
    }

    /// The link's rate, as configured or found out, or what the budget allows if that is less.
    pub(super) fn rate_bits_per_second(&self) -> Option<u64> {
        let link = self.auto_rate.as_ref().map(AutoRate::rate_bits_per_second);
        let link = link.or(self.config.rate_bits_per_second);
        link.into_iter().chain(self.budget.bits_per_second()).min()
    }

    /// What the link carries in this time, bytes.
    pub(super) fn bytes_in(&self, time: Duration) -> usize {
        (self.bytes_per_second() * time.as_secs_f64()) as usize
    }

    fn bytes_per_second(&self) -> f64 {
        self.rate_bits_per_second().unwrap_or(u64::MAX) as f64 / 8.0
    }
}

/// Whether the ground can read the frame, and reads as many records as its range names.
fn is_sound(frame: &Frame, schemas: &SchemaTable) -> bool {
    codec::decode(&frame.bytes, schemas).is_ok_and(|records| records.len() as u64 == frame.range.len())
}
