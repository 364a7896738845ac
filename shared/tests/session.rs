//! Both ends of a session, where the simulation of the testbed does not look: limits, and peers that misbehave.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tern_shared::batch::Batch;
use tern_shared::codec::{self, SchemaTable};
use tern_shared::command::{Answer, CommandId, CommandReport};
use tern_shared::datagram::coding::CERTAIN_PACKETS;
use tern_shared::datagram::loss::LossReport;
use tern_shared::id::{Epoch, SchemaId, Token};
use tern_shared::message::{
    Acknowledgement, Feedback, GapReason, Lack, Lane, Payload, ProbeReply, Refusal, RefusalReason, Start,
    ToGround, ToVehicle,
};
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Class, Field, FieldKind, Origin, Schema};
use tern_shared::session::{
    Budgets, Carrier, Channel, EdgeEvent, EdgeSession, Frame, GroundEvent, GroundSession, Identity, Pins,
    SendConfig, Transmit,
};
use tern_shared::time::{Instant, Now, Timestamp};

fn at(millis: u64) -> Now {
    let instant = Instant(Duration::from_millis(millis));
    Now { instant, wall: Timestamp::from_millis(1_700_000_000_000 + millis as i64) }
}

fn edge(base: u64, rate_bits_per_second: Option<u64>) -> EdgeSession {
    edge_with(base, rate_bits_per_second, Budgets::default())
}

fn edge_with(base: u64, rate_bits_per_second: Option<u64>, budgets: Budgets) -> EdgeSession {
    let identity = Identity {
        vehicle: "tested".parse().unwrap(),
        epoch: Epoch(7),
        base,
        token: Token::default(),
        agent: "test".into(),
    };
    let config = SendConfig {
        rate_bits_per_second,
        auto_rate: false,
        budgets,
        overhead_bytes: Some(80),
        silence_limit: Duration::from_secs(5),
        batch_window: None,
        pins: Pins::default(),
    };
    EdgeSession::new(identity, config)
}

fn schema(id: u32) -> (SchemaId, Arc<Schema>) {
    let fields = vec![Field::new("text", FieldKind::Text)];
    let stream = format!("stream-{id}");
    (SchemaId(id), Arc::new(Schema { stream, origin: Origin::Sensor, class: Class::Live, fields }))
}

fn frame(sequence: u64, schema_id: u32, text_bytes: usize) -> Frame {
    let random = std::iter::successors(Some(sequence as u32), |n| {
        Some(n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
    });
    let text = random.take(text_bytes).map(|n| char::from(b' ' + (n >> 24) as u8 % 95)).collect();
    let values = vec![Value::Text(text)];
    let record = Record { schema: SchemaId(schema_id), time: at(0).wall, values };
    let table: SchemaTable = [schema(schema_id)].into_iter().collect();
    let bytes: Arc<[u8]> = codec::encode(&Batch::new(vec![record]), &table).into();
    Frame { range: SequenceRange::new(sequence, sequence + 1), newest: at(0).wall, bytes }
}

/// Everything that the edge may send now.
fn sent(edge: &mut EdgeSession, now: Now) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| edge.poll_transmit(now, true).map(|transmit| transmit.bytes)).collect()
}

/// Opens a session with a ground that holds nothing, at time 0.
fn open(edge: &mut EdgeSession) -> GroundSession {
    open_with(edge, RangeSet::new())
}

/// Opens a session with a ground that holds these records, at time 0.
fn open_with(edge: &mut EdgeSession, committed: RangeSet) -> GroundSession {
    let mut ground = GroundSession::new("ground".into(), Carrier::Stream);
    edge.handle_connected(at(0), Carrier::Stream);
    for message in sent(edge, at(0)) {
        ground.handle_message(at(0), &message);
    }
    ground.welcome(at(0), committed, []);
    while let Some(message) = ground.poll_transmit().map(|transmit| transmit.bytes) {
        edge.handle_message(at(0), &message);
    }
    ground
}

/// Opens a session on datagrams with a ground that holds nothing, at time 0; it is heard at 2 s.
fn open_on_datagrams(edge: &mut EdgeSession) -> GroundSession {
    let carrier = Carrier::Datagrams { max_bytes: 1200 };
    let mut ground = GroundSession::new("ground".into(), carrier);
    edge.handle_connected(at(0), carrier);
    for message in sent(edge, at(0)) {
        ground.handle_message(at(0), &message);
    }
    ground.welcome(at(300), RangeSet::new(), []);
    while let Some(message) = ground.poll_transmit().map(|transmit| transmit.bytes) {
        edge.handle_message(at(2_000), &message);
    }
    ground
}

#[test]
fn a_frame_that_takes_a_narrow_link_longer_than_the_silence_limit_is_waited_for() {
    let mut edge = edge(0, Some(2_400));
    let (id, text) = schema(0);
    edge.handle_schema(id, text);
    open(&mut edge);
    edge.handle_frame(frame(0, 0, 3_000));
    let mut now = at(0);
    let mut left = None;
    // Nothing is heard: 3 kB take some ten seconds, then the ground may be silent for as long as a connection takes, twenty.
    loop {
        if sent(&mut edge, now).iter().any(|m| matches!(ToGround::decode(m), Ok(ToGround::Frame(_)))) {
            left = Some(now.instant);
        }
        let Some(next) = edge.poll_timeout(now) else { break };
        now.instant = next;
        edge.handle_timeout(now);
    }
    let waited = now.instant.since(left.unwrap());
    assert!((Duration::from_secs(27)..Duration::from_secs(33)).contains(&waited), "{waited:?}");
    let last = std::iter::from_fn(|| edge.poll_event()).last();
    assert!(matches!(last, Some(EdgeEvent::Disconnect { .. })));
}

#[test]
fn a_vehicle_of_many_schemas_is_not_refused_for_them() {
    let mut edge = edge(0, None);
    for (id, schema) in (0..1000).map(schema) {
        edge.handle_schema(id, schema);
    }
    let mut ground = open(&mut edge);
    for sequence in 0..500 {
        edge.handle_frame(frame(sequence, sequence as u32, 3));
        for message in sent(&mut edge, at(0)) {
            ground.handle_message(at(0), &message);
        }
    }
    let events: Vec<GroundEvent> = std::iter::from_fn(|| ground.poll_event()).collect();
    assert!(!events.iter().any(|event| matches!(event, GroundEvent::Refused(_))));
    assert_eq!(events.iter().filter(|event| matches!(event, GroundEvent::Schema { .. })).count(), 1000);
    assert_eq!(events.iter().filter(|event| matches!(event, GroundEvent::Frame { .. })).count(), 500);
}

#[test]
fn frames_before_the_welcome_stay_within_what_the_ground_takes() {
    let mut edge = edge(0, None);
    let (id, text) = schema(0);
    edge.handle_schema(id, text);
    let mut ground = GroundSession::new("ground".into(), Carrier::Stream);
    edge.handle_connected(at(0), Carrier::Stream);
    for sequence in 0..1000 {
        edge.handle_frame(frame(sequence, 0, 3));
        for message in sent(&mut edge, at(0)) {
            ground.handle_message(at(0), &message);
        }
    }
    ground.welcome(at(0), RangeSet::new(), []);
    let answer = ground
        .poll_transmit()
        .map(|transmit| transmit.bytes)
        .map(|message| ToVehicle::decode(&message).unwrap());
    assert!(matches!(answer, Some(ToVehicle::Welcome(_))), "{answer:?}");
}

#[test]
fn a_frame_that_the_disk_damaged_is_told_as_lost_and_does_not_hold_up_the_rest() {
    let mut edge = edge(2, None);
    let (id, text) = schema(0);
    edge.handle_schema(id, text);
    let mut ground = open(&mut edge);
    let asked = SequenceRange::new(0, 2);
    sent(&mut edge, at(0));
    let events: Vec<EdgeEvent> = std::iter::from_fn(|| edge.poll_event()).collect();
    assert!(events.iter().any(|e| matches!(e, EdgeEvent::FetchBacklog { range, .. } if *range == asked)));
    let mut damaged = frame(1, 0, 300);
    let half = damaged.bytes.len() / 2;
    damaged.bytes = damaged.bytes[..half].into();
    edge.handle_backlog(asked, vec![damaged, frame(0, 0, 3)], vec![]);
    for message in sent(&mut edge, at(0)) {
        ground.handle_message(at(0), &message);
    }
    let events: Vec<GroundEvent> = std::iter::from_fn(|| ground.poll_event()).collect();
    let told = |range, reason| events.contains(&GroundEvent::Gap { range, reason });
    assert!(told(SequenceRange::new(1, 2), GapReason::NotStored), "{events:?}");
    assert!(events.iter().any(|e| matches!(e, GroundEvent::Frame { range, .. } if range.start == 0)));
}

/// Runs an edge and a ground on datagrams that take 300 ms, and loses the packets whose numbers `loses` names. Ten
/// records a second for a minute; how many came live.
fn live_records(loses: impl Fn(u64) -> bool) -> usize {
    let mut edge = edge(0, Some(64_000));
    let (id, text) = schema(0);
    edge.handle_schema(id, text);
    let mut ground = GroundSession::new("ground".into(), Carrier::Datagrams { max_bytes: 1200 });
    edge.handle_connected(at(0), Carrier::Datagrams { max_bytes: 1200 });
    let mut up: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
    let mut down: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
    let (mut packets, mut live) = (0, 0);
    for millis in 0..65_000 {
        let now = at(millis);
        if millis % 100 == 0 && millis < 60_000 {
            edge.handle_frame(frame(millis / 100, 0, 20));
        }
        while let Some((_, bytes)) = up.pop_front_if(|(at, _)| *at <= millis) {
            ground.handle_message(now, &bytes);
        }
        while let Some((_, bytes)) = down.pop_front_if(|(at, _)| *at <= millis) {
            edge.handle_message(now, &bytes);
        }
        edge.handle_timeout(now);
        ground.handle_timeout(now);
        while let Some(event) = ground.poll_event() {
            match event {
                GroundEvent::Hello(_) => ground.welcome(now, RangeSet::new(), []),
                GroundEvent::Frame { lane, range, .. } => {
                    live += usize::from(lane == Lane::Live);
                    ground.handle_committed(now, &[range]);
                }
                _ => {}
            }
        }
        while let Some(Transmit { channel, bytes }) = edge.poll_transmit(now, true) {
            packets += u64::from(channel == Channel::Datagram);
            if channel == Channel::Stream || !loses(packets) {
                up.push_back((millis + 300, bytes));
            }
        }
        while let Some(Transmit { bytes, .. }) = ground.poll_transmit() {
            down.push_back((millis + 300, bytes));
        }
        while edge.poll_event().is_some() {}
    }
    live
}

#[test]
fn on_a_link_that_loses_nothing_every_record_comes_live() {
    assert_eq!(live_records(|_| false), 600);
}

#[test]
fn single_losses_are_recovered_without_asking() {
    assert_eq!(live_records(|packet| packet % 50 == 7), 600);
}

#[test]
fn streams_that_begin_in_the_dark_do_not_hold_up_the_others_when_the_link_is_back() {
    let mut edge = edge(0, Some(64_000));
    edge.handle_schema(SchemaId(0), schema(0).1);
    edge.handle_frame(frame(0, 0, 3));
    open_on_datagrams(&mut edge);
    let records = [1, 0].map(|id| {
        let values = vec![Value::Text("text".into())];
        Record { schema: SchemaId(id), time: at(0).wall, values }
    });
    edge.handle_schema(SchemaId(1), schema(1).1);
    for millis in (2_000..6_000).step_by(50) {
        sent(&mut edge, at(millis));
    }
    // In the dark since 4.5 s: what was said then is lost.
    let streams = |batch: &Batch| batch.records().iter().map(|record| record.schema.0).collect::<Vec<_>>();
    let mut divided = |records: &[Record]| {
        let (rest, live) = edge.divide(at(6_000), Batch::new(records.to_vec()));
        (streams(&rest), streams(&live))
    };
    assert_eq!(divided(&records), (vec![1], vec![0]));
    assert_eq!(divided(&records[..1]), (vec![1], vec![]), "those that follow would wait for it");
}

#[test]
fn streams_that_began_just_ahead_of_the_dark_are_live_when_the_ground_knows_no_others() {
    let mut edge = edge(0, Some(64_000));
    open_on_datagrams(&mut edge);
    edge.handle_schema(SchemaId(0), schema(0).1);
    for sequence in 0..40 {
        edge.handle_frame(frame(sequence, 0, 3));
        sent(&mut edge, at(2_000 + sequence * 100));
    }
    // Perhaps only what the ground says is lost.
    let record = Record { schema: SchemaId(0), time: at(0).wall, values: vec![Value::Text("text".into())] };
    let (rest, live) = edge.divide(at(6_000), Batch::new(vec![record]));
    assert_eq!((rest.records().len(), live.records().len()), (0, 1));
}

/// When probes leave while records do and the ground is not heard from 2 s on, milliseconds.
fn probes_in_the_dark(rate_bits_per_second: u64) -> Vec<u64> {
    let mut edge = edge(0, Some(rate_bits_per_second));
    open_on_datagrams(&mut edge);
    edge.handle_schema(SchemaId(0), schema(0).1);
    let is_probe = |bytes: &[u8]| matches!(ToGround::decode(bytes), Ok(ToGround::Probe(_)));
    let mut probes = Vec::new();
    for millis in (2_000..62_000).step_by(10) {
        if millis % 1_000 == 0 {
            edge.handle_frame(frame(millis / 1_000 - 2, 0, 3));
        }
        edge.handle_timeout(at(millis));
        probes.extend(sent(&mut edge, at(millis)).iter().filter(|bytes| is_probe(bytes)).map(|_| millis));
    }
    probes
}

#[test]
fn a_ground_that_is_not_heard_is_probed_often_at_first_but_not_on_a_narrow_link() {
    let wide = probes_in_the_dark(64_000);
    let first_after = |time: u64| wide.iter().position(|probe| *probe > time).unwrap();
    // The first packet leaves at 2 s: it is dark at 4.5 s, and another connection would be tried at 7 s.
    assert!((5..=8).contains(&(first_after(7_000) - first_after(4_400))), "{wide:?}");
    assert!((8..=12).contains(&(wide.len() - first_after(22_000))), "{wide:?}");
    let narrow = probes_in_the_dark(2_400);
    assert!(narrow.windows(2).skip(2).all(|pair| pair[1] - pair[0] >= 4_900), "{narrow:?}");
}

#[test]
fn a_hello_that_is_not_answered_is_followed_by_probes_so_that_quic_repeats_it() {
    for (rate, first) in [(64_000, 2_500), (2_400, 10_000)] {
        let mut edge = edge(0, Some(rate));
        let carrier = Carrier::Datagrams { max_bytes: 1200 };
        let mut ground = GroundSession::new("ground".into(), carrier);
        edge.handle_connected(at(0), carrier);
        let hello = sent(&mut edge, at(0)).remove(0);
        assert!(edge.poll_timeout(at(0)).is_some_and(|due| due <= at(first).instant));
        assert_eq!(sent(&mut edge, at(first - 1)).len(), 0);
        let probes = sent(&mut edge, at(first));
        assert!(matches!(ToGround::decode(&probes[0]), Ok(ToGround::Probe(_))), "{probes:?}");
        assert_eq!((probes.len(), sent(&mut edge, at(first + 200)).len()), (1, 0));
        // It overtakes the hello, and is answered after that.
        ground.handle_message(at(first + 300), &probes[0]);
        ground.handle_message(at(first + 900), &hello);
        ground.welcome(at(first + 900), RangeSet::new(), []);
        let answers = std::iter::from_fn(|| ground.poll_transmit()).map(|transmit| transmit.channel);
        assert_eq!(answers.collect::<Vec<_>>(), [Channel::Stream, Channel::Datagram]);
    }
    let mut edge = edge(0, Some(64_000));
    edge.handle_connected(at(0), Carrier::Stream);
    sent(&mut edge, at(0));
    let on_a_stream = (1..10).flat_map(|second| sent(&mut edge, at(second * 1_000)));
    assert_eq!(on_a_stream.count(), 0);
}

#[test]
fn a_ground_that_owes_an_answer_to_a_command_is_probed_before_it_counts_as_silent() {
    let mut edge = edge(0, Some(64_000));
    open_on_datagrams(&mut edge);
    // Two more probes at first, then none for half a minute.
    for millis in [2_000, 4_000, 6_000] {
        sent(&mut edge, at(millis));
        let reply = ProbeReply { sent: at(millis).wall, ground: at(millis).wall };
        edge.handle_message(at(millis), &ToVehicle::ProbeReply(reply).encode());
    }
    edge.answer(Answer::Report(CommandReport { id: CommandId(1), steps: Vec::new() }));
    assert_eq!(sent(&mut edge, at(10_000)).len(), 1);
    let dark = edge.poll_timeout(at(10_000)).unwrap();
    assert_eq!(dark, at(12_500).instant);
    sent(&mut edge, at(12_500));
    let due = edge.poll_timeout(at(12_500)).unwrap();
    let millis = due.0.as_millis() as u64 + 1;
    let probes = sent(&mut edge, at(millis));
    assert!(millis < 13_000 && matches!(ToGround::decode(&probes[0]), Ok(ToGround::Probe(_))), "{probes:?}");
}

#[test]
fn a_stream_that_is_stuck_holds_up_no_declaration() {
    let mut edge = edge(0, Some(64_000));
    open_on_datagrams(&mut edge);
    sent(&mut edge, at(2_000));
    edge.handle_schema(SchemaId(0), schema(0).1);
    edge.handle_frame(frame(0, 0, 3));
    let stuck = std::iter::from_fn(|| edge.poll_transmit(at(2_100), false));
    let messages: Vec<_> =
        stuck.map(|transmit| (transmit.channel, ToGround::decode(&transmit.bytes).unwrap())).collect();
    let [(Channel::Datagram, ToGround::Schemas(_)), (Channel::Datagram, ToGround::Live(_))] = &messages[..]
    else {
        panic!("{messages:?}")
    };
}

#[test]
fn backlog_on_a_stream_does_not_go_beyond_the_budget() {
    let limit = 105_000;
    let budgets = Budgets { flight_bytes: Some(limit), ..Budgets::default() };
    let mut edge = edge_with(1_000, None, budgets);
    edge.handle_schema(SchemaId(0), schema(0).1);
    open(&mut edge);
    for millis in 0..2_000 {
        while let Some(event) = edge.poll_event() {
            if let EdgeEvent::FetchBacklog { range, .. } = event {
                let frames: Vec<Frame> =
                    (range.end - 8..range.end).rev().map(|n| frame(n, 0, 8_000)).collect();
                edge.handle_backlog(SequenceRange::new(range.end - 8, range.end), frames, Vec::new());
            }
        }
        edge.poll_transmit(at(1_000 + millis), true);
    }
    let spent = edge.stats().flight_bytes;
    assert!((limit * 8 / 10..=limit).contains(&spent), "{spent}");
}

/// The schemas that leave at this time, by message.
fn declared(edge: &mut EdgeSession, now: Now) -> Vec<(Channel, usize)> {
    std::iter::from_fn(|| edge.poll_transmit(now, true))
        .filter_map(|transmit| match ToGround::decode(&transmit.bytes) {
            Ok(ToGround::Schemas(schemas)) => Some((transmit.channel, schemas.len())),
            _ => None,
        })
        .collect()
}

#[test]
fn streams_that_begin_together_are_declared_in_a_packet_and_while_little_is_known_in_two_datagrams_more() {
    let mut edge = edge(0, Some(64_000));
    open_on_datagrams(&mut edge);
    (0..3).for_each(|id| edge.handle_schema(SchemaId(id), schema(id).1));
    assert_eq!(declared(&mut edge, at(2_000)), [], "nothing uses them yet");
    edge.handle_frame(frame(0, 1, 3));
    let mut declared_from = |from: u64| {
        let times = (from..from + 1_900).step_by(10);
        times.flat_map(|millis| declared(&mut edge, at(millis))).collect::<Vec<_>>()
    };
    assert_eq!(declared_from(2_100), [(Channel::Stream, 3), (Channel::Datagram, 3), (Channel::Datagram, 3)]);
}

/// What a ground says that got the first packet and cannot decode what came since.
fn lacking(lack: Lack) -> Feedback {
    Feedback {
        committed: Acknowledgement::default(),
        largest: 0,
        missing: Vec::new(),
        arrived_millis: 0,
        held_millis: 0,
        loss: LossReport::ASSUMED,
        lack,
        wanted: None,
    }
}

#[test]
fn streams_whose_declaration_was_lost_are_declared_again_when_the_ground_asks_but_not_twice_a_round_trip() {
    let mut edge = edge(0, Some(2_400));
    open_on_datagrams(&mut edge);
    for (schemas, time) in [(0..2, 2_000), (2..5, 3_000)] {
        let (first, count) = (schemas.start, schemas.len());
        schemas.for_each(|id| edge.handle_schema(SchemaId(id), schema(id).1));
        edge.handle_frame(frame(first.into(), first, 3));
        assert_eq!(declared(&mut edge, at(time)), [(Channel::Stream, count)]);
    }
    let mut declared_within = |from: u64, lack| {
        edge.handle_message(at(from), &ToVehicle::Feedback(lacking(lack)).encode());
        let times = (from..from + 1_000).step_by(10);
        times.flat_map(|millis| declared(&mut edge, at(millis))).collect::<Vec<_>>()
    };
    let lack = |id| Lack::Schema(SchemaId(id));
    assert_eq!(declared_within(5_000, lack(9)), [], "it was never declared");
    assert_eq!(declared_within(6_000, lack(3)), [(Channel::Datagram, 3)]);
    assert_eq!(declared_within(7_000, lack(3)), [], "that is on its way");
    assert_eq!(
        declared_within(12_000, lack(0)),
        [(Channel::Datagram, 5)],
        "what comes after it waits for it"
    );
}

#[test]
fn a_declaration_that_fits_no_datagram_is_left_to_the_stream() {
    let mut edge = edge(0, Some(64_000));
    open_on_datagrams(&mut edge);
    let (id, small) = schema(0);
    let field = |number| Field::new(format!("field {number}"), FieldKind::Text);
    let fields = (0..200).map(field).collect();
    edge.handle_schema(id, Arc::new(Schema { fields, ..Schema::clone(&small) }));
    edge.handle_frame(frame(0, 0, 3));
    let all: Vec<_> = (2_000..4_000).step_by(10).flat_map(|millis| declared(&mut edge, at(millis))).collect();
    assert_eq!(all, [(Channel::Stream, 1)]);
    edge.handle_message(at(6_000), &ToVehicle::Feedback(lacking(Lack::Schema(id))).encode());
    let all: Vec<_> = (6_000..7_000).step_by(10).flat_map(|millis| declared(&mut edge, at(millis))).collect();
    assert_eq!(all, []);
}

#[test]
fn what_was_declared_in_the_dark_is_declared_again_when_the_link_is_back() {
    let mut edge = edge(0, Some(64_000));
    open_on_datagrams(&mut edge);
    edge.handle_schema(SchemaId(0), schema(0).1);
    edge.handle_schema(SchemaId(1), schema(1).1);
    edge.handle_frame(frame(0, 0, 3));
    (2_100..7_000).step_by(10).for_each(|millis| drop(declared(&mut edge, at(millis))));
    let answer = ToVehicle::Acknowledge(Acknowledgement::default()).encode();
    edge.handle_message(at(7_000), &answer);
    let all: Vec<_> = (7_000..8_000).step_by(10).flat_map(|millis| declared(&mut edge, at(millis))).collect();
    assert_eq!(
        all,
        [(Channel::Datagram, 2), (Channel::Datagram, 2)],
        "twice while little is known of the loss"
    );
}

#[test]
fn backlog_that_overtakes_its_schemas_waits_for_them() {
    let mut edge = edge(0, Some(64_000));
    let mut ground = open_on_datagrams(&mut edge);
    edge.handle_schema(SchemaId(0), schema(0).1);
    let frames = store(&mut edge, 0, 1);
    edge.handle_timeout(at(2_000));
    let range = fetched(&mut edge).unwrap();
    edge.handle_backlog(range, frames, Vec::new());
    let messages: Vec<_> = (2_000..2_400).flat_map(|millis| sent(&mut edge, at(millis))).collect();
    let (schemas, rest): (Vec<_>, Vec<_>) = messages
        .into_iter()
        .partition(|message| matches!(ToGround::decode(message), Ok(ToGround::Schemas(_))));
    let mut records = |message: &[u8]| {
        ground.handle_message(at(2_400), message);
        let events = std::iter::from_fn(|| ground.poll_event());
        events.filter(|event| matches!(event, GroundEvent::Frame { .. })).count()
    };
    assert_eq!(rest.iter().map(|message| records(message)).sum::<usize>(), 0);
    assert_eq!(schemas.iter().map(|message| records(message)).collect::<Vec<_>>()[0], 1);
}

#[test]
fn the_first_packet_after_a_silence_is_answered_twice() {
    let mut edge = edge(0, Some(64_000));
    let mut ground = open_on_datagrams(&mut edge);
    edge.handle_schema(SchemaId(0), schema(0).1);
    let mut answers = Vec::new();
    for millis in 10_000..10_900 {
        if millis % 100 == 0 {
            edge.handle_frame(frame((millis - 10_000) / 100, 0, 20));
        }
        for message in sent(&mut edge, at(millis)) {
            ground.handle_message(at(millis), &message);
        }
        ground.handle_timeout(at(millis));
        let transmits = std::iter::from_fn(|| ground.poll_transmit());
        let is_feedback = |bytes: &[u8]| matches!(ToVehicle::decode(bytes), Ok(ToVehicle::Feedback(_)));
        answers.extend(transmits.filter(|transmit| is_feedback(&transmit.bytes)).map(|_| millis));
    }
    let [first, second] = answers[..] else { panic!("{answers:?}") };
    assert!(first < 10_200 && (first + 250..first + 400).contains(&second), "{answers:?}");
}

#[test]
fn backlog_waits_for_the_spool_no_longer_than_a_moment() {
    let mut edge = edge(0, Some(64_000));
    open_on_datagrams(&mut edge);
    edge.handle_schema(SchemaId(0), schema(0).1);
    let frames = store(&mut edge, 0, 1);
    edge.handle_timeout(at(2_000));
    sent(&mut edge, at(2_000));
    let range = fetched(&mut edge).unwrap();
    edge.handle_backlog(range, frames, Vec::new());
    // The next one is read at once, and never there.
    store(&mut edge, 1, 1);
    let began = (2_000..3_000).find(|&millis| {
        let messages = sent(&mut edge, at(millis));
        messages.iter().any(|message| matches!(ToGround::decode(message), Ok(ToGround::Backlog(_))))
    });
    assert!(began.is_some_and(|millis| (2_100..2_200).contains(&millis)), "{began:?}");
}

/// Five records of this size, each in a frame of its own, come while the link is busy with another: in which payloads they
/// leave, as the ground takes their records.
fn payloads_after_waiting(text_bytes: usize) -> Vec<Vec<u64>> {
    let mut edge = edge(0, Some(64_000));
    let mut ground = open_on_datagrams(&mut edge);
    edge.handle_schema(SchemaId(0), schema(0).1);
    edge.handle_frame(frame(0, 0, 500));
    let mut payloads = Vec::new();
    for now in (2_000..4_000).map(at) {
        for message in sent(&mut edge, now) {
            ground.handle_message(now, &message);
            let events = std::iter::from_fn(|| ground.poll_event()).filter_map(|event| match event {
                GroundEvent::Frame { range, .. } => Some(range.start..range.end),
                _ => None,
            });
            payloads.push(events.flatten().collect());
        }
        if now == at(2_000) {
            (1..=5).for_each(|sequence| edge.handle_frame(frame(sequence, 0, text_bytes)));
        }
    }
    payloads.retain(|payload: &Vec<u64>| !payload.is_empty());
    payloads
}

#[test]
fn short_live_frames_that_wait_for_the_link_share_a_packet() {
    assert_eq!(payloads_after_waiting(10), [vec![0], vec![1, 2, 3, 4, 5]]);
    assert_eq!(payloads_after_waiting(200), [0, 5, 4, 3, 2, 1].map(|sequence| vec![sequence]));
}

/// Numbers of the records that reach the ground, out of ten of the backlog whose `lost`th datagram does not, while nothing comes
/// back.
fn drained_without(lost: usize) -> BTreeSet<u64> {
    let mut edge = edge(0, Some(64_000));
    let mut ground = open_on_datagrams(&mut edge);
    edge.handle_schema(SchemaId(0), schema(0).1);
    let frames = store(&mut edge, 0, 10);
    edge.handle_timeout(at(2_000));
    sent(&mut edge, at(2_000));
    let range = fetched(&mut edge).unwrap();
    edge.handle_backlog(range, frames, Vec::new());
    let mut backlog = 0;
    for now in (2_000..4_000).map(at) {
        for message in sent(&mut edge, now) {
            let is_backlog = matches!(ToGround::decode(&message), Ok(ToGround::Backlog(_)));
            backlog += usize::from(is_backlog);
            if !is_backlog || backlog != lost + 1 {
                ground.handle_message(now, &message);
            }
        }
    }
    assert!((8..16).contains(&backlog), "{backlog}");
    let ranges = std::iter::from_fn(|| ground.poll_event()).filter_map(|event| match event {
        GroundEvent::Frame { range, .. } => Some(range.start..range.end),
        _ => None,
    });
    ranges.flatten().collect()
}

#[test]
fn any_one_datagram_may_be_lost_where_a_drain_ends() {
    for lost in 0..8 {
        assert_eq!(drained_without(lost), (0..10).collect(), "{lost}");
    }
}

/// How the payload of a record tells where it begins, when so many older ones left since that of the record before it, and in
/// how many packets.
fn start_after(older: u64) -> (Start, usize) {
    const BASE: u64 = 2000;
    let mut edge = edge(BASE, None);
    edge.handle_schema(SchemaId(0), schema(0).1);
    open_on_datagrams(&mut edge);
    let left = |edge: &mut EdgeSession, now: Now| -> Vec<ToGround> {
        sent(edge, now).iter().map(|message| ToGround::decode(message).unwrap()).collect()
    };
    left(&mut edge, at(2_000));
    edge.handle_frame(frame(BASE, 0, 20));
    left(&mut edge, at(2_001));
    edge.handle_timeout(at(2_002));
    let frames = (BASE - older..BASE).rev().map(|sequence| frame(sequence, 0, 1000)).collect();
    edge.handle_backlog(SequenceRange::new(BASE - older, BASE), frames, Vec::new());
    let packets = left(&mut edge, at(2_010)).len();
    edge.handle_frame(frame(BASE + 1, 0, 20));
    let messages = left(&mut edge, at(2_020));
    let payload = messages.iter().find_map(|message| match message {
        ToGround::Live(packet) => Payload::decode(&packet.payload).ok(),
        _ => None,
    });
    (payload.unwrap().start, packets)
}

#[test]
fn a_payload_tells_its_offset_where_the_number_of_the_one_before_is_uncertain() {
    let (start, packets) = start_after(100);
    assert!(
        start == Start::Next && (60..CERTAIN_PACKETS as usize).contains(&packets),
        "{start:?} after {packets}"
    );
    let (start, packets) = start_after(1200);
    assert!(start == Start::At(1) && packets > CERTAIN_PACKETS as usize, "{start:?} after {packets}");
}

#[test]
fn nothing_is_declared_again_after_a_goodbye_or_a_refusal() {
    let ends: [fn(&mut EdgeSession, &mut GroundSession); 2] = [
        |edge, _| edge.close(),
        |edge, ground| {
            ground.refuse(Refusal { reason: RefusalReason::Unavailable, message: String::new() });
            while let Some(message) = ground.poll_transmit().map(|transmit| transmit.bytes) {
                edge.handle_message(at(2_010), &message);
            }
        },
    ];
    for end in ends {
        let mut edge = edge(0, Some(64_000));
        let mut ground = open_on_datagrams(&mut edge);
        edge.handle_schema(SchemaId(0), schema(0).1);
        edge.handle_frame(frame(0, 0, 3));
        let mut all: Vec<_> = (2_000..2_010).flat_map(|millis| declared(&mut edge, at(millis))).collect();
        end(&mut edge, &mut ground);
        all.extend((2_010..4_000).flat_map(|millis| declared(&mut edge, at(millis))));
        assert_eq!(all, [(Channel::Stream, 1)]);
        let wakes_at = edge.poll_timeout(at(4_000));
        assert!(wakes_at.is_none_or(|wakes_at| wakes_at > at(4_000).instant), "{wakes_at:?}");
    }
}

/// Records of 500 bytes that only the spool has, from `first` on, and the edge's request for them.
fn store(edge: &mut EdgeSession, first: u64, count: u64) -> Vec<Frame> {
    let frames: Vec<Frame> = (first..first + count).rev().map(|sequence| frame(sequence, 0, 500)).collect();
    edge.handle_stored(SequenceRange::new(first, first + count));
    frames
}

fn fetched(edge: &mut EdgeSession) -> Option<SequenceRange> {
    std::iter::from_fn(|| edge.poll_event()).find_map(|event| match event {
        EdgeEvent::FetchBacklog { range, .. } => Some(range),
        _ => None,
    })
}

/// The records of backlog messages, in the order in which they leave, and when.
fn backlog_sent(edge: &mut EdgeSession, from: u64, until: u64) -> Vec<(u64, i64)> {
    let mut left = Vec::new();
    for millis in from..until {
        edge.handle_timeout(at(millis));
        for message in sent(edge, at(millis)) {
            if let ToGround::Frame(frame) = ToGround::decode(&message).unwrap() {
                left.push((millis, frame.object.offset));
            }
        }
    }
    left
}

#[test]
fn backlog_leaves_no_queue_on_the_link_however_long_that_was_idle() {
    let mut edge = edge(0, Some(64_000));
    edge.handle_schema(SchemaId(0), schema(0).1);
    open(&mut edge);
    sent(&mut edge, at(0));
    let frames = store(&mut edge, 0, 20);
    edge.handle_timeout(at(3_000));
    let range = fetched(&mut edge).unwrap();
    edge.handle_backlog(range, frames, Vec::new());
    let left = backlog_sent(&mut edge, 3_000, 3_500);
    assert!(left.len() > 3, "{left:?}");
    for pair in left.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= 60, "half a kilobyte takes 8 kB/s 70 ms: {left:?}");
    }
}

#[test]
fn what_the_live_lane_had_no_room_for_goes_before_older_backlog() {
    let mut edge = edge(0, Some(64_000));
    edge.handle_schema(SchemaId(0), schema(0).1);
    open(&mut edge);
    sent(&mut edge, at(0));
    let older = store(&mut edge, 0, 10);
    edge.handle_timeout(at(3_000));
    let range = fetched(&mut edge).unwrap();
    edge.handle_backlog(range, older, Vec::new());
    let first = backlog_sent(&mut edge, 3_000, 3_100);
    let newer = store(&mut edge, 10, 2);
    edge.handle_timeout(at(3_100));
    assert_eq!(fetched(&mut edge), Some(SequenceRange::new(10, 12)));
    edge.handle_backlog(SequenceRange::new(10, 12), newer, Vec::new());
    let then: Vec<i64> =
        backlog_sent(&mut edge, 3_100, 3_400).into_iter().map(|(_, offset)| offset).collect();
    assert_eq!(first.iter().map(|(_, offset)| *offset).max(), Some(9));
    assert_eq!(then[..3], [11, 10, first.iter().map(|(_, offset)| *offset).min().unwrap() - 1]);
}

#[test]
fn who_has_not_said_hello_is_not_waited_for_with_large_messages() {
    let mut ground = GroundSession::new("ground".into(), Carrier::Datagrams { max_bytes: 1200 });
    ground.handle_message(at(0), &[6; 1200]);
    assert_eq!(ground.poll_event(), None);
    ground.handle_message(at(0), &[6; 1201]);
    assert!(matches!(ground.poll_event(), Some(GroundEvent::Refused(_))));
}

#[test]
fn a_ground_that_acknowledges_what_it_was_not_sent_is_left_and_nothing_is_forgotten() {
    for (claimed, reason) in [(5, "which were not sent"), (100, "this spool made only 6")] {
        let mut edge = edge(5, None);
        let (id, text) = schema(0);
        edge.handle_schema(id, text);
        open(&mut edge);
        edge.handle_frame(frame(5, 0, 3));
        sent(&mut edge, at(0));
        let lie = ToVehicle::Acknowledge(Acknowledgement::new(claimed, []));
        edge.handle_message(at(0), &lie.encode());
        let events: Vec<EdgeEvent> = std::iter::from_fn(|| edge.poll_event()).collect();
        let left = |event: &EdgeEvent| matches!(event, EdgeEvent::Disconnect { reason: said } if said.contains(reason));
        assert!(events.iter().any(left), "{events:?}");
        assert!(!events.iter().any(|event| matches!(event, EdgeEvent::Acknowledged(_))), "{events:?}");
    }
}

#[test]
fn records_that_a_welcome_reports_count_as_acknowledged_once() {
    let range = SequenceRange::new;
    // Records below 5 are of earlier starts.
    let mut edge = edge(5, None);
    let (id, text) = schema(0);
    edge.handle_schema(id, text);
    let mut ground = open_with(&mut edge, [range(0, 5)].into_iter().collect());
    for sequence in 5..8 {
        edge.handle_frame(frame(sequence, 0, 3));
        for message in sent(&mut edge, at(0)) {
            ground.handle_message(at(0), &message);
        }
    }
    ground.handle_committed(at(0), &[range(7, 8)]);
    ground.handle_timeout(at(2000));
    while let Some(message) = ground.poll_transmit() {
        edge.handle_message(at(0), &message.bytes);
    }
    assert_eq!(edge.stats().acknowledged_records, 1);
    // The ground stored one more, and the connection broke before it could say so.
    for _ in 0..2 {
        open_with(&mut edge, [range(0, 6), range(7, 8)].into_iter().collect());
        assert_eq!(edge.stats().acknowledged_records, 2);
    }
}

#[test]
fn a_ground_that_is_left_while_payloads_are_missing_does_not_wake_for_them_again_and_again() {
    let carrier = Carrier::Datagrams { max_bytes: 1200 };
    let mut edge = edge(0, None);
    let (id, text) = schema(0);
    edge.handle_schema(id, text);
    let mut ground = GroundSession::new("ground".into(), carrier);
    edge.handle_connected(at(0), carrier);
    for sequence in 0..10 {
        let now = at(sequence * 20);
        edge.handle_frame(frame(sequence, 0, 20));
        while let Some(Transmit { channel, bytes }) = edge.poll_transmit(now, true) {
            if channel == Channel::Stream || sequence < 5 || sequence == 9 {
                ground.handle_message(now, &bytes);
            }
        }
        while let Some(event) = ground.poll_event() {
            if let GroundEvent::Hello(_) = event {
                ground.welcome(now, RangeSet::new(), []);
            }
        }
        ground.handle_timeout(now);
        while let Some(Transmit { bytes, .. }) = ground.poll_transmit() {
            edge.handle_message(now, &bytes);
        }
    }
    ground.handle_message(at(200), &ToGround::Goodbye.encode());
    for _ in 0..10 {
        let Some(due) = ground.poll_timeout() else { return };
        ground.handle_timeout(Now { instant: due, ..at(200) });
        assert!(ground.poll_timeout().is_none_or(|next| next > due), "it wakes at {due} again");
    }
    panic!("it wakes again and again");
}
