//! One direction of a satellite link in software, free of I/O and of a clock.
//!
//! ```text
//! send -> queue (bytes) -> rate -> loss, outage -> delay + jitter -> poll
//! ```
//!
//! The one model serves the simulation in virtual time, the user-space proxy and the TUN emulator. Its parts act in
//! this order, as netem's do with `rate` and `delay` in one qdisc:
//!
//! - The queue holds [`LinkProfile::queue_bytes`], counting the packet on the wire; what does not fit is dropped
//!   (tail drop), as a modem does.
//! - The rate takes `8 * wire bytes / rate` for each packet, one after the other.
//! - Loss takes a packet after it used its share of the rate: the sky loses it, not the modem.
//! - Delay plus jitter, first in first out: a packet that jitter holds up holds up those behind it. Only packets
//!   that are drawn for reordering come out of turn.
//!
//! Draws are a function of the seed and of the packet's number (how many were offered before it, also those that the
//! queue refused), never of time: the same seed loses the same packets wherever the model runs.

mod impairment;
mod outage;
mod profile;

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tern_shared::time::Instant;

use impairment::Impairments;
pub use outage::{InvalidOutage, Outage, OutageSchedule, parse_duration};
pub use profile::{
    InvalidProfile, LinkProfile, Loss, PathProfile, UnknownProfile, builtin_profile, builtin_profiles,
};

/// What a link carries: an IP packet, a message of the simulation, a segment of a proxied connection.
pub trait Packet: Clone {
    /// Bytes that it takes on the wire, all headers counted.
    fn wire_bytes(&self) -> usize;

    /// Inverts one bit, chosen from the payload by `index` modulo its length in bits.
    fn flip_bit(&mut self, index: u64);
}

impl Packet for Vec<u8> {
    fn wire_bytes(&self) -> usize {
        self.len()
    }

    fn flip_bit(&mut self, index: u64) {
        if !self.is_empty() {
            let bit = (index % (self.len() as u64 * 8)) as usize;
            self[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// What becomes of a packet, known as soon as it is offered: the model draws ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives at this time, when [`Link::poll`] returns it.
    Arrives(Instant),
    /// It leaves the queue at this time and is lost.
    Lost(Instant),
    /// The queue had no room for it.
    QueueFull,
}

/// The seeds of a path's two links, the same ones wherever the model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathSeeds {
    /// Of the link from the vehicle to the ground.
    pub to_ground: u64,
    /// Of the link from the ground to the vehicle.
    pub to_vehicle: u64,
}

impl PathSeeds {
    /// The seeds that `seed` stands for.
    pub fn of(seed: u64) -> Self {
        let mut seeds = StdRng::seed_from_u64(seed);
        PathSeeds { to_ground: seeds.random(), to_vehicle: seeds.random() }
    }
}

/// One direction of a link.
#[derive(Debug)]
pub struct Link<P> {
    profile: LinkProfile,
    outages: OutageSchedule,
    impairments: Impairments,
    /// When each packet of the queue is off the modem, and its wire bytes.
    queue: VecDeque<(Instant, usize)>,
    queued_bytes: usize,
    /// Packets under way, by arrival and then by order of sending.
    in_flight: BTreeMap<(Instant, u64), P>,
    last_in_order_arrival: Instant,
    arrivals: u64,
    counters: LinkCounters,
}

/// What a link did since it was made. Bytes are wire bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Packets that the queue took.
    pub sent_packets: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Packets of these that were lost, outages included.
    pub lost_packets: u64,
    /// Packets that found the queue full.
    pub refused_packets: u64,
}

impl<P: Packet> Link<P> {
    /// A link with an empty queue. Two links with equal `seed` and profile lose the same packets.
    pub fn new(profile: LinkProfile, outages: OutageSchedule, seed: u64) -> Self {
        Link {
            impairments: Impairments::new(&profile, seed),
            profile,
            outages,
            queue: VecDeque::new(),
            queued_bytes: 0,
            in_flight: BTreeMap::new(),
            last_in_order_arrival: Instant::default(),
            arrivals: 0,
            counters: LinkCounters::default(),
        }
    }

    /// From here on the link has another rate and another delay, as on another beam or path. What is under way stays so;
    /// what waits leaves as it would have.
    pub fn change(&mut self, rate_bits_per_second: NonZeroU64, delay_ms: f64) {
        self.profile.rate_bits_per_second = rate_bits_per_second;
        self.impairments.set_delay(delay_ms);
        self.profile.delay_ms = delay_ms;
    }

    /// Offers a packet. `now` must not go backwards from call to call.
    pub fn send(&mut self, now: Instant, mut packet: P) -> Fate {
        let draws = self.impairments.draw();
        let bytes = packet.wire_bytes();
        if !self.has_room(now, bytes) {
            self.counters.refused_packets += 1;
            return Fate::QueueFull;
        }
        let start = self.queue.back().map_or(now, |&(departure, _)| departure);
        let departure = start + self.transmission_time(bytes);
        self.queue.push_back((departure, bytes));
        self.queued_bytes += bytes;
        self.counters.sent_packets += 1;
        self.counters.sent_bytes += bytes as u64;

        let outage_loss = self.outages.loss_probability(start, departure);
        if draws.lost || draws.outage_draw < outage_loss {
            self.counters.lost_packets += 1;
            return Fate::Lost(departure);
        }
        if let Some(bit) = draws.corrupt_bit {
            packet.flip_bit(bit);
        }
        let undisturbed = departure + draws.delay;
        let arrival = if draws.reordered {
            undisturbed + Duration::from_millis(self.profile.reorder_extra_ms.into())
        } else {
            self.last_in_order_arrival = self.last_in_order_arrival.max(undisturbed);
            self.last_in_order_arrival
        };
        if draws.duplicated {
            self.put_in_flight(arrival, packet.clone());
        }
        self.put_in_flight(arrival, packet);
        Fate::Arrives(arrival)
    }

    /// The next packet that has arrived by `now`. Call until it returns `None`.
    pub fn poll(&mut self, now: Instant) -> Option<P> {
        let entry = self.in_flight.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// When to call [`Link::poll`] again; `None` when nothing is under way. Asked again after each
    /// [`Link::send`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.in_flight.first_key_value().map(|(&(arrival, _), _)| arrival)
    }

    /// Whether a packet of `bytes` on the wire would find room in the queue. An empty queue takes any packet, so
    /// that a queue smaller than a packet is slow rather than dead.
    pub fn has_room(&mut self, now: Instant, bytes: usize) -> bool {
        self.drain_queue(now);
        self.queue.is_empty() || self.queued_bytes + bytes <= self.profile.queue_bytes as usize
    }

    /// When the packet at the head of the queue is off the modem, so that there is more room; `None` when the queue
    /// is empty.
    pub fn next_departure(&mut self, now: Instant) -> Option<Instant> {
        self.drain_queue(now);
        self.queue.front().map(|&(departure, _)| departure)
    }

    /// The outages that the link follows.
    pub fn outages(&self) -> &OutageSchedule {
        &self.outages
    }

    /// The profile that the link follows.
    pub fn profile(&self) -> &LinkProfile {
        &self.profile
    }

    /// What it did so far.
    pub fn counters(&self) -> LinkCounters {
        self.counters
    }

    fn drain_queue(&mut self, now: Instant) {
        while let Some(&(departure, bytes)) = self.queue.front()
            && departure <= now
        {
            self.queue.pop_front();
            self.queued_bytes -= bytes;
        }
    }

    fn transmission_time(&self, bytes: usize) -> Duration {
        let nanos = bytes as u128 * 8 * 1_000_000_000 / u128::from(self.profile.rate_bits_per_second.get());
        Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
    }

    fn put_in_flight(&mut self, arrival: Instant, packet: P) {
        self.in_flight.insert((arrival, self.arrivals), packet);
        self.arrivals += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(rate_bits_per_second: u64) -> LinkProfile {
        LinkProfile::ideal(rate_bits_per_second.try_into().unwrap(), Duration::from_millis(300))
    }

    fn millis(ms: u64) -> Instant {
        Instant(Duration::from_millis(ms))
    }

    fn link(profile: LinkProfile, seed: u64) -> Link<Vec<u8>> {
        Link::new(profile, OutageSchedule::default(), seed)
    }

    /// Which of `count` packets of 100 bytes, one every `gap_ms`, are lost.
    fn losses(link: &mut Link<Vec<u8>>, count: u64, gap_ms: u64) -> Vec<bool> {
        (0..count)
            .map(|n| match link.send(millis(n * gap_ms), vec![0; 100]) {
                Fate::Arrives(_) => false,
                Fate::Lost(_) => true,
                Fate::QueueFull => panic!("packet {n} found the queue full"),
            })
            .collect()
    }

    #[test]
    fn a_packet_takes_exactly_its_transmission_and_the_delay() {
        let mut link = link(profile(64_000), 1);
        // 800 bytes at 64 kbit/s are 100 ms.
        assert_eq!(link.send(millis(5), vec![7; 800]), Fate::Arrives(millis(405)));
        assert_eq!(link.poll_timeout(), Some(millis(405)));
        assert_eq!(link.poll(millis(404)), None);
        assert_eq!(link.poll(millis(405)), Some(vec![7; 800]));
        assert_eq!((link.poll(millis(500)), link.poll_timeout()), (None, None));
    }

    #[test]
    fn a_backlog_leaves_at_exactly_the_rate() {
        let mut link = link(profile(64_000), 1);
        let arrivals: Vec<_> = (0..10).map(|_| link.send(millis(0), vec![0; 80])).collect();
        let expected: Vec<_> = (1..=10).map(|n| Fate::Arrives(millis(300 + 10 * n))).collect();
        assert_eq!(arrivals, expected);
    }

    #[test]
    fn a_full_queue_refuses_until_the_head_has_left() {
        let mut link = link(LinkProfile { queue_bytes: 1600, ..profile(64_000) }, 1);
        assert!(matches!(link.send(millis(0), vec![0; 800]), Fate::Arrives(_)));
        assert!(matches!(link.send(millis(0), vec![0; 800]), Fate::Arrives(_)));
        assert_eq!(link.send(millis(99), vec![0; 800]), Fate::QueueFull);
        assert_eq!(link.next_departure(millis(99)), Some(millis(100)));
        assert!(matches!(link.send(millis(100), vec![0; 800]), Fate::Arrives(_)));
        assert_eq!(link.counters().refused_packets, 1);
    }

    #[test]
    fn a_link_that_changes_delays_what_comes_after() {
        let mut link = link(profile(64_000), 1);
        assert_eq!(link.send(millis(0), vec![0; 800]), Fate::Arrives(millis(400)));
        link.change(32_000.try_into().unwrap(), 500.0);
        // 800 bytes wait for 100 ms and take 200.
        assert_eq!(link.send(millis(0), vec![0; 800]), Fate::Arrives(millis(800)));
    }

    #[test]
    fn a_packet_larger_than_the_queue_passes_when_the_queue_is_empty() {
        let mut link = link(LinkProfile { queue_bytes: 100, ..profile(64_000) }, 1);
        assert!(matches!(link.send(millis(0), vec![0; 800]), Fate::Arrives(_)));
        assert_eq!(link.send(millis(1), vec![0; 8]), Fate::QueueFull);
    }

    #[test]
    fn random_loss_is_within_the_binomial_bound() {
        let loss = Loss::Random { percent: 5.0 };
        let lost = losses(&mut link(LinkProfile { loss, ..profile(1_000_000) }, 42), 20_000, 1);
        let lost = lost.iter().filter(|&&l| l).count() as f64;
        let (expected, sigma) = (20_000.0 * 0.05, (20_000.0f64 * 0.05 * 0.95).sqrt());
        assert!((lost - expected).abs() < 4.0 * sigma, "{lost} lost of 20000 at 5 %");
    }

    #[test]
    fn gilbert_elliott_bursts_have_the_mean_length_of_their_recovery() {
        let loss = Loss::burst(1.75, 100.0 / 3.0);
        let lost = losses(&mut link(LinkProfile { loss, ..profile(1_000_000) }, 7), 100_000, 1);
        let bursts = lost.windows(2).filter(|w| w[1] && !w[0]).count() + usize::from(lost[0]);
        let total = lost.iter().filter(|&&l| l).count();
        let mean_burst = total as f64 / bursts as f64;
        let share = total as f64 / lost.len() as f64;
        assert!((2.8..3.2).contains(&mean_burst), "mean burst {mean_burst}");
        assert!((0.045..0.055).contains(&share), "share {share}");
    }

    #[test]
    fn the_same_seed_loses_the_same_packets_whatever_their_timing() {
        let profile = LinkProfile { loss: Loss::burst(2.0, 30.0), ..profile(1_000_000) };
        let jittery = LinkProfile { jitter_ms: 40.0, ..profile };
        let steady = losses(&mut link(profile.clone(), 3), 5_000, 1);
        assert_eq!(steady, losses(&mut link(jittery, 3), 5_000, 25));
        assert_ne!(steady, losses(&mut link(profile, 4), 5_000, 1));
    }

    #[test]
    fn packets_that_the_queue_refuses_take_their_draws_with_them() {
        let profile = LinkProfile { loss: Loss::Random { percent: 20.0 }, ..profile(64_000) };
        let all = losses(&mut link(profile.clone(), 9), 200, 100);
        let mut short = link(LinkProfile { queue_bytes: 200, ..profile }, 9);
        for (n, &lost) in all.iter().enumerate() {
            match short.send(millis(n as u64 * 10), vec![0; 100]) {
                Fate::QueueFull => {}
                fate => assert_eq!(matches!(fate, Fate::Lost(_)), lost, "packet {n}"),
            }
        }
        assert!(short.counters().refused_packets > 0);
    }

    #[test]
    fn jitter_spreads_the_delay_but_keeps_the_order() {
        let mut link = link(LinkProfile { jitter_ms: 40.0, ..profile(1_000_000) }, 5);
        let mut delays = Vec::new();
        for n in 0..2_000u64 {
            // Far enough apart that no packet holds up the next.
            let sent = millis(n * 1000);
            let Fate::Arrives(arrival) = link.send(sent, n.to_be_bytes().to_vec()) else { panic!("lost") };
            delays.push(arrival.since(sent).as_secs_f64() * 1e3);
        }
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        let sigma = (delays.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / delays.len() as f64).sqrt();
        assert!((mean - 300.0).abs() < 4.0 && (sigma - 40.0).abs() < 3.0, "mean {mean} sigma {sigma}");

        for n in 0..2_000u64 {
            link.send(millis(2_000_000 + n), n.to_be_bytes().to_vec());
        }
        let end = millis(3_000_000);
        let order: Vec<_> = std::iter::from_fn(|| link.poll(end)).collect();
        assert!(order[2_000..].is_sorted(), "jitter reordered");
    }

    #[test]
    fn a_reordered_packet_comes_late_and_holds_up_nobody() {
        let profile = LinkProfile { reorder_percent: 10.0, reorder_extra_ms: 50, ..profile(1_000_000) };
        let mut link = link(profile, 2);
        let late = (0..1_000u64)
            .filter(|&n| {
                link.send(millis(n), vec![0; 100])
                    == Fate::Arrives(millis(n) + Duration::from_micros(350_800))
            })
            .count();
        assert!((60..140).contains(&late), "{late} of 1000 at 10 %");
    }

    #[test]
    fn duplicates_and_corruption_are_drawn_by_their_share() {
        let profile = LinkProfile { duplicate_percent: 10.0, corrupt_percent: 10.0, ..profile(1_000_000) };
        let mut link = link(profile, 8);
        for n in 0..1_000 {
            link.send(millis(n), vec![0; 100]);
        }
        let arrived: Vec<_> = std::iter::from_fn(|| link.poll(millis(9_000))).collect();
        let corrupt = arrived.iter().filter(|p| p.iter().map(|b| b.count_ones()).sum::<u32>() == 1).count();
        assert!((1_060..1_140).contains(&arrived.len()), "{} arrived", arrived.len());
        assert!((70..150).contains(&corrupt), "{corrupt} corrupt");
    }

    #[test]
    fn an_outage_loses_what_is_on_the_air_and_nothing_else() {
        let outages =
            OutageSchedule::new(vec![Outage::once(Duration::from_secs(1), Duration::from_secs(2))]).unwrap();
        let mut link = Link::new(profile(1_000_000), outages, 1);
        let lost: Vec<_> =
            (0..40).filter(|&n| matches!(link.send(millis(n * 100), vec![0; 100]), Fate::Lost(_))).collect();
        assert_eq!(lost, (10..30).collect::<Vec<_>>());
    }
}
