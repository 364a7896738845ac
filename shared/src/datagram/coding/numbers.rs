//! Which payload a packet carries: on the wire are the lowest eight bits of its number.

use crate::range::{RangeSet, SequenceRange};

/// How many numbers eight bits tell apart.
const NUMBERS: u32 = 1 << 8;

/// A payload's number is certain to those that have the one before it when its packet is at most this far behind that one's.
pub const CERTAIN_PACKETS: u32 = NUMBERS - 1;

/// Tells payloads' numbers from their lowest eight bits.
///
/// Payloads are numbered in the order of their packets, and a packet carries one at most: between two packets there are
/// no more payloads than packets of which it is not known that they carry none.
#[derive(Debug, Default)]
pub struct PayloadNumbers {
    /// The newest packet that told a number, and the number.
    told: Option<(u32, u32)>,
    /// Those of the packets after it that came and carry none, in at most [`NUMBERS`] ranges.
    others: RangeSet,
}

impl PayloadNumbers {
    /// Knows nothing.
    pub fn new() -> Self {
        PayloadNumbers::default()
    }

    /// A packet came that carries no payload and tells no number.
    pub fn handle_other(&mut self, packet: u32) {
        if self.told.is_none_or(|(newest, _)| packet < newest) {
            return;
        }
        let packet = u64::from(packet);
        self.others.insert(SequenceRange::new(packet, packet + 1));
        // Between so many ranges, so many packets are missing that the next number cannot be told anyway.
        if self.others.range_count() > NUMBERS as usize {
            let first = self.others.iter().next();
            first.into_iter().for_each(|range| self.others.remove(range));
        }
    }

    /// The number of which packet `packet` tells the lowest eight bits. The first one is at least 256, so that those before
    /// it have numbers, too.
    ///
    /// `None` for one that comes 256 packets after a newer one. Where as many payloads may have been lost as eight bits tell
    /// apart, the number is one that no payload has had, further than [`HORIZON`](super::HORIZON) from those that had
    /// one.
    pub fn tell(&mut self, packet: u32, lowest: u8) -> Option<u32> {
        let number = match self.told {
            None => NUMBERS + u32::from(lowest),
            Some((newest, number)) if packet <= newest => {
                let behind = (number as u8).wrapping_sub(lowest);
                return (newest - packet < NUMBERS).then_some(number.wrapping_sub(behind.into()));
            }
            Some((newest, number)) => {
                let ahead = u32::from(lowest.wrapping_sub(number as u8));
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

    /// Has heard the payload of packet 1000, which is number 510.
    fn numbers() -> PayloadNumbers {
        let mut numbers = PayloadNumbers::new();
        assert_eq!(numbers.tell(1000, 254), Some(510));
        numbers
    }

    #[test]
    fn the_lowest_bits_wrap() {
        let mut numbers = numbers();
        assert_eq!(numbers.tell(1001, 255), Some(511));
        assert_eq!(numbers.tell(1002, 0), Some(512));
        assert_eq!(numbers.tell(1005, 3), Some(515));
    }

    #[test]
    fn a_packet_that_was_overtaken_tells_a_number_before() {
        let mut numbers = numbers();
        assert_eq!(numbers.tell(1010, 8), Some(520));
        assert_eq!(numbers.tell(1003, 1), Some(513));
        assert_eq!(numbers.tell(999, 253), Some(509));
        assert_eq!(numbers.tell(1011, 9), Some(521), "what came late changed nothing");
        assert_eq!(numbers.tell(1011 - 255, 10), Some(266));
        assert_eq!(numbers.tell(1011 - 256, 9), None, "256 late");
    }

    #[test]
    fn payloads_before_the_first_that_comes_have_numbers() {
        let mut numbers = PayloadNumbers::new();
        assert_eq!(numbers.tell(7, 3), Some(259));
        assert_eq!(numbers.tell(0, 0), Some(256));
    }

    #[test]
    fn after_too_many_lost_packets_the_numbers_are_others() {
        assert_eq!(numbers().tell(1255, 253), Some(765), "254 between, and all may be told");
        assert_eq!(numbers().tell(1256, 254), Some(510 + 256), "255 between");
        assert_eq!(numbers().tell(1256, 255), Some(511 + 256));
        let mut far = numbers();
        assert_eq!(far.tell(u32::MAX, 255), Some(511 + 256));
        assert_eq!(far.tell(1001, 255), None);
    }

    #[test]
    fn packets_that_carry_none_are_not_lost_payloads() {
        let mut numbers = numbers();
        (1001..9000).filter(|packet| packet % 50 != 0).for_each(|packet| numbers.handle_other(packet));
        // Overtaken by two of them.
        assert_eq!(numbers.tell(8997, 255), Some(511));
        assert_eq!(numbers.tell(9001, 1), Some(513));
        numbers.handle_other(8000);
        assert!(numbers.others.is_empty());
    }

    proptest! {
        /// Of payloads in some of the packets, whatever is lost and overtaken: each has its number.
        #[test]
        fn numbers_are_those_of_the_payloads(
            first in 0..u32::MAX - 1000,
            sent in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64, 0u32..100), 1..900),
            share in 0.2..1.0f64,
            loss in 0.0..0.3f64,
        ) {
            let mut payloads = 0u32;
            let mut packets = Vec::new();
            for (packet, (carries, lost, late)) in (0..).zip(sent) {
                let number = (carries < share).then_some(payloads);
                payloads += u32::from(number.is_some());
                if lost >= loss {
                    packets.push((packet + late, packet, number));
                }
            }
            packets.sort_unstable();
            let mut numbers = PayloadNumbers::new();
            let mut before = None;
            for (_, packet, number) in packets {
                let Some(number) = number else { numbers.handle_other(first + packet); continue };
                let told = numbers.tell(first + packet, number as u8);
                let told = told.expect("none is 256 late");
                let before = *before.get_or_insert(told.wrapping_sub(number));
                prop_assert_eq!(told.wrapping_sub(number), before);
            }
        }

        /// Whatever comes: no panic, bounded memory.
        #[test]
        fn any_packets_are_taken(packets: Vec<(bool, u32, u8)>, near: u32, step in 1u32..4) {
            let mut numbers = PayloadNumbers::new();
            for (at, (is_other, anywhere, lowest)) in (0u32..).zip(packets) {
                let packet = if lowest < 10 { anywhere } else { near.wrapping_add(at * step) };
                if is_other { numbers.handle_other(packet) } else { let _ = numbers.tell(packet, lowest); }
            }
            for packet in 0..2000 {
                numbers.handle_other(near.wrapping_add(2 * packet));
                prop_assert!(numbers.others.range_count() <= NUMBERS as usize);
            }
        }
    }
}
