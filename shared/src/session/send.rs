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
use super::ledger::Ledger;
use super::live::LiveLane;
use super::pacing::{Line, Pacer, Unforeseen};
use super::packets::Packets;
use super::shield::{Pins, Shield};
use super::transmit::{Carrier, Transmit};
use crate::batch::Batch;
use crate::clock::ClockFilter;
use crate::command::Order;
use crate::datagram::loss::LossReport;
use crate::datagram::rate::AutoRate;
use crate::id::{Epoch, SchemaId, Token, VehicleId};
use crate::message::{ClockEstimate, GapReason, Refusal};
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
/// The batch window of a stream transport, whose packets cost 80 bytes of headers.
const STREAM_WINDOW: Duration = Duration::from_millis(200);
/// The round trip before any was measured: geostationary, loaded.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(1500);
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
    /// What the next start shall know of it: while this month may be one that a wrong clock began, of the one before.
    pub month_to_keep: MonthSpent,
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
    /// Whether that is over the limit, and was told.
    pub(super) is_silent: bool,
    pub(super) round_trip: Option<Duration>,
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
    pub(super) heard: Instant,
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
    pub(super) events: VecDeque<EdgeEvent>,
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

    /// Whether this stream's declaration had reached the ground when that was last heard.
    fn is_known(&self, schema: SchemaId) -> bool {
        self.declarations.is_known(schema, self.heard, self.round_trip())
    }

    /// The round trip as it was measured last on datagrams.
    pub(super) fn round_trip(&self) -> Duration {
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
                is_silent: false,
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
            datagrams.is_silent = true;
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
            month_to_keep: self.budget.month_to_keep(),
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
