//! The vehicle: a real session over a spool in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tern_shared::batch::Batch;
use tern_shared::codec::{self, SchemaTable};
use tern_shared::command::Order;
use tern_shared::id::{Epoch, SchemaId, Token};
use tern_shared::message::{GapReason, Lane, Payload, ToGround};
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Class, Field, FieldKind, Origin, Schema};
use tern_shared::session::{
    Budgets, EdgeEvent, EdgeSession, Frame, Identity, MonthSpent, Pins, SendConfig, Thinning, Transmit,
};
use tern_shared::time::{Instant, Now, Timestamp};

use super::OVERHEAD_BYTES;
use super::faults::Faults;
use super::ground::REFUSED;
use super::watch::Watch;

/// The stream whose times cross the link in microseconds, where those of others do in milliseconds.
const MICROSECONDS: SchemaId = SchemaId(0);

pub(crate) struct Edge {
    pub(crate) session: EdgeSession,
    pub(crate) disk_full: bool,
    pub(crate) watch: Watch,
    /// Records that the spool evicted, could not store, or lost in a restart: the ground need not have them.
    pub(crate) gone: RangeSet,
    schemas: SchemaTable,
    next: u64,
    base: u64,
    /// By first sequence number.
    spool: BTreeMap<u64, Frame>,
    /// Frames that the spool's next commit will hold; a restart loses them.
    uncommitted: Vec<Frame>,
    evicted: RangeSet,
    acknowledged: RangeSet,
    not_stored: RangeSet,
    /// The newest live frame, until it is sent.
    waiting: Option<SequenceRange>,
    /// Where the records ended that were sent live last.
    live_end: u64,
    fetched_frames: usize,
    /// What earlier starts spent of this month.
    month: MonthSpent,
    /// Whether the ground welcomed this connection.
    is_open: bool,
    /// Whether it is shutting down.
    is_closing: bool,
    /// Whether a message went unheard, as is right once the connection was refused or given up.
    is_deaf: bool,
    /// Whether backlog was handed to the session, which may have something to send then.
    pub(crate) has_fetched: bool,
    /// Whether it is silent, which calls for another connection beside this one.
    pub(crate) is_silent: bool,
}

/// What the session's events ask of the world.
#[derive(Default)]
pub(crate) struct Wishes {
    pub(crate) disconnect: bool,
    pub(crate) closed: bool,
    pub(crate) clock_known: bool,
    pub(crate) orders: Vec<Order>,
}

impl Edge {
    pub(crate) fn new(faults: &Faults, rng: &mut StdRng) -> Self {
        let kinds = [FieldKind::I64, FieldKind::Text];
        let schemas: SchemaTable = (0..rng.random_range(1..4u32))
            .map(|id| {
                let fields = kinds.iter().map(|&kind| Field::new(format!("{kind:?}"), kind)).collect();
                let class = if rng.random_bool(0.3) { Class::Critical } else { Class::Live };
                let stream = format!("stream-{id}");
                (SchemaId(id), Arc::new(Schema { stream, origin: Origin::Sensor, class, fields }))
            })
            .collect();
        let mut edge = Edge {
            session: session(0, faults),
            disk_full: false,
            watch: Watch::new(faults, Instant::default()),
            gone: RangeSet::new(),
            schemas,
            next: 0,
            base: 0,
            spool: BTreeMap::new(),
            uncommitted: Vec::new(),
            evicted: RangeSet::new(),
            acknowledged: RangeSet::new(),
            not_stored: RangeSet::new(),
            waiting: None,
            live_end: 0,
            fetched_frames: faults.fetched_frames,
            month: MonthSpent::default(),
            is_open: false,
            is_closing: false,
            is_deaf: false,
            has_fetched: false,
            is_silent: false,
        };
        edge.begin(faults, Instant::default());
        edge
    }

    fn begin(&mut self, faults: &Faults, now: Instant) {
        self.watch = Watch::new(faults, now);
        self.is_open = false;
        self.is_closing = false;
        self.is_silent = false;
        self.base = self.next;
        self.session = session(self.base, faults);
        self.session.handle_month_spent(self.month);
        self.waiting = None;
        for (&id, schema) in &self.schemas {
            if id == MICROSECONDS {
                self.session.carry_microseconds(id);
            }
            self.session.handle_schema(id, schema.clone());
        }
    }

    /// The process dies and comes back: what the spool had not committed is lost, numbers are skipped.
    pub(crate) fn restart(&mut self, faults: &Faults, now: Instant) {
        self.month = self.session.stats().month;
        for frame in self.uncommitted.drain(..) {
            self.gone.insert(frame.range);
        }
        self.not_stored = RangeSet::new();
        self.next += 1 << 32;
        self.begin(faults, now);
    }

    pub(crate) fn make_frame(&mut self, now: Now, faults: &Faults, rng: &mut StdRng) -> Vec<(u64, Record)> {
        // Group commit: what waited is on disk by the time that the next frame is made.
        for frame in self.uncommitted.drain(..) {
            self.spool.insert(frame.range.start, frame);
        }
        let large = rng.random_bool(faults.large);
        let count = if large { 1 } else { rng.random_range(1..=faults.records_per_frame) };
        let records = (0..count).map(|_| {
            let text = if large {
                (0..rng.random_range(1_000..6_000))
                    .map(|_| char::from(rng.random_range(b' '..=b'~')))
                    .collect()
            } else {
                "x".repeat(rng.random_range(0..=faults.text_bytes))
            };
            let values = vec![Value::Int(rng.random()), Value::Text(text)];
            let schema = SchemaId(rng.random_range(0..self.schemas.len() as u32));
            let unit = if schema == MICROSECONDS { 1 } else { 1000 };
            Record { schema, time: Timestamp(now.wall.0.div_euclid(unit) * unit), values }
        });
        let batch = Batch::new(records.collect());
        if !faults.divides {
            return self.store(now, batch, faults, large, true);
        }
        let (rest, live) = self.session.divide(now, batch);
        [self.store(now, rest, faults, large, false), self.store(now, live, faults, large, true)].concat()
    }

    /// Numbers the records and gives them to the spool and the session.
    fn store(
        &mut self,
        now: Now,
        batch: Batch,
        faults: &Faults,
        large: bool,
        is_live: bool,
    ) -> Vec<(u64, Record)> {
        if batch.records().is_empty() {
            return Vec::new();
        }
        let range = SequenceRange::new(self.next, self.next + batch.records().len() as u64);
        self.next = range.end;
        let bytes = codec::encode(&batch, &self.schemas).into();
        let frame = Frame { range, newest: now.wall, bytes };
        if self.disk_full {
            self.not_stored.insert(range);
            self.gone.insert(range);
        } else {
            self.uncommitted.push(frame.clone());
        }
        if is_live {
            // A record that fits no datagram is backlog from the beginning; one that may not fit what is left of a budget leaves,
            // or those before it do.
            let is_alone = self.waiting.is_none() && !large;
            if !(faults.datagrams && large) {
                self.waiting = Some(range).filter(|_| !large || faults.budgets == Budgets::default());
            }
            self.session.handle_frame(frame);
            // Beyond this share of a packet, a frame leaves in parts.
            let is_whole = range.len() <= 8 && self.session.stats().thinning != Thinning::Spent;
            self.watch.handle_live(
                now.instant,
                is_alone && is_whole && self.is_open && !self.is_closing && faults.datagrams,
            );
        } else {
            self.session.handle_stored(range);
        }
        (range.start..).zip(batch.records().iter().cloned()).collect()
    }

    pub(crate) fn evict_oldest(&mut self) {
        if let Some((_, frame)) = self.spool.pop_first() {
            self.evicted.insert(frame.range);
            self.gone.insert(frame.range);
        }
    }

    /// Acts on the session's events. `clock_offset_micros` is what it estimates, if that can be known: the ground's clock
    /// minus its own.
    pub(crate) fn handle_events(&mut self, clock_offset_micros: Option<i64>) -> Wishes {
        let mut wishes = Wishes::default();
        while let Some(event) = self.session.poll_event() {
            match event {
                EdgeEvent::Acknowledged(ranges) => self.forget(&ranges),
                EdgeEvent::FetchBacklog { range, max_bytes } => self.fetch(range, max_bytes),
                EdgeEvent::Refused(refusal) => {
                    assert_eq!(refusal.message, REFUSED);
                    wishes.disconnect = true;
                }
                EdgeEvent::Disconnect { reason } => {
                    assert!(!reason.contains("epoch"), "{reason}");
                    assert!(!reason.contains("nonsense"), "{reason}");
                    wishes.disconnect = true;
                }
                EdgeEvent::Clock(estimate) => {
                    wishes.clock_known = true;
                    let error =
                        clock_offset_micros.map(|truth| (estimate.offset_micros - truth).unsigned_abs());
                    let most = u64::from(estimate.uncertainty_micros) + 1;
                    assert!(error.is_none_or(|error| error <= most), "{error:?} of {estimate:?}");
                }
                EdgeEvent::Budget(change) => self.watch.handle_budget_change(change),
                EdgeEvent::Silent(is_silent) => self.is_silent = is_silent,
                EdgeEvent::Order(order) => wishes.orders.push(order),
                EdgeEvent::Established { .. } => self.is_open = true,
                EdgeEvent::Closed => wishes.closed = true,
            }
        }
        assert!(!self.is_deaf || wishes.disconnect, "a message was not counted");
        self.is_deaf = false;
        wishes
    }

    /// It is shutting down: what is live from here on is for its next start.
    pub(crate) fn close(&mut self) {
        self.is_closing = true;
        self.watch.forget_live();
        self.session.close();
    }

    /// The connection is gone.
    pub(crate) fn handle_disconnected(&mut self) {
        self.is_open = false;
        self.is_silent = false;
        self.watch.forget_live();
    }

    pub(crate) fn handle_message(&mut self, now: Now, message: &[u8]) {
        let spent = self.session.stats().flight_bytes;
        self.session.handle_message(now, message);
        if self.session.stats().flight_bytes > spent {
            self.watch.handle_heard(now.instant, message.len());
        } else {
            self.is_deaf = true;
        }
    }

    /// The session's next message, which goes where it should.
    pub(crate) fn poll_transmit(&mut self, now: Now, stream_has_room: bool) -> Option<Transmit> {
        let before = self.session.stats();
        let transmit = self.session.poll_transmit(now, stream_has_room)?;
        let message = ToGround::decode(&transmit.bytes).unwrap();
        let records = self.session.stats().in_flight_records.saturating_sub(before.in_flight_records);
        self.check_order(&message, records);
        self.watch.handle_sent(now.instant, &message, transmit.bytes.len(), &before, &self.session);
        Some(transmit)
    }

    /// Fresh data never waits behind old data. `records` are in the message.
    fn check_order(&mut self, message: &ToGround, records: u64) {
        let backlog = match message {
            ToGround::Frame(frame) if frame.lane == Lane::Live => {
                self.note_live(Some(frame.object.offset), records);
                false
            }
            ToGround::Live(packet) => {
                Payload::decode(&packet.payload)
                    .iter()
                    .for_each(|payload| self.note_live(payload.start.offset(), records));
                false
            }
            ToGround::Frame(_) | ToGround::Backlog(_) | ToGround::Parity(_) => true,
            _ => false,
        };
        assert!(!(backlog && self.waiting.is_some()), "backlog was sent while a live frame waited");
    }

    fn forget(&mut self, ranges: &[SequenceRange]) {
        for range in ranges {
            // A frame that left in parts is acknowledged in parts.
            self.acknowledged.insert(*range);
            self.evicted.remove(*range);
            self.not_stored.remove(*range);
        }
        let acknowledged = &self.acknowledged;
        self.spool.retain(|_, frame| !acknowledged.covers(frame.range));
        self.uncommitted.retain(|frame| !acknowledged.covers(frame.range));
        self.waiting.take_if(|range| acknowledged.covers(*range));
    }

    fn fetch(&mut self, range: SequenceRange, max_bytes: usize) {
        self.has_fetched = true;
        let committing = self.uncommitted.iter().map(|frame| (frame.range.start, frame.clone()));
        let stored: BTreeMap<u64, Frame> =
            self.spool.iter().map(|(&start, frame)| (start, frame.clone())).chain(committing).collect();
        let (mut bytes, mut whole) = (0, true);
        let mut frames: Vec<Frame> = Vec::new();
        let mut covered = SequenceRange::new(range.end, range.end);
        for frame in stored.range(..range.end).rev().map(|(_, frame)| frame) {
            if frame.range.end <= range.start {
                break;
            }
            if bytes >= max_bytes || frames.len() == self.fetched_frames {
                whole = false;
                break;
            }
            bytes += frame.bytes.len();
            covered.start = frame.range.start.max(range.start);
            frames.push(frame.clone());
        }
        if whole {
            covered.start = range.start;
        }
        let found: RangeSet = frames.iter().map(|frame| frame.range).collect();
        let mut absent = Vec::new();
        for hole in found.missing_in(covered) {
            let mut rest: RangeSet = [hole].into_iter().collect();
            for (set, reason) in
                [(&self.evicted, GapReason::Evicted), (&self.not_stored, GapReason::NotStored)]
            {
                for known in set.overlapping(hole).map(|known| known.intersect(&hole)).collect::<Vec<_>>() {
                    absent.push((known, reason));
                    rest.remove(known);
                }
            }
            absent.extend(rest.iter().map(|range| (range, GapReason::Absent)));
        }
        self.session.handle_backlog(covered, frames, absent);
    }

    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if self.poll_timeout(now).is_some_and(|at| at <= now.instant) {
            self.session.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&mut self, now: Now) -> Option<Instant> {
        self.session.poll_timeout(now)
    }

    /// Books live records as sent that begin there, or where those before ended: the newest frame with some before it, or
    /// the last part of it.
    fn note_live(&mut self, offset: Option<i64>, records: u64) {
        let start = offset.map_or(self.live_end, |offset| self.base.wrapping_add_signed(offset));
        self.live_end = start + records;
        if let Some(range) = self.waiting.take() {
            let sent = SequenceRange::new(start, self.live_end);
            assert_eq!(sent.end, range.end, "live records {sent} were sent while {range} waited");
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.spool.is_empty() && self.uncommitted.is_empty() && self.session.stats().settled
    }
}

fn session(base: u64, faults: &Faults) -> EdgeSession {
    let identity = Identity {
        vehicle: "simulated".parse().unwrap(),
        epoch: Epoch(7),
        base,
        token: Token::default(),
        agent: "simulation".into(),
    };
    let config = SendConfig {
        rate_bits_per_second: Some(faults.auto_rate_max.unwrap_or(faults.rate)),
        auto_rate: faults.auto_rate_max.is_some(),
        budgets: faults.budgets,
        overhead_bytes: Some(OVERHEAD_BYTES),
        silence_limit: Duration::from_secs(15),
        batch_window: None,
        pins: Pins::default(),
    };
    EdgeSession::new(identity, config)
}
