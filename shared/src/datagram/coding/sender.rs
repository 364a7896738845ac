//! The vehicle's end of the code.

use std::collections::VecDeque;

use super::gf256::add_scaled;
use super::symbol::{Symbols, coefficient, with_length};
use super::{MAX_PAYLOAD_BYTES, MAX_SYMBOLS_PER_PACKET, MAX_WINDOW};

/// Remembers the newest payloads and combines them.
#[derive(Debug, Default)]
pub struct CodingSender {
    /// Behind their lengths, oldest first, at most [`MAX_WINDOW`].
    payloads: VecDeque<Vec<u8>>,
    /// The number after the newest one's.
    next: u8,
}

/// A payload that no packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("payload {number} of {bytes} bytes is over the {MAX_PAYLOAD_BYTES} that the code takes: split it")]
pub struct PayloadTooLong {
    number: u8,
    bytes: usize,
}

impl CodingSender {
    /// Remembers nothing.
    pub fn new() -> Self {
        CodingSender::default()
    }

    /// The number of the next payload.
    pub fn next(&self) -> u8 {
        self.next
    }

    /// Remembers the next payload, and forgets the one [`MAX_WINDOW`] before it.
    ///
    /// # Errors
    ///
    /// A payload that is too long: it has its number all the same, and symbols cover only what comes then.
    pub fn push(&mut self, payload: &[u8]) -> Result<(), PayloadTooLong> {
        let number = self.next;
        self.next = number.wrapping_add(1);
        if payload.len() > MAX_PAYLOAD_BYTES {
            self.payloads.clear();
            return Err(PayloadTooLong { number, bytes: payload.len() });
        }
        if self.payloads.len() == usize::from(MAX_WINDOW) {
            self.payloads.pop_front();
        }
        self.payloads.push_back(with_length(payload));
        Ok(())
    }

    /// Up to `count` symbols (at most [`MAX_SYMBOLS_PER_PACKET`]) for packet `packet`, over the newest `window` payloads or
    /// as many as are remembered; none when there are none. No two packets of a connection have the same number.
    pub fn symbols(&self, packet: u32, window: u8, count: u8) -> Symbols {
        let window = self.payloads.len().min(usize::from(window.min(MAX_WINDOW)));
        if window == 0 || count == 0 {
            return Symbols::default();
        }
        let covered = self.payloads.range(self.payloads.len() - window..);
        let longest = covered.clone().map(Vec::len).max().unwrap_or_default();
        let combination = |index: u8| {
            let mut bytes = vec![0; longest];
            for (payload, before_end) in covered.clone().zip((1..=window).rev()) {
                let number = self.next.wrapping_sub(before_end as u8);
                add_scaled(&mut bytes, coefficient(packet, index, number), payload);
            }
            bytes
        };
        let combinations = (0..count.min(MAX_SYMBOLS_PER_PACKET)).map(combination).collect();
        Symbols { window: window as u8, combinations }
    }

    /// How long each symbol over the newest `window` payloads is, bytes; 0 when there is none.
    pub fn symbol_bytes(&self, window: u8) -> usize {
        self.payloads.iter().rev().take(window.min(MAX_WINDOW).into()).map(Vec::len).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_covers_the_payloads_before_that_of_its_packet() {
        let mut sender = CodingSender::new();
        assert_eq!(sender.symbols(0, 8, 1), Symbols::default());
        sender.push(b"first").unwrap();
        let alone = sender.symbols(1, 8, 2);
        assert_eq!((alone.window, alone.combinations.len(), alone.encoded_bytes()), (1, 2, 13));
        sender.push(b"second, longer").unwrap();
        let both = sender.symbols(2, 8, 1);
        assert_eq!((both.window, both.combinations[0].len(), sender.symbol_bytes(8)), (2, 15, 15));
        assert_eq!(sender.symbols(2, 1, 9).window, 1);
        assert_eq!(sender.symbols(2, 1, 9).combinations.len(), usize::from(MAX_SYMBOLS_PER_PACKET));
        assert_eq!(sender.symbols(2, 0, 1), Symbols::default());
    }

    #[test]
    fn the_window_is_bounded() {
        let mut sender = CodingSender::new();
        for _ in 0..100 {
            sender.push(&[1; 10]).unwrap();
        }
        assert_eq!(sender.payloads.len(), usize::from(MAX_WINDOW));
        assert_eq!(sender.symbols(100, 255, 1).window, MAX_WINDOW);
    }

    #[test]
    fn after_a_payload_that_is_too_long_symbols_cover_only_what_came_then() {
        let mut sender = CodingSender::new();
        sender.push(b"before").unwrap();
        let refused = sender.push(&[0; MAX_PAYLOAD_BYTES + 1]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "payload 1 of 1401 bytes is over the 1400 that the code takes: split it"
        );
        assert_eq!((sender.next(), sender.symbols(2, 8, 1)), (2, Symbols::default()));
        sender.push(&[0; MAX_PAYLOAD_BYTES]).unwrap();
        assert_eq!(sender.symbols(3, 8, 1).window, 1);
    }
}
