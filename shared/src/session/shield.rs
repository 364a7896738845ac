//! How the live lane is protected against loss at the vehicle: which coded symbols go when, and how often the chain of
//! frames begins anew from what the ground is known to have.

use std::time::Duration;

use super::allowance::Allowance;
use super::live::Chain;
use super::load::{FIRST_LOAD, Load};
use crate::datagram::coding::{
    CodingSender, MAX_LOST_UNITS, MAX_PAYLOAD_BYTES, MAX_SYMBOLS_PER_PACKET, Symbols, UNIT_BYTES, units_of,
};
use crate::datagram::loss::{HORIZON_BURSTS, HORIZON_PACKETS, LossReport};
use crate::datagram::protection::{Conditions, LOAD_MAX, Protection, TICK_MAX};
use crate::message::Wanted;
use crate::time::Instant;

/// The most payloads that symbols are owed for: what more loss than that wants is not worth its bytes when it comes late.
const MAX_OWED: f64 = 6.0;
/// The most ticks without a payload that symbols follow one for: a burst that is longer comes back by other means.
const TAIL_TICKS_MAX: u32 = 16;
/// The rate taken for a link without a limit.
const UNLIMITED_BITS_PER_SECOND: u64 = 1_000_000_000;
/// The shortest time between two frames that others may continue, seconds: either end keeps only so many, and the
/// acknowledged ones are a round trip and a feedback old.
const RESTART_S: f64 = 0.5;
/// How long a payload may keep the link busy...
const PAYLOAD_TIME: Duration = Duration::from_millis(200);
/// ... where that is over so many bytes.
const MIN_PAYLOAD_ROOM: usize = 48;
/// The most frames in the dark of which one stands aside: what begins while the link comes back waits for the next.
const ASIDE_INTERVAL_MAX: f64 = 4.0;
/// Up to this much loss, symbols wait for the next payload: with more, the packets of their own are worth their headers.
const LIGHT_LOSS_PER_MILLE: u16 = 20;
/// ... as soon as so many payloads have shown what is lost.
const KNOWN_PAYLOADS: u32 = 500;
/// From this much on, what nothing else follows is said thrice: too often, it and what repeats it are lost.
const HEAVY_LOSS_PER_MILLE: u16 = 35;
/// With fewer packets of a first connection, [`LossReport::FEARED`] counts: for some seconds, and 8 to 15 kB.
const FEARFUL_PACKETS: u32 = 150;

/// Up to which share live packets and symbols fill the link while backlog waits.
const BESIDE_BACKLOG: f64 = 0.7;
/// How much symbols may save up or overdraw, as time of the link.
const SYMBOLS_SAVED: Duration = Duration::from_millis(250);

/// The longest that something is not said again because a burst may last, unless ticks are longer.
const AFTER_BURST_MAX: Duration = Duration::from_millis(200);

/// How long symbols wait for the next payload at most: payloads of a narrow link are up to a second apart, and a lost one comes
/// back that much later.
const PAYLOAD_WAIT_MAX: Duration = Duration::from_millis(500);
/// How long they wait for one that is late, at most: half of a long tick is too much.
const PAYLOAD_LATE_MAX: Duration = Duration::from_millis(100);

/// How long the symbols of a packet that the ground asks for may keep the link busy...
const ASKED_TIME: Duration = Duration::from_millis(500);
/// ... where they are more than so many.
const MIN_ASKED: usize = 4;
/// Of single losses, that of one of so many payloads is the next that symbols bring back.
const LAST_PAYLOADS: u8 = 4;
/// For how many payloads the symbols are, at least, that leave without one where losses come in bursts. More of them in fewer
/// packets would leave longer bursts in time, fewer of them more headers.
const LEAST_ALONE: f64 = 0.6;
/// What the window of a packet's symbols takes, bytes.
const WINDOW_BYTES: usize = 2;
/// What a payload takes beside its frame, at most.
const PAYLOAD_HEADER_BYTES: usize = 16;

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
    /// Payloads so far.
    payloads: u32,
    /// Whether too few packets were told of to know how the link loses them.
    is_fearful: bool,
    /// What may be spent on symbols: [`Protection::load_percent`] of the link, less what payloads and symbols took.
    /// Symbols that keep a live payload waiting do more harm than good.
    allowance: Allowance,
    /// Symbols that should have gone with the payloads so far, of [`UNIT_BYTES`].
    owed: f64,
    /// When symbols go by themselves, if no payload takes them along, and for how many ticks more.
    tail: Option<(Instant, u32)>,
    asked: Asked,
    /// Whether the link is down, as it seems: symbols would be for payloads that nothing brings back, ahead of the first that is
    /// there again.
    is_down: bool,
    /// Frames since the chain began anew.
    chained: u32,
    /// Frames since the dark began.
    dark_frames: u32,
    /// Whether the next payload is one that stands aside in the dark, and how long the last such was, bytes.
    stands_aside: bool,
    aside_bytes: usize,
}

/// Symbols that the ground asked for.
#[derive(Debug, Default)]
struct Asked {
    /// How many are still to leave.
    symbols: u16,
    /// How many units they reach back.
    window: u16,
    /// The packet with which the last of them left: what arrived before it knows nothing of them.
    answered: u32,
}

impl Shield {
    /// Against loss as it was seen last, if it was, on a link of this rate whose packets have these headers.
    pub(super) fn new(
        pins: Pins,
        rate_bits_per_second: Option<u64>,
        overhead_bytes: usize,
        loss: Option<LossReport>,
    ) -> Self {
        let conditions = Conditions {
            rate_bits_per_second: rate_bits_per_second.unwrap_or(UNLIMITED_BITS_PER_SECOND),
            packet_overhead_bytes: overhead_bytes as u32,
            one_way_delay: Duration::from_millis(300),
            loss: loss.unwrap_or(LossReport::FEARED),
            payload_bytes_per_second: FIRST_LOAD as u32,
            payload_bytes_mean: Load::default().mean_bytes() as u32,
            payload_bytes_max: Load::default().bytes_max() as u32,
        };
        Shield {
            protection: protection(&conditions, pins),
            pins,
            conditions,
            load: Load::default(),
            coding: CodingSender::new(),
            payloads: 0,
            is_fearful: loss.is_none(),
            allowance: Allowance::new(SYMBOLS_SAVED),
            owed: 0.0,
            tail: None,
            asked: Asked::default(),
            is_down: false,
            chained: u32::MAX,
            dark_frames: 0,
            stands_aside: false,
            aside_bytes: 0,
        }
    }

    /// The link's rate is another, as of the next report.
    pub(super) fn set_rate(&mut self, rate_bits_per_second: u64) {
        self.conditions.rate_bits_per_second = rate_bits_per_second;
    }

    /// The ground reports how packets up to number `largest` were lost; the round trip was measured.
    pub(super) fn handle_report(
        &mut self,
        now: Instant,
        largest: u32,
        loss: LossReport,
        round_trip: Option<Duration>,
    ) {
        self.load.handle_report(now);
        self.conditions.payload_bytes_per_second = self.load.bytes_per_second() as u32;
        self.conditions.payload_bytes_mean = self.load.mean_bytes() as u32;
        self.conditions.payload_bytes_max = self.load.bytes_max() as u32;
        if let Some(round_trip) = round_trip {
            self.conditions.one_way_delay = round_trip / 2;
        }
        self.is_fearful &= largest < FEARFUL_PACKETS;
        let loss = cautious(loss, largest);
        self.conditions.loss = if self.is_fearful { loss.at_least(LossReport::FEARED) } else { loss };
        self.protection = protection(&self.conditions, self.pins);
    }

    /// There was an outage, since which so many units have left: what it took, the backlog brings, and symbols that cover it
    /// recover nothing.
    pub(super) fn handle_outage(&mut self, units: u32) {
        if u32::from(self.coding.units()) > units {
            self.coding.keep(units);
            // One of them may be lost.
            self.owed = self.units_per_payload();
        }
    }

    /// After how long something may be said again that is lost now: a burst of losses is likely to be over then.
    pub(super) fn after_burst(&self) -> Duration {
        let tick = self.protection.tick;
        let bursts = tick.mul_f64(2.0 * f64::from(self.conditions.loss.burst_tenths) / 10.0);
        bursts.min(AFTER_BURST_MAX).max(tick)
    }

    /// How many packets repeat what nothing else brings back: the last payload ahead of a pause, and schemas.
    pub(super) fn repetitions(&self) -> usize {
        let is_heavy = self.conditions.loss.loss_per_mille >= HEAVY_LOSS_PER_MILLE;
        if is_heavy || self.is_fearful { 2 } else { 1 }
    }

    /// Time between live packets.
    pub(super) fn tick(&self) -> Duration {
        self.protection.tick
    }

    /// How many payloads symbols reach back.
    pub(super) fn window(&self) -> u32 {
        u32::from(self.protection.window).min(self.coding.payloads() as u32)
    }

    /// For how many payloads symbols go with each.
    fn symbols_per_payload(&self) -> f64 {
        f64::from(self.protection.symbols_percent) / 100.0
    }

    /// What the next frame may continue: now and then only what was acknowledged, so that a payload that is not
    /// recovered holds up few others. In the dark, every frame is by itself, or where the link does not carry that, every
    /// few.
    pub(super) fn chain(&mut self, dark: bool) -> Chain {
        self.stands_aside = false;
        if dark {
            let interval = self.aside_interval();
            self.stands_aside = self.dark_frames.is_multiple_of(interval);
            self.dark_frames = self.dark_frames.wrapping_add(1);
            // The first frame after the dark begins anew.
            self.chained = u32::MAX;
            return match self.stands_aside {
                true if interval == 1 => Chain::Aside,
                true => Chain::AsideForNext,
                false => Chain::On,
            };
        }
        if std::mem::take(&mut self.dark_frames) > 0 {
            // Symbols of the dark's large payloads would keep back what waits for the link.
            self.owed = self.owed.min(self.units_per_payload());
        }
        let interval = match self.conditions.loss.loss_per_mille {
            0 => 16,
            1..=20 => 8,
            _ => 4,
        };
        let interval = interval.max((self.load.payloads_per_second() * RESTART_S) as u32);
        self.chained = self.chained.saturating_add(1);
        if self.chained >= interval {
            self.chained = 0;
            return Chain::Restart;
        }
        Chain::On
    }

    /// How many frames the link carries in the time that one by itself takes of it: of so many, one stands aside in the dark.
    fn aside_interval(&self) -> u32 {
        let payload_s = 1.0 / self.load.payloads_per_second().max(0.01);
        let room = LOAD_MAX * self.conditions.rate_bits_per_second as f64 / 8.0 * payload_s
            - f64::from(self.conditions.packet_overhead_bytes);
        (self.aside_bytes as f64 / room.max(1.0)).ceil().clamp(1.0, ASIDE_INTERVAL_MAX) as u32
    }

    /// How long a payload should be in a packet that has this much room, and how long it may be: where symbols are needed,
    /// it leaves room for some, and a loss shall take neither too many of them nor long to come back.
    pub(super) fn payload_room(&self, room: usize) -> (usize, usize) {
        let room = room.min(MAX_PAYLOAD_BYTES).saturating_sub(PAYLOAD_HEADER_BYTES);
        if self.conditions.loss.loss_per_mille == 0 {
            return (room, room);
        }
        (self.bytes_in(PAYLOAD_TIME).max(MIN_PAYLOAD_ROOM).min(room / 4), room / 2)
    }

    /// What the link carries in this time.
    fn bytes_in(&self, time: Duration) -> usize {
        (self.conditions.rate_bits_per_second as f64 / 8.0 * time.as_secs_f64()) as usize
    }

    /// The ground lacks live payloads and says what would recover them, having received packet `largest`. Since then so
    /// many units of payloads and symbols have left.
    pub(super) fn handle_wanted(&mut self, wanted: Wanted, largest: u32, units: u32, symbols: u32) {
        if self.asked.symbols > 0 || largest < self.asked.answered || wanted.window == 0 {
            return;
        }
        let window = units.saturating_add(wanted.window.into());
        let usual = self.coding.units_of(self.protection.window);
        let under_way = if window <= usual.into() { symbols } else { 0 };
        let lacking = u32::from(wanted.symbols).saturating_sub(under_way);
        if (1..=MAX_LOST_UNITS.into()).contains(&lacking) && window <= self.coding.units().into() {
            self.asked.symbols = lacking as u16;
            self.asked.window = window as u16;
            // What comes until then shall not wait for it.
            self.chained = u32::MAX;
        }
    }

    /// Time passes.
    pub(super) fn handle_time(&mut self, now: Instant, backlog_waits: bool, is_down: bool) {
        self.is_down = is_down;
        let load =
            if backlog_waits { BESIDE_BACKLOG } else { f64::from(self.protection.load_percent) / 100.0 };
        self.allowance.handle_time(now, load * self.conditions.rate_bits_per_second as f64 / 8.0);
    }

    /// A packet of live payload or symbols left.
    pub(super) fn charge(&mut self, wire_bytes: usize) {
        self.allowance.charge(wire_bytes);
    }

    /// The symbols that packet `number` takes along in the room that is left in it.
    pub(super) fn symbols(&mut self, number: u32, room: usize) -> Symbols {
        if self.asked.window > self.coding.units() {
            // What they were for is remembered no more.
            self.asked.symbols = 0;
        }
        let is_asked = self.asked.symbols > 0;
        let window = if is_asked { self.asked.window } else { self.coding.units_of(self.protection.window) };
        if window == 0 || self.is_down {
            self.owed = 0.0;
            return Symbols::default();
        }
        let due = if is_asked {
            let soon = (self.bytes_in(ASKED_TIME) / UNIT_BYTES).max(MIN_ASKED);
            usize::from(self.asked.symbols).min(soon) as u16
        } else {
            // The last ones may overdraw the account.
            let together = self.symbols_together();
            let affordable = (self.allowance.bytes() / (together * UNIT_BYTES as f64)).ceil().max(0.0);
            ((self.owed / together).floor().min(affordable) * together) as u16
        };
        let fitting = (room.saturating_sub(WINDOW_BYTES) / UNIT_BYTES).min(MAX_SYMBOLS_PER_PACKET.into());
        // More than there are units bring nothing back that so many do not.
        let count = due.min(fitting as u16).min(window);
        if is_asked {
            self.asked.symbols -= count;
            self.asked.answered = number;
        } else {
            self.owed -= f64::from(count);
        }
        self.coding.symbols(number, window, count as u8)
    }

    /// A payload leaves: returns the number of its first unit.
    pub(super) fn push(&mut self, now: Instant, payload: &[u8]) -> u16 {
        let number = self.coding.next();
        self.payloads = self.payloads.saturating_add(1);
        self.asked.window = self.asked.window.saturating_add(units_of(payload.len()) as u16);
        self.load.push(payload.len());
        if self.stands_aside {
            self.aside_bytes = payload.len();
        }
        if self.coding.push(payload).is_ok() && self.protection.symbols_percent > 0 {
            // Where losses come in bursts, a pause between packets would prolong them.
            let burst = u32::from(self.conditions.loss.burst_tenths).div_ceil(10).min(TAIL_TICKS_MAX);
            let ticks = if self.protection.fills_idle_ticks { burst + 1 } else { self.repetitions() as u32 };
            // Just ahead of the next payload, which would have taken them along, they cost a packet more.
            let is_light = ticks == 1 && self.conditions.loss.loss_per_mille <= LIGHT_LOSS_PER_MILLE;
            let waits = is_light && self.payloads >= KNOWN_PAYLOADS;
            let tick = self.protection.tick;
            let interval = if waits { self.payload_interval().min(PAYLOAD_WAIT_MAX).max(tick) } else { tick };
            let units = self.units_per_payload();
            let symbols = self.symbols_per_payload() * units * interval.as_secs_f64() / tick.as_secs_f64();
            self.owed = (self.owed + symbols).min(MAX_OWED * units);
            self.tail = Some((now + interval + (interval / 2).min(PAYLOAD_LATE_MAX), ticks));
        }
        number
    }

    /// Whether losses come in bursts, and packets are so many that one can be bridged.
    fn bridges_bursts(&self) -> bool {
        self.protection.fills_idle_ticks && self.protection.tick < TICK_MAX
    }

    /// How many units a loss is reckoned with: where payloads are lost one at a time, those of one of the last.
    fn units_per_payload(&self) -> f64 {
        match self.bridges_bursts() {
            true => self.conditions.units_per_payload(),
            false => self.coding.longest(LAST_PAYLOADS).max(1).into(),
        }
    }

    /// How many symbols leave together, as few as may be: those that bring a payload back by themselves, or in bursts, which
    /// take many anyway, any number.
    fn symbols_together(&self) -> f64 {
        if self.bridges_bursts() { 1.0 } else { self.units_per_payload() }
    }

    /// How many symbols leave without a payload, at least.
    fn least_alone(&self) -> f64 {
        if self.bridges_bursts() { LEAST_ALONE * self.units_per_payload() } else { self.units_per_payload() }
    }

    /// Time between payloads, about.
    pub(super) fn payload_interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.load.payloads_per_second().clamp(0.1, 1000.0))
    }

    /// Whether symbols should go by themselves: those that the ground asks for, those that had no room, and those of the
    /// last payload when no other comes.
    pub(super) fn owes(&self, now: Instant) -> bool {
        self.owes_at(now).is_some_and(|at| at <= now)
    }

    /// When that will be by itself.
    pub(super) fn owes_at(&self, now: Instant) -> Option<Instant> {
        if self.is_down {
            return None;
        }
        if self.asked.symbols > 0 {
            return Some(now);
        }
        let is_crowded = self.owed >= (self.symbols_per_payload() + 1.0) * self.units_per_payload();
        let due = if is_crowded { now } else { self.tail?.0 };
        let symbols = (self.least_alone() * UNIT_BYTES as f64) as usize;
        Some(due.max(self.allowance.at(self.conditions.packet_overhead_bytes as usize + symbols)))
    }

    /// Symbols of the payloads so far for packet `number`, and the number of the next payload, before which they end.
    pub(super) fn symbols_alone(&mut self, now: Instant, number: u32, room: usize) -> (u16, Symbols) {
        if let Some((at, ticks)) = self.tail
            && at <= now
        {
            self.tail = (ticks > 1).then(|| (now + self.protection.tick, ticks - 1));
        }
        if self.asked.symbols == 0 {
            self.owed = self.owed.max(self.least_alone());
        }
        (self.coding.next(), self.symbols(number, room))
    }
}

/// Bursts may well be longer than those that were seen in so many packets: by a standard deviation of their mean.
fn cautious(seen: LossReport, packets: u32) -> LossReport {
    let burst = (f64::from(seen.burst_tenths) / 10.0).max(1.0);
    let bursts = f64::from(packets).min(HORIZON_PACKETS) * f64::from(seen.loss_per_mille) / 1000.0 / burst;
    // A geometric distribution's.
    let deviation = (burst * (burst - 1.0) / bursts.clamp(1.0, HORIZON_BURSTS)).sqrt();
    LossReport { burst_tenths: ((burst + deviation) * 10.0) as u16, ..seen }
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

#[cfg(test)]
mod tests {
    use super::*;

    const BGAN: u64 = 64_000;

    fn at(millis: u64) -> Instant {
        Instant(Duration::from_millis(millis))
    }

    /// After so many payloads of two units, a second on.
    fn shield(payloads: u32) -> Shield {
        let mut shield = Shield::new(Pins::default(), Some(BGAN), 55, Some(LossReport::ASSUMED));
        for number in 0..payloads {
            shield.push(at(0), &[number as u8; 26]);
        }
        shield.owed = 0.0;
        shield.tail = None;
        shield.handle_time(at(1000), false, false);
        shield
    }

    #[test]
    fn what_the_ground_asks_for_leaves_at_once_and_is_not_sent_twice() {
        let mut shield = shield(20);
        assert!(!shield.owes(at(1000)));
        shield.handle_wanted(Wanted { symbols: 3, window: 36 }, 17, 2, 1);
        // Of the three one is under way, unless it does not reach back so far.
        assert!(!shield.owes(at(999)) || shield.asked.window == 38);
        assert!(shield.owes(at(1000)));
        let (end, symbols) = shield.symbols_alone(at(1000), 30, 1000);
        assert_eq!((end, symbols.combinations.len(), symbols.window), (40, 3, 38));
        assert!(!shield.owes(at(1000)));
        // A feedback that left before they came asks again.
        shield.handle_wanted(Wanted { symbols: 3, window: 36 }, 29, 2, 4);
        assert!(!shield.owes(at(1000)));
        shield.handle_wanted(Wanted { symbols: 1, window: 12 }, 30, 1, 0);
        assert_eq!(shield.symbols_alone(at(1000), 31, 1000).1.combinations.len(), 1);
    }

    #[test]
    fn an_answer_keeps_a_narrow_link_busy_for_half_a_second_a_packet() {
        // Of the last, half a second takes as many symbols as 16 bits count, and one.
        for (rate, expected) in [(2_400, 10), (500, 4), (64_000, 60), (16_777_216, 60)] {
            let mut shield = Shield::new(Pins::default(), Some(rate), 55, Some(LossReport::ASSUMED));
            (0..50).for_each(|_| _ = shield.push(at(0), &[0; 26]));
            shield.handle_wanted(Wanted { symbols: 60, window: 80 }, 40, 0, 0);
            let (_, symbols) = shield.symbols_alone(at(0), 50, 1200);
            assert_eq!(symbols.combinations.len(), expected, "{rate} bit/s");
        }
    }

    #[test]
    fn no_symbols_leave_in_an_outage_and_those_after_it_cover_nothing_that_it_took() {
        let mut shield = shield(20);
        shield.handle_time(at(1000), false, true);
        (0..3).for_each(|_| _ = shield.push(at(1000), &[0; 26]));
        assert_eq!((shield.owes_at(at(1000)), shield.symbols(23, 1000)), (None, Symbols::default()));
        shield.handle_time(at(1000), false, false);
        // The last of the three was there: one may be lost since.
        shield.handle_outage(2);
        let (end, symbols) = shield.symbols_alone(at(1000), 24, 1000);
        assert_eq!((end, symbols.window, symbols.combinations.len()), (46, 2, 2));
        shield.handle_wanted(Wanted { symbols: 2, window: 4 }, 23, 0, 0);
        assert_eq!(shield.asked.symbols, 0, "what is forgotten is backlog");
        shield.push(at(1000), &[0; 26]);
        // Another feedback tells the same.
        shield.handle_outage(4);
        assert_eq!((shield.coding.units(), shield.asked.symbols), (4, 0));
    }

    #[test]
    fn what_is_under_way_or_hopeless_is_not_sent_again() {
        let mut shield = shield(60);
        for (wanted, payloads, symbols) in [
            (Wanted { symbols: 2, window: 4 }, 2, 2),
            (Wanted { symbols: 257, window: 257 }, 0, 0),
            (Wanted { symbols: 1, window: 0 }, 0, 0),
            (Wanted { symbols: 1, window: 510 }, 5, 0),
        ] {
            shield.handle_wanted(wanted, 50, payloads, symbols);
            assert!(!shield.owes(at(1000)), "{wanted:?}");
        }
    }

    #[test]
    fn symbols_wait_where_payloads_fill_the_link() {
        let mut shield = shield(20);
        shield.owed = 30.0;
        shield.charge(8_000);
        assert_eq!(shield.symbols(21, 1000), Symbols::default());
        let at_once = shield.owes_at(at(1000)).unwrap();
        assert!(at(1200) < at_once && at_once < at(1300), "{at_once}");
    }

    #[test]
    fn in_the_dark_as_many_frames_stand_aside_as_the_link_carries() {
        let mut shield = shield(20);
        let mut fly = |bytes: usize| -> Vec<Chain> {
            let frame = |_| {
                let chain = shield.chain(true);
                shield.push(at(1000), &vec![0; bytes]);
                chain
            };
            (0..6).map(frame).collect()
        };
        assert_eq!(fly(200), [Chain::Aside; 6], "ten payloads a second of 7200 bytes");
        use Chain::{AsideForNext as Aside, On};
        assert_eq!(fly(1000)[1..], [On, Aside, On, Aside, On]);
        shield.owed = 200.0;
        assert_eq!((shield.chain(false), shield.owed), (Chain::Restart, 72.0), "those of one payload");
    }

    #[test]
    fn a_link_of_which_nothing_is_known_is_feared_until_enough_packets_came() {
        let mut shield = Shield::new(Pins::default(), Some(BGAN), 55, None);
        let mut tick_after = |largest: u32, loss_per_mille: u16, burst_tenths: u16| {
            shield.handle_report(at(1000), largest, LossReport { loss_per_mille, burst_tenths }, None);
            shield.tick()
        };
        let feared = tick_after(FEARFUL_PACKETS - 1, 10, 10);
        assert!(tick_after(FEARFUL_PACKETS - 1, 50, 30) < feared, "what is worse counts");
        assert!(tick_after(FEARFUL_PACKETS, 10, 10) > feared);
        assert!(tick_after(FEARFUL_PACKETS - 1, 10, 10) > feared, "once known, it stays known");
        assert_eq!(shield.repetitions(), 1);
        let known = Shield::new(Pins::default(), Some(BGAN), 55, Some(LossReport::ASSUMED));
        assert!(known.tick() > feared);
    }

    #[test]
    fn payloads_leave_room_for_symbols_where_some_are_needed() {
        let mut shield = shield(20);
        assert_eq!(shield.payload_room(1216), (300, 600));
        shield.handle_report(at(1000), 20, LossReport { loss_per_mille: 0, burst_tenths: 10 }, None);
        assert_eq!(shield.payload_room(1216), (1200, 1200));
    }

    #[test]
    fn single_losses_are_answered_by_whole_payloads_and_bursts_by_what_there_is() {
        let mut shield = shield(20);
        shield.push(at(1000), &[0; 100]);
        shield.owed = 6.0;
        assert_eq!(shield.symbols_together(), 8.0);
        assert_eq!(shield.symbols(21, 1000).combinations.len(), 0);
        shield.handle_report(at(1000), 2000, LossReport { loss_per_mille: 50, burst_tenths: 30 }, None);
        assert_eq!((shield.symbols_together(), shield.symbols(22, 1000).combinations.len()), (1.0, 6));
    }

    #[test]
    fn two_packets_of_symbols_follow_the_last_payload_where_much_is_lost() {
        let mut shield = shield(20);
        for (loss_per_mille, expected) in [(10, 1), (50, 2)] {
            shield.handle_report(at(1000), 2000, LossReport { loss_per_mille, burst_tenths: 10 }, None);
            assert_eq!(shield.repetitions(), expected);
            shield.push(at(1000), &[0; 26]);
            shield.owed = 0.0;
            let alone = (1000..2000).filter(|&millis| {
                shield.handle_time(at(millis), false, false);
                shield.owes(at(millis))
                    && !shield.symbols_alone(at(millis), 21, 1000).1.combinations.is_empty()
            });
            assert_eq!(alone.count(), expected, "{loss_per_mille}");
        }
    }

    #[test]
    fn longer_bursts_are_expected_the_fewer_were_seen() {
        let seen = LossReport { loss_per_mille: 50, burst_tenths: 30 };
        let expected = |packets| cautious(seen, packets).burst_tenths;
        // The deviation of one is the root of 3 * 2, that of the mean of 16 a quarter of it.
        assert_eq!([0, 60, 960, 1_000_000].map(expected), [54, 54, 36, 36]);
        let single = LossReport { burst_tenths: 10, ..seen };
        assert_eq!(cautious(single, 100), single);
        let any = LossReport { loss_per_mille: u16::MAX, burst_tenths: u16::MAX };
        assert_eq!(cautious(any, u32::MAX).burst_tenths, u16::MAX);
    }
}
