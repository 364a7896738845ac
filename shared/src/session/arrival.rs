//! The telemetry datagrams that reached the ground, and what it tells the vehicle of them.

use std::time::Duration;

use super::packets::millis_of;
use crate::datagram::loss::{LossMeter, LossReport};
use crate::message::{MAX_ACK_RANGES, PacketHeader};
use crate::range::{RangeSet, SequenceRange};
use crate::time::{Instant, Now};

/// Packet numbers that are remembered behind the highest.
const HORIZON: u64 = 1024;

/// Which packets arrived on a connection.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    numbers: RangeSet,
    newest: Option<Newest>,
    loss: LossMeter,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    number: u32,
    arrived: Instant,
    arrived_millis: u16,
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
    /// A packet arrived. Returns false for one that came before, or is too old to tell.
    pub(super) fn handle_packet(&mut self, now: Now, header: PacketHeader) -> bool {
        let number = u64::from(header.number);
        let largest = self.newest.map_or(0, |newest| u64::from(newest.number));
        if self.numbers.contains(number) || number + HORIZON < largest {
            return false;
        }
        self.numbers.insert(SequenceRange::new(number, number + 1));
        self.loss.handle_packet(header.number);
        if self.newest.is_none_or(|newest| newest.number < header.number) {
            let arrived_millis = millis_of(now);
            self.newest = Some(Newest { number: header.number, arrived: now.instant, arrived_millis });
            self.numbers.remove(SequenceRange::new(0, number.saturating_sub(HORIZON)));
        }
        true
    }

    /// What to tell; `None` before the first packet.
    pub(super) fn report(&self, now: Instant) -> Option<PacketReport> {
        let newest = self.newest?;
        let mut missing = Vec::new();
        let mut ranges = self.numbers.iter().rev().peekable();
        while let Some(range) = ranges.next()
            && missing.len() < MAX_ACK_RANGES
        {
            let below =
                ranges.peek().map_or(u64::from(newest.number).saturating_sub(HORIZON), |next| next.end);
            let hole = range.start.saturating_sub(below);
            missing.push((range.len() as u32, hole as u32));
        }
        let held = now.since(newest.arrived);
        Some(PacketReport {
            largest: newest.number,
            missing,
            arrived_millis: newest.arrived_millis,
            held_millis: u16::try_from(held.as_millis()).unwrap_or(u16::MAX),
            loss: self.loss.report().unwrap_or(LossReport::ASSUMED),
        })
    }

    /// How long ago the newest packet arrived.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        self.newest.map(|newest| now.since(newest.arrived))
    }
}
