//! A ground that is not heard for a while.

use std::time::Duration;

use tern_shared::batch::Batch;
use tern_shared::command::{Answer, CommandId, CommandReport};
use tern_shared::id::SchemaId;
use tern_shared::message::{ProbeReply, ToGround, ToVehicle};
use tern_shared::range::RangeSet;
use tern_shared::record::{Record, Value};
use tern_shared::session::{Carrier, Channel, EdgeEvent, GroundSession};

use super::{at, edge, frame, open, open_on_datagrams, schema, sent};

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
