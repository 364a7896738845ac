//! Schemas: declared in time, and again when they are lost.

use std::sync::Arc;

use tern_shared::datagram::loss::LossReport;
use tern_shared::id::SchemaId;
use tern_shared::message::{Acknowledgement, Feedback, Lack, Refusal, RefusalReason, ToGround, ToVehicle};
use tern_shared::schema::{Field, FieldKind, Schema};
use tern_shared::session::{Channel, EdgeSession, GroundEvent, GroundSession};
use tern_shared::time::Now;

use super::{at, edge, fetched, frame, open, open_on_datagrams, schema, sent, store};

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
fn a_declaration_that_only_backlog_waits_for_is_asked_for() {
    let mut edge = edge(0, Some(64_000));
    let mut ground = open_on_datagrams(&mut edge);
    edge.handle_schema(SchemaId(0), schema(0).1);
    let frames = store(&mut edge, 0, 1);
    // The stream is stuck, so schemas are declared in datagrams, of which those of the first two seconds are lost.
    let mut records = 0;
    for millis in 2_000..12_000 {
        let now = at(millis);
        edge.handle_timeout(now);
        if let Some(range) = fetched(&mut edge) {
            edge.handle_backlog(range, frames.clone(), Vec::new());
        }
        while let Some(message) = edge.poll_transmit(now, false).map(|transmit| transmit.bytes) {
            let is_lost = millis < 4_000 && matches!(ToGround::decode(&message), Ok(ToGround::Schemas(_)));
            if !is_lost {
                ground.handle_message(now, &message);
            }
        }
        ground.handle_timeout(now);
        let events = std::iter::from_fn(|| ground.poll_event());
        records += events.filter(|event| matches!(event, GroundEvent::Frame { .. })).count();
        while let Some(message) = ground.poll_transmit().map(|transmit| transmit.bytes) {
            edge.handle_message(now, &message);
        }
    }
    assert_eq!(records, 1);
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
