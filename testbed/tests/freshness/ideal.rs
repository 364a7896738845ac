//! What no sender of packets can be better than on a link: each packet brings its own payload, and every other byte that
//! the link carries repairs what was lost before, whatever that was.

use std::time::Duration;

use tern_shared::time::Instant;
use tern_testbed::link::{Link, PathSeeds};
use tern_testbed::scenario::Scenario;

use super::ages::{Ages, Sample};

/// What a sender has to send, and what it cannot do without.
#[derive(Clone, Copy)]
pub(crate) struct Sender {
    /// Bytes of samples, a second.
    pub(crate) payload: f64,
    /// Headers of a packet, bytes.
    pub(crate) overhead_bytes: f64,
    /// The share of the link that it fills.
    pub(crate) fill: f64,
}

/// Samples of a packet, evenly spaced.
const SAMPLES: u32 = 5;

/// A packet every `tick` with its payload, the link filled with repair. `None` where the headers leave no room for any.
pub(crate) fn fly(scenario: &Scenario, sender: Sender, tick: Duration) -> Option<Ages> {
    let profile = scenario.link.to_ground.clone();
    let rate = profile.rate_bits_per_second.get() as f64 / 8.0;
    let size = (rate * sender.fill * tick.as_secs_f64()) as usize;
    let payload = sender.payload * tick.as_secs_f64();
    let repair = size as f64 - sender.overhead_bytes - payload;
    if repair <= 0.0 {
        return None;
    }
    let seed = PathSeeds::of(scenario.seed).to_ground;
    let mut link: Link<Vec<u8>> = Link::new(profile, scenario.link.outages.clone(), seed);
    let mut ages = Ages { seconds: scenario.length.as_secs_f64(), ..Ages::default() };
    let (mut next, mut lost, mut lacking) = (0, Vec::new(), 0.0);
    let count = (ages.seconds / tick.as_secs_f64()) as u32;
    for number in 0..count {
        let now = Instant(tick * (number + 1));
        let taken = |sample| tick * number + tick * (2 * sample + 1) / (2 * SAMPLES);
        ages.samples.extend((0..SAMPLES).map(|sample| Sample { taken: taken(sample), came: None }));
        while let Some(arrival) = link.poll_timeout().filter(|at| *at <= now) {
            let Some(packet) = link.poll(arrival) else { continue };
            let arrived = u32::from_le_bytes([packet[0], packet[1], packet[2], packet[3]]);
            lacking += payload * f64::from(arrived - next);
            lost.extend(next..arrived);
            next = arrived + 1;
            if !lost.is_empty() {
                lacking -= repair;
            }
            let recovered = if lacking <= 0.0 { std::mem::take(&mut lost) } else { Vec::new() };
            lacking = if lost.is_empty() { 0.0 } else { lacking };
            for number in recovered.into_iter().chain([arrived]) {
                let from = (number * SAMPLES) as usize;
                let samples = &mut ages.samples[from..from + SAMPLES as usize];
                samples.iter_mut().for_each(|sample| sample.came = Some((arrival.0, true)));
            }
        }
        let mut packet = vec![0; size];
        packet[..4].copy_from_slice(&number.to_le_bytes());
        link.send(now, packet);
        let counters = link.counters();
        (ages.up_bytes, ages.up_packets) = (counters.sent_bytes, counters.sent_packets);
    }
    Some(ages)
}
