//! One flight in virtual time: a vehicle's session with its spool, a link, and the ground's session with its history.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tern_shared::batch::{Batch, BatchLimits, Batcher};
use tern_shared::codec;
use tern_shared::id::{Epoch, Token};
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::record::Record;
use tern_shared::session::{
    Budgets, Carrier, Channel, EdgeEvent, EdgeSession, Frame, GroundEvent, GroundSession, Identity, Pins,
    SendConfig,
};
use tern_shared::time::{Instant, Now, Timestamp};
use tern_testbed::link::{Fate, Link, PathSeeds};
use tern_testbed::scenario::Scenario;

use super::ages::Ages;
use super::samples::Samples;

/// IP, UDP and QUIC.
const OVERHEAD_BYTES: usize = 55;
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
    /// What of the stream was lost, and when it goes again.
    again: VecDeque<(Instant, Vec<u8>)>,
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
            pins: pins(),
        };
        let carrier = Carrier::Datagrams { max_bytes: 1200 };
        let mut edge = EdgeSession::new(identity, config);
        for (&id, schema) in &samples.schemas {
            edge.handle_schema(id, schema.clone());
        }
        let now = Instant::default();
        edge.handle_connected(Now { instant: now, wall: Timestamp(EPOCH_MICROS) }, carrier);
        let seeds = PathSeeds::of(scenario.seed);
        let path = &scenario.link;
        let round_trip = path.to_ground.delay() + path.to_vehicle.delay();
        let make = |profile: &tern_testbed::link::LinkProfile, seed| Path {
            link: Link::new(profile.clone(), path.outages.clone(), seed),
            round_trip,
            again: VecDeque::new(),
        };
        let down_times = path.outages.down_times(Instant(scenario.length));
        Flight {
            now,
            length: scenario.length,
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
        let (schema, values) = self.samples.take();
        let time = Timestamp(self.moment().wall.0.div_euclid(1000) * 1000);
        if let Some(batch) = self.batcher.push(self.now, Record { schema, time, values }, false) {
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
        self.ages.samples.extend(batch.records().iter().map(|record| (taken(record), None)));
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
            self.handle_edge_events();
            let Some(transmit) = self.edge.poll_transmit(now, self.up.has_room()) else { break };
            self.up.send(self.now, transmit.channel, transmit.bytes);
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
                GroundEvent::Frame { range, lane, .. } => {
                    if std::env::var("TRACE").is_ok() {
                        let taken = self.ages.samples[range.start as usize].0;
                        eprintln!(
                            "{:9.3} got {range} {lane:?} age {:.3}{}",
                            self.now.0.as_secs_f64(),
                            (self.now.0 - taken).as_secs_f64(),
                            if self.now.0 - taken > Duration::from_millis(1000) { " LATE" } else { "" }
                        );
                    }
                    for sequence in range.start..range.end {
                        let arrived = &mut self.ages.samples[sequence as usize].1;
                        assert_eq!(*arrived, None, "record {sequence} came twice");
                        *arrived = Some(self.now.0);
                    }
                    self.pending.push(range);
                    self.commit_at.get_or_insert(self.now + COMMIT_INTERVAL);
                }
                GroundEvent::Refused(refusal) => panic!("{refusal:?}"),
                _ => {}
            }
        }
    }

    fn handle_edge_events(&mut self) {
        while let Some(event) = self.edge.poll_event() {
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
    }
}

impl Path {
    fn has_room(&self) -> bool {
        self.again.len() < 8
    }

    fn send(&mut self, now: Instant, channel: Channel, message: Vec<u8>) {
        let mut packet = vec![0; OVERHEAD_BYTES];
        packet[0] = if channel == Channel::Stream { STREAM } else { DATAGRAM };
        packet.extend(message);
        self.offer(now, packet);
    }

    fn offer(&mut self, now: Instant, packet: Vec<u8>) {
        let copy = (packet[0] == STREAM).then(|| packet.clone());
        let text = if std::env::var("TRACE").is_ok() {
            use tern_shared::message::*;
            let b = &packet[55..];
            if let Ok(m) = ToGround::decode(b).map(|m| match m {
                ToGround::Live(p) => format!(
                    "UP live #{} payload {} {}B symbols {:?}",
                    p.header.number,
                    p.payload_number,
                    p.payload.len(),
                    p.symbols.iter().map(|s| (s.window, s.bytes.len())).collect::<Vec<_>>()
                ),
                ToGround::Backlog(p) => format!("UP backlog #{} {}B", p.header.number, p.bytes.len()),
                _ => "UP other".into(),
            }) {
                m
            } else {
                match ToVehicle::decode(b) {
                    Ok(ToVehicle::Feedback(f)) => format!(
                        "DOWN feedback {} wanted {:?} missing {:?} key {} loss {:?}",
                        f.largest, f.wanted, f.missing, f.key_frame_wanted, f.loss
                    ),
                    _ => "DOWN other".into(),
                }
            }
        } else {
            String::new()
        };
        let n = packet.len();
        let fate = self.link.send(now, packet);
        if !text.is_empty() {
            eprintln!(
                "{:9.3} {n} {text} {}",
                now.0.as_secs_f64(),
                match fate {
                    Fate::Lost(_) => "LOST".into(),
                    Fate::Arrives(a) => format!("arrives {:.3}", a.0.as_secs_f64()),
                    _ => "FULL".to_string(),
                }
            );
        }
        if let (Some(copy), Fate::Lost(_) | Fate::QueueFull) = (copy, fate) {
            self.again.push_back((now + self.round_trip * 3 / 2, copy));
        }
    }

    fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        while let Some((_, packet)) = self.again.pop_front_if(|(at, _)| *at <= now) {
            self.offer(now, packet);
        }
        self.link.poll(now).map(|packet| packet[OVERHEAD_BYTES..].to_vec())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [self.link.poll_timeout(), self.again.front().map(|(at, _)| *at)].into_iter().flatten().min()
    }
}

fn pins() -> Pins {
    let n = |name: &str| std::env::var(name).ok().and_then(|t| t.parse::<u64>().ok());
    Pins {
        tick: n("PTICK").map(Duration::from_millis),
        window: n("PWIN").map(|w| w as u8),
        symbols_percent: n("PSYM").map(|s| s as u16),
    }
}
