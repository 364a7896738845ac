//! The vehicle's end of the code.

use std::collections::VecDeque;

use super::gf256::add_scaled;
use super::symbol::{Symbols, Unit, coefficient, units};
use super::{MAX_PAYLOAD_BYTES, MAX_SYMBOLS_PER_PACKET, MAX_WINDOW_UNITS, UNIT_BYTES};

/// Remembers the newest payloads and combines them.
#[derive(Debug, Default)]
pub struct CodingSender {
    /// Those of the newest payloads, oldest first, at most [`MAX_WINDOW_UNITS`].
    units: VecDeque<Unit>,
    /// How many units each of these payloads has, oldest first.
    payloads: VecDeque<u16>,
    /// The number after the newest unit's.
    next: u16,
}

/// A payload that no packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "payload at unit {number} of {bytes} bytes is over the {MAX_PAYLOAD_BYTES} that the code takes: split it"
)]
pub struct PayloadTooLong {
    number: u16,
    bytes: usize,
}

impl CodingSender {
    /// Remembers nothing.
    pub fn new() -> Self {
        CodingSender::default()
    }

    /// The number of the next payload's first unit.
    pub fn next(&self) -> u16 {
        self.next
    }

    /// Remembers the next payload, and forgets those that no symbol reaches any more.
    ///
    /// # Errors
    ///
    /// A payload that is too long: it has a number all the same, and symbols cover only what comes then.
    pub fn push(&mut self, payload: &[u8]) -> Result<(), PayloadTooLong> {
        let number = self.next;
        if payload.len() > MAX_PAYLOAD_BYTES {
            self.next = number.wrapping_add(1);
            self.units.clear();
            self.payloads.clear();
            return Err(PayloadTooLong { number, bytes: payload.len() });
        }
        let before = self.units.len();
        self.units.extend(units(payload));
        let count = (self.units.len() - before) as u16;
        self.payloads.push_back(count);
        self.next = number.wrapping_add(count);
        while self.units.len() > MAX_WINDOW_UNITS.into() {
            let oldest = self.payloads.pop_front().unwrap_or_default();
            self.units.drain(..usize::from(oldest));
        }
        Ok(())
    }

    /// Forgets the oldest payloads, but none of the newest `units`.
    pub fn keep(&mut self, units: u32) {
        while let Some(oldest) =
            self.payloads.pop_front_if(|oldest| self.units.len() - usize::from(*oldest) >= units as usize)
        {
            self.units.drain(..usize::from(oldest));
        }
    }

    /// How many payloads can be combined.
    pub fn payloads(&self) -> usize {
        self.payloads.len()
    }

    /// How many units these have, at most [`MAX_WINDOW_UNITS`].
    pub fn units(&self) -> u16 {
        self.units.len() as u16
    }

    /// How many units the newest `payloads` have, or as many of these as are remembered.
    pub fn units_of(&self, payloads: u8) -> u16 {
        self.payloads.iter().rev().take(payloads.into()).sum()
    }

    /// How many units the longest of the newest `payloads` has.
    pub fn longest(&self, payloads: u8) -> u16 {
        self.payloads.iter().rev().take(payloads.into()).copied().max().unwrap_or_default()
    }

    /// Up to `count` symbols (at most [`MAX_SYMBOLS_PER_PACKET`]) for packet `packet`, over the payloads of the newest
    /// `window` units or as many as are remembered; none when there are none. No two packets of a connection have the same
    /// number.
    pub fn symbols(&self, packet: u32, window: u16, count: u8) -> Symbols {
        let window = self.whole_payloads(window);
        if window == 0 || count == 0 {
            return Symbols::default();
        }
        let covered = self.units.range(self.units.len() - usize::from(window)..);
        let combination = |index: u8| {
            let mut bytes = [0; UNIT_BYTES];
            for (unit, before_end) in covered.clone().zip((1..=window).rev()) {
                add_scaled(&mut bytes, coefficient(packet, index, self.next.wrapping_sub(before_end)), unit);
            }
            bytes
        };
        let combinations = (0..count.min(MAX_SYMBOLS_PER_PACKET)).map(combination).collect();
        Symbols { window, combinations }
    }

    /// The units of the newest payloads that together have at least so many, or all there are.
    fn whole_payloads(&self, window: u16) -> u16 {
        let mut units = 0;
        for payload in self.payloads.iter().rev() {
            if units >= window {
                break;
            }
            units += payload;
        }
        units
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_covers_the_payloads_before_that_of_its_packet() {
        let mut sender = CodingSender::new();
        assert_eq!((sender.payloads(), sender.units()), (0, 0));
        assert_eq!(sender.symbols(0, 8, 1), Symbols::default());
        sender.push(&[7; 3]).unwrap();
        sender.push(&[9; 16]).unwrap();
        assert_eq!((sender.next(), sender.units_of(1), sender.units_of(9)), (3, 2, 3));
        assert_eq!((sender.longest(0), sender.longest(9)), (0, 2));
        assert_eq!(sender.symbols(2, 8, 1).window, 3);
        assert_eq!(sender.symbols(2, 1, 9).window, 2, "it begins with a payload");
        assert_eq!(sender.symbols(2, 3, 255).combinations.len(), usize::from(MAX_SYMBOLS_PER_PACKET));
        assert_eq!(sender.symbols(2, 0, 1), Symbols::default());
    }

    #[test]
    fn what_is_not_kept_is_covered_no_more() {
        let mut sender = CodingSender::new();
        (0..4).for_each(|_| sender.push(&[1; 20]).unwrap());
        for (keep, units) in [(9, 8), (5, 6), (4, 4), (0, 0), (0, 0)] {
            sender.keep(keep);
            assert_eq!((sender.units(), sender.symbols(0, u16::MAX, 1).window), (units, units), "{keep}");
        }
        assert_eq!(sender.next(), 8);
    }

    #[test]
    fn the_window_is_bounded() {
        let mut sender = CodingSender::new();
        for _ in 0..300 {
            sender.push(&[1; 40]).unwrap();
        }
        assert_eq!((sender.payloads(), sender.units()), (170, 170 * 3));
        assert_eq!(sender.units_of(255), 170 * 3);
        assert_eq!(sender.symbols(100, u16::MAX, 1).window, 170 * 3);
    }

    #[test]
    fn after_a_payload_that_is_too_long_symbols_cover_only_what_came_then() {
        let mut sender = CodingSender::new();
        sender.push(b"before").unwrap();
        let refused = sender.push(&[0; MAX_PAYLOAD_BYTES + 1]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "payload at unit 1 of 1401 bytes is over the 1400 that the code takes: split it"
        );
        assert_eq!((sender.next(), sender.symbols(2, 8, 1)), (2, Symbols::default()));
        sender.push(&[0; MAX_PAYLOAD_BYTES]).unwrap();
        assert_eq!(sender.symbols(3, 1, 1).window, 101);
    }
}
