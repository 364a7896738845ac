//! The backlog: what of it leaves when.

use std::collections::BTreeSet;

use tern_shared::id::SchemaId;
use tern_shared::message::{GapReason, ToGround};
use tern_shared::range::SequenceRange;
use tern_shared::session::{Budgets, EdgeEvent, EdgeSession, Frame, GroundEvent};

use super::{at, edge, edge_with, fetched, frame, open, open_on_datagrams, schema, sent, store};

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
