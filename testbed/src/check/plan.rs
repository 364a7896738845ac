//! What is sent to measure a link, and what the link is asked to make of it.

use std::num::NonZeroU64;
use std::time::Duration;

use tern_shared::time::Instant;

use crate::link::{Fate, Link, LinkProfile, Loss, OutageSchedule};
use crate::proxy::DATAGRAM_HEADER_BYTES;

/// A steady probe, bytes on the wire.
pub(super) const STEADY_BYTES: usize = 100;
/// The part of the rate that steady probes take.
const STEADY_SHARE: f64 = 1.0 / 3.0;
/// The shortest time between two steady probes.
const STEADY_INTERVAL_MIN: Duration = Duration::from_millis(20);
/// How many steady probes there are, if that takes a time within the following limits.
const STEADY_PROBES: u32 = 400;
const STEADY_MIN: Duration = Duration::from_secs(20);
const STEADY_MAX: Duration = Duration::from_secs(60);
/// How long a quiet link is probed.
const QUIET: Duration = Duration::from_secs(10);
/// How long probes go on after the last single outage.
const AFTER_OUTAGE: Duration = Duration::from_secs(10);
/// A saturating probe, bytes on the wire: so many a second, within these limits.
const BURST_PER_SECOND: u64 = 20;
const BURST_BYTES: [usize; 2] = [100, 1200];
/// How many times faster than the rate the head of a burst is sent.
const HEAD_SPEED: u32 = 8;
/// How long the link is saturated at most.
const BURST_MAX: Duration = Duration::from_secs(20);
/// The queue never runs dry and never overflows unless the rate is off by more than this.
const RATE_ERROR_SEEN: f64 = 0.03;

/// The probes of one direction.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) direction: &'static str,
    pub(super) link: LinkProfile,
    pub(super) outages: OutageSchedule,
    pub(super) seed: u64,
    pub(super) steady: Probes,
    pub(super) burst: Probes,
    /// How many of the saturating probes fill the queue first.
    pub(super) burst_head: u64,
    /// How many probes went before the first steady one.
    pub(super) openings: u64,
}

/// Probes of one size and pace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probes {
    pub(super) count: u64,
    pub(super) interval: Duration,
    pub(super) payload_bytes: usize,
    pub(super) wire_bytes: usize,
}

impl Probes {
    /// When a probe is due after the first.
    pub(super) fn due(&self, number: u64) -> Duration {
        Duration::from_nanos((self.interval.as_nanos() as u64).saturating_mul(number))
    }
}

impl Plan {
    pub(super) fn new(
        direction: &'static str,
        link: &LinkProfile,
        outages: &OutageSchedule,
        seed: u64,
    ) -> Plan {
        let bytes_per_second = link.rate_bits_per_second.get() as f64 / 8.0;
        let probes = |wire_bytes: usize, share: f64, length: Duration| {
            let interval = Duration::from_secs_f64(wire_bytes as f64 / (bytes_per_second * share));
            let count = (length.as_secs_f64() / interval.as_secs_f64()) as u64;
            Probes { count, interval, payload_bytes: wire_bytes - DATAGRAM_HEADER_BYTES, wire_bytes }
        };
        let share =
            (STEADY_BYTES as f64 / STEADY_INTERVAL_MIN.as_secs_f64() / bytes_per_second).min(STEADY_SHARE);
        let pace = probes(STEADY_BYTES, share, Duration::ZERO).interval;
        let length = (pace * STEADY_PROBES).clamp(STEADY_MIN, STEADY_MAX);
        let singles = Vec::from(outages.clone()).into_iter().filter(|outage| outage.every_ms.is_none());
        let last_up = singles.map(|outage| Duration::from_millis(outage.start_ms + outage.for_ms)).max();
        let length = last_up.map_or(length, |up| length.max(up + AFTER_OUTAGE));

        let burst_bytes = (bytes_per_second as u64 / BURST_PER_SECOND) as usize;
        let burst_bytes = burst_bytes.clamp(BURST_BYTES[0], BURST_BYTES[1]);
        let head = u64::from(link.queue_bytes) / 2 / burst_bytes as u64;
        let head_time = Duration::from_secs_f64((head * burst_bytes as u64) as f64 / bytes_per_second);
        let burst_length = head_time.div_f64(RATE_ERROR_SEEN).min(BURST_MAX);
        let mut burst = probes(burst_bytes, 1.0, burst_length);
        burst.count += head;
        Plan {
            direction,
            link: link.clone(),
            outages: outages.clone(),
            seed,
            steady: probes(STEADY_BYTES, share, length),
            burst,
            burst_head: head,
            openings: 0,
        }
    }

    /// Steady probes for some seconds only.
    pub(super) fn short(mut self) -> Plan {
        let count = (QUIET.as_secs_f64() / self.steady.interval.as_secs_f64()) as u64;
        self.steady.count = self.steady.count.min(count);
        self
    }

    /// Steady probes only.
    pub(super) fn unsaturated(mut self) -> Plan {
        (self.burst.count, self.burst_head) = (0, 0);
        self
    }

    /// When a saturating probe is due after the first: those of the head follow so fast that they all queue, but not so
    /// fast that a kernel's socket buffer overflows.
    pub(super) fn burst_due(&self, number: u64) -> Duration {
        self.burst.due(number.min(self.burst_head)) / HEAD_SPEED
            + self.burst.due(number.saturating_sub(self.burst_head))
    }

    /// About how long it takes.
    pub(super) fn length(&self) -> Duration {
        self.steady.due(self.steady.count) + self.burst.due(self.burst.count) + self.patience()
    }

    /// What the model makes of steady probes that were sent at these times: when each arrives, `None` when it is lost.
    pub(super) fn expected_arrivals(&self, sent: &[Instant]) -> Vec<Option<Instant>> {
        let mut model = Link::<Vec<u8>>::new(self.link.clone(), self.outages.clone(), self.seed);
        for _ in 0..self.openings {
            model.send(Instant::default(), vec![0; STEADY_BYTES]);
        }
        let arrival = |&at: &Instant| arrival(model.send(at, vec![0; self.steady.wire_bytes]));
        sent.iter().map(arrival).collect()
    }

    /// What netem may make of them, with other draws for each `seed`: it loses and delays a packet before it
    /// serialises it.
    pub(super) fn netem_arrivals(&self, sent: &[Instant], seed: u64) -> Vec<Option<Instant>> {
        let at_once = LinkProfile { rate_bits_per_second: NonZeroU64::MAX, ..self.link.clone() };
        let mut delay = Link::<Vec<u8>>::new(at_once, self.outages.clone(), seed);
        let bare = LinkProfile::ideal(self.link.rate_bits_per_second, Duration::ZERO);
        let mut rate = Link::<Vec<u8>>::new(bare, OutageSchedule::default(), seed);
        let probe = || vec![0; self.steady.wire_bytes];
        sent.iter().map(|&at| arrival(rate.send(arrival(delay.send(at, probe()))?, probe()))).collect()
    }

    /// How long after its sending a probe may still arrive.
    pub(super) fn patience(&self) -> Duration {
        let queue = f64::from(self.link.queue_bytes) * 8.0 / self.link.rate_bits_per_second.get() as f64;
        let delay = (self.link.delay_ms + 6.0 * self.link.jitter_ms) / 1e3;
        Duration::from_secs_f64(queue + delay) + Duration::from_millis(500)
    }
}

fn arrival(fate: Fate) -> Option<Instant> {
    match fate {
        Fate::Arrives(at) => Some(at),
        Fate::Lost(_) | Fate::QueueFull => None,
    }
}

/// By how much the variance of the number of lost packets exceeds that of independent losses.
pub(super) fn loss_variance_factor(loss: &Loss) -> f64 {
    match *loss {
        Loss::None | Loss::Random { .. } => 1.0,
        Loss::GilbertElliott { enter_percent, leave_percent, .. } => {
            // Of a chain of two states: its states are correlated from packet to packet by this.
            let correlation = (1.0 - (enter_percent + leave_percent) / 100.0).clamp(0.0, 0.999);
            (1.0 + correlation) / (1.0 - correlation)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_neither_overflows_nor_runs_dry_under_a_burst() {
        for profile in crate::link::builtin_profiles() {
            for link in [&profile.to_ground, &profile.to_vehicle] {
                let quiet = LinkProfile { loss: Loss::None, jitter_ms: 0.0, ..link.clone() };
                let plan = Plan::new("", &quiet, &OutageSchedule::default(), 1);
                let mut model = Link::<Vec<u8>>::new(quiet, OutageSchedule::default(), 1);
                for number in 0..plan.burst.count {
                    let at = Instant(plan.burst_due(number));
                    assert!(
                        number == 0 || model.next_departure(at).is_some(),
                        "{}: dry at {number}",
                        profile.name
                    );
                    assert_ne!(
                        model.send(at, vec![0; plan.burst.wire_bytes]),
                        Fate::QueueFull,
                        "{}",
                        profile.name
                    );
                }
                assert!(plan.burst.count > 40 && plan.steady.count > 40, "{}: {plan:?}", profile.name);
            }
        }
    }

    #[test]
    fn netem_without_jitter_delays_as_the_model_does() {
        let link = crate::link::builtin_profile("geo-clean").unwrap().to_ground;
        let plan = Plan::new("", &link, &OutageSchedule::default(), 1);
        // The second waits for the first, the third for nobody.
        let sent = [0, 1, 100].map(|ms| Instant(Duration::from_millis(ms)));
        assert_eq!(plan.netem_arrivals(&sent, 7), plan.expected_arrivals(&sent));
    }

    #[test]
    fn netem_serialises_what_jitter_held_up() {
        let jittered = crate::link::builtin_profile("geo-bgan").unwrap().to_ground;
        let plan =
            Plan::new("", &LinkProfile { loss: Loss::None, ..jittered }, &OutageSchedule::default(), 1);
        let sent: Vec<_> = (0..2000).map(|n| Instant(plan.steady.due(n))).collect();
        let arrivals: Vec<_> = plan.netem_arrivals(&sent, 7).into_iter().flatten().collect();
        // 100 bytes at 64 kbit/s.
        let gap = Duration::from_micros(12_500);
        assert!(arrivals.windows(2).all(|pair| pair[1].since(pair[0]) >= gap));
        assert!(arrivals.windows(2).any(|pair| pair[1].since(pair[0]) == gap));
    }

    #[test]
    fn bursts_of_loss_have_their_share() {
        let loss = Loss::burst(1.75, 33.0);
        let (share, factor) = (loss.share(), loss_variance_factor(&loss));
        assert!((share - 0.0504).abs() < 0.001 && factor > 4.0, "{share} {factor}");
    }
}
