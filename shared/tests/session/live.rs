//! What is live: in which packets it leaves, and how it comes back.

use std::collections::VecDeque;

use tern_shared::datagram::coding::CERTAIN_PACKETS;
use tern_shared::id::SchemaId;
use tern_shared::message::{Lane, Payload, Start, ToGround};
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::session::{Carrier, Channel, EdgeSession, GroundEvent, GroundSession, Transmit};
use tern_shared::time::Now;

use super::{at, edge, frame, open_on_datagrams, schema, sent};

/// Runs an edge and a ground on datagrams that take 300 ms, and loses the packets whose numbers `loses` names, and what the
/// ground says at the milliseconds that `deafens` names. Ten records a second for a minute; how many came live.
fn live_records(loses: impl Fn(u64) -> bool, deafens: impl Fn(u64) -> bool) -> usize {
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
            if !deafens(millis) {
                down.push_back((millis + 300, bytes));
            }
        }
        while edge.poll_event().is_some() {}
    }
    live
}

#[test]
fn on_a_link_that_loses_nothing_every_record_comes_live() {
    assert_eq!(live_records(|_| false, |_| false), 600);
}

#[test]
fn single_losses_are_recovered_without_asking() {
    assert_eq!(live_records(|packet| packet % 50 == 7, |_| false), 600);
}

#[test]
fn what_is_lost_while_only_the_way_back_is_silent_comes_by_the_code() {
    let silent = 20_000..26_000;
    // Those that leave in the last second of it, and those ahead of the first feedback.
    let not_live = (370..390).filter(|&first| {
        live_records(|packet| (first..=first + 1).contains(&packet), |millis| silent.contains(&millis)) < 600
    });
    assert_eq!(not_live.collect::<Vec<u64>>(), []);
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
