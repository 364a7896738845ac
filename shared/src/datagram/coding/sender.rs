//! The vehicle's end of the code.

use std::collections::VecDeque;

use super::gf256::add_scaled;
use super::symbol::{Symbol, coefficient, with_length};
use super::{MAX_PAYLOAD_BYTES, MAX_SYMBOLS_PER_PACKET, MAX_WINDOW};

/// Remembers the newest payloads and combines them.
#[derive(Debug, Default)]
pub struct CodingSender {
    /// Behind their lengths, oldest first, at most [`MAX_WINDOW`].
    payloads: VecDeque<Vec<u8>>,
    /// The number after the newest one's.
    next: u32,
}

/// A payload that no packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("payload {number} of {bytes} bytes is over the {MAX_PAYLOAD_BYTES} that the code takes: split it")]
pub struct PayloadTooLong {
    number: u32,
    bytes: usize,
}

impl CodingSender {
    /// Remembers nothing.
    pub fn new() -> Self {
        CodingSender::default()
    }

    /// Remembers the payload of packet `number`, and forgets the one [`MAX_WINDOW`] before it.
    ///
    /// Numbers are consecutive and wrap. After a number that is not, or a payload that is too long, symbols cover only
    /// what comes then.
    pub fn push(&mut self, number: u32, payload: &[u8]) -> Result<(), PayloadTooLong> {
        let is_too_long = payload.len() > MAX_PAYLOAD_BYTES;
        if number != self.next || is_too_long {
            self.payloads.clear();
        }
        self.next = number.wrapping_add(1);
        if is_too_long {
            return Err(PayloadTooLong { number, bytes: payload.len() });
        }
        if self.payloads.len() == usize::from(MAX_WINDOW) {
            self.payloads.pop_front();
        }
        self.payloads.push_back(with_length(payload));
        Ok(())
    }

    /// Symbol `index` (below [`MAX_SYMBOLS_PER_PACKET`]) for the packet of payload `end`, over the `window` payloads
    /// before it or as many as are remembered; `None` when there are none.
    ///
    /// `end` is the newest number, or the one after it, when that is not pushed yet.
    pub fn symbol(&self, end: u32, index: u8, window: u8) -> Option<Symbol> {
        debug_assert!(index < MAX_SYMBOLS_PER_PACKET);
        let behind = self.next.wrapping_sub(end) as usize;
        let available = self.payloads.len().checked_sub(behind)?;
        let window = available.min(usize::from(window.min(MAX_WINDOW)));
        if window == 0 {
            return None;
        }
        let mut bytes = Vec::new();
        for (payload, before_end) in
            self.payloads.range(available - window..available).zip((1..=window).rev())
        {
            if bytes.len() < payload.len() {
                bytes.resize(payload.len(), 0);
            }
            let number = end.wrapping_sub(before_end as u32);
            add_scaled(&mut bytes, coefficient(end, index, number), payload);
        }
        let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(len);
        Some(Symbol { window: window as u8, index, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_covers_the_payloads_before_that_of_its_packet() {
        let mut sender = CodingSender::new();
        assert_eq!(sender.symbol(0, 0, 8), None);
        sender.push(0, b"first").unwrap();
        assert_eq!(sender.symbol(0, 0, 8), None);
        let alone = sender.symbol(1, 0, 8).unwrap();
        sender.push(1, b"second, longer").unwrap();
        assert_eq!(sender.symbol(1, 0, 8), Some(alone));
        let both = sender.symbol(2, 3, 8).unwrap();
        assert_eq!((both.window, both.index, both.bytes.len()), (2, 3, 15));
        assert_eq!(sender.symbol(2, 3, 1).unwrap().window, 1);
        assert_eq!(sender.symbol(2, 0, 0), None);
        assert_eq!(sender.symbol(700, 0, 8), None);
    }

    #[test]
    fn the_window_is_bounded() {
        let mut sender = CodingSender::new();
        for number in 0..100 {
            sender.push(number, &[1; 10]).unwrap();
        }
        assert_eq!(sender.payloads.len(), usize::from(MAX_WINDOW));
        assert_eq!(sender.symbol(100, 0, 255).unwrap().window, MAX_WINDOW);
        assert_eq!(sender.symbol(99, 0, 255).unwrap().window, MAX_WINDOW - 1);
    }

    #[test]
    fn after_a_jump_symbols_cover_only_what_came_then() {
        let mut sender = CodingSender::new();
        sender.push(u32::MAX, b"before the wrap").unwrap();
        sender.push(0, b"after it").unwrap();
        assert_eq!(sender.symbol(1, 0, 8).unwrap().window, 2);
        sender.push(9, b"after a jump").unwrap();
        assert_eq!(sender.symbol(10, 0, 8).unwrap().window, 1);
        let refused = sender.push(10, &[0; MAX_PAYLOAD_BYTES + 1]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "payload 10 of 1401 bytes is over the 1400 that the code takes: split it"
        );
        assert_eq!(sender.symbol(11, 0, 8), None);
        sender.push(11, &[0; MAX_PAYLOAD_BYTES]).unwrap();
        assert_eq!(sender.symbol(12, 0, 8).unwrap().window, 1);
    }
}
