//! How the live lane is protected against loss at the vehicle: which coded symbols go when, and how often the chain of
//! frames begins anew from what the ground is known to have.

use std::time::Duration;

use super::live::Chain;
use crate::datagram::coding::{CodingSender, MAX_PAYLOAD_BYTES, MAX_SYMBOLS_PER_PACKET, Symbol};
use crate::datagram::{LossReport, Pins, Protection};
use crate::time::Instant;

/// The most symbols that are owed: what more loss than that wants is not worth its bytes when it comes late.
const MAX_OWED: f64 = 6.0;

/// The coding of one connection.
#[derive(Debug)]
pub(super) struct Shield {
    pins: Pins,
    rate_bits_per_second: Option<u64>,
    loss: LossReport,
    protection: Protection,
    coding: CodingSender,
    /// The next payload's number.
    next_payload: u32,
    /// Symbols that should have gone with the payloads so far.
    owed: f64,
    /// The next symbol's index among those that end before the next payload.
    index: u8,
    /// When the last payload's symbols go by themselves, if no other payload takes them along.
    tail_at: Option<Instant>,
    /// Frames since the chain began anew.
    chained: u32,
}

impl Shield {
    /// Against loss as it was seen last.
    pub(super) fn new(pins: Pins, rate_bits_per_second: Option<u64>, loss: LossReport) -> Self {
        Shield {
            protection: Protection::against(loss, rate_bits_per_second, pins),
            pins,
            rate_bits_per_second,
            loss,
            coding: CodingSender::new(),
            next_payload: 0,
            owed: 0.0,
            index: 0,
            tail_at: None,
            chained: u32::MAX,
        }
    }

    /// The ground reports how packets are lost.
    pub(super) fn handle_loss(&mut self, loss: LossReport) {
        self.loss = loss;
        self.protection = Protection::against(loss, self.rate_bits_per_second, self.pins);
    }

    /// Time between live packets.
    pub(super) fn tick(&self) -> Duration {
        self.protection.tick
    }

    /// How many payloads symbols reach back.
    pub(super) fn window(&self) -> u32 {
        self.protection.window.into()
    }

    pub(super) fn symbols_per_payload(&self) -> f64 {
        self.protection.symbols_per_payload
    }

    /// What the next frame may continue: now and then only what was acknowledged, so that a payload that is not
    /// recovered holds up few others.
    pub(super) fn chain(&mut self) -> Chain {
        let interval = match self.loss.loss_per_mille {
            0 => 16,
            1..=20 => 8,
            _ => 4,
        };
        self.chained = self.chained.saturating_add(1);
        if self.chained >= interval {
            self.chained = 0;
            return Chain::Restart;
        }
        Chain::On
    }

    /// The largest payload in a packet that has this much room: one that leaves room for a symbol of its size.
    pub(super) fn payload_room(&self, room: usize) -> usize {
        let share = if self.protection.symbols_per_payload > 0.0 { room / 2 } else { room };
        share.min(MAX_PAYLOAD_BYTES).saturating_sub(16)
    }

    /// The symbols that the packet of the next payload takes along, in the room beside it.
    pub(super) fn symbols(&mut self, mut room: usize) -> Vec<Symbol> {
        let mut symbols = Vec::new();
        while self.owed >= 1.0 && self.index < MAX_SYMBOLS_PER_PACKET {
            let Some(symbol) = self.coding.symbol(self.next_payload, self.index, self.protection.window)
            else {
                self.owed = 0.0;
                break;
            };
            let bytes = symbol.bytes.len() + 4;
            if bytes > room {
                break;
            }
            room -= bytes;
            self.index += 1;
            self.owed -= 1.0;
            symbols.push(symbol);
        }
        symbols
    }

    /// A payload leaves: returns its number.
    pub(super) fn push(&mut self, now: Instant, payload: &[u8]) -> u32 {
        let number = self.next_payload;
        self.next_payload = number.wrapping_add(1);
        self.index = 0;
        if self.coding.push(number, payload).is_ok() {
            self.owed = (self.owed + self.protection.symbols_per_payload).min(MAX_OWED);
            self.tail_at =
                (self.protection.symbols_per_payload > 0.0).then(|| now + self.protection.tick * 2);
        }
        number
    }

    /// Whether symbols should go by themselves: those that had no room, and those of the last payload when no other
    /// comes.
    pub(super) fn owes(&self, now: Instant) -> bool {
        let crowded = self.owed >= self.protection.symbols_per_payload + 1.0;
        (crowded || self.tail_at.is_some_and(|at| at <= now)) && self.index < MAX_SYMBOLS_PER_PACKET
    }

    /// When [`owes`](Self::owes) becomes true by itself.
    pub(super) fn tail_at(&self) -> Option<Instant> {
        self.tail_at
    }

    /// Symbols of the payloads so far, and the number of the next payload, before which they end.
    pub(super) fn symbols_alone(&mut self, room: usize) -> (u32, Vec<Symbol>) {
        self.tail_at = None;
        self.owed = self.owed.max(1.0);
        (self.next_payload, self.symbols(room))
    }
}
