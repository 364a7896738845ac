//! One flight in virtual time: a vehicle's session with its spool, a link, and the ground's session with its history.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tern_shared::batch::{Batch, BatchLimits, Batcher};
use tern_shared::codec;
use tern_shared::id::{Epoch, SchemaId, Token};
use tern_shared::intake::Intake;
use tern_shared::message::Lane;
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::record::Record;
use tern_shared::schema::Class;
use tern_shared::session::{
    Budgets, Carrier, Channel, EdgeEvent, EdgeSession, Frame, GroundEvent, GroundSession, Identity, Pins,
    SendConfig,
};
use tern_shared::time::{Instant, Now, Timestamp};
use tern_testbed::link::{Fate, Link, PathSeeds};
use tern_testbed::scenario::Scenario;

use super::ages::{Ages, Sample};
use super::samples::Samples;

/// IP, UDP and QUIC.
const OVERHEAD_BYTES: usize = 53;
/// What arrives until then after the last sample counts.
const PATIENCE: Duration = Duration::from_secs(900);
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
const EPOCH_MICROS: i64 = 1_700_000_000_000_000;
/// Which way a packet went, ahead of its message.
const DATAGRAM: u8 = 0;
const STREAM: u8 = 1;

pub(crate) struct Flight {
    now: Instant,
    length: Duration,
    samples: Samples,
    intake: Intake,
    declared: BTreeSet<SchemaId>,
    batcher: Batcher,
    edge: EdgeSession,
    /// By first sequence number.
    spool: BTreeMap<u64, Frame>,
    next: u64,
    ground: GroundSession,
    resolved: RangeSet,
    pending: Vec<SequenceRange>,
    commit_at: Option<Instant>,
    up: Path,
    down: Path,
    ages: Ages,
}

/// One direction, with a reliable stream beside the datagrams.
struct Path {
    link: Link<Vec<u8>>,
    round_trip: Duration,
    /// What of the stream was lost.
    lost: Vec<Lost>,
}

/// A part of a stream, as QUIC repeats it: when something later is acknowledged, else ever more seldom.
struct Lost {
    packet: Vec<u8>,
    sent: Instant,
    patience: Duration,
    again: Instant,
}

impl Flight {
    pub(crate) fn new(scenario: &Scenario, samples: Samples) -> Flight {
        let identity = Identity {
            vehicle: "simulated".parse().unwrap(),
            epoch: Epoch(7),
            base: 0,
            token: Token::default(),
            agent: "simulation".into(),
        };
        let config = SendConfig {
            rate_bits_per_second: Some(scenario.edge.rate_bits_per_second),
            auto_rate: false,
            budgets: Budgets::default(),
            overhead_bytes: None,
            silence_limit: Duration::from_secs(5),
            batch_window: None,
            pins: Pins::default(),
        };
        let carrier = Carrier::Datagrams { max_bytes: 1200 };
        let mut edge = EdgeSession::new(identity, config);
        let now = Instant::default();
        edge.handle_connected(Now { instant: now, wall: Timestamp(EPOCH_MICROS) }, carrier);
        let seeds = PathSeeds::of(scenario.seed);
        let path = &scenario.link;
        let round_trip = path.to_ground.delay() + path.to_vehicle.delay();
        let make = |profile: &tern_testbed::link::LinkProfile, seed| Path {
            link: Link::new(profile.clone(), path.outages.clone(), seed),
            round_trip,
            lost: Vec::new(),
        };
        let down_times = path.outages.down_times(Instant(scenario.length));
        Flight {
            now,
            length: scenario.length,
            intake: Intake::new(scenario.edge.streams.clone()),
            declared: BTreeSet::new(),
            batcher: Batcher::new(BatchLimits::default()),
            edge,
            spool: BTreeMap::new(),
            next: 0,
            ground: GroundSession::new("simulation".into(), carrier),
            resolved: RangeSet::new(),
            pending: Vec::new(),
            commit_at: None,
            up: make(&path.to_ground, seeds.to_ground),
            down: make(&path.to_vehicle, seeds.to_vehicle),
            ages: Ages {
                outages: down_times.into_iter().map(|(from, to)| (from.0, to.0)).collect(),
                ..Ages::default()
            },
            samples,
        }
    }

    pub(crate) fn run(mut self) -> Ages {
        loop {
            let sampling = self.now.0 < self.length;
            while sampling && self.samples.next_due() <= self.now.0 {
                self.take_sample();
            }
            self.settle();
            let is_over = !sampling && (self.ages.lost() == 0 || self.now.0 > self.length + PATIENCE);
            if is_over {
                break;
            }
            self.batcher.set_window(self.edge.batch_window());
            let wake = [
                sampling.then(|| Instant(self.samples.next_due())),
                (!sampling).then_some(self.now + Duration::from_secs(1)),
                self.batcher.poll_timeout(),
                self.edge.poll_timeout(self.moment()),
                self.ground.poll_timeout(),
                self.commit_at,
                self.up.poll_timeout(),
                self.down.poll_timeout(),
            ];
            self.now = wake.into_iter().flatten().min().unwrap().max(self.now + Duration::from_micros(1));
        }
        self.ages.seconds = self.now.0.as_secs_f64();
        let (up, down) = (self.up.link.counters(), self.down.link.counters());
        (self.ages.up_bytes, self.ages.up_packets, self.ages.down_bytes) =
            (up.sent_bytes, up.sent_packets, down.sent_bytes);
        self.ages
    }

    fn moment(&self) -> Now {
        Now { instant: self.now, wall: Timestamp(EPOCH_MICROS + self.now.0.as_micros() as i64) }
    }

    fn take_sample(&mut self) {
        let (id, values) = self.samples.take();
        let schema = &self.samples.schemas[&id];
        if !self.intake.takes(self.now, &schema.stream, schema.class) {
            return;
        }
        if self.declared.insert(id) {
            self.edge.handle_schema(id, schema.clone());
        }
        let time = Timestamp(self.moment().wall.0.div_euclid(1000) * 1000);
        let urgent = schema.class == Class::Critical;
        if let Some(batch) = self.batcher.push(self.now, Record { schema: id, time, values }, urgent) {
            self.handle_batch(batch);
        }
    }

    fn handle_batch(&mut self, batch: Batch) {
        let (rest, live) = self.edge.divide(self.moment(), batch);
        if let Some(frame) = self.store(&rest) {
            self.edge.handle_stored(frame.range);
        }
        if let Some(frame) = self.store(&live) {
            self.edge.handle_frame(frame);
        }
    }

    fn store(&mut self, batch: &Batch) -> Option<Frame> {
        let newest = batch.records().iter().map(|record| record.time).max()?;
        let range = SequenceRange::new(self.next, self.next + batch.records().len() as u64);
        self.next = range.end;
        let frame = Frame { range, newest, bytes: codec::encode(batch, &self.samples.schemas).into() };
        let taken = |record: &Record| Duration::from_micros((record.time.0 - EPOCH_MICROS) as u64);
        let samples = batch.records().iter().map(|record| Sample { taken: taken(record), came: None });
        self.ages.samples.extend(samples);
        self.spool.insert(range.start, frame.clone());
        Some(frame)
    }

    /// Moves everything that can move at this instant.
    fn settle(&mut self) {
        if let Some(batch) = self.batcher.handle_timeout(self.now) {
            self.handle_batch(batch);
        }
        let now = self.moment();
        self.edge.handle_timeout(now);
        if self.commit_at.take_if(|at| *at <= now.instant).is_some() {
            let ranges = std::mem::take(&mut self.pending);
            ranges.iter().for_each(|range| self.resolved.insert(*range));
            self.ground.handle_committed(now, &ranges);
        }
        self.ground.handle_timeout(now);
        while let Some(message) = self.up.poll(self.now) {
            self.ground.handle_message(now, &message);
            self.handle_ground_events();
        }
        while let Some(message) = self.down.poll(self.now) {
            self.edge.handle_message(now, &message);
        }
        loop {
            let (sent, received) = (self.up.link.counters().sent_bytes, self.down.link.counters().sent_bytes);
            self.edge.handle_counted(now, sent, received);
            match self.edge.poll_transmit(now, self.up.has_room()) {
                Some(transmit) => self.up.send(self.now, transmit.channel, transmit.bytes),
                None if self.handle_edge_events() => {}
                None => break,
            }
        }
        while let Some(transmit) = self.ground.poll_transmit() {
            self.down.send(self.now, transmit.channel, transmit.bytes);
        }
    }

    fn handle_ground_events(&mut self) {
        while let Some(event) = self.ground.poll_event() {
            match event {
                GroundEvent::Hello(_) => {
                    self.ground.welcome(self.moment(), self.resolved.clone(), codec::SchemaTable::default());
                }
                GroundEvent::Frame { lane, range, .. } => {
                    for sequence in range.start..range.end {
                        let came = &mut self.ages.samples[sequence as usize].came;
                        assert_eq!(*came, None, "record {sequence} came twice");
                        *came = Some((self.now.0, lane == Lane::Live));
                    }
                    self.pending.push(range);
                    self.commit_at.get_or_insert(self.now + COMMIT_INTERVAL);
                }
                GroundEvent::Refused(refusal) => panic!("{refusal:?}"),
                _ => {}
            }
        }
    }

    /// Returns whether there were any.
    fn handle_edge_events(&mut self) -> bool {
        let mut were_any = false;
        while let Some(event) = self.edge.poll_event() {
            were_any = true;
            match event {
                EdgeEvent::Acknowledged(ranges) => {
                    let acknowledged: RangeSet = ranges.into_iter().collect();
                    self.spool.retain(|_, frame| !acknowledged.covers(frame.range));
                }
                EdgeEvent::FetchBacklog { range, max_bytes } => {
                    let mut bytes = 0;
                    let frames: Vec<Frame> = self
                        .spool
                        .range(..range.end)
                        .rev()
                        .map(|(_, frame)| frame)
                        .take_while(|frame| {
                            let fits = bytes < max_bytes && frame.range.end > range.start;
                            bytes += frame.bytes.len();
                            fits
                        })
                        .cloned()
                        .collect();
                    let start = if bytes < max_bytes {
                        range.start
                    } else {
                        frames.last().map_or(range.start, |frame| frame.range.start.max(range.start))
                    };
                    self.edge.handle_backlog(SequenceRange::new(start, range.end), frames, Vec::new());
                }
                EdgeEvent::Refused(refusal) => panic!("{refusal:?}"),
                EdgeEvent::Disconnect { reason } => panic!("{reason}"),
                _ => {}
            }
        }
        were_any
    }
}

impl Path {
    fn has_room(&self) -> bool {
        self.lost.len() < 8
    }

    fn send(&mut self, now: Instant, channel: Channel, message: Vec<u8>) {
        let mut packet = vec![0; OVERHEAD_BYTES];
        packet[0] = if channel == Channel::Stream { STREAM } else { DATAGRAM };
        packet.extend(message);
        self.offer(now, packet, self.round_trip * 3 / 2);
    }

    fn offer(&mut self, now: Instant, packet: Vec<u8>, patience: Duration) {
        let copy = (packet[0] == STREAM).then(|| packet.clone());
        let fate = self.link.send(now, packet);
        if let (Some(packet), Fate::Lost(_) | Fate::QueueFull) = (copy, fate) {
            self.lost.push(Lost { packet, sent: now, patience, again: now + patience });
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        while let Some(due) = self.lost.iter().position(|lost| lost.again <= now) {
            let lost = self.lost.remove(due);
            self.offer(now, lost.packet, lost.patience * 2);
        }
        let packet = self.link.poll(now)?;
        let half = self.round_trip / 2;
        for lost in self.lost.iter_mut().filter(|lost| lost.sent + half < now) {
            lost.again = lost.again.min(now + half);
        }
        Some(packet[OVERHEAD_BYTES..].to_vec())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let again = self.lost.iter().map(|lost| lost.again).min();
        [self.link.poll_timeout(), again].into_iter().flatten().min()
    }
}
