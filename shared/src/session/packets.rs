//! The telemetry datagrams on their way: what each carried, and what the ground says of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::backlog::Fragment;
use super::queues::QueueFill;
use crate::message::Feedback;
use crate::range::SequenceRange;
use crate::time::{Instant, Now};

/// Packets that are remembered: beyond it the oldest are taken for lost.
const MAX_PACKETS: usize = 8192;
/// A packet may be overtaken by this many before it counts as lost.
const REORDERING: u32 = 3;

/// Missing packets in a row are an outage, not a burst of losses, when they left over so much time: the silence
/// limit of most links. A longer one would be cut, as the ground tells of its last 1,024 numbers only...
const OUTAGE: Duration = Duration::from_secs(5);
/// ... and are at least so many.
const OUTAGE_PACKETS: usize = 8;

/// What a packet carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A live payload of these records, and whether other frames may continue it.
    Live { range: SequenceRange, is_base: bool },
    /// A part of a backlog object.
    Fragment(Fragment),
    /// Coded symbols only.
    Symbols,
    /// The parity of parts.
    Parity,
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    content: Content,
    sent: Instant,
    sent_millis: u16,
    /// Live payloads that had left by then, and their units.
    payloads: u32,
    units: u32,
    /// Coded symbols that had left by then.
    symbols: u32,
}

/// What a feedback told of the packets.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// What was lost and, for live frames, can no longer be recovered from coded symbols.
    pub(super) lost: Vec<Content>,
    /// Time from sending the newest packet to the feedback, less the time that the ground held it.
    pub(super) round_trip: Option<Duration>,
    /// The ground's clock at the arrival of the newest packet, less the edge's at its sending, modulo 65,536 ms: the
    /// one-way delay plus the clocks' offset.
    pub(super) raw_delay_millis: Option<u16>,
    /// Units of live payloads and coded symbols that left after the newest packet that arrived.
    pub(super) since: Option<(u32, u32)>,
    /// Units of live payloads that left after an [`OUTAGE`] on the way to the ground.
    pub(super) since_outage: Option<u32>,
}

/// The packets of a connection.
#[derive(Debug, Default)]
pub(super) struct Packets {
    next: u32,
    /// Live payloads sent, and their units.
    payloads: u32,
    units: u32,
    /// Coded symbols sent.
    symbols: u32,
    /// Live payloads that had been sent with the newest packet that arrived.
    payloads_reached: u32,
    /// By number: those whose fate is open.
    open: BTreeMap<u32, Packet>,
}

impl Packets {
    /// The number of the next packet.
    pub(super) fn next_number(&self) -> u32 {
        self.next
    }

    /// A packet leaves, with so many units of a payload and so many coded symbols. Returns what is taken for lost because
    /// nothing was heard of it for too many packets.
    pub(super) fn sent(
        &mut self,
        now: Now,
        content: Content,
        units: usize,
        symbols: usize,
    ) -> Option<Content> {
        self.units = self.units.wrapping_add(units as u32);
        self.symbols = self.symbols.wrapping_add(symbols as u32);
        if let Content::Live { .. } = content {
            self.payloads = self.payloads.wrapping_add(1);
        }
        let packet = Packet {
            content,
            sent: now.instant,
            sent_millis: millis_of(now),
            payloads: self.payloads,
            units: self.units,
            symbols: self.symbols,
        };
        self.open.insert(self.next, packet);
        self.next = self.next.wrapping_add(1);
        if self.open.len() > MAX_PACKETS {
            return self.open.pop_first().map(|(_, packet)| packet.content);
        }
        None
    }

    /// The parts of the backlog in packets from this number on whose fate is open.
    pub(super) fn open_fragments(&self, from: u32) -> impl Iterator<Item = (u32, Fragment)> + '_ {
        self.open.range(from..).filter_map(|(&number, packet)| match packet.content {
            Content::Fragment(fragment) => Some((number, fragment)),
            _ => None,
        })
    }

    pub(super) fn queue(&self) -> QueueFill {
        QueueFill::new("packets of unknown fate", self.open.len(), MAX_PACKETS)
    }

    /// What the ground says. `window` is how many payloads coded symbols reach back; a lost live payload may also be
    /// recovered by those that the ground asks for, until it is `patience` old.
    pub(super) fn handle_feedback(
        &mut self,
        now: Instant,
        feedback: &Feedback,
        window: u32,
        patience: Duration,
    ) -> Fate {
        let mut fate = Fate::default();
        if let Some(newest) = self.open.get(&feedback.largest) {
            let held = Duration::from_millis(feedback.held_millis.into());
            fate.round_trip = now.since(newest.sent).checked_sub(held);
            fate.raw_delay_millis = Some(feedback.arrived_millis.wrapping_sub(newest.sent_millis));
            self.payloads_reached = newest.payloads;
            let since = (self.units.wrapping_sub(newest.units), self.symbols.wrapping_sub(newest.symbols));
            fate.since = Some(since);
        }
        let later = self.open.split_off(&feedback.largest.saturating_add(1));
        let told = std::mem::replace(&mut self.open, later);
        for range in feedback.missing_ranges() {
            let mut missing = told.range(range.clone()).map(|(_, packet)| packet);
            let count = missing.clone().count();
            if let Some(first) = missing.next()
                && let Some(last) = missing.next_back()
                && count >= OUTAGE_PACKETS
                && last.sent.since(first.sent) >= OUTAGE
            {
                let left = self.units.wrapping_sub(last.units);
                fate.since_outage = Some(fate.since_outage.map_or(left, |since| since.min(left)));
            }
            for (&number, &packet) in told.range(range) {
                let may_come = match packet.content {
                    Content::Live { .. } => {
                        packet.payloads + window + REORDERING > self.payloads_reached
                            || now.since(packet.sent) < patience
                    }
                    _ => number.saturating_add(REORDERING) > feedback.largest,
                };
                if may_come {
                    self.open.insert(number, packet);
                } else {
                    fate.lost.push(packet.content);
                }
            }
        }
        fate
    }
}

/// What a packet carries of the time.
pub(super) fn millis_of(now: Now) -> u16 {
    now.wall.0.div_euclid(1000).rem_euclid(1 << 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::loss::LossReport;
    use crate::message::{Acknowledgement, Lack};
    use crate::time::Timestamp;

    /// Units that left since an outage, as the ground tells that packet 1 and so many after it, `apart_millis` each, are
    /// missing, and the next two came. Each has two.
    fn since_outage(missing: u32, apart_millis: u64) -> Option<u32> {
        let mut packets = Packets::default();
        let at =
            |millis| Now { instant: Instant(Duration::from_millis(millis)), wall: Timestamp::from_millis(0) };
        for number in 0..missing + 4 {
            packets.sent(at(u64::from(number) * apart_millis), Content::Symbols, 2, 0);
        }
        let feedback = Feedback {
            committed: Acknowledgement::default(),
            largest: missing + 2,
            missing: vec![(2, missing)],
            arrived_millis: 0,
            held_millis: 0,
            loss: LossReport::ASSUMED,
            lack: Lack::Nothing,
            wanted: None,
        };
        packets.handle_feedback(at(100_000).instant, &feedback, 8, Duration::ZERO).since_outage
    }

    #[test]
    fn an_outage_is_long_and_takes_many_packets() {
        assert_eq!(since_outage(51, 100), Some(6), "5 s from the first to the last");
        assert_eq!(since_outage(50, 100), None);
        assert_eq!(since_outage(8, 1000), Some(6));
        assert_eq!(since_outage(7, 1000), None);
    }
}
