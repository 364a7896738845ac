//! What crosses the link in a few scripted stories, line by line: time, direction, message.

#![allow(clippy::unwrap_used)] // A test fails by panicking, in its helpers, too.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use tern_shared::batch::Batch;
use tern_shared::codec::{self, SchemaTable};
use tern_shared::id::{Epoch, SchemaId, Token};
use tern_shared::message::{Feedback, GapReason, ObjectPart, Payload, ToGround, ToVehicle};
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Class, Field, FieldKind, Origin, Schema};
use tern_shared::session::{
    Budgets, Carrier, EdgeEvent, EdgeSession, Frame, GroundEvent, GroundSession, Identity, Pins, SendConfig,
};
use tern_shared::time::{Instant, Now, Timestamp};

const ONE_WAY: Duration = Duration::from_millis(300);
const STEP: Duration = Duration::from_millis(10);

/// An edge with a spool, and a ground that commits at once, on a link of 64 kbit/s that takes 300 ms.
struct Story {
    now: Instant,
    edge: EdgeSession,
    ground: GroundSession,
    schemas: SchemaTable,
    spool: BTreeMap<u64, Frame>,
    history: RangeSet,
    up: VecDeque<(Instant, Vec<u8>)>,
    down: VecDeque<(Instant, Vec<u8>)>,
    next: u64,
    text: String,
}

impl Story {
    /// The edge begins at this sequence number, as after a restart.
    fn from(base: u64) -> Story {
        let identity = Identity {
            vehicle: "alpha".parse().unwrap(),
            epoch: Epoch(7),
            base,
            token: Token("secret".into()),
            agent: "tern-edge".into(),
        };
        let config = SendConfig {
            rate_bits_per_second: Some(64_000),
            auto_rate: false,
            budgets: Budgets::default(),
            overhead_bytes: Some(80),
            silence_limit: Duration::from_secs(5),
            batch_window: None,
            pins: Pins::default(),
        };
        let fields = vec![Field::new("percent", FieldKind::F32).with_decimals(1)];
        let schema = Arc::new(Schema {
            stream: "humidity".into(),
            origin: Origin::Sensor,
            class: Class::Live,
            fields,
        });
        let mut edge = EdgeSession::new(identity, config);
        edge.handle_schema(SchemaId(0), schema.clone());
        Story {
            now: Instant::default(),
            edge,
            ground: GroundSession::new("tern-ground".into(), Carrier::Stream),
            schemas: [(SchemaId(0), schema)].into(),
            spool: BTreeMap::new(),
            history: RangeSet::new(),
            up: VecDeque::new(),
            down: VecDeque::new(),
            next: base,
            text: String::new(),
        }
    }

    fn now(&self) -> Now {
        Now { instant: self.now, wall: Timestamp(self.now.0.as_micros() as i64) }
    }

    fn say(&mut self, what: &str) {
        writeln!(self.text, "{:5} {what}", self.now.0.as_millis()).unwrap();
    }

    fn connect(&mut self) {
        self.say("-- connected");
        self.ground = GroundSession::new("tern-ground".into(), Carrier::Stream);
        let now = self.now();
        self.edge.handle_connected(now, Carrier::Stream);
    }

    /// The link is gone, with all that was on it.
    fn cut(&mut self) {
        self.say("-- cut");
        self.up.clear();
        self.down.clear();
        self.edge.handle_disconnected();
    }

    /// Two records in a frame.
    fn sample(&mut self) {
        let time = self.now().wall;
        let values = [41.5f32, 41.6].map(|percent| vec![Value::F32(percent)]);
        let records = values.map(|values| Record { schema: SchemaId(0), time, values });
        let range = SequenceRange::new(self.next, self.next + 2);
        self.next = range.end;
        let bytes = codec::encode(&Batch::new(records.into()), &self.schemas).into();
        let frame = Frame { range, newest: time, bytes };
        self.spool.insert(range.start, frame.clone());
        self.edge.handle_frame(frame);
    }

    fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while self.now < end {
            let now = self.now();
            while let Some((_, message)) = self.up.pop_front_if(|(at, _)| *at <= self.now) {
                self.ground.handle_message(now, &message);
            }
            while let Some((_, message)) = self.down.pop_front_if(|(at, _)| *at <= self.now) {
                self.edge.handle_message(now, &message);
            }
            self.edge.handle_timeout(now);
            self.ground.handle_timeout(now);
            self.handle_events();
            while let Some(message) = self.edge.poll_transmit(now, true).map(|transmit| transmit.bytes) {
                self.say(&format!("-> {}", to_ground(&message)));
                self.up.push_back((self.now + ONE_WAY, message));
                self.handle_events();
            }
            while let Some(message) = self.ground.poll_transmit().map(|transmit| transmit.bytes) {
                self.say(&format!("              <- {}", to_vehicle(&message)));
                self.down.push_back((self.now + ONE_WAY, message));
            }
            self.now = self.now + STEP;
        }
    }

    fn handle_events(&mut self) {
        let now = self.now();
        while let Some(event) = self.ground.poll_event() {
            match event {
                GroundEvent::Hello(_) => self.ground.welcome(now, self.history.clone(), SchemaTable::new()),
                GroundEvent::Frame { range, .. } | GroundEvent::Gap { range, .. } => {
                    self.history.insert(range);
                    self.ground.handle_committed(now, &[range]);
                }
                _ => {}
            }
        }
        while let Some(event) = self.edge.poll_event() {
            match event {
                EdgeEvent::Acknowledged(ranges) => {
                    let ranges: RangeSet = ranges.into_iter().collect();
                    self.spool.retain(|_, frame| !ranges.covers(frame.range));
                }
                EdgeEvent::FetchBacklog { range, .. } => {
                    let found =
                        self.spool.range(range.start..range.end).rev().map(|(_, frame)| frame.clone());
                    let found: Vec<Frame> = found.collect();
                    let held: RangeSet = found.iter().map(|frame| frame.range).collect();
                    let absent = held.missing_in(range).into_iter().map(|gap| (gap, GapReason::Absent));
                    self.edge.handle_backlog(range, found, absent.collect());
                }
                _ => {}
            }
        }
    }
}

/// A message in short, times and clock readings left out.
fn to_ground(message: &[u8]) -> String {
    match ToGround::decode(message).unwrap() {
        ToGround::Hello(hello) => {
            format!("hello {} epoch {} base {}", hello.vehicle, hello.epoch, hello.base)
        }
        ToGround::Schemas(schemas) => {
            format!("schemas {:?}", schemas.iter().map(|schema| schema.id.0).collect::<Vec<_>>())
        }
        ToGround::Frame(frame) => format!("{:?} frame at {}", frame.lane, frame.object.offset),
        ToGround::Gap(gap) => format!("gap at {} of {}, {:?}", gap.offset, gap.count, gap.reason),
        ToGround::Probe(_) => "probe".into(),
        ToGround::Goodbye => "goodbye".into(),
        ToGround::Live(packet) => {
            let offset = Payload::decode(&packet.payload).ok().and_then(|payload| payload.start.offset());
            let offset = offset.map_or("-".into(), |offset| offset.to_string());
            format!("live packet at {offset}, {} symbols", packet.symbols.combinations.len())
        }
        ToGround::Backlog(packet) => {
            let ObjectPart { number, index, count, .. } = &packet.part;
            format!("backlog packet {index} of object {number}, {count} parts")
        }
        ToGround::Parity(packet) => format!("parity of backlog packets {:b}", packet.covered),
        ToGround::Answer(answer) => format!("{answer:?}"),
    }
}

fn to_vehicle(message: &[u8]) -> String {
    match ToVehicle::decode(message).unwrap() {
        ToVehicle::Welcome(welcome) => {
            format!("welcome, has {} {:?}", welcome.committed.floor, welcome.committed.above)
        }
        ToVehicle::Acknowledge(has) => format!("acknowledge {} {:?}", has.floor, has.above),
        ToVehicle::ProbeReply(_) => "probe reply".into(),
        ToVehicle::Feedback(feedback) => {
            let Feedback { committed, largest, missing, .. } = feedback;
            format!(
                "feedback {} {:?}, packets to {largest}, missing {missing:?}",
                committed.floor, committed.above
            )
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn live_frames_do_not_wait_for_the_welcome_and_are_acknowledged_once_a_second() {
    let mut story = Story::from(0);
    story.connect();
    for _ in 0..5 {
        story.sample();
        story.run(200);
    }
    story.run(1600);
    insta::assert_snapshot!(story.text, @r"
       0 -- connected
       0 -> hello alpha epoch 0000000000000007 base 0
       0 -> schemas [0]
       0 -> Live frame at 0
     200 -> Live frame at 2
     300               <- welcome, has 0 []
     400 -> Live frame at 4
     600 -> Live frame at 6
     600 -> probe
     800 -> Live frame at 8
     900               <- probe reply
    1300               <- acknowledge 10 []
    ");
}

#[test]
fn after_an_outage_fresh_data_comes_first_in_one_message_and_the_rest_later() {
    let mut story = Story::from(0);
    story.connect();
    story.sample();
    story.run(2000);
    story.cut();
    for _ in 0..12 {
        story.sample();
        story.run(200);
    }
    story.connect();
    story.sample();
    story.run(2200);
    insta::assert_snapshot!(story.text, @r"
       0 -- connected
       0 -> hello alpha epoch 0000000000000007 base 0
       0 -> schemas [0]
       0 -> Live frame at 0
     300               <- welcome, has 0 []
     600 -> probe
     900               <- probe reply
    1300               <- acknowledge 2 []
    2000 -- cut
    4400 -- connected
    4400 -> hello alpha epoch 0000000000000007 base 0
    4400 -> schemas [0]
    4400 -> Live frame at 12
    4700               <- welcome, has 2 []
    5000 -> probe
    5010 -> Backlog frame at 2
    5300               <- probe reply
    5700               <- acknowledge 28 []
    ");
}

#[test]
fn a_restart_accounts_for_the_numbers_that_it_skipped() {
    let mut story = Story::from(1 << 32);
    story.history.insert(SequenceRange::new(0, 10));
    story.connect();
    story.sample();
    story.run(2200);
    insta::assert_snapshot!(story.text, @r"
       0 -- connected
       0 -> hello alpha epoch 0000000000000007 base 4294967296
       0 -> schemas [0]
       0 -> Live frame at 0
     300               <- welcome, has 10 []
     600 -> probe
     600 -> gap at -4294967286 of 4294967286, Absent
     900               <- probe reply
    1300               <- acknowledge 4294967298 []
    ");
}
