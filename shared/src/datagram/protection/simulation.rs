//! What a protection does to the age of samples, in virtual time: the real code over links of chance.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Conditions, Protection};
use crate::datagram::coding::{CodingReceiver, CodingSender, MAX_SYMBOLS_PER_PACKET, units_of};
use crate::datagram::loss::LossReport;

/// Headers of a packet: QUIC, UDP and IP.
const OVERHEAD_BYTES: f64 = 54.0;
/// What a frame takes apart from its samples, with the packet's own header.
const FRAME_BYTES: f64 = 10.0;
/// How the bytes of frames of as many samples differ.
const SPREAD: Range<f64> = 0.7..1.3;
/// Until the ground has noticed that something is missing and said so.
const REQUEST_MS: f64 = 20.0;
/// Ages from here on are counted together.
const AGE_MS_MAX: usize = 5000;

/// A link and what it has to carry.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    rate_bits_per_second: f64,
    delay_ms: f64,
    jitter_ms: f64,
    loss: Loss,
    samples_per_second: f64,
    sample_bytes: f64,
}

#[derive(Clone, Copy)]
struct Loss {
    /// Chance of loss outside of bursts.
    random: f64,
    /// Chance to enter a burst, in which everything is lost, and to leave it, before each packet.
    enter: f64,
    leave: f64,
    /// Whether every 15 s 60 % are lost for 150 ms.
    handovers: bool,
    /// What the ground reports.
    report: LossReport,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Repair {
    None,
    /// What is missing is asked for at once, and answered at the next tick.
    Requested,
}

/// A payload that is not settled yet.
struct Live {
    /// Its first unit.
    number: u32,
    sample_times_ms: Vec<f64>,
    bytes: usize,
    has_arrived: bool,
    asked_ms: f64,
}

struct Simulation {
    scenario: Scenario,
    rng: StdRng,
    in_burst: bool,
    /// When the modem is free, and when the last packet arrived.
    free_ms: f64,
    last_arrival_ms: f64,
    receiver: CodingReceiver,
    live: VecDeque<Live>,
    /// When the vehicle learns that a payload is missing, and its first unit.
    requests: VecDeque<(f64, u32)>,
    /// How many samples had which age.
    ages: Vec<u64>,
    never: u64,
    sent_bytes: f64,
}

impl Simulation {
    fn run(scenario: Scenario, conditions: &Conditions, repair: Repair, packets: u32) -> Simulation {
        let protection = Protection::choose(conditions);
        let mut simulation = Simulation {
            scenario,
            rng: StdRng::seed_from_u64(1),
            in_burst: false,
            free_ms: 0.0,
            last_arrival_ms: 0.0,
            receiver: CodingReceiver::new(),
            live: VecDeque::new(),
            requests: VecDeque::new(),
            ages: vec![0; AGE_MS_MAX + 1],
            never: 0,
            sent_bytes: 0.0,
        };
        let mut sender = CodingSender::new();
        let interval_ms = 1e3 / scenario.samples_per_second;
        let (mut payloads, mut number, mut packet, mut tick, mut samples, mut next_sample_ms, mut credit) =
            (0, 0, 0, 0, 0u32, 0.0, 0.0);
        while payloads < packets {
            tick += 1;
            let now_ms = f64::from(tick) * protection.tick.as_secs_f64() * 1e3;
            simulation.answer_requests(now_ms);
            let mut sample_times_ms = Vec::new();
            while next_sample_ms <= now_ms {
                sample_times_ms.push(next_sample_ms);
                samples += 1;
                next_sample_ms = (f64::from(samples) + simulation.rng.random_range(0.0..0.9)) * interval_ms;
            }
            let units_per_payload = conditions.units_per_payload();
            let owed = f64::from(protection.symbols_percent) / 100.0 * units_per_payload;
            credit += owed;
            let has_payload = !sample_times_ms.is_empty();
            if !has_payload && (!protection.fills_idle_ticks || credit < units_per_payload) {
                continue;
            }
            packet += 1;
            let window = sender.units_of(protection.window);
            // Where losses are single, those for a payload leave together.
            let longest = f64::from(sender.longest(protection.window).max(1));
            let together = if protection.fills_idle_ticks { 1.0 } else { longest };
            let due = (credit / together).floor() * together;
            let symbols = sender.symbols(packet, window, due.min(MAX_SYMBOLS_PER_PACKET.into()) as u8);
            let count = symbols.combinations.len();
            credit = (credit - count as f64).min(owed.max(together));
            let mut bytes = symbols.encoded_bytes();
            let payload = has_payload.then(|| {
                let spread = simulation.rng.random_range(SPREAD);
                let samples = sample_times_ms.len() as f64 * scenario.sample_bytes * spread;
                vec![0; (FRAME_BYTES + samples) as usize]
            });
            let first = number;
            if let Some(payload) = &payload {
                bytes += payload.len();
                sender.push(payload).unwrap();
                simulation.live.push_back(Live {
                    number,
                    sample_times_ms,
                    bytes: payload.len(),
                    has_arrived: false,
                    asked_ms: 0.0,
                });
                payloads += 1;
                number += units_of(payload.len()) as u32;
            }
            if let Some(at_ms) = simulation.send(now_ms, bytes) {
                let mut new = match payload {
                    Some(payload) => simulation.receiver.handle_payload(first, &payload),
                    None => Vec::new(),
                };
                new.extend(simulation.receiver.handle_symbols(packet, first, symbols));
                simulation.arrive(at_ms, &new);
                if repair == Repair::Requested {
                    simulation.ask(at_ms);
                }
            }
        }
        simulation
    }

    /// Sends a packet; returns when it arrives, if it does.
    fn send(&mut self, now_ms: f64, bytes: usize) -> Option<f64> {
        let (scenario, loss) = (&self.scenario, &self.scenario.loss);
        let wire_bytes = OVERHEAD_BYTES + bytes as f64;
        self.sent_bytes += wire_bytes;
        self.free_ms = self.free_ms.max(now_ms) + wire_bytes * 8e3 / scenario.rate_bits_per_second;
        let [change, lost, radius, angle]: [f64; 4] = self.rng.random();
        self.in_burst ^= change < if self.in_burst { loss.leave } else { loss.enter };
        let in_handover = loss.handovers && self.free_ms % 15_000.0 < 150.0;
        let is_lost = self.in_burst || lost < if in_handover { 0.6 } else { loss.random };
        let normal = (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
        let arrival_ms = self.free_ms + scenario.delay_ms + scenario.jitter_ms * normal;
        self.last_arrival_ms = self.last_arrival_ms.max(arrival_ms);
        (!is_lost).then_some(self.last_arrival_ms)
    }

    /// Counts the samples of what is new, and forgets what nobody waits for any more.
    fn arrive(&mut self, at_ms: f64, new: &[(u32, Vec<u8>)]) {
        for (number, _) in new {
            let Some(live) = self.live.iter_mut().find(|live| live.number == *number) else { continue };
            live.has_arrived = true;
            for sample_ms in &live.sample_times_ms {
                self.ages[((at_ms - sample_ms) as usize).min(AGE_MS_MAX)] += 1;
            }
        }
        while let Some(live) = self.live.front()
            && (live.has_arrived || self.live.len() > 200)
        {
            self.never += if live.has_arrived { 0 } else { live.sample_times_ms.len() as u64 };
            self.live.pop_front();
        }
    }

    fn ask(&mut self, at_ms: f64) {
        let round_trip_ms = 2.0 * self.scenario.delay_ms;
        let Some(newest) = self.live.iter().rposition(|live| live.has_arrived) else { return };
        for live in self.live.range_mut(..newest) {
            if !live.has_arrived && (live.asked_ms == 0.0 || at_ms > live.asked_ms + round_trip_ms + 150.0) {
                live.asked_ms = at_ms;
                self.requests.push_back((at_ms + REQUEST_MS + self.scenario.delay_ms, live.number));
            }
        }
    }

    fn answer_requests(&mut self, now_ms: f64) {
        let (mut payloads, mut bytes) = (Vec::new(), 0);
        while let Some((_, number)) = self.requests.pop_front_if(|(at_ms, _)| *at_ms <= now_ms) {
            if let Some(live) = self.live.iter().find(|live| live.number == number && !live.has_arrived) {
                payloads.push((number, live.bytes));
                bytes += live.bytes;
            }
        }
        if !payloads.is_empty()
            && let Some(at_ms) = self.send(now_ms, bytes)
        {
            for (number, bytes) in payloads {
                let new = self.receiver.handle_payload(number, &vec![0; bytes]);
                self.arrive(at_ms, &new);
            }
        }
    }

    fn bytes_per_second(&self) -> f64 {
        self.sent_bytes / self.free_ms * 1e3
    }

    fn samples(&self) -> u64 {
        self.ages.iter().sum::<u64>() + self.never
    }

    /// Age that `share` of the samples are not above, milliseconds.
    fn quantile(&self, share: f64) -> usize {
        let mut rest = (self.samples() as f64 * share) as u64;
        self.ages
            .iter()
            .position(|count| {
                let is_here = rest < *count;
                rest = rest.saturating_sub(*count);
                is_here
            })
            .unwrap_or(AGE_MS_MAX)
    }

    fn late_share(&self) -> f64 {
        (self.ages[1000..].iter().sum::<u64>() + self.never) as f64 / self.samples() as f64
    }
}

/// Scenarios of the test bed, by sort of sample: what [`super`] calls synthetic, small and flight.
fn scenarios() -> Vec<(&'static str, Scenario, Repair)> {
    let report = |loss_per_mille, burst_tenths| LossReport { loss_per_mille, burst_tenths };
    let random = |random, report| Loss { random, enter: 0.0, leave: 1.0, handovers: false, report };
    let bursts = |enter, leave, report| Loss { random: 0.0, enter, leave, handovers: false, report };
    let bgan = |name, loss| Scenario {
        name,
        rate_bits_per_second: 64e3,
        delay_ms: 300.0,
        jitter_ms: 40.0,
        loss,
        samples_per_second: 50.0,
        sample_bytes: 45.0,
    };
    let clean = Scenario {
        rate_bits_per_second: 128e3,
        delay_ms: 270.0,
        jitter_ms: 0.0,
        ..bgan("geo-clean", random(0.0, report(0, 10)))
    };
    let loss1 = bgan("geo-bgan", random(0.01, report(10, 10)));
    let loss5 = bgan("geo-bgan-loss5", random(0.05, report(50, 11)));
    let burst5 = bgan("geo-bgan-burst5", bursts(0.0175, 0.33, report(50, 30)));
    let certus = Scenario {
        rate_bits_per_second: 22e3,
        delay_ms: 60.0,
        jitter_ms: 15.0,
        samples_per_second: 10.0,
        ..bgan("leo-certus", bursts(0.005, 0.25, report(20, 40)))
    };
    let starlink = Scenario {
        rate_bits_per_second: 10e6,
        delay_ms: 25.0,
        jitter_ms: 4.0,
        ..bgan("leo-starlink", Loss { handovers: true, ..random(0.005, report(11, 16)) })
    };
    let iridium = Scenario {
        rate_bits_per_second: 2400.0,
        delay_ms: 400.0,
        jitter_ms: 0.0,
        samples_per_second: 2.0,
        sample_bytes: 25.0,
        ..bgan("iridium-2400", random(0.02, report(20, 10)))
    };
    let small = |scenario| ("small", Scenario { sample_bytes: 20.0, ..scenario }, Repair::None);
    let synthetic = |scenario| ("synthetic", scenario, Repair::None);
    let flight = |scenario| {
        ("flight", Scenario { samples_per_second: 272.0, sample_bytes: 2.4, ..scenario }, Repair::None)
    };
    let asked = |(name, scenario, _)| (name, scenario, Repair::Requested);
    let mut all: Vec<_> = [clean, loss1, loss5, burst5, certus, starlink]
        .into_iter()
        .flat_map(|s| [synthetic(s), flight(s)])
        .collect();
    all.extend([small(burst5), asked(synthetic(certus)), asked(flight(certus)), synthetic(iridium)]);
    all
}

/// What a vehicle would measure.
fn conditions(scenario: &Scenario) -> Conditions {
    let samples = scenario.samples_per_second * scenario.sample_bytes;
    let with_payloads = |bytes_per_second: f64, mean: f64, longest: f64| Conditions {
        rate_bits_per_second: scenario.rate_bits_per_second as u64,
        packet_overhead_bytes: OVERHEAD_BYTES as u32,
        one_way_delay: Duration::from_secs_f64(scenario.delay_ms / 1e3),
        loss: scenario.loss.report,
        payload_bytes_per_second: bytes_per_second as u32,
        payload_bytes_mean: mean as u32,
        payload_bytes_max: longest as u32,
    };
    let mut conditions = with_payloads(samples, scenario.sample_bytes, scenario.sample_bytes);
    for _ in 0..5 {
        let tick_s = Protection::choose(&conditions).tick.as_secs_f64();
        let frames = scenario.samples_per_second.min(1.0 / tick_s);
        let payload = samples + frames * FRAME_BYTES;
        let samples_max = (scenario.samples_per_second / frames).ceil();
        let longest = FRAME_BYTES + SPREAD.end * scenario.sample_bytes * samples_max;
        conditions = with_payloads(payload, payload / frames, longest);
    }
    conditions
}

#[test]
#[ignore = "takes a minute: prints the table of the module's documentation"]
fn ages_by_scenario() {
    println!("scenario         load       tick window symbols  bytes/s  p50  p99 p99.9 p99.99 over 1 s");
    for (load, scenario, repair) in scenarios() {
        let conditions = conditions(&scenario);
        let protection = Protection::choose(&conditions);
        let simulation = Simulation::run(scenario, &conditions, repair, 1_000_000);
        println!(
            "{:16} {:10} {:3}  {:5} {:5} % {:8.0} {:4} {:4}  {:4}   {:4} {:.4} %{}",
            scenario.name,
            load,
            protection.tick.as_millis(),
            protection.window,
            protection.symbols_percent,
            simulation.bytes_per_second(),
            simulation.quantile(0.5),
            simulation.quantile(0.99),
            simulation.quantile(0.999),
            simulation.quantile(0.9999),
            simulation.late_share() * 100.0,
            if repair == Repair::Requested { ", asked" } else { "" },
        );
    }
}

/// The promise that matters most, in a run of a few tens of minutes.
#[test]
fn single_losses_make_no_sample_late_on_a_geostationary_link() {
    for (load, scenario, repair) in scenarios() {
        if scenario.name.starts_with("geo") && scenario.loss.enter == 0.0 {
            let simulation = Simulation::run(scenario, &conditions(&scenario), repair, 30_000);
            let name = format!("{} {load}", scenario.name);
            let [p99, p999] = [0.99, 0.999].map(|share| simulation.quantile(share));
            assert!(p99 <= 520 && p999 <= 650 && simulation.late_share() == 0.0, "{name}: {p99} {p999}");
            assert!(load != "flight" || simulation.bytes_per_second() <= 3_500.0, "{name}");
        }
    }
}

#[test]
fn bursts_make_hardly_a_sample_late_where_the_link_has_room() {
    for (load, scenario, repair) in scenarios() {
        if scenario.name == "geo-bgan-burst5" && load != "synthetic" {
            let simulation = Simulation::run(scenario, &conditions(&scenario), repair, 100_000);
            assert!(simulation.late_share() <= 2e-4 && simulation.quantile(0.999) <= 900, "{load}");
        }
    }
}
