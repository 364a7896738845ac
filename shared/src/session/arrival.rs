//! The telemetry datagrams that reached the ground, and what it tells the vehicle of them.

use std::collections::VecDeque;
use std::time::Duration;

use super::packets::millis_of;
use super::queues::QueueFill;
use crate::datagram::loss::{LossMeter, LossReport};
use crate::message::{MAX_ACK_RANGES, PacketHeader};
use crate::range::{RangeSet, SequenceRange};
use crate::time::{Instant, Now};

/// Packet numbers that are remembered behind the highest.
const HORIZON: u64 = 1024;
/// How long a missing packet is told of: several round trips and feedbacks, after which the vehicle has acted on it.
const MISSED_FOR: Duration = Duration::from_secs(6);
/// A delay that grew by more than this since it was last told is a queue on the link, about which a vehicle that finds out
/// the link's rate should know soon...
const GROWTH_MILLIS: i16 = 100;
/// ... unless it is within what lies between two packets anyway. The same holds for a rate that grew by this factor...
const RATE_GROWTH: f64 = 1.2;
/// ... once so many bytes came at it.
const RATE_BYTES: usize = 1000;

/// Packets that one feedback should tell of, where they are few: it costs about as much as one of them.
pub(super) const FEEDBACK_PACKETS: u32 = 3;
/// The shortest and the longest time that packets are gathered.
const GATHERING_TIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(2500));

/// Which packets arrived on a connection.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    numbers: RangeSet,
    newest: Option<Newest>,
    /// As it was last told.
    told: Option<Told>,
    /// The highest numbers that were told within [`MISSED_FOR`], oldest first: what is missing below all of them is told
    /// no more.
    horizon: VecDeque<(Instant, u32)>,
    /// Bytes since then.
    bytes: usize,
    /// Mean time between packets.
    interval: Duration,
    loss: LossMeter,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    number: u32,
    arrived: Instant,
    arrived_millis: u16,
    /// Modulo 65,536 ms, with the clocks' difference in it.
    delay_millis: u16,
    /// Since the packet before it.
    gap: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    delay_millis: u16,
    bytes_per_second: f64,
}

/// The part of a feedback that tells of packets.
#[derive(Debug)]
pub(super) struct PacketReport {
    pub(super) largest: u32,
    pub(super) missing: Vec<(u32, u32)>,
    pub(super) arrived_millis: u16,
    pub(super) held_millis: u16,
    pub(super) loss: LossReport,
}

impl Arrivals {
    /// A packet of this size arrived. Returns false for one that came before, or is too old to tell.
    pub(super) fn handle_packet(&mut self, now: Now, header: PacketHeader, bytes: usize) -> bool {
        let number = u64::from(header.number);
        let largest = self.newest.map_or(0, |newest| u64::from(newest.number));
        if self.numbers.contains(number) || number + HORIZON < largest {
            return false;
        }
        self.numbers.insert(SequenceRange::new(number, number + 1));
        self.loss.handle_packet(header.number);
        if let Some(newest) = self.newest {
            let since = now.instant.since(newest.arrived);
            // A longer one is an outage, after which packets come as they did before.
            if since <= GATHERING_TIME.1 {
                self.interval = (self.interval * 7 + since) / 8;
            }
        }
        self.bytes += bytes;
        if self.newest.is_none_or(|newest| newest.number < header.number) {
            let arrived_millis = millis_of(now);
            let gap = self.newest.map_or(Duration::ZERO, |newest| now.instant.since(newest.arrived));
            let delay_millis = arrived_millis.wrapping_sub(header.sent_millis);
            let (number, arrived) = (header.number, now.instant);
            self.newest = Some(Newest { number, arrived, arrived_millis, delay_millis, gap });
            self.numbers.remove(SequenceRange::new(0, u64::from(number).saturating_sub(HORIZON)));
        }
        true
    }

    pub(super) fn queue(&self) -> QueueFill {
        // Every other number, and the newest beyond them.
        let most = HORIZON as usize / 2 + 1;
        QueueFill::new("ranges of packets", self.numbers.range_count(), most)
    }

    /// What to tell; `None` before the first packet.
    pub(super) fn report(&mut self, now: Instant) -> Option<PacketReport> {
        let newest = self.newest?;
        let bytes_per_second = self.bytes_per_second(now);
        self.told = Some(Told { at: now, delay_millis: newest.delay_millis, bytes_per_second });
        self.bytes = 0;
        self.horizon.push_back((now, newest.number));
        while self.horizon.front().is_some_and(|(at, _)| now.since(*at) > MISSED_FOR) {
            self.horizon.pop_front();
        }
        let told_from = self.horizon.front().map_or(0, |(_, number)| u64::from(*number));
        let mut missing = Vec::new();
        let mut ranges = self.numbers.iter().rev().peekable();
        while let Some(range) = ranges.next()
            && missing.len() < MAX_ACK_RANGES
        {
            let below =
                ranges.peek().map_or(u64::from(newest.number).saturating_sub(HORIZON), |next| next.end);
            let hole = range.start.saturating_sub(below);
            missing.push((range.len() as u32, hole as u32));
            if below <= told_from {
                break;
            }
        }
        // What arrived below the last hole goes without saying.
        missing.pop_if(|(_, hole)| *hole == 0);
        let held = now.since(newest.arrived);
        Some(PacketReport {
            largest: newest.number,
            missing,
            arrived_millis: newest.arrived_millis,
            held_millis: u16::try_from(held.as_millis()).unwrap_or(u16::MAX),
            loss: self.loss.report(),
        })
    }

    /// Whether delay or rate have grown so much since they were last told that the vehicle should know.
    pub(super) fn grows(&self, now: Instant) -> bool {
        let (Some(newest), Some(told)) = (self.newest, self.told) else { return false };
        let growth = newest.delay_millis.wrapping_sub(told.delay_millis) as i16;
        let is_queue =
            growth > GROWTH_MILLIS && Duration::from_millis(growth.unsigned_abs().into()) > newest.gap;
        let is_faster = self.bytes_per_second(now) > told.bytes_per_second * RATE_GROWTH;
        is_queue || (is_faster && self.bytes >= RATE_BYTES)
    }

    /// What arrived since the last report; in less than 400 ms, as if it were all that came in these.
    fn bytes_per_second(&self, now: Instant) -> f64 {
        let elapsed = self.told.map_or(Duration::MAX, |told| now.since(told.at)).as_secs_f64();
        self.bytes as f64 / elapsed.clamp(0.4, 1e9)
    }

    /// Mean time between packets.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// How long packets are gathered for one feedback: a second, or longer where a few packets take that.
    pub(super) fn gathering_time(&self) -> Duration {
        (self.interval * FEEDBACK_PACKETS).clamp(GATHERING_TIME.0, GATHERING_TIME.1)
    }

    /// How long ago the newest packet arrived.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        self.newest.map(|newest| now.since(newest.arrived))
    }
}
