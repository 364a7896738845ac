//! The start of a session, and peers that misbehave there.

use tern_shared::message::{Acknowledgement, ToVehicle};
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::session::{Carrier, EdgeEvent, GroundEvent, GroundSession};

use super::{at, edge, frame, open, open_with, schema, sent};

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
