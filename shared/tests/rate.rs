//! A session that finds out its link's rate by itself, in virtual time.
//!
//! The link is a queue that empties at a rate that may change; backlog without end waits behind ten live records a second.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod common;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use common::{at, frame, random, schema};
use tern_shared::id::{Epoch, Token};
use tern_shared::message::Lane;
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::session::{
    Budgets, Carrier, EdgeEvent, EdgeSession, GroundEvent, GroundSession, Identity, Pins, SendConfig,
    Transmit,
};

const OVERHEAD_BYTES: usize = 55;
/// Where live records begin; below is backlog.
const BASE: u64 = 1 << 24;
/// Time between live records.
const LIVE_MILLIS: u64 = 100;

/// What a link carries from when on, bits a second.
type Rates = &'static [(u64, u64)];

struct Scenario {
    seconds: u64,
    rates: Rates,
    delay_millis: u64,
    jitter_millis: u64,
    loss_per_mille: u64,
    has_backlog: bool,
    /// Decides on losses and jitter.
    seed: u64,
}

const GEO: Scenario = Scenario {
    seconds: 60,
    rates: &[],
    delay_millis: 300,
    jitter_millis: 4,
    loss_per_mille: 10,
    has_backlog: true,
    seed: 0,
};
const LEO: Scenario = Scenario { delay_millis: 80, ..GEO };

/// What came of a run.
struct Outcome {
    /// Bytes that the link carried in each second.
    carried: Vec<u64>,
    /// When a live record was made, and its age when it arrived, milliseconds.
    ages: Vec<(u64, u64)>,
    rate_at_end: u64,
    feedbacks: u64,
}

impl Outcome {
    /// What of the link was used, from one second to another.
    fn used(&self, rate: u64, seconds: std::ops::Range<usize>) -> f64 {
        let count = seconds.len() as f64;
        self.carried[seconds].iter().sum::<u64>() as f64 * 8.0 / (rate as f64 * count)
    }

    fn p99_millis(&self) -> u64 {
        let mut ages: Vec<u64> = self.ages.iter().map(|&(_, age)| age).collect();
        ages.sort_unstable();
        ages[ages.len() * 99 / 100]
    }

    fn oldest_millis(&self, made: std::ops::Range<u64>) -> u64 {
        self.ages.iter().filter(|(at, _)| made.contains(at)).map(|&(_, age)| age).max().unwrap()
    }
}

impl Scenario {
    fn rate_at(&self, millis: u64) -> u64 {
        self.rates.iter().rfind(|(from, _)| *from * 1000 <= millis).unwrap().1
    }

    fn run(&self) -> Outcome {
        let identity = Identity {
            vehicle: "tested".parse().unwrap(),
            epoch: Epoch(7),
            base: BASE,
            token: Token::default(),
            agent: "test".into(),
        };
        let config = SendConfig {
            rate_bits_per_second: None,
            auto_rate: true,
            budgets: Budgets::default(),
            overhead_bytes: Some(OVERHEAD_BYTES),
            silence_limit: Duration::from_secs(5),
            batch_window: None,
            pins: Pins::default(),
        };
        let mut edge = EdgeSession::new(identity, config);
        let (id, text) = schema();
        edge.handle_schema(id, text);
        let carrier = Carrier::Datagrams { max_bytes: 1200 };
        let mut ground = GroundSession::new("ground".into(), carrier);
        edge.handle_connected(at(0), carrier);
        let held: RangeSet = if self.has_backlog {
            RangeSet::new()
        } else {
            [SequenceRange::new(0, BASE)].into_iter().collect()
        };
        // Arrival time and message; when the link is free, microseconds.
        let (mut up, mut down) = (VecDeque::<(u64, Vec<u8>)>::new(), VecDeque::<(u64, Vec<u8>)>::new());
        let (mut free_micros, mut packets) = (0u64, 0);
        let draws = self.seed * 1_000_000;
        let mut made = Vec::new();
        let mut outcome = Outcome {
            carried: vec![0; self.seconds as usize + 30],
            ages: Vec::new(),
            rate_at_end: 0,
            feedbacks: 0,
        };
        for millis in 0..self.seconds * 1000 {
            let now = at(millis);
            if millis % LIVE_MILLIS == 0 {
                edge.handle_frame(frame(BASE + made.len() as u64, now, 20));
                made.push(millis);
            }
            while let Some((_, bytes)) = up.pop_front_if(|(at, _)| *at <= millis) {
                ground.handle_message(now, &bytes);
            }
            while let Some((_, bytes)) = down.pop_front_if(|(at, _)| *at <= millis) {
                edge.handle_message(now, &bytes);
            }
            if edge.poll_timeout(now).is_some_and(|at| at <= now.instant) {
                edge.handle_timeout(now);
            }
            ground.handle_timeout(now);
            while let Some(event) = ground.poll_event() {
                match event {
                    GroundEvent::Hello(_) => ground.welcome(now, held.clone(), []),
                    GroundEvent::Frame { lane, range, .. } => {
                        if lane == Lane::Live {
                            let of = |sequence: u64| made[(sequence - BASE) as usize];
                            let ages = (range.start..range.end)
                                .map(|sequence| (of(sequence), millis - of(sequence)));
                            outcome.ages.extend(ages);
                        }
                        ground.handle_committed(now, &[range]);
                    }
                    _ => {}
                }
            }
            while let Some(event) = edge.poll_event() {
                if let EdgeEvent::FetchBacklog { range, max_bytes } = event {
                    let count = (max_bytes as u64 / 200).min(range.len());
                    let covered = SequenceRange::new(range.end - count, range.end);
                    let frames = (covered.start..covered.end).rev().map(|sequence| match sequence {
                        // A live record that did not arrive: as it was.
                        BASE.. => frame(sequence, at(made[(sequence - BASE) as usize]), 20),
                        _ => frame(sequence, at(0), 200),
                    });
                    edge.handle_backlog(covered, frames.collect(), vec![]);
                }
            }
            while let Some(Transmit { bytes, .. }) = edge.poll_transmit(now, true) {
                packets += 1;
                let wire_bytes = (bytes.len() + OVERHEAD_BYTES) as u64;
                let rate = self.rate_at(free_micros.max(millis * 1000) / 1000);
                free_micros = free_micros.max(millis * 1000) + wire_bytes * 8_000_000 / rate;
                if let Some(carried) = outcome.carried.get_mut(free_micros as usize / 1_000_000) {
                    *carried += wire_bytes;
                }
                // What opens the session is sent again by its stream; that it takes longer matters to nothing here.
                if random(draws + packets) % 1000 >= self.loss_per_mille || packets < 10 {
                    let jitter = random(draws + packets + 7) % (self.jitter_millis + 1);
                    let arrival = free_micros.div_ceil(1000) + self.delay_millis + jitter;
                    up.push_back((arrival.max(up.back().map_or(0, |(at, _)| *at)), bytes));
                }
            }
            let _ = edge.poll_timeout(now);
            while let Some(Transmit { bytes, .. }) = ground.poll_transmit() {
                outcome.feedbacks += 1;
                down.push_back((millis + self.delay_millis, bytes));
            }
        }
        outcome.rate_at_end = edge.stats().rate_bits_per_second.unwrap();
        outcome
    }
}

/// The link is found within `found` seconds, and live records are fresh all the time.
fn finds(scenario: &Scenario, found: usize) {
    let rate = scenario.rate_at(0);
    let outcome = scenario.run();
    let used = outcome.used(rate, found..scenario.seconds as usize);
    let each: Vec<f64> = (0..12).map(|second| outcome.used(rate, second..second + 1)).collect();
    assert!((0.85..=1.01).contains(&used), "{used:.3} of {rate} bit/s used, at first {each:.2?}");
    let p99 = outcome.p99_millis();
    assert!(p99 < 1000, "p99 {p99} ms at {rate} bit/s");
}

#[test]
fn a_geostationary_link_of_22_kbit_is_found() {
    finds(&Scenario { rates: &[(0, 22_000)], ..GEO }, 2);
}

#[test]
fn a_geostationary_link_of_64_kbit_is_found() {
    finds(&Scenario { rates: &[(0, 64_000)], ..GEO }, 5);
}

#[test]
fn a_geostationary_link_of_128_kbit_is_found() {
    finds(&Scenario { rates: &[(0, 128_000)], ..GEO }, 7);
}

#[test]
fn a_geostationary_link_of_a_megabit_is_found() {
    finds(&Scenario { rates: &[(0, 1_000_000)], seconds: 40, ..GEO }, 12);
}

#[test]
fn links_of_low_orbits_are_found() {
    finds(&Scenario { rates: &[(0, 22_000)], ..LEO }, 4);
    finds(&Scenario { rates: &[(0, 64_000)], ..LEO }, 3);
    finds(&Scenario { rates: &[(0, 1_000_000)], seconds: 30, ..LEO }, 8);
}

#[test]
fn jitter_is_not_taken_for_a_queue() {
    finds(&Scenario { rates: &[(0, 64_000)], jitter_millis: 60, ..GEO }, 5);
}

#[test]
fn loss_is_not_taken_for_a_narrow_link() {
    let scenario = Scenario { rates: &[(0, 64_000)], loss_per_mille: 100, ..GEO };
    let used = scenario.run().used(64_000, 6..60);
    assert!((0.85..=1.01).contains(&used), "{used:.3}");
}

#[test]
fn a_link_that_narrows_and_widens_is_followed() {
    const SEEDS: u64 = 8;
    let rates = &[(0, 64_000), (60, 22_000), (120, 64_000)];
    for (scenario, fresh_after) in [(LEO, 3), (GEO, 6)] {
        let delay = scenario.delay_millis;
        let p99s: BTreeSet<(u64, u64)> = (0..SEEDS)
            .map(|seed| {
                let outcome = Scenario { rates, seconds: 180, seed, ..scenario }.run();
                for (rate, seconds) in [(64_000, 5..60), (22_000, 65..120), (64_000, 128..180)] {
                    let used = outcome.used(rate, seconds);
                    assert!(
                        (0.85..=1.01).contains(&used),
                        "{used:.3} of {rate} bit/s used, {delay} ms, seed {seed}"
                    );
                }
                // What was on its way when the link narrowed is late whatever the vehicle does, and so is what follows it.
                let settled = [0..60_000, 60_000 + fresh_after * 1000..120_000, 120_000..180_000];
                for made in settled {
                    let oldest = outcome.oldest_millis(made.clone());
                    assert!(
                        oldest < 1500,
                        "{oldest} ms for a record made in {made:?}, {delay} ms, seed {seed}"
                    );
                }
                (outcome.p99_millis(), seed)
            })
            .collect();
        // One that narrows just while more than it carries is tried takes a second longer to be followed.
        let most = std::iter::once(1500).chain(std::iter::repeat(1300));
        assert!(
            p99s.iter().rev().zip(most).all(|((p99, _), most)| *p99 < most),
            "p99 and seed: {p99s:?}, {delay} ms"
        );
        let mean = p99s.iter().map(|(p99, _)| p99).sum::<u64>() / SEEDS;
        assert!(mean < 1000, "{mean} ms, {delay} ms");
    }
}

#[test]
fn without_a_backlog_the_rate_is_left_alone() {
    for (scenario, rate) in [(GEO, 64_000), (LEO, 22_000)] {
        let rates: Rates = if rate == 64_000 { &[(0, 64_000)] } else { &[(0, 22_000)] };
        let outcome = Scenario { rates, has_backlog: false, ..scenario }.run();
        assert_eq!(outcome.rate_at_end, 32_000);
        assert!(outcome.p99_millis() < 500);
        assert!(outcome.feedbacks < 80, "{} messages in a minute", outcome.feedbacks);
    }
}
