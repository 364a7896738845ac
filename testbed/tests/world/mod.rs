//! One simulated world: an edge, a link and a ground.

mod edge;
mod ground;
mod stream;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tern_shared::message::{Lane, Payload, ToGround};
use tern_shared::range::SequenceRange;
use tern_shared::record::Record;
use tern_shared::session::{Carrier, Channel, Transmit};
use tern_shared::time::{Instant, Now, Timestamp};
use tern_testbed::link::{Link, LinkProfile, Loss, Outage, OutageSchedule, PathSeeds};

use edge::Edge;
use ground::Ground;
use stream::Stream;

/// How long faults go on.
const TROUBLE: Duration = Duration::from_secs(60);
/// How long the ends have to agree afterwards.
const PEACE: Duration = Duration::from_secs(3600);
/// Beside a message's own bytes.
const OVERHEAD_BYTES: usize = 60;

/// What a world does to its inhabitants, drawn from its seed.
#[derive(Clone, Debug)]
struct Faults {
    /// The transport loses, duplicates and reorders telemetry (datagrams); otherwise it only breaks (a stream).
    datagrams: bool,
    /// Records beyond the link's rate go to the backlog at once.
    divides: bool,
    rate: u64,
    /// Probability a second of each.
    cut: f64,
    edge_restart: f64,
    ground_restart: f64,
    evict: f64,
    disk_full: f64,
    history_lost: f64,
    clock_jump: f64,
    /// Probability that a hello is refused.
    refuse: f64,
    /// Probability that a frame is one that keeps the narrowest link busy for longer than the ground may be silent.
    large: f64,
    /// Frames that a fetch returns at most.
    fetched_frames: usize,
    /// Frames a second, and records in each at most.
    frames_per_second: f64,
    records_per_frame: usize,
}

pub(crate) struct World {
    rng: StdRng,
    faults: Faults,
    now: Instant,
    /// Wall clocks minus monotonic time, microseconds.
    edge_clock: i64,
    edge: Edge,
    ground: Ground,
    /// What may be lost.
    up: Link<Vec<u8>>,
    down: Link<Vec<u8>>,
    /// What is sent again until it arrives.
    up_stream: Stream,
    down_stream: Stream,
    silent: bool,
    /// The number of the connection in use; messages of an earlier one are thrown away.
    connection: u64,
    connect_at: Option<Instant>,
    /// Every record ever made, by sequence number.
    made: BTreeMap<u64, Record>,
    sent_bytes: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut rare = |probability: f64, most: f64| {
            if rng.random_bool(probability) { rng.random_range(0.0..most) } else { 0.0 }
        };
        let mut faults = Faults {
            datagrams: false,
            divides: false,
            rate: 0,
            cut: rare(0.7, 0.3),
            edge_restart: rare(0.4, 0.1),
            ground_restart: rare(0.4, 0.1),
            evict: rare(0.2, 0.3),
            disk_full: rare(0.2, 0.5),
            history_lost: rare(0.1, 0.03),
            clock_jump: rare(0.2, 0.1),
            refuse: rare(0.2, 0.5),
            large: rare(0.2, 0.05),
            fetched_frames: 0,
            frames_per_second: 0.0,
            records_per_frame: 0,
        };
        faults.datagrams = rng.random();
        faults.divides = rng.random();
        faults.rate = *[2_400, 22_000, 64_000, 1_000_000].get(rng.random_range(0..4)).unwrap();
        faults.frames_per_second = rng.random_range(0.2..12.0);
        faults.records_per_frame = rng.random_range(1..=40);
        faults.fetched_frames = *[1, 4, 1024].get(rng.random_range(0..3)).unwrap();
        let loss = match (faults.datagrams, rng.random_range(0..3)) {
            (false, _) | (_, 0) => Loss::None,
            (_, 1) => Loss::Random { percent: rng.random_range(0.0..20.0) },
            _ => Loss::burst(rng.random_range(0.1..5.0), rng.random_range(20.0..80.0)),
        };
        let mut profile = LinkProfile::ideal(
            NonZeroU64::new(faults.rate).unwrap(),
            Duration::from_millis(rng.random_range(5..600)),
        );
        profile.loss = loss;
        profile.queue_bytes = 1_000_000;
        if faults.datagrams {
            profile.jitter_ms = rng.random_range(0.0..40.0);
            profile.duplicate_percent = rng.random_range(0.0..3.0);
            profile.reorder_percent = rng.random_range(0.0..3.0);
        }
        // A stream's outage holds data back instead of losing it; cut connections stand for it here.
        let outages = if faults.datagrams && rng.random() {
            let start = Duration::from_secs_f64(rng.random_range(1.0..40.0));
            let length = Duration::from_secs_f64(rng.random_range(1.0..30.0));
            OutageSchedule::new(vec![Outage::once(start, length)]).unwrap()
        } else {
            OutageSchedule::default()
        };
        let now = Instant::default();
        let edge_clock = 1_700_000_000_000_000;
        let seeds = PathSeeds::of(seed);
        World {
            edge: Edge::new(&faults, &mut rng),
            ground: Ground::new(),
            up_stream: Stream::new(&profile, &outages),
            down_stream: Stream::new(&profile, &outages),
            silent: false,
            up: Link::new(profile.clone(), outages.clone(), seeds.to_ground),
            down: Link::new(profile, outages, seeds.to_vehicle),
            connection: 0,
            connect_at: Some(now),
            made: BTreeMap::new(),
            sent_bytes: 0,
            rng,
            faults,
            now,
            edge_clock,
        }
    }

    pub(crate) fn run(mut self) {
        let mut next_frame = Instant::default();
        let mut next_trouble = Instant::default();
        while self.now.0 < TROUBLE + PEACE {
            self.settle();
            let trouble = self.now.0 < TROUBLE;
            if trouble && next_frame <= self.now {
                let records = self.edge.make_frame(self.edge_now(), &self.faults, &mut self.rng);
                self.made.extend(records);
                next_frame = self.now + Duration::from_secs_f64(1.0 / self.faults.frames_per_second);
                continue;
            }
            if trouble && next_trouble <= self.now {
                self.trouble();
                next_trouble = self.now + Duration::from_secs(1);
                continue;
            }
            if !trouble {
                self.edge.disk_full = false;
                let agreed = self
                    .made
                    .keys()
                    .next_back()
                    .is_none_or(|&last| self.ground.resolved.covers(SequenceRange::new(0, last + 1)));
                if agreed && self.edge.is_idle() && self.connect_at.is_none() && self.ground.is_idle() {
                    break;
                }
            }
            let wake = [
                trouble.then_some(next_frame),
                trouble.then_some(next_trouble),
                (!trouble).then_some(Instant(TROUBLE + PEACE)),
                trouble.then_some(Instant(TROUBLE)),
                self.connect_at,
                self.up_stream.poll_timeout(),
                self.down_stream.poll_timeout(),
                self.up.poll_timeout(),
                self.down.poll_timeout(),
                self.edge.poll_timeout(self.edge_now()),
                self.ground.poll_timeout(),
            ];
            self.now = wake.into_iter().flatten().min().unwrap().max(self.now + Duration::from_micros(1));
        }
        self.check();
    }

    fn edge_now(&self) -> Now {
        let wall = Timestamp(self.edge_clock + self.now.0.as_micros() as i64);
        Now { instant: self.now, wall }
    }

    fn ground_now(&self) -> Now {
        Now { instant: self.now, wall: Timestamp(1_700_000_000_000_000 + self.now.0.as_micros() as i64) }
    }

    /// Moves everything that can move at this instant.
    fn settle(&mut self) {
        if self.connect_at.is_some_and(|at| at <= self.now) {
            self.connect_at = None;
            self.connection += 1;
            let refusal = self.rng.random_bool(self.faults.refuse) && self.now.0 < TROUBLE;
            let carrier =
                if self.faults.datagrams { Carrier::Datagrams { max_bytes: 1200 } } else { Carrier::Stream };
            self.ground.carrier = Some(carrier);
            self.ground.connect(refusal);
            let now = self.edge_now();
            self.edge.session.handle_connected(now, carrier);
        }
        let now = self.edge_now();
        self.edge.handle_timeout(now);
        self.ground.handle_timeout(self.ground_now());
        while let Some(packet) = self.up_stream.poll(self.now).or_else(|| self.up.poll(self.now)) {
            if let Some(message) = self.of_this_connection(&packet) {
                self.ground.handle_message(self.ground_now(), &message);
            }
        }
        while let Some(packet) = self.down_stream.poll(self.now).or_else(|| self.down.poll(self.now)) {
            if let Some(message) = self.of_this_connection(&packet) {
                self.edge.session.handle_message(self.edge_now(), &message);
            }
        }
        loop {
            let offset = self.ground_now().wall.micros_since(self.edge_now().wall);
            if self.edge.handle_events(offset, &mut self.silent) {
                self.disconnect();
            }
            let has_room = !self.faults.datagrams || self.up_stream.has_room();
            let Some(transmit) = self.edge.session.poll_transmit(self.edge_now(), has_room) else { break };
            self.check_order(&transmit.bytes);
            self.check_rate(transmit.bytes.len());
            let packet = self.packet(transmit.bytes);
            if self.faults.datagrams && transmit.channel == Channel::Stream {
                assert!(has_room, "a message for the stream although it has no room");
                self.up_stream.send(self.now, packet, &mut self.rng);
            } else {
                assert!(!self.faults.datagrams || packet.len() <= 1200 + 8, "{} bytes", packet.len());
                self.up.send(self.now, packet);
            }
        }
        while let Some(Transmit { channel, bytes }) = self.ground.poll_transmit() {
            let packet = self.packet(bytes);
            if self.faults.datagrams && channel == Channel::Stream {
                self.down_stream.send(self.now, packet, &mut self.rng);
            } else {
                self.down.send(self.now, packet);
            }
        }
    }

    fn packet(&self, message: Vec<u8>) -> Vec<u8> {
        [&self.connection.to_le_bytes()[..], &message].concat()
    }

    fn of_this_connection(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (connection, message) = packet.split_at(8);
        (connection == self.connection.to_le_bytes() && self.connect_at.is_none()).then(|| message.to_vec())
    }

    fn disconnect(&mut self) {
        if self.connect_at.is_none() {
            self.edge.session.handle_disconnected();
            self.ground.disconnect();
            self.silent = false;
            self.up_stream.clear();
            self.down_stream.clear();
            self.connect_at = Some(self.now + Duration::from_millis(self.rng.random_range(10..3_000)));
        }
    }

    fn trouble(&mut self) {
        let faults = self.faults.clone();
        let mut happens = |probability: f64| self.rng.random_bool(probability);
        let (cut, edge, ground) =
            (happens(faults.cut), happens(faults.edge_restart), happens(faults.ground_restart));
        let (evict, lost, jump) =
            (happens(faults.evict), happens(faults.history_lost), happens(faults.clock_jump));
        self.edge.disk_full = happens(faults.disk_full);
        if evict {
            self.edge.evict_oldest();
        }
        if jump {
            self.edge_clock += self.rng.random_range(-3_600_000_000..3_600_000_000i64);
        }
        // A connection tried beside a silent one stands.
        let replaced = self.silent && self.rng.random_bool(0.3);
        if cut || edge || ground || lost || replaced {
            self.disconnect();
        }
        if edge {
            self.edge.restart(&self.faults);
        }
        if ground {
            self.ground.restart();
        }
        if lost {
            self.ground.lose_history();
        }
    }

    /// Fresh data never waits behind old data.
    fn check_order(&mut self, message: &[u8]) {
        let backlog = match ToGround::decode(message).unwrap() {
            ToGround::Frame(frame) if frame.lane == Lane::Live => {
                self.edge.note_live(frame.object.offset);
                false
            }
            ToGround::Live(packet) => {
                Payload::decode(&packet.payload)
                    .iter()
                    .for_each(|payload| self.edge.note_live(payload.offset));
                false
            }
            ToGround::Frame(_) | ToGround::Backlog(_) => true,
            _ => false,
        };
        assert!(!(backlog && self.edge.live_waits()), "backlog was sent while a live frame waited");
    }

    /// The edge never sends faster than the link's rate.
    fn check_rate(&mut self, message_bytes: usize) {
        self.sent_bytes += (message_bytes + OVERHEAD_BYTES) as u64;
        let allowed = self.now.0.as_secs_f64() * self.faults.rate as f64 / 8.0;
        // The bucket and the message that leaves, both for each start of the edge: its pacer begins anew.
        let slack = (self.edge.starts * (1_500 + 70_000)) as f64;
        assert!(self.sent_bytes as f64 <= allowed + slack, "sent {} of {allowed}", self.sent_bytes);
    }

    /// Everything made is stored once or accounted for, and the edge holds nothing back.
    fn check(&self) {
        assert!(self.edge.is_idle(), "the edge still holds records: {:?}", self.edge.session.stats());
        for (sequence, record) in &self.ground.history {
            assert_eq!(Some(record), self.made.get(sequence), "record {sequence} was never made like this");
        }
        for sequence in self.made.keys() {
            let stored = self.ground.history.contains_key(sequence);
            let excused = self.edge.gone.contains(*sequence) || self.ground.forgotten.contains(*sequence);
            assert!(stored || excused, "record {sequence} was kept by the edge and is not stored");
            assert!(self.ground.resolved.contains(*sequence), "the ground still waits for record {sequence}");
        }
        assert!(self.ground.resolved.range_count() <= 1, "holes: {:?}", self.ground.resolved);
    }
}
