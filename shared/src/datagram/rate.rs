//! Finds the rate of a link that nobody told: from how packets' delay grows, not from their loss, which on a satellite
//! link says nothing about its rate.
//!
//! - **Queue.** A packet's delay beyond the smallest of the last [`FLOOR_WINDOW`]s, less the time that its own bytes take,
//!   is what waited before it. Over [`QUEUE_MAX_MS`] the link is taken for overfilled.
//! - **Down.** While a queue grows, the link carries just what arrives: the bytes between two packets that were told of,
//!   over the time between their arrivals. The rate becomes [`BELOW_CAPACITY`] of that, after the queue was given the time
//!   to drain.
//! - **Up.** Only while something waits for the rate, and while the ground is heard: slowly up to somewhat above what was
//!   last measured; from there, and at the start, by e in 1.5 s, but never far ahead of what is known to have arrived. It
//!   grows with every byte sent, rather than in steps, so that a queue is noticed while it is short.
//!
//! A delay that stays although queues were drained again and again is that of another path, and becomes the new floor.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::time::Instant;

/// The rate before anything was found out, bits a second.
pub const FIRST_RATE: u64 = 32_000;

/// The lowest rate, bits a second.
const RATE_MIN: f64 = 2_000.0;
/// The highest, unless the configuration names another.
const RATE_MAX: f64 = 1e9;
/// What may wait in the link before a packet.
const QUEUE_MAX_MS: f64 = 80.0;
/// A queue that grew by less since the last feedback does not grow.
const GROWTH_MIN_MS: f64 = 20.0;
/// The rate after the link was found full, as a share of what it carried.
const BELOW_CAPACITY: f64 = 0.95;
/// What is sent while a queue drains, as a share of what the link carries: what is sent into the queue comes no sooner than
/// what is sent after it, and keeps it there for longer.
const DRAIN_SHARE: f64 = 0.05;
/// The longest that a queue is drained for, without a new feedback.
const DRAIN_MAX_S: f64 = 3.0;
/// The rate after a queue that stands, but does not grow.
const STANDING_SHARE: f64 = 0.9;
/// Time constants of growth.
const FAST_S: f64 = 1.5;
const SLOW_S: f64 = 20.0;
/// Above what the link last carried by so much without a queue, it has become wider.
const WIDER: f64 = 1.2;
/// How far the rate may be ahead of what is known to have arrived.
const AHEAD: f64 = 1.6;
/// Without a feedback for so long, the rate does not grow.
const HEARD_WITHIN: Duration = Duration::from_millis(1600);
/// Feedbacks further apart than this tell nothing of the time between them.
const INTERVAL_MAX: Duration = Duration::from_secs(5);
/// Arrivals closer than this tell nothing of the rate.
const INTERVAL_MIN_MS: u16 = 100;
/// The shortest time over which the sent rate is measured, and the fewest packets.
const METER_WINDOW: Duration = Duration::from_millis(250);
const METER_PACKETS: u32 = 4;
/// Below this share of the rate it is not the rate that holds back what is sent.
const USED_SHARE: f64 = 0.65;
/// The smallest delay counts for this long, or twice that.
const FLOOR_WINDOW: Duration = Duration::from_secs(20);
/// After so many queues in a row that no draining empties, the delay is the path's.
const FUTILE_DRAINS: u8 = 3;
/// A quarter of the packets lost in two feedbacks in a row is a link that drops what is too much, instead of queueing it.
const POLICED_SHARE: f64 = 0.25;
const POLICED_FEEDBACKS: u8 = 2;
const POLICED_PACKETS: u32 = 8;
/// Packets that are remembered until they are told of.
const MAX_PACKETS: usize = 8192;

/// The rate of a link, found and followed. Outlives connections, so that each begins with what was found before.
#[derive(Debug)]
pub struct AutoRate {
    rate: f64,
    rate_max: f64,
    /// What the link carried when it was last found full.
    capacity: Option<f64>,
    drain: Option<Drain>,
    floor: DelayFloor,
    sent: VecDeque<Sent>,
    sent_bytes: u64,
    heard: Option<Heard>,
    meter: Meter,
    /// Whether something has waited for the rate since the last packet.
    limited: bool,
    /// In a row: feedbacks that found a queue that should have drained, a queue although little was sent, and a quarter
    /// of the packets lost.
    futile: u8,
    unprovoked: u8,
    policed: u8,
}

/// Less is sent until then.
#[derive(Clone, Copy, Debug)]
struct Drain {
    rate: f64,
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u32,
    at: Instant,
    bytes: usize,
    /// All bytes sent by then, its own included.
    sent_bytes: u64,
}

/// The newest packet of the last feedback.
#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Instant,
    packet: Sent,
    arrived_millis: u16,
    queue_ms: f64,
    /// What arrived since the newest packet of the feedback before, bits a second.
    carried_rate: Option<f64>,
}

/// What two feedbacks tell of the packets between their newest ones.
#[derive(Clone, Copy, Debug)]
struct Interval {
    sent_rate: f64,
    /// All that left the vehicle: what is lost in the air has used the link, too.
    carried_rate: f64,
    queue_growth_ms: f64,
    packets: u32,
    lost: u32,
}

impl AutoRate {
    /// Nothing is known yet. Never goes above `rate_bits_per_second_max`.
    pub fn new(rate_bits_per_second_max: Option<u64>) -> Self {
        let rate_max = rate_bits_per_second_max.map_or(RATE_MAX, |max| max as f64).max(RATE_MIN);
        AutoRate {
            rate: rate_max.min(FIRST_RATE as f64),
            rate_max,
            capacity: None,
            drain: None,
            floor: DelayFloor::default(),
            sent: VecDeque::new(),
            sent_bytes: 0,
            heard: None,
            meter: Meter::default(),
            limited: false,
            futile: 0,
            unprovoked: 0,
            policed: 0,
        }
    }

    /// A new connection: its packets are numbered anew and may take another path.
    pub fn restart(&mut self) {
        // Of what was sent nothing was heard: on a link far narrower than the rate, be it the first or one that the link had
        // before, packets may still wait in its queue for longer than a connection lives.
        let is_mute = self.heard.is_none() && !self.sent.is_empty();
        let rate = if is_mute { (self.rate / 2.0).max(RATE_MIN) } else { self.rate };
        *self = AutoRate {
            rate,
            capacity: self.capacity.filter(|_| !is_mute),
            sent_bytes: self.sent_bytes,
            ..AutoRate::new(Some(self.rate_max as u64))
        };
    }

    /// What the link is taken to carry, bits a second.
    pub fn rate_bits_per_second(&self) -> u64 {
        self.rate as u64
    }

    /// What may be sent at present, bits a second: less while a queue drains.
    pub fn pace_bits_per_second(&self, now: Instant) -> u64 {
        let drain = self.drain.filter(|drain| now < drain.until);
        drain.map_or(self.rate, |drain| drain.rate.min(self.rate)) as u64
    }

    /// Packets that the ground has not told of, and the most that are remembered.
    pub fn unheard_packets(&self) -> (usize, usize) {
        (self.sent.len(), MAX_PACKETS)
    }

    /// When [`pace_bits_per_second`](Self::pace_bits_per_second) rises by itself.
    pub fn drained_at(&self, now: Instant) -> Option<Instant> {
        self.drain.map(|drain| drain.until).filter(|&until| until > now)
    }

    /// Something waits that only the rate holds back.
    pub fn handle_limited(&mut self) {
        self.limited = true;
    }

    /// Something left. `number` is the packet's, where it has one that the ground will tell of.
    pub fn handle_sent(&mut self, now: Instant, number: Option<u32>, wire_bytes: usize) {
        self.sent_bytes += wire_bytes as u64;
        self.meter.handle_sent(now, wire_bytes);
        if std::mem::take(&mut self.limited) && self.may_grow(now) {
            self.grow(wire_bytes);
        }
        if let Some(number) = number {
            if self.sent.len() == MAX_PACKETS {
                self.sent.pop_front();
            }
            self.sent.push_back(Sent { number, at: now, bytes: wire_bytes, sent_bytes: self.sent_bytes });
        }
    }

    /// The ground tells of the packets up to `newest`, which arrived at `arrived_millis` of its clock (modulo 65,536 ms).
    pub fn handle_feedback(
        &mut self,
        now: Instant,
        newest: u32,
        arrived_millis: u16,
        missing: impl Iterator<Item = Range<u32>>,
    ) {
        // A late feedback, or one of what was never sent.
        let Ok(index) = self.sent.binary_search_by_key(&newest, |sent| sent.number) else { return };
        let packet = self.sent[index];
        self.sent.drain(..=index);
        let raw_delay = arrived_millis.wrapping_sub(packet.at.0.as_millis() as u16);
        let own_ms = packet.bytes as f64 * 8e3 / self.rate;
        let queue_ms = (self.floor.above(now, raw_delay) - own_ms).max(0.0);
        let mut heard = Heard { at: now, packet, arrived_millis, queue_ms, carried_rate: None };
        let interval = self.heard.and_then(|former| Interval::between(&former, &heard, missing));
        heard.carried_rate = interval.map(|interval| interval.carried_rate);
        self.heard = Some(heard);
        if interval.is_some_and(|interval| self.is_policed(&interval)) {
            return;
        }
        if queue_ms <= QUEUE_MAX_MS {
            self.futile = 0;
            self.unprovoked = 0;
            return;
        }
        let was_drained = self.drain.is_none_or(|drain| drain.until <= packet.at);
        self.handle_queue(heard, interval, was_drained);
        if was_drained {
            self.futile += 1;
            if self.futile >= FUTILE_DRAINS {
                self.futile = 0;
                self.floor.restart(now, raw_delay);
            }
        }
    }

    /// A packet found a queue before it.
    fn handle_queue(&mut self, heard: Heard, interval: Option<Interval>, was_drained: bool) {
        match interval {
            Some(interval) if interval.queue_growth_ms > GROWTH_MIN_MS => {
                // Where little is sent, a single late packet is more likely than a link that became that narrow.
                if interval.sent_rate < self.rate * USED_SHARE {
                    self.unprovoked += 1;
                    if self.unprovoked < 2 {
                        return;
                    }
                }
                self.limit(interval.carried_rate);
            }
            // It drains, as it was told to.
            _ if !was_drained => {}
            _ => self.rate = (self.rate * STANDING_SHARE).max(RATE_MIN),
        }
        // What waits by now: what the packet found, and what was sent since, less what the link carried since.
        let capacity = self.capacity.unwrap_or(self.rate);
        let since = heard.at.since(heard.packet.at).as_secs_f64();
        let sent_since = (self.sent_bytes - heard.packet.sent_bytes) as f64 * 8.0 / capacity;
        let queue = heard.queue_ms / 1e3 + sent_since - since;
        let seconds = (queue / (1.0 - DRAIN_SHARE)).clamp(0.0, DRAIN_MAX_S);
        let until = heard.at + Duration::from_secs_f64(seconds);
        self.drain = Some(Drain { rate: capacity * DRAIN_SHARE, until });
    }

    /// The link carries this much.
    fn limit(&mut self, carried_rate: f64) {
        let capacity = carried_rate.clamp(RATE_MIN, self.rate_max);
        self.capacity = Some(capacity);
        self.rate = self.rate.min(capacity * BELOW_CAPACITY).max(RATE_MIN);
    }

    /// A link that drops what is too much shows no queue.
    fn is_policed(&mut self, interval: &Interval) -> bool {
        let is_lossy = interval.packets >= POLICED_PACKETS
            && f64::from(interval.lost) >= POLICED_SHARE * f64::from(interval.packets);
        self.policed = if is_lossy { self.policed + 1 } else { 0 };
        if self.policed < POLICED_FEEDBACKS {
            return false;
        }
        self.policed = 0;
        let arrived = f64::from(interval.packets - interval.lost) / f64::from(interval.packets);
        self.limit(interval.carried_rate * arrived);
        true
    }

    fn grow(&mut self, wire_bytes: usize) {
        let slowly = self.capacity.map_or(0.0, |capacity| capacity * WIDER);
        let (seconds, rate_max) = match self.heard.and_then(|heard| heard.carried_rate) {
            _ if self.rate < slowly => (SLOW_S, slowly),
            Some(carried) => (FAST_S, carried * AHEAD),
            None => return,
        };
        let rate = (self.rate + wire_bytes as f64 * 8.0 / seconds).min(rate_max).min(self.rate_max);
        self.rate = self.rate.max(rate);
    }

    fn may_grow(&self, now: Instant) -> bool {
        let is_drained = self.drain.is_none_or(|drain| drain.until <= now);
        let is_free = self.heard.is_some_and(|heard| {
            let is_told_of = self.drain.is_none_or(|drain| drain.until <= heard.packet.at);
            is_told_of && heard.queue_ms <= QUEUE_MAX_MS / 2.0 && now.since(heard.at) <= HEARD_WITHIN
        });
        is_drained && is_free && self.meter.rate >= self.rate * USED_SHARE
    }
}

impl Interval {
    /// `None` where they are too close to each other, or too far apart.
    fn between(
        former: &Heard,
        newest: &Heard,
        missing: impl Iterator<Item = Range<u32>>,
    ) -> Option<Interval> {
        let arrivals_ms = newest.arrived_millis.wrapping_sub(former.arrived_millis);
        let sent_apart = newest.packet.at.since(former.packet.at);
        let is_close = newest.at.since(former.at) <= INTERVAL_MAX && sent_apart <= INTERVAL_MAX;
        if !is_close || arrivals_ms < INTERVAL_MIN_MS || sent_apart.is_zero() {
            return None;
        }
        let numbers = former.packet.number + 1..newest.packet.number + 1;
        let lost =
            missing.map(|range| range.end.min(numbers.end).saturating_sub(range.start.max(numbers.start)));
        let bits = (newest.packet.sent_bytes - former.packet.sent_bytes) as f64 * 8.0;
        Some(Interval {
            sent_rate: bits / sent_apart.as_secs_f64(),
            carried_rate: bits * 1e3 / f64::from(arrivals_ms),
            queue_growth_ms: newest.queue_ms - former.queue_ms,
            packets: numbers.end - numbers.start,
            lost: lost.sum(),
        })
    }
}

/// How fast is sent, over the last window.
#[derive(Debug, Default)]
struct Meter {
    since: Instant,
    bytes: usize,
    packets: u32,
    rate: f64,
}

impl Meter {
    fn handle_sent(&mut self, now: Instant, bytes: usize) {
        let elapsed = now.since(self.since);
        if elapsed >= METER_WINDOW && self.packets >= METER_PACKETS {
            self.rate = self.bytes as f64 * 8.0 / elapsed.as_secs_f64();
            (self.since, self.bytes, self.packets) = (now, 0, 0);
        }
        self.bytes += bytes;
        self.packets += 1;
    }
}

/// The smallest delay of the last time. Delays are told modulo 65,536 ms, with the clocks' difference in them.
#[derive(Debug, Default)]
struct DelayFloor {
    since: Instant,
    former: Option<u16>,
    newest: Option<u16>,
}

impl DelayFloor {
    /// Takes a delay and says how far it is above the smallest, milliseconds.
    fn above(&mut self, now: Instant, delay: u16) -> f64 {
        if now.since(self.since) >= FLOOR_WINDOW {
            self.former = self.newest.take();
            self.since = now;
        }
        self.newest = Some(self.newest.map_or(delay, |floor| lower(floor, delay)));
        let floor = [self.former, self.newest].into_iter().flatten().reduce(lower).unwrap_or(delay);
        f64::from(delay.wrapping_sub(floor) as i16)
    }

    fn restart(&mut self, now: Instant, delay: u16) {
        *self = DelayFloor { since: now, former: None, newest: Some(delay) };
    }
}

fn lower(a: u16, b: u16) -> u16 {
    if (a.wrapping_sub(b) as i16) < 0 { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 200;

    /// A packet every 25 ms, so 64 kbit/s, on a link whose delay at each packet is given; a feedback after every 20th.
    struct Link {
        auto: AutoRate,
        number: u32,
    }

    impl Link {
        fn new() -> Self {
            let mut auto = AutoRate::new(None);
            auto.rate = 70_000.0;
            Link { auto, number: 0 }
        }

        fn send(&mut self, packets: u32, delay_millis: impl Fn(u32) -> u16, missing: u32) {
            for number in self.number..self.number + packets {
                let now = Instant(Duration::from_millis(u64::from(number) * 25));
                self.auto.handle_sent(now, Some(number), BYTES);
                if number % 20 == 19 {
                    let arrived = (now.0.as_millis() as u16).wrapping_add(delay_millis(number));
                    let lost = number.saturating_sub(missing)..number;
                    self.auto.handle_feedback(now, number, arrived, std::iter::once(lost));
                }
            }
            self.number += packets;
        }
    }

    #[test]
    fn a_path_that_became_longer_is_not_a_queue_for_ever() {
        let mut link = Link::new();
        link.send(400, |_| 300, 0);
        link.send(400, |_| 500, 0);
        let after_change = link.auto.rate_bits_per_second();
        assert!((30_000..70_000).contains(&after_change), "{after_change}");
        link.send(400, |_| 500, 0);
        assert_eq!(link.auto.rate_bits_per_second(), after_change);
    }

    #[test]
    fn a_clock_that_wraps_or_is_far_off_matters_to_nothing() {
        let mut link = Link::new();
        link.send(8000, |_| 65_500, 0);
        assert_eq!(link.auto.rate_bits_per_second(), 70_000);
    }

    #[test]
    fn a_link_that_drops_what_is_too_much_is_found_out() {
        let mut link = Link::new();
        link.send(400, |_| 300, 0);
        link.send(100, |_| 300, 10);
        let rate = link.auto.rate_bits_per_second();
        assert!((20_000..40_000).contains(&rate), "{rate}");
    }

    #[test]
    fn one_late_packet_among_few_is_not_a_narrow_link() {
        let mut link = Link::new();
        link.auto.rate = 1_000_000.0;
        link.send(800, |number| if number == 419 { 450 } else { 300 }, 0);
        assert_eq!(link.auto.rate_bits_per_second(), 1_000_000);
    }

    #[test]
    fn what_was_never_sent_is_left_out() {
        let mut link = Link::new();
        link.send(100, |_| 300, 0);
        link.auto.handle_feedback(Instant(Duration::from_secs(9)), 1_000_000, 0, std::iter::empty());
        link.auto.handle_feedback(Instant(Duration::from_secs(9)), 3, 0, std::iter::empty());
        assert_eq!(link.auto.rate_bits_per_second(), 70_000);
    }
}
