//! The relay under virtual time, with a ground that the test plays.

use std::path::PathBuf;

use tern_shared::batch::BatchLimits;
use tern_shared::codec::SchemaTable;
use tern_shared::codec::predictive::Decoder;
use tern_shared::id::SchemaId;
use tern_shared::intake::StreamRules;
use tern_shared::message::{Acknowledgement, PROTOCOL_VERSION, ProbeReply, ToGround, ToVehicle, Welcome};
use tern_shared::record::Value;
use tern_shared::schema::{Field, FieldKind, Origin, Schema};
use tern_shared::session::{Carrier, Pins};
use tern_shared::time::Timestamp;

use super::*;
use crate::config::Precision;

struct Ground {
    connections: mpsc::Sender<Connection>,
    /// While it is there, the relay takes its source not to have ended.
    samples: mpsc::Sender<Sample>,
}

/// A connection, as the ground's end of it.
struct Accepted {
    incoming: mpsc::Receiver<Transmit>,
    outgoing: mpsc::Sender<Vec<u8>>,
    _stream_has_room: watch::Sender<bool>,
}

/// What of the configuration differs between tests.
#[derive(Default)]
struct Settings {
    microseconds: &'static [&'static str],
    streams: StreamRules,
    link_state_interval: Option<Duration>,
}

fn relay() -> (Relay, Inputs, Ground) {
    relay_with(Settings::default())
}

fn relay_with(settings: Settings) -> (Relay, Inputs, Ground) {
    let (spool_sender, spool_events) = mpsc::channel(SPOOL_EVENTS);
    let missing = OpenError::Unavailable { path: PathBuf::new(), reason: "a test".to_owned() };
    let (spool, opened) = SpoolHandle::unavailable(&missing, spool_sender).unwrap();
    let identity = Identity {
        vehicle: "tested".parse().unwrap(),
        epoch: opened.epoch,
        base: opened.base,
        token: Default::default(),
        agent: String::new(),
    };
    let send = SendConfig {
        rate_bits_per_second: Some(64_000),
        auto_rate: false,
        budgets: Default::default(),
        overhead_bytes: Some(80),
        silence_limit: Duration::from_secs(5),
        batch_window: None,
        pins: Pins::default(),
    };
    let clock = Clock::start();
    let (happened, command_news) = mpsc::channel(COMMAND_NEWS);
    let moment = Moment { now: clock.now(), clock: None };
    let commands = Commands::new(&Default::default(), moment, |_| Port::new(), happened);
    let relay = Relay {
        clock,
        commands,
        batcher: Batcher::new(BatchLimits::default()),
        intake: Intake::new(settings.streams),
        registry: Registry::new(Precision::Sensor, SchemaTable::new()),
        microseconds: Microseconds::new(settings.microseconds.iter().map(|&name| name.to_owned()).collect()),
        next: 0,
        session: EdgeSession::new(identity, send),
        spool,
        spool_state: SpoolState::Ok,
        connection: None,
        sources: Vec::new(),
        stats: RelayStats::default(),
        printer: Printer::start(status::print).unwrap(),
        silent: watch::channel(false).0,
        unpaid: watch::channel(false).0,
        wire: WireCounter::default(),
        link_state: settings.link_state_interval.map(LinkStates::new),
        kept_spent: (MonthSpent::default(), Instant::default()),
        closed: false,
    };
    let (samples_sender, samples) = mpsc::channel(SAMPLES);
    let (connections_sender, connections) = mpsc::channel(1);
    let (_, scrapes) = mpsc::channel(1);
    let inputs =
        Inputs { samples, sources: JoinSet::new(), connections, spool_events, command_news, scrapes };
    (relay, inputs, Ground { connections: connections_sender, samples: samples_sender })
}

fn schema(stream: &str) -> Arc<Schema> {
    let fields = vec![Field::new("value", FieldKind::I64)];
    Arc::new(Schema { stream: stream.to_owned(), origin: Origin::Sensor, class: Class::Live, fields })
}

impl Ground {
    async fn accept(&self) -> Accepted {
        let (to_ground, incoming) = mpsc::channel(1);
        let (outgoing, to_vehicle) = mpsc::channel(16);
        let (room, stream_has_room) = watch::channel(true);
        let connection = Connection {
            carrier: Carrier::Stream,
            ground: "ws://test".to_owned(),
            outgoing: to_ground,
            incoming: to_vehicle,
            stream_has_room,
        };
        self.connections.send(connection).await.unwrap();
        Accepted { incoming, outgoing, _stream_has_room: room }
    }
}

impl Accepted {
    /// The next message, `None` when none comes within a second.
    async fn receive(&mut self) -> Option<ToGround> {
        let message = tokio::time::timeout(Duration::from_secs(1), self.incoming.recv()).await.ok()??;
        Some(ToGround::decode(&message.bytes).unwrap())
    }

    async fn send(&self, message: ToVehicle) {
        self.outgoing.send(message.encode()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_after_long_idleness_is_greeted_at_once() {
    let (mut relay, inputs, ground) = relay();
    let test = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let mut accepted = ground.accept().await;
        assert!(matches!(accepted.receive().await, Some(ToGround::Hello(_))));
    };
    tokio::select! {
        biased;
        () = test => {}
        _ = relay.run(inputs, None, std::future::pending()) => panic!("the relay ended"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_the_place_of_another_ends_its_session() {
    let (mut relay, inputs, ground) = relay();
    let test = async {
        let mut former = ground.accept().await;
        assert!(matches!(former.receive().await, Some(ToGround::Hello(_))));
        let committed = Acknowledgement::default();
        let welcome = Welcome { protocol: PROTOCOL_VERSION, agent: String::new(), committed };
        former.send(ToVehicle::Welcome(welcome)).await;
        assert!(matches!(former.receive().await, Some(ToGround::Probe(_))), "the session is open");
        let mut next = ground.accept().await;
        assert!(matches!(next.receive().await, Some(ToGround::Hello(_))));
    };
    tokio::select! {
        biased;
        () = test => {}
        _ = relay.run(inputs, None, std::future::pending()) => panic!("the relay ended"),
    }
    assert!(!relay.stats.connected && relay.connection.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_ground_clock_is_known_as_well_as_the_round_trip_allows_and_no_better() {
    let (mut relay, inputs, ground) = relay();
    let test = async {
        let mut accepted = ground.accept().await;
        assert!(matches!(accepted.receive().await, Some(ToGround::Hello(_))));
        let committed = Acknowledgement::default();
        let welcome = Welcome { protocol: PROTOCOL_VERSION, agent: String::new(), committed };
        accepted.send(ToVehicle::Welcome(welcome)).await;
        let Some(ToGround::Probe(probe)) = accepted.receive().await else { panic!("no probe") };
        tokio::time::sleep(Duration::from_millis(600)).await;
        accepted.send(ToVehicle::ProbeReply(ProbeReply { sent: probe.sent, ground: Timestamp(0) })).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    tokio::select! {
        biased;
        () = test => {}
        _ = relay.run(inputs, None, std::future::pending()) => panic!("the relay ended"),
    }
    let estimate = relay.stats.clock.unwrap();
    assert!((300_000..310_000).contains(&estimate.uncertainty_micros), "{estimate:?}");
}

#[tokio::test(start_paused = true)]
async fn microseconds_are_carried_of_the_streams_that_were_named() {
    let settings = Settings { microseconds: &["weather", "no such stream"], ..Settings::default() };
    let (mut relay, inputs, ground) = relay_with(settings);
    let schemas = [schema("battery"), schema("weather")];
    let table: SchemaTable = (0..).map(SchemaId).zip(schemas.clone()).collect();
    let time = Timestamp(1_790_000_000_123_456);
    let mut times = Vec::new();
    let test = async {
        let mut accepted = ground.accept().await;
        for schema in schemas {
            ground.samples.send(Sample { schema, time, values: vec![Value::Int(1)] }).await.unwrap();
        }
        let mut decoder = Decoder::new();
        while times.len() < 2 {
            if let ToGround::Frame(frame) = accepted.receive().await.unwrap() {
                let first = frame.object.offset.unsigned_abs();
                let parts = decoder.decode(&frame.object.frame, &table, first).unwrap();
                times.extend(parts.concat().iter().map(|record| (record.schema.0, record.time.0)));
            }
        }
    };
    tokio::select! {
        biased;
        () = test => {}
        _ = relay.run(inputs, None, std::future::pending()) => panic!("the relay ended"),
    }
    assert_eq!(times, [(0, 1_790_000_000_123_000), (1, 1_790_000_000_123_456)]);
    let minute = Instant(Duration::from_secs(60));
    assert_eq!(relay.microseconds.unknown(minute).into_iter().collect::<Vec<_>>(), ["no such stream"]);
}

#[tokio::test(start_paused = true)]
async fn what_streams_leave_out_is_counted_and_reaches_neither_spool_nor_ground() {
    let rules = ["battery=1", "weather=all", "*=0"].map(str::to_owned);
    let streams = StreamRules::try_from(rules.to_vec()).unwrap();
    let (mut relay, inputs, ground) = relay_with(Settings { streams, ..Settings::default() });
    let schemas = ["camera", "battery", "weather"].map(schema);
    let mut declared = Vec::new();
    let test = async {
        let mut accepted = ground.accept().await;
        for _ in 0..20 {
            for schema in &schemas {
                let sample =
                    Sample { schema: schema.clone(), time: Timestamp(0), values: vec![Value::Int(1)] };
                ground.samples.send(sample).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            while let Ok(message) = accepted.incoming.try_recv() {
                if let ToGround::Schemas(schemas) = ToGround::decode(&message.bytes).unwrap() {
                    declared.extend(schemas.iter().map(|schema| format!("{:?}", schema.body)));
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = test => {}
        _ = relay.run(inputs, None, std::future::pending()) => panic!("the relay ended"),
    }
    assert!(
        declared.len() == 2 && declared[0].contains("battery") && declared[1].contains("weather"),
        "{declared:?}"
    );
    // Of two seconds' batteries, those at 0 and 1 s.
    relay.flush(relay.clock.now());
    assert_eq!((relay.stats.accepted_records, relay.stats.left_out_records), (20 + 2, 20 + 18));
    assert_eq!((relay.next, relay.stats.refused_records), (22, 0));
}

#[tokio::test]
async fn a_record_of_the_link_goes_with_others_where_there_are_any() {
    let interval = Some(Duration::from_secs(5));
    let (mut relay, _inputs, _ground) =
        relay_with(Settings { link_state_interval: interval, ..Settings::default() });
    relay.stats.connected = true;
    let at = |seconds| Now { instant: Instant(Duration::from_secs(seconds)), wall: Timestamp(0) };
    let battery = || Sample { schema: schema("battery"), time: Timestamp(0), values: vec![Value::Int(1)] };
    let mut accepted = |seconds, sample: Option<Sample>| {
        relay.handle_accounts(at(seconds));
        sample.into_iter().for_each(|sample| relay.handle_sample(at(seconds), sample));
        relay.flush(at(seconds));
        relay.stats.accepted_records
    };
    assert_eq!(accepted(4, Some(battery())), 1);
    assert_eq!(accepted(5, None), 1, "it waits for company");
    assert_eq!(accepted(5, Some(battery())), 3);
    assert_eq!((accepted(10, None), accepted(34, None), accepted(35, None)), (3, 3, 4), "for five intervals");
    assert_eq!(accepted(39, Some(battery())), 5);
    assert_eq!(accepted(40, Some(battery())), 7, "an interval later");
    assert_eq!(accepted(48, Some(battery())), 9);
    assert_eq!(accepted(50, Some(battery())), 11, "however long the one before waited");
}
