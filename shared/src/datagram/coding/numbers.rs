//! Which units a packet carries: on the wire are the lowest sixteen bits of the first one's number.

use crate::range::{RangeSet, SequenceRange};

use super::MAX_PAYLOAD_UNITS;

/// How many numbers sixteen bits tell apart.
const NUMBERS: u32 = 1 << 16;

/// A payload's number is certain to those that have the one before it when its packet is at most this far behind that one's.
pub const CERTAIN_PACKETS: u32 = NUMBERS / MAX_PAYLOAD_UNITS as u32 - 1;

/// Tells units' numbers from their lowest sixteen bits.
///
/// Units are numbered in the order of their packets, and a packet carries [`MAX_PAYLOAD_UNITS`] at most: between two
/// packets there are no more than what packets carry of which it is not known that they carry none.
#[derive(Debug, Default)]
pub struct UnitNumbers {
    /// The newest packet that told a number, and the number.
    told: Option<(u32, u32)>,
    /// Those of the packets after it that came and carry none, in at most [`CERTAIN_PACKETS`] ranges.
    others: RangeSet,
}

impl UnitNumbers {
    /// Knows nothing.
    pub fn new() -> Self {
        UnitNumbers::default()
    }

    /// A packet came that carries no payload and tells no number.
    pub fn handle_other(&mut self, packet: u32) {
        if self.told.is_none_or(|(newest, _)| packet < newest) {
            return;
        }
        let packet = u64::from(packet);
        self.others.insert(SequenceRange::new(packet, packet + 1));
        // Between so many ranges, so many packets are missing that the next number cannot be told anyway.
        if self.others.range_count() > CERTAIN_PACKETS as usize {
            let first = self.others.iter().next();
            first.into_iter().for_each(|range| self.others.remove(range));
        }
    }

    /// The number of which packet `packet` tells the lowest sixteen bits. The first one is at least 65,536, so that those
    /// before it have numbers, too.
    ///
    /// `None` for one that comes more than [`CERTAIN_PACKETS`] after a newer one. Where as many units may have been lost as
    /// sixteen bits tell apart, the number is one that no unit has had, further than [`HORIZON`](super::HORIZON) from those
    /// that had one.
    pub fn tell(&mut self, packet: u32, lowest: u16) -> Option<u32> {
        let number = match self.told {
            None => NUMBERS + u32::from(lowest),
            Some((newest, number)) if packet <= newest => {
                let behind = (number as u16).wrapping_sub(lowest);
                return (newest - packet <= CERTAIN_PACKETS).then_some(number.wrapping_sub(behind.into()));
            }
            Some((newest, number)) => {
                let ahead = u32::from(lowest.wrapping_sub(number as u16));
                // With the payload of `newest` itself, one more.
                let is_certain = self.unknown_between(newest, packet) < u64::from(CERTAIN_PACKETS);
                number.wrapping_add(if is_certain { ahead } else { NUMBERS + ahead })
            }
        };
        self.told = Some((packet, number));
        self.others.remove(SequenceRange::new(0, packet.into()));
        Some(number)
    }

    /// How many packets between these may have carried a payload.
    fn unknown_between(&self, newest: u32, packet: u32) -> u64 {
        let between = SequenceRange::new(u64::from(newest) + 1, packet.into());
        self.others.missing_in(between).iter().map(SequenceRange::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Has heard the payload of packet 1000, which begins with unit 131,070.
    fn numbers() -> UnitNumbers {
        let mut numbers = UnitNumbers::new();
        assert_eq!(numbers.tell(1000, 65_534), Some(131_070));
        numbers
    }

    #[test]
    fn the_lowest_bits_wrap() {
        let mut numbers = numbers();
        assert_eq!(numbers.tell(1001, 65_535), Some(131_071));
        assert_eq!(numbers.tell(1002, 4), Some(131_076));
        assert_eq!(numbers.tell(1005, 30), Some(131_102));
    }

    #[test]
    fn a_packet_that_was_overtaken_tells_a_number_before() {
        let mut numbers = numbers();
        assert_eq!(numbers.tell(1010, 80), Some(131_152));
        assert_eq!(numbers.tell(1003, 1), Some(131_073));
        assert_eq!(numbers.tell(999, 65_530), Some(131_066));
        assert_eq!(numbers.tell(1011, 81), Some(131_153), "what came late changed nothing");
        assert_eq!(numbers.tell(1011 + 600, 6000), Some(137_072));
        assert_eq!(numbers.tell(1611 - CERTAIN_PACKETS, 5999), Some(137_071));
        assert_eq!(numbers.tell(1611 - CERTAIN_PACKETS - 1, 5999), None, "too late");
    }

    #[test]
    fn payloads_before_the_first_that_comes_have_numbers() {
        let mut numbers = UnitNumbers::new();
        assert_eq!(numbers.tell(7, 3), Some(65_539));
        assert_eq!(numbers.tell(0, 0), Some(65_536));
    }

    #[test]
    fn after_too_many_lost_packets_the_numbers_are_others() {
        let certain = 1000 + CERTAIN_PACKETS;
        assert_eq!(numbers().tell(certain, 65_500), Some(196_572), "as many as packets carry");
        assert_eq!(numbers().tell(certain + 1, 65_500), Some(196_572 + 65_536));
        assert_eq!(numbers().tell(certain + 1, 65_535), Some(131_071 + 65_536));
        let mut far = numbers();
        assert_eq!(far.tell(u32::MAX, 65_535), Some(131_071 + 65_536));
        assert_eq!(far.tell(1001, 65_535), None);
    }

    #[test]
    fn packets_that_carry_none_are_not_lost_payloads() {
        let mut numbers = numbers();
        (1001..9000).filter(|packet| packet % 50 != 0).for_each(|packet| numbers.handle_other(packet));
        // Overtaken by two of them.
        assert_eq!(numbers.tell(8997, 65_535), Some(131_071));
        assert_eq!(numbers.tell(9001, 1), Some(131_073));
        numbers.handle_other(8000);
        assert!(numbers.others.is_empty());
    }

    proptest! {
        /// Of payloads in some of the packets, whatever is lost and overtaken: each has its number.
        #[test]
        fn numbers_are_those_of_the_payloads(
            first in 0..u32::MAX - 1000,
            sent in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64, 0u32..100, 1..=MAX_PAYLOAD_UNITS as u32), 1..900),
            share in 0.2..1.0f64,
            loss in 0.0..0.3f64,
        ) {
            let mut units = 0u32;
            let mut packets = Vec::new();
            for (packet, (carries, lost, late, has_units)) in (0..).zip(sent) {
                let number = (carries < share).then_some(units);
                units += if number.is_some() { has_units } else { 0 };
                if lost >= loss {
                    packets.push((packet + late, packet, number));
                }
            }
            packets.sort_unstable();
            let mut numbers = UnitNumbers::new();
            let mut before = None;
            for (_, packet, number) in packets {
                let Some(number) = number else { numbers.handle_other(first + packet); continue };
                let told = numbers.tell(first + packet, number as u16);
                let told = told.expect("none is so late");
                let before = *before.get_or_insert(told.wrapping_sub(number));
                prop_assert_eq!(told.wrapping_sub(number), before);
            }
        }

        /// Whatever comes: no panic, bounded memory.
        #[test]
        fn any_packets_are_taken(packets: Vec<(bool, u32, u16)>, near: u32, step in 1u32..4) {
            let mut numbers = UnitNumbers::new();
            for (at, (is_other, anywhere, lowest)) in (0u32..).zip(packets) {
                let packet = if lowest < 2000 { anywhere } else { near.wrapping_add(at * step) };
                if is_other { numbers.handle_other(packet) } else { let _ = numbers.tell(packet, lowest); }
            }
            for packet in 0..4000 {
                numbers.handle_other(near.wrapping_add(2 * packet));
                prop_assert!(numbers.others.range_count() <= CERTAIN_PACKETS as usize);
            }
        }
    }
}
