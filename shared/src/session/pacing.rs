//! Keeps the link at its configured rate.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::time::Instant;

/// What an idle link may save up, bytes: one packet, so that the modem's own queue stays empty and the choice of what
/// goes next stays with us.
const BURST: NonZeroU32 = NonZeroU32::new(1500).expect("1500 is not zero");
/// ... at most so much time of the link: at 2400 bit/s, a packet takes five seconds.
const BURST_TIME: Duration = Duration::from_millis(500);
/// The same where the rate is found out from how delay grows: what arrives at once looks like a queue.
const BURST_TIME_AUTO: Duration = Duration::from_millis(20);
/// ... but at least so many bytes.
const BURST_MIN: u64 = 100;
/// How much ahead of the link's being idle backlog may leave: timers are late by as much.
const IDLE_SLACK: Duration = Duration::from_millis(5);
/// What was estimated may be ahead of what was counted by so many bytes, or by a message that is larger: messages that have
/// not left yet. QUIC holds up to 4 kB each of datagrams and of its stream.
const MAX_FORESEEN: i64 = 10_000;
/// The rate is set again when it differs by more than this share.
const RATE_STEP: f64 = 0.02;

/// Governor's token bucket, in bytes, under time that is given. A message may leave whenever the account is not in
/// debt and is charged whole, so that one larger than the bucket passes and is paid off behind it.
#[derive(Debug)]
pub(super) struct Pacer {
    bits_per_second: Option<u64>,
    bucket: Option<Bucket>,
    burst: NonZeroU32,
    debt: u32,
}

/// Until when the link is busy with what left.
#[derive(Debug, Default)]
pub(super) struct Line {
    idle_at: Instant,
}

impl Line {
    /// A message of this many bytes on the wire leaves at this rate.
    pub(super) fn charge(&mut self, now: Instant, bits_per_second: Option<u64>, wire_bytes: usize) {
        let Some(rate) = bits_per_second else { return };
        let micros = wire_bytes as u64 * 8_000_000 / rate.max(1);
        self.idle_at = self.idle_at.max(now) + Duration::from_micros(micros);
    }

    /// When what leaves does not wait at the link, and nothing live that comes next waits for more than that: the pacer's
    /// bucket would let a full one leave at once, and the queue of that would stand for as long as the link is full.
    pub(super) fn idle_at(&self) -> Instant {
        Instant(self.idle_at.0.saturating_sub(IDLE_SLACK))
    }
}

/// What left on the link beside the messages: QUIC's own packets, attempts to connect, longer headers.
#[derive(Debug, Default)]
pub(super) struct Unforeseen {
    counted: u64,
    bytes: i64,
}

impl Unforeseen {
    /// A message of so many bytes on the wire, by estimate, was handed over.
    pub(super) fn handle_estimate(&mut self, wire_bytes: usize) {
        let message = wire_bytes as i64;
        self.bytes = (self.bytes - message).max(-MAX_FORESEEN.max(message));
    }

    /// So much was sent in all. Returns what of it is to be charged beside the estimates.
    pub(super) fn handle_counted(&mut self, sent_bytes: u64) -> usize {
        let news = sent_bytes.saturating_sub(self.counted);
        self.counted = self.counted.max(sent_bytes);
        self.bytes = self.bytes.saturating_add_unsigned(news);
        let unforeseen = self.bytes.max(0);
        self.bytes -= unforeseen;
        unforeseen as usize
    }
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, GivenClock, NoOpMiddleware<Duration>>;

/// A clock that stands where it was put.
#[derive(Clone, Debug, Default)]
struct GivenClock(Cell<Duration>);

impl Clock for GivenClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.get()
    }
}

impl Pacer {
    /// A pacer for a link of this rate; `None` lets everything pass.
    pub(super) fn of_link(bits_per_second: Option<u64>) -> Self {
        Pacer::new(bits_per_second, bits_per_second.map_or(BURST, |rate| burst(rate, BURST_TIME)))
    }

    /// A pacer for what may be spent in the mean: no queue stands anywhere when a whole packet of it was saved up.
    pub(super) fn of_budget(bits_per_second: Option<u64>) -> Self {
        Pacer::new(bits_per_second, BURST)
    }

    fn new(bits_per_second: Option<u64>, burst: NonZeroU32) -> Self {
        let bucket = bits_per_second.map(|rate| bucket(rate, burst));
        Pacer { bits_per_second, bucket, burst, debt: 0 }
    }

    /// The rate is another from here on. Nothing is saved up, and what was charged is paid at the new rate.
    pub(super) fn set_rate(&mut self, now: Instant, bits_per_second: u64) {
        let differs = |rate: u64| rate.abs_diff(bits_per_second) as f64 > rate as f64 * RATE_STEP;
        if !self.bits_per_second.is_none_or(differs) {
            return;
        }
        self.pay(now);
        self.burst = burst(bits_per_second, BURST_TIME_AUTO);
        let bucket = bucket(bits_per_second, self.burst);
        bucket.clock().0.set(now.0);
        let _ = bucket.check_n(self.burst);
        self.bucket = Some(bucket);
        self.bits_per_second = Some(bits_per_second);
    }

    /// Pays what was saved up until `now`, however little of the debt that is. A bucket that is full before saves up no
    /// more, so it is emptied before it is, with less than a byte in it from the time before.
    fn pay(&mut self, now: Instant) {
        let Some(bucket) = &self.bucket else { return };
        let clock = &bucket.clock().0;
        let almost_full = self.bits_per_second.map_or(Duration::ZERO, byte_time) * (self.burst.get() - 1);
        loop {
            clock.set(if self.debt > 0 { now.0.min(clock.get() + almost_full) } else { now.0 });
            let parts = std::iter::successors(Some(BURST.get().next_power_of_two()), |part| Some(part / 2));
            for part in parts.map_while(NonZeroU32::new) {
                if part.get() <= self.debt && matches!(bucket.check_n(part), Ok(Ok(()))) {
                    self.debt -= part.get();
                }
            }
            if clock.get() >= now.0 {
                return;
            }
        }
    }

    /// Whether a message may leave, or when to ask again.
    pub(super) fn ready(&mut self, now: Instant) -> Result<(), Instant> {
        self.pay(now);
        let Some(bucket) = &self.bucket else { return Ok(()) };
        while let Some(debt) = NonZeroU32::new(self.debt) {
            let part = debt.min(self.burst);
            match bucket.check_n(part) {
                Ok(Ok(())) => self.debt -= part.get(),
                Ok(Err(too_early)) => return Err(Instant(too_early.earliest_possible())),
                Err(_) => unreachable!("a part never exceeds the burst"),
            }
        }
        Ok(())
    }

    /// A message of this many bytes on the wire left.
    pub(super) fn charge(&mut self, now: Instant, wire_bytes: usize) {
        if self.bucket.is_none() {
            return;
        }
        // What came in before, beyond what the bucket holds, pays for earlier messages only.
        self.pay(now);
        self.debt = self.debt.saturating_add(u32::try_from(wire_bytes).unwrap_or(u32::MAX));
        self.pay(now);
    }
}

/// So much time of a link of this rate, bytes.
fn burst(bits_per_second: u64, time: Duration) -> NonZeroU32 {
    let bytes = (bits_per_second as f64 / 8.0 * time.as_secs_f64()) as u64;
    NonZeroU32::new(bytes.clamp(BURST_MIN, BURST.get().into()) as u32).unwrap_or(BURST)
}

fn byte_time(bits_per_second: u64) -> Duration {
    Duration::from_nanos(8_000_000_000_u64.div_ceil(bits_per_second.max(1)))
}

fn bucket(bits_per_second: u64, burst: NonZeroU32) -> Bucket {
    let quota =
        Quota::with_period(byte_time(bits_per_second)).expect("a byte takes some time").allow_burst(burst);
    RateLimiter::direct_with_clock(quota, GivenClock::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes sent in `seconds` by messages of `size`, as fast as the pacer allows.
    fn sent(pacer: &mut Pacer, size: usize, seconds: u64) -> usize {
        let mut now = Instant::default();
        let mut bytes = 0;
        while now.0 < Duration::from_secs(seconds) {
            match pacer.ready(now) {
                Ok(()) => {
                    pacer.charge(now, size);
                    bytes += size;
                }
                Err(later) => {
                    assert!(later > now);
                    now = later;
                }
            }
        }
        bytes
    }

    #[test]
    fn the_rate_is_kept_for_messages_of_any_size() {
        for (rate, size) in [(64_000, 100), (64_000, 1500), (2_400, 60_000), (10_000_000, 1200)] {
            let bytes = sent(&mut Pacer::of_link(Some(rate)), size, 600);
            let limit = (rate / 8 * 600) as usize;
            let slack = BURST.get() as usize + size;
            assert!(bytes <= limit + slack && bytes + slack >= limit, "{bytes} of {limit} at {rate} bit/s");
        }
    }

    #[test]
    fn an_idle_link_saves_up_a_packet_or_half_a_second() {
        let at_once = |rate| {
            let (mut pacer, now) = (Pacer::of_link(Some(rate)), Instant(Duration::from_secs(100)));
            std::iter::from_fn(|| pacer.ready(now).ok().map(|()| pacer.charge(now, 50))).count()
        };
        assert_eq!((at_once(2_400), at_once(64_000)), (4, 31));
    }

    #[test]
    fn a_message_over_the_burst_is_paid_off_while_nobody_asks() {
        let at = |millis| Instant(Duration::from_millis(millis));
        // A byte a millisecond.
        let mut pacer = Pacer::of_link(Some(8_000));
        pacer.charge(at(100_000), 2500);
        assert_eq!(pacer.ready(at(100_001)), Err(at(100_501)), "then it is asked again");
        pacer.charge(at(101_900), 300);
        assert_eq!(pacer.ready(at(102_299)), Err(at(102_300)), "less 500 that were saved up");
        assert_eq!(pacer.ready(at(102_300)), Ok(()));
        pacer.charge(at(200_000), 1000);
        assert_eq!(
            pacer.ready(at(200_100)),
            Err(at(200_500)),
            "what an idle link could have carried is gone"
        );
    }

    #[test]
    fn a_rate_whose_bytes_take_no_whole_nanoseconds_is_not_exceeded() {
        let bytes = sent(&mut Pacer::of_link(Some(900_000_000)), 1200, 1);
        assert!(bytes <= 900_000_000 / 8 + BURST.get() as usize + 1200, "{bytes}");
    }

    #[test]
    fn a_rate_that_changes_all_the_time_is_kept_on_average() {
        let mut pacer = Pacer::of_link(Some(22_000));
        let (mut now, mut bytes, mut turn) = (Instant::default(), 0, 0);
        while now.0 < Duration::from_secs(100) {
            turn += 1;
            pacer.set_rate(now, if turn % 2 == 0 { 20_000 } else { 24_000 });
            match pacer.ready(now) {
                Ok(()) => {
                    pacer.charge(now, 700);
                    bytes += 700;
                }
                Err(_) => now = now + Duration::from_millis(7),
            }
        }
        let limit = 22_000 / 8 * 100;
        assert!((limit * 95 / 100..limit + 2200).contains(&bytes), "{bytes} of {limit}");
    }

    #[test]
    fn what_was_not_foreseen_is_charged_once() {
        let mut unforeseen = Unforeseen::default();
        unforeseen.handle_estimate(200);
        assert_eq!(unforeseen.handle_counted(0), 0, "it has not left yet");
        assert_eq!(unforeseen.handle_counted(260), 60);
        assert_eq!((unforeseen.handle_counted(260), unforeseen.handle_counted(300)), (0, 40));
        (0..100).for_each(|_| unforeseen.handle_estimate(200));
        let bounded = unforeseen.handle_counted(20_000);
        assert_eq!(bounded, 9_700, "estimates that prove too high are no credit for ever");
        unforeseen.handle_estimate(12_000);
        assert_eq!(unforeseen.handle_counted(32_000), 0);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut pacer = Pacer::of_link(None);
        pacer.charge(Instant::default(), 1 << 30);
        assert_eq!(pacer.ready(Instant::default()), Ok(()));
    }
}
