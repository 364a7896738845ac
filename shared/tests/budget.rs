//! Budgets of bytes, in virtual time, against a transport that counts more than the session estimates.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use common::{at, frame, schema};
use proptest::prelude::*;
use tern_shared::id::{Epoch, Token};
use tern_shared::message::{Lane, ToGround};
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::session::{
    BudgetChange, Budgets, Carrier, EdgeEvent, EdgeSession, GroundEvent, GroundSession, Identity, Pins,
    SendConfig, Thinning, Transmit,
};

const DELAY_MILLIS: u64 = 300;
/// The largest packet.
const PACKET_BYTES: u64 = 1500;
const BASE: u64 = 1 << 20;

struct Run {
    /// Both directions, headers counted, as the transport saw them.
    spent_bytes: u64,
    /// The same by second.
    by_second: Vec<u64>,
    changes: Vec<BudgetChange>,
    /// When a message of each lane last left, milliseconds.
    last_live: u64,
    last_backlog: u64,
    /// At which times something changed.
    changed_at: BTreeMap<Thinning, u64>,
    /// How long batches should stay open, at the end.
    window: Duration,
}

/// Ten records a second and a backlog without end, for `seconds`. Each packet costs `extra_bytes` more than estimated.
fn run(budgets: Budgets, carrier: Carrier, seconds: u64, extra_bytes: u64, counts_each_millis: u64) -> Run {
    let identity = Identity {
        vehicle: "tested".parse().unwrap(),
        epoch: Epoch(7),
        base: BASE,
        token: Token::default(),
        agent: "test".into(),
    };
    let config = SendConfig {
        rate_bits_per_second: Some(64_000),
        auto_rate: false,
        budgets,
        overhead_bytes: None,
        silence_limit: Duration::from_secs(5),
        batch_window: None,
        pins: Pins::default(),
    };
    let overhead = extra_bytes + if carrier == Carrier::Stream { 80 } else { 55 };
    let mut edge = EdgeSession::new(identity, config);
    let (id, text) = schema();
    edge.handle_schema(id, text);
    let mut ground = GroundSession::new("ground".into(), carrier);
    edge.handle_connected(at(0), carrier);
    let (mut up, mut down) = (VecDeque::<(u64, Vec<u8>)>::new(), VecDeque::<(u64, Vec<u8>)>::new());
    let mut run = Run {
        spent_bytes: 0,
        by_second: vec![0; seconds as usize],
        changes: Vec::new(),
        last_live: 0,
        last_backlog: 0,
        changed_at: BTreeMap::new(),
        window: Duration::ZERO,
    };
    for millis in 0..seconds * 1000 {
        let now = at(millis);
        if millis % 100 == 0 {
            edge.handle_frame(frame(BASE + millis / 100, now, 20));
        }
        let mut spend = |bytes: u64| {
            run.spent_bytes += bytes;
            run.by_second[millis as usize / 1000] += bytes;
        };
        while let Some((_, bytes)) = up.pop_front_if(|(at, _)| *at <= millis) {
            ground.handle_message(now, &bytes);
        }
        while let Some((_, bytes)) = down.pop_front_if(|(at, _)| *at <= millis) {
            spend(bytes.len() as u64 + overhead);
            edge.handle_message(now, &bytes);
        }
        edge.handle_timeout(now);
        ground.handle_timeout(now);
        while let Some(event) = ground.poll_event() {
            match event {
                GroundEvent::Hello(_) => ground.welcome(now, RangeSet::new(), []),
                GroundEvent::Frame { range, .. } => ground.handle_committed(now, &[range]),
                _ => {}
            }
        }
        while let Some(Transmit { bytes, .. }) = edge.poll_transmit(now, true) {
            spend((bytes.len() as u64).div_ceil(PACKET_BYTES) * overhead + bytes.len() as u64);
            match ToGround::decode(&bytes).unwrap() {
                ToGround::Live(_) => run.last_live = millis,
                ToGround::Frame(frame) if frame.lane == Lane::Live => run.last_live = millis,
                ToGround::Backlog(_) | ToGround::Frame(_) => run.last_backlog = millis,
                _ => {}
            }
            up.push_back((millis + DELAY_MILLIS, bytes));
        }
        if millis % counts_each_millis == 0 {
            edge.handle_counted(now, run.spent_bytes, 0);
        }
        while let Some(event) = edge.poll_event() {
            match event {
                EdgeEvent::FetchBacklog { range, max_bytes } => {
                    let count = (max_bytes as u64 / 200).min(range.len());
                    let covered = SequenceRange::new(range.end - count, range.end);
                    let frames =
                        (covered.start..covered.end).rev().map(|sequence| frame(sequence, at(0), 200));
                    edge.handle_backlog(covered, frames.collect(), vec![]);
                }
                EdgeEvent::Budget(change) => {
                    run.changed_at.insert(change.thinning, millis);
                    run.changes.push(change);
                }
                EdgeEvent::Silent(true) | EdgeEvent::Disconnect { .. } => panic!("given up"),
                _ => {}
            }
        }
        while let Some(Transmit { bytes, .. }) = ground.poll_transmit() {
            down.push_back((millis + DELAY_MILLIS, bytes));
        }
    }
    run.window = edge.batch_window();
    run
}

fn carriers() -> impl Strategy<Value = Carrier> {
    prop_oneof![Just(Carrier::Stream), Just(Carrier::Datagrams { max_bytes: 1200 })]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_flight_is_never_exceeded_by_more_than_a_packet(
        limit in 20_000u64..150_000,
        extra_bytes in 0u64..60,
        counts_each_millis in 1u64..1000,
        carrier in carriers(),
    ) {
        let budgets = Budgets { flight_bytes: Some(limit), ..Budgets::default() };
        let run = run(budgets, carrier, 90, extra_bytes, counts_each_millis);
        prop_assert!(run.spent_bytes <= limit + PACKET_BYTES, "{} of {limit}", run.spent_bytes);
        prop_assert!(run.changes.windows(2).all(|pair| pair[0].thinning < pair[1].thinning), "{:?}", run.changes);
        // The lane that goes first is the first to stop.
        let stopped = run.changed_at.first_key_value().map_or(u64::MAX, |(_, &at)| at);
        prop_assert!(run.last_backlog <= stopped, "{} {stopped}", run.last_backlog);
    }

    #[test]
    fn bytes_a_second_hold_in_both_directions(
        limit in 600u64..4_000,
        extra_bytes in 0u64..60,
        carrier in carriers(),
    ) {
        let budgets = Budgets { bytes_per_second: Some(limit), ..Budgets::default() };
        let run = run(budgets, carrier, 60, extra_bytes, 100);
        // A stream's messages of backlog are half a second long, and the ground's answers come when they come.
        let slack = 3 * PACKET_BYTES + 2048;
        prop_assert!(run.spent_bytes <= limit * 60 + slack, "{} of {}", run.spent_bytes, limit * 60);
        prop_assert!(run.spent_bytes >= limit * 60 * 7 / 10, "{} of {}", run.spent_bytes, limit * 60);
        let worst = run.by_second.windows(10).map(|seconds| seconds.iter().sum::<u64>()).max().unwrap();
        prop_assert!(worst <= limit * 10 + slack, "{worst} in 10 s of {limit} B/s");
    }
}

#[test]
fn lanes_thin_out_and_live_goes_on_longest() {
    let budgets = Budgets { month_bytes: Some(200_000), ..Budgets::default() };
    let run = run(budgets, Carrier::Datagrams { max_bytes: 1200 }, 120, 20, 1000);
    let stages: Vec<Thinning> = run.changes.iter().map(|change| change.thinning).collect();
    use Thinning::{CriticalOnly, HalfLive, NoBacklog, Spent};
    assert_eq!(stages, [NoBacklog, HalfLive, CriticalOnly, Spent]);
    assert!(run.last_backlog <= run.changed_at[&NoBacklog]);
    // Without backlog, live data has the rest for a while.
    assert!(run.changed_at[&HalfLive] > run.changed_at[&NoBacklog] + 5_000);
    assert!(run.last_live > run.changed_at[&HalfLive] && run.last_live <= run.changed_at[&Spent]);
    assert!(run.window >= Duration::from_millis(80), "{:?}", run.window);
}
