//! How the live lane is protected against loss at the vehicle: which coded symbols go when, and how often the chain of
//! frames begins anew from what the ground is known to have.

use std::time::Duration;

use super::live::Chain;
use crate::datagram::coding::{CodingSender, MAX_PAYLOAD_BYTES, MAX_SYMBOLS_PER_PACKET, MAX_WINDOW, Symbol};
use crate::datagram::loss::LossReport;
use crate::datagram::protection::{Conditions, LOAD_MAX, Protection};
use crate::message::Wanted;
use crate::time::Instant;

/// The most symbols that are owed: what more loss than that wants is not worth its bytes when it comes late.
const MAX_OWED: f64 = 6.0;
/// The most symbols that are sent because the ground asks for them: what a longer outage lost goes with the backlog.
const MAX_ASKED: u32 = 16;
/// The rate taken for a link without a limit.
const UNLIMITED_BITS_PER_SECOND: u64 = 1_000_000_000;
/// How much the newest second decides of the payloads' size and number.
const LOAD_WEIGHT: f64 = 0.3;
/// How long one measures payloads before the averages move.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);
/// What live records take before any were encoded, bytes a second.
const FIRST_LOAD: f64 = 500.0;
/// How many payloads they make, a second.
const FIRST_PAYLOADS: f64 = 10.0;
/// The shortest time between two frames that others may continue, seconds: either end keeps only so many, and the
/// acknowledged ones are a round trip and a feedback old.
const RESTART_S: f64 = 0.2;
/// How much longer than the mean a payload may be...
const LONGEST_TO_MEAN: f64 = 2.5;
/// ... where it is over this, bytes.
const MIN_PAYLOAD_ROOM: usize = 48;
/// How much of the allowance may be saved up or overdrawn, as time of the link, seconds.
const ALLOWANCE_S: f64 = 0.25;

/// What of the protection against loss is fixed by configuration, instead of following the measured loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// [`Protection::tick`].
    pub tick: Option<Duration>,
    /// [`Protection::window`].
    pub window: Option<u8>,
    /// [`Protection::symbols_percent`].
    pub symbols_percent: Option<u16>,
}

/// The coding of one connection.
#[derive(Debug)]
pub(super) struct Shield {
    pins: Pins,
    conditions: Conditions,
    protection: Protection,
    load: Load,
    coding: CodingSender,
    /// The next payload's number.
    next_payload: u32,
    /// What may be spent on symbols, bytes: [`LOAD_MAX`] of the link, less what payloads and symbols took. Symbols that
    /// keep a live payload waiting do more harm than good.
    allowance: f64,
    allowed_at: Instant,
    /// Symbols that should have gone with the payloads so far.
    owed: f64,
    /// The next symbol's index among those that end before the next payload.
    index: u8,
    /// When symbols go by themselves, if no payload takes them along, and for how many ticks more.
    tail: Option<(Instant, u32)>,
    /// Symbols that the ground asked for, and how many payloads they reach back.
    asked: (u8, u8),
    /// The packet with which the last of them left: what arrived before it knows nothing of them.
    answered: u32,
    /// Frames since the chain began anew.
    chained: u32,
}

/// How much payload there is.
#[derive(Debug)]
struct Load {
    since: Instant,
    payloads: u32,
    bytes: usize,
    bytes_max: usize,
    bytes_per_second: f64,
    payloads_per_second: f64,
}

impl Shield {
    /// Against loss as it was seen last, on a link of this rate whose packets have these headers.
    pub(super) fn new(
        pins: Pins,
        rate_bits_per_second: Option<u64>,
        overhead_bytes: usize,
        loss: LossReport,
    ) -> Self {
        let conditions = Conditions {
            rate_bits_per_second: rate_bits_per_second.unwrap_or(UNLIMITED_BITS_PER_SECOND),
            packet_overhead_bytes: overhead_bytes as u32,
            one_way_delay: Duration::from_millis(300),
            loss,
            payload_bytes_per_second: FIRST_LOAD as u32,
            payload_bytes_max: 100,
        };
        Shield {
            protection: protection(&conditions, pins),
            pins,
            conditions,
            load: Load {
                since: Instant::default(),
                payloads: 0,
                bytes: 0,
                bytes_max: 0,
                bytes_per_second: FIRST_LOAD,
                payloads_per_second: FIRST_PAYLOADS,
            },
            coding: CodingSender::new(),
            next_payload: 0,
            allowance: 0.0,
            allowed_at: Instant::default(),
            owed: 0.0,
            index: 0,
            tail: None,
            asked: (0, 0),
            answered: 0,
            chained: u32::MAX,
        }
    }

    /// The link's rate is another, as of the next report.
    pub(super) fn set_rate(&mut self, rate_bits_per_second: u64) {
        self.conditions.rate_bits_per_second = rate_bits_per_second;
    }

    /// The ground reports how packets are lost; the round trip was measured.
    pub(super) fn handle_report(&mut self, now: Instant, loss: LossReport, round_trip: Option<Duration>) {
        let load = &mut self.load;
        let elapsed = now.since(load.since);
        if elapsed >= LOAD_INTERVAL {
            let newest = load.bytes as f64 / elapsed.as_secs_f64();
            load.bytes_per_second += (newest - load.bytes_per_second) * LOAD_WEIGHT;
            let newest = f64::from(load.payloads) / elapsed.as_secs_f64();
            load.payloads_per_second += (newest - load.payloads_per_second) * LOAD_WEIGHT;
            self.conditions.payload_bytes_per_second = load.bytes_per_second as u32;
            self.conditions.payload_bytes_max = load.bytes_max.max(1) as u32;
            (load.since, load.payloads, load.bytes, load.bytes_max) = (now, 0, 0, 0);
        }
        if let Some(round_trip) = round_trip {
            self.conditions.one_way_delay = round_trip / 2;
        }
        self.conditions.loss = loss;
        self.protection = protection(&self.conditions, self.pins);
        if std::env::var("TRACE").is_ok() {
            eprintln!(
                "{:9.3} SHIELD {:?} {:?} pps {:.1} ",
                now.0.as_secs_f64(),
                self.conditions,
                self.protection,
                self.load.payloads_per_second
            );
        }
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
        f64::from(self.protection.symbols_percent) / 100.0
    }

    /// What the next frame may continue: now and then only what was acknowledged, so that a payload that is not
    /// recovered holds up few others.
    pub(super) fn chain(&mut self) -> Chain {
        let interval = match self.conditions.loss.loss_per_mille {
            0 => 16,
            1..=20 => 8,
            _ => 4,
        };
        let interval = interval.max((self.load.payloads_per_second * RESTART_S) as u32);
        self.chained = self.chained.saturating_add(1);
        if self.chained >= interval {
            self.chained = 0;
            return Chain::Restart;
        }
        Chain::On
    }

    /// The largest payload in a packet that has this much room: one that leaves room for a symbol of its size, and is not
    /// much longer than others, as a symbol is as long as the longest payload of its window. What does not fit goes in
    /// another packet.
    pub(super) fn payload_room(&self, room: usize) -> usize {
        if self.conditions.loss.loss_per_mille == 0 {
            return room.min(MAX_PAYLOAD_BYTES).saturating_sub(16);
        }
        let mean = self.load.bytes_per_second / self.load.payloads_per_second;
        let alike = (mean * LONGEST_TO_MEAN) as usize;
        room.min(MAX_PAYLOAD_BYTES).saturating_sub(16).min(alike.max(MIN_PAYLOAD_ROOM)).min(room / 2)
    }

    /// The ground lacks live payloads and says what would recover them, having received packet `largest`. Since then so
    /// many payloads and symbols have left.
    pub(super) fn handle_wanted(&mut self, wanted: Wanted, largest: u32, payloads: u32, symbols: u32) {
        if self.asked.0 > 0 || largest < self.answered {
            return;
        }
        let window = payloads + u32::from(wanted.window);
        let under_way = if window <= self.window() { symbols } else { 0 };
        let asked = u32::from(wanted.symbols).saturating_sub(under_way);
        if (1..=MAX_ASKED).contains(&asked) && window <= u32::from(MAX_WINDOW) {
            self.asked = (asked as u8, window as u8);
            // What comes until then shall not wait for it.
            self.chained = u32::MAX;
        }
    }

    /// A packet of live payload or symbols left.
    pub(super) fn charge(&mut self, wire_bytes: usize) {
        let limit = self.bytes_per_second() * ALLOWANCE_S;
        self.allowance = (self.allowance - wire_bytes as f64).max(-limit);
    }

    /// Time passes.
    pub(super) fn handle_time(&mut self, now: Instant) {
        let elapsed = now.since(self.allowed_at).as_secs_f64();
        self.allowed_at = now;
        let limit = self.bytes_per_second() * ALLOWANCE_S;
        self.allowance = (self.allowance + elapsed * LOAD_MAX * self.bytes_per_second()).min(limit);
    }

    fn bytes_per_second(&self) -> f64 {
        self.conditions.rate_bits_per_second as f64 / 8.0
    }

    /// The symbols that packet `number`, that of the next payload, takes along in the room beside it.
    pub(super) fn symbols(&mut self, number: u32, mut room: usize) -> Vec<Symbol> {
        let mut symbols = Vec::new();
        let mut allowance = self.allowance;
        while (self.owed >= 1.0 || self.asked.0 > 0) && self.may_symbols() {
            if self.asked.0 == 0 && allowance <= 0.0 {
                break;
            }
            let window = if self.asked.0 > 0 { self.asked.1 } else { self.protection.window };
            let Some(symbol) = self.coding.symbol(self.next_payload, self.index, window) else {
                self.owed = 0.0;
                self.asked.0 = 0;
                break;
            };
            let bytes = symbol.bytes.len() + 4;
            if bytes > room {
                break;
            }
            room -= bytes;
            allowance -= bytes as f64;
            self.index += 1;
            if self.asked.0 > 0 {
                self.asked.0 -= 1;
                self.answered = number;
            } else {
                self.owed -= 1.0;
            }
            symbols.push(symbol);
        }
        symbols
    }

    /// A payload leaves: returns its number.
    pub(super) fn push(&mut self, now: Instant, payload: &[u8]) -> u32 {
        let number = self.next_payload;
        self.next_payload = number.wrapping_add(1);
        self.index = 0;
        self.asked.1 = self.asked.1.saturating_add(1);
        self.load.payloads += 1;
        self.load.bytes += payload.len();
        self.load.bytes_max = self.load.bytes_max.max(payload.len());
        if self.coding.push(number, payload).is_ok() && self.protection.symbols_percent > 0 {
            self.owed = (self.owed + self.symbols_per_payload()).min(MAX_OWED);
            // Where losses come in bursts, a pause between packets would prolong them.
            let burst = u32::from(self.conditions.loss.burst_tenths).div_ceil(10);
            let ticks = if self.protection.fills_idle_ticks { burst + 1 } else { 1 };
            self.tail = Some((now + self.protection.tick * 3 / 2, ticks));
        }
        number
    }

    /// Time between payloads, about.
    pub(super) fn payload_interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.load.payloads_per_second.clamp(0.1, 1000.0))
    }

    /// Whether symbols should go by themselves: those that the ground asks for, those that had no room, and those of the
    /// last payload when no other comes.
    pub(super) fn owes(&self, now: Instant) -> bool {
        let crowded = self.owed >= self.symbols_per_payload() + 1.0;
        let is_due = crowded || self.asked.0 > 0 || self.tail.is_some_and(|(at, _)| at <= now);
        is_due && self.may_symbols() && self.allowance >= self.symbols_bytes()
    }

    fn may_symbols(&self) -> bool {
        self.index < MAX_SYMBOLS_PER_PACKET
    }

    /// What a packet of one symbol takes, about.
    fn symbols_bytes(&self) -> f64 {
        f64::from(self.conditions.packet_overhead_bytes + self.conditions.payload_bytes_max)
    }

    /// When [`owes`](Self::owes) becomes true by itself.
    pub(super) fn owes_at(&self) -> Option<Instant> {
        if !self.may_symbols() {
            return None;
        }
        let crowded = self.owed >= self.symbols_per_payload() + 1.0;
        let due = if crowded || self.asked.0 > 0 { self.allowed_at } else { self.tail?.0 };
        let lacking = (self.symbols_bytes() - self.allowance).max(0.0);
        let allowed =
            self.allowed_at + Duration::from_secs_f64(lacking / (LOAD_MAX * self.bytes_per_second()));
        Some(due.max(allowed))
    }

    /// Symbols of the payloads so far for packet `number`, and the number of the next payload, before which they end.
    pub(super) fn symbols_alone(&mut self, now: Instant, number: u32, room: usize) -> (u32, Vec<Symbol>) {
        if let Some((at, ticks)) = self.tail
            && at <= now
        {
            self.tail = (ticks > 1).then(|| (now + self.protection.tick, ticks - 1));
        }
        if self.asked.0 == 0 {
            self.owed = self.owed.max(1.0);
        }
        (self.next_payload, self.symbols(number, room))
    }
}

fn protection(conditions: &Conditions, pins: Pins) -> Protection {
    let chosen = Protection::choose(conditions);
    Protection {
        tick: pins.tick.unwrap_or(chosen.tick),
        window: pins.window.unwrap_or(chosen.window),
        symbols_percent: pins.symbols_percent.unwrap_or(chosen.symbols_percent),
        ..chosen
    }
}
