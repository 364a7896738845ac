//! How live packets are protected: how often they leave, and how many symbols go with them.
//!
//! A sample shall be at the ground within a second, so a lost packet has to come back in the time that is left after
//! the way there: the *budget*, in which so and so many ticks lie. Three steps follow from it.
//!
//! 1. **Tick.** A burst is so many packets long, so the more packets a second, the shorter it is in time. The budget
//!    shall hold ten bursts of mean length. Headers limit that: they may take a tenth of a link without loss, 15 % with
//!    single losses, 45 % with bursts of three, and never more than 65 %. Below 25 ms it is 20.
//! 2. **Symbols.** Among the ticks of the budget, so many packets are lost: one mean burst, the expected losses, and
//!    six standard deviations. The others must bring symbols for as many payloads, for half of one a tick where the budget
//!    holds less than five bursts. Where the link cannot carry that, it is filled to 90 %, with bursts up to a packet a second;
//!    where symbols for a payload a packet take less than 2 % of it, there are so many.
//! 3. **Window.** The budget's ticks: what is older comes too late to be fresh. With bursts half as many again, as a long
//!    one outlasts the budget, and what no symbol covers any more comes round trips later.
//!
//! What that gives, by a simulation of a million packets (`cargo test -p tern-shared --lib protection -- --ignored
//! --nocapture`; "synthetic" is 50 samples a second of 45 bytes but on Certus 10, and on Iridium 2 of 25; "small" 50 of
//! 20; "flight" 272 of 2.4; frames of 10 bytes beside them; ages in milliseconds):
//!
//! ```text
//! scenario         load       tick window symbols bytes/s  p50  p99 p99.9  over 1 s
//! geo-clean        synthetic   100      8    11 %    3191  340  397   406  0
//! geo-clean        flight      100      8    34 %    1611  330  381   384  0
//! geo-bgan         synthetic    60     10    42 %    4522  369  482   585  0.0002 %
//! geo-bgan         flight       60     10    42 %    2166  350  459   556  0.0003 %
//! geo-bgan-loss5   synthetic    54     11   124 %    7189  385  499   579  0
//! geo-bgan-loss5   flight       54     11   145 %    3384  356  465   532  0
//! geo-bgan-burst5  synthetic    20     45    73 %    7893  352  645  1056  0.13 %
//! geo-bgan-burst5  small        20     45   188 %    7938  351  509   721  0.008 %
//! geo-bgan-burst5  flight       20     45   230 %    7587  348  493   675  0.002 %
//! leo-certus       synthetic    32     28    22 %    1563  134 1137  3177  1.1 %
//!   asked                                            1574  134  696  1590  0.5 %
//! leo-certus       flight       32     28    10 %    2725  113    -     -  1.6 %
//! leo-starlink     synthetic    37     24   100 %    7028   44   73   244  0
//! leo-starlink     flight       37     24   100 %    3596   44   71   240  0
//! iridium-2400     synthetic   500      8    50 %     225 1054 1881  2853  62 %
//! ```
//!
//! Without a protection, what the link loses would be late: 1 to 5 %. The choices matter as follows. With four
//! deviations instead of six, 0.003 % are late at 1 % of loss and 0.03 % in bursts, for 5 to 20 % fewer bytes. With
//! seven bursts a budget instead of ten, p99.9 rises by 40 to 90 ms. With single losses a window of twice the length
//! gives the same ages.
//!
//! Two limits remain. Bursts of 5 % need symbols for more than one payload a packet, for which large samples leave no room
//! (synthetic). And on a link as narrow as Certus, packets cannot be so dense that a long burst is short: there the
//! short way back helps, as the ground asks at once for what is missing ("asked"; the flight leaves no room for that
//! here). The session does so, sends more of them at idle ticks, and keeps them to an allowance;
//! `testbed/tests/freshness.rs` has the ages that come of all that.

#[cfg(test)]
mod simulation;

use std::time::Duration;

use super::coding::{MAX_WINDOW, UNIT_BYTES};
use super::loss::LossReport;

/// A link and its load, as far as a [`Protection`] depends on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// What live packets may take of the link, headers and symbols included.
    pub rate_bits_per_second: u64,
    /// Headers of a packet on all layers.
    pub packet_overhead_bytes: u32,
    /// From the vehicle to the ground, without queueing.
    pub one_way_delay: Duration,
    /// What the ground reported last; before it did, [`LossReport::FEARED`] or, while the rate is being found out,
    /// [`LossReport::ASSUMED`].
    pub loss: LossReport,
    /// Live payload as it leaves, without headers and symbols.
    pub payload_bytes_per_second: u32,
    /// Of these, a payload's in the mean...
    pub payload_bytes_mean: u32,
    /// ... and the longest one's of the last window.
    pub payload_bytes_max: u32,
}

impl Conditions {
    /// How many units are reckoned for a payload that is lost: of one by itself, half the way from the mean to the longest;
    /// the more are lost together, the nearer they come to the mean.
    pub fn units_per_payload(&self) -> f64 {
        let [mean, max] =
            [self.payload_bytes_mean, self.payload_bytes_max.max(self.payload_bytes_mean)].map(f64::from);
        let bytes = mean + (max - mean) / (self.burst() + 1.0);
        // Behind their length, and the last one is not full.
        (bytes + 1.0) / UNIT_BYTES as f64 + 0.5
    }

    /// Mean length of a burst of losses, packets.
    fn burst(&self) -> f64 {
        (f64::from(self.loss.burst_tenths) / 10.0).max(1.0)
    }
}

/// How live packets leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// From one packet to the next, [`TICK_MIN`] to [`TICK_MAX`].
    pub tick: Duration,
    /// Payloads that a symbol covers, 8 to [`MAX_WINDOW`].
    pub window: u8,
    /// For how many payloads symbols leave in 100 ticks, 10 to 300.
    pub symbols_percent: u16,
    /// What live packets and their symbols may fill of the link while no backlog waits.
    pub load_percent: u8,
    /// Whether symbols that are due leave also at a tick that has no payload: where losses come in bursts, a pause
    /// between packets would prolong them.
    pub fills_idle_ticks: bool,
}

/// The shortest tick: more packets than 50 a second cost more than they bring.
pub const TICK_MIN: Duration = Duration::from_millis(20);

/// The longest tick, where headers alone would fill a link.
pub const TICK_MAX: Duration = Duration::from_millis(500);

/// What is below this is [`TICK_MIN`]: sensors that tell of themselves 50 times a second then have one record a packet, not
/// one and now and then two, of which a loss takes twice as many symbols.
const TICK_DENSE_S: f64 = 0.025;
/// The tick where nothing is lost and the link is wide.
const TICK_UNDISTURBED_S: f64 = 0.1;
/// A sample shall not be older than this, seconds: 100 ms of the second are for jitter and the modem's queue.
const AGE_MAX_S: f64 = 0.9;
/// Share of the link that headers may take at most where losses come in bursts: where records are few, fewer packets leave
/// than ticks there are.
const HEADERS_MAX: f64 = 0.65;
/// How many mean bursts the budget shall hold.
const BURSTS_PER_BUDGET: f64 = 10.0;
/// Mean length, packets, from which losses are taken as bursts.
const BURST_MIN: f64 = 1.5;
/// How many standard deviations of the number of losses are covered.
const DEVIATIONS: f64 = 6.0;
/// The largest share of the ticks that is reckoned to be lost: what is left has to bring it back, four symbols a tick.
const LOST_MAX: f64 = 0.8;
/// Symbols a tick, in payloads, where the budget holds fewer bursts than this: no number of them brings a long one back in
/// time.
const FEW_TICKS_SYMBOLS: f64 = 0.5;
const BURSTS_MIN: f64 = 5.0;
/// Share of the link that live packets fill at most.
pub(crate) const LOAD_MAX: f64 = 0.9;
/// The window where losses come in bursts, in budgets.
const WINDOW_OF_BURSTS: f64 = 1.5;

impl Protection {
    /// The protection for these conditions.
    pub fn choose(conditions: &Conditions) -> Protection {
        let loss = f64::from(conditions.loss.loss_per_mille.min(1000)) / 1000.0;
        let burst = conditions.burst();
        let budget_s = (AGE_MAX_S - conditions.one_way_delay.as_secs_f64()).clamp(0.2, 0.6);
        let tick_s = tick_s(conditions, loss, burst, budget_s);
        let ticks = budget_s / tick_s;
        let is_bursty = burst >= BURST_MIN;
        let needed = needed_symbols(loss, burst, ticks);
        let wanted = needed.max(cheap_symbols(conditions, tick_s));
        let lacks = is_bursty && affordable_symbols(conditions, tick_s, LOAD_MAX) < needed;
        let load = if lacks { load_full(conditions) } else { LOAD_MAX };
        let symbols = affordable_symbols(conditions, tick_s, load).min(wanted);
        let window = if is_bursty { ticks * WINDOW_OF_BURSTS } else { ticks };
        Protection {
            tick: Duration::from_secs_f64(tick_s),
            load_percent: (load * 100.0) as u8,
            window: window.ceil().clamp(8.0, f64::from(MAX_WINDOW)) as u8,
            symbols_percent: (symbols * 100.0).clamp(10.0, 300.0) as u16,
            fills_idle_ticks: is_bursty,
        }
    }
}

fn tick_s(conditions: &Conditions, loss: f64, burst: f64, budget_s: f64) -> f64 {
    let (needed_s, header_share) = if loss == 0.0 {
        (TICK_UNDISTURBED_S, 0.1)
    } else {
        (TICK_UNDISTURBED_S.min(budget_s / (BURSTS_PER_BUDGET * burst)), (0.15 * burst).min(HEADERS_MAX))
    };
    let headers_s =
        f64::from(conditions.packet_overhead_bytes) / (header_share * bytes_per_second(conditions));
    match needed_s.max(headers_s) {
        ..TICK_DENSE_S => TICK_MIN.as_secs_f64(),
        tick_s => tick_s.min(TICK_MAX.as_secs_f64()),
    }
}

/// For how many payloads symbols bring back what is lost within `ticks`, a tick.
fn needed_symbols(loss: f64, burst: f64, ticks: f64) -> f64 {
    if loss == 0.0 {
        return 0.1;
    }
    // Losses come `burst` at a time, which widens the spread of their number.
    if ticks < BURSTS_MIN * burst {
        return FEW_TICKS_SYMBOLS;
    }
    let deviation = (ticks * loss * (2.0 * burst - 1.0)).sqrt();
    let lost = (burst + ticks * loss + DEVIATIONS * deviation).min(LOST_MAX * ticks);
    lost / (ticks - lost)
}

/// For how many payloads symbols cost next to nothing, a tick: 2 % of the link, and not more than one.
fn cheap_symbols(conditions: &Conditions, tick_s: f64) -> f64 {
    (0.02 * bytes_per_second(conditions) * tick_s / symbols_bytes(conditions)).min(1.0)
}

/// The share that is filled where [`LOAD_MAX`] leaves room for too few symbols against bursts: they take what is kept for the
/// backlog while none waits, but for a packet a second, so that the link's queue empties now and then.
fn load_full(conditions: &Conditions) -> f64 {
    let packet = f64::from(conditions.packet_overhead_bytes) + f64::from(conditions.payload_bytes_mean);
    (1.0 - packet / bytes_per_second(conditions)).max(LOAD_MAX)
}

/// For how many payloads symbols have room, a tick, beside payload and headers, on a link that is filled to `load`.
fn affordable_symbols(conditions: &Conditions, tick_s: f64, load: f64) -> f64 {
    let free = load * bytes_per_second(conditions) - f64::from(conditions.payload_bytes_per_second);
    (free * tick_s - f64::from(conditions.packet_overhead_bytes)) / symbols_bytes(conditions)
}

fn bytes_per_second(conditions: &Conditions) -> f64 {
    conditions.rate_bits_per_second.max(1) as f64 / 8.0
}

/// What the symbols for a payload take.
fn symbols_bytes(conditions: &Conditions) -> f64 {
    conditions.units_per_payload() * UNIT_BYTES as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BGAN: Conditions = Conditions {
        rate_bits_per_second: 64_000,
        packet_overhead_bytes: 55,
        one_way_delay: Duration::from_millis(300),
        loss: LossReport { loss_per_mille: 10, burst_tenths: 10 },
        payload_bytes_per_second: 800,
        payload_bytes_mean: 30,
        payload_bytes_max: 30,
    };

    fn with_loss(loss_per_mille: u16, burst_tenths: u16) -> Protection {
        Protection::choose(&Conditions { loss: LossReport { loss_per_mille, burst_tenths }, ..BGAN })
    }

    #[test]
    fn more_loss_makes_more_symbols_and_longer_bursts_shorter_ticks() {
        let [clean, single, heavy, bursts] =
            [with_loss(0, 10), with_loss(10, 10), with_loss(50, 11), with_loss(50, 30)];
        assert_eq!(clean.tick, Duration::from_millis(100));
        assert_eq!((single.tick, single.window), (Duration::from_millis(60), 10));
        assert_eq!((bursts.tick, bursts.window), (TICK_MIN, 45));
        assert!(
            single.symbols_percent < heavy.symbols_percent && heavy.symbols_percent < bursts.symbols_percent
        );
        assert!(bursts.fills_idle_ticks && !heavy.fills_idle_ticks);
    }

    #[test]
    fn a_narrow_link_is_not_filled_with_headers_and_symbols() {
        let iridium = Conditions { rate_bits_per_second: 2_400, payload_bytes_per_second: 80, ..BGAN };
        assert_eq!(Protection::choose(&iridium).tick, TICK_MAX);
        let full = Conditions { payload_bytes_per_second: 7_000, payload_bytes_mean: 500, ..BGAN };
        assert_eq!(Protection::choose(&full).symbols_percent, 10);
    }

    #[test]
    fn symbols_take_what_is_kept_for_the_backlog_where_they_are_few() {
        let protect = |loss_per_mille, burst_tenths, payload_bytes_per_second, payload_bytes_mean| {
            let loss = LossReport { loss_per_mille, burst_tenths };
            Protection::choose(&Conditions { loss, payload_bytes_per_second, payload_bytes_mean, ..BGAN })
        };
        assert_eq!(protect(20, 20, 800, 30).load_percent, 90);
        let large = protect(50, 30, 2800, 60);
        // 7885 bytes a second, less 2800 and 50 headers of 55, for 50 times as many symbols of 68.
        assert_eq!((large.load_percent, large.symbols_percent), (98, 68));
        // However bad it is, what the link carries is used.
        assert_eq!(protect(90, 50, 2800, 60).symbols_percent, 68);
    }

    #[test]
    fn a_wide_link_brings_a_symbol_with_every_packet() {
        let wide = Conditions { rate_bits_per_second: 10_000_000, ..BGAN };
        assert_eq!(Protection::choose(&wide).symbols_percent, 100);
    }

    proptest! {
        #[test]
        fn any_conditions_give_a_protection_within_bounds(
            rate_bits_per_second: u64,
            packet_overhead_bytes: u32,
            delay_ms in 0u64..100_000,
            loss_per_mille: u16,
            burst_tenths: u16,
            payload_bytes_per_second: u32,
            payload_bytes_mean: u32,
            payload_bytes_max: u32,
        ) {
            let protection = Protection::choose(&Conditions {
                rate_bits_per_second,
                packet_overhead_bytes,
                one_way_delay: Duration::from_millis(delay_ms),
                loss: LossReport { loss_per_mille, burst_tenths },
                payload_bytes_per_second,
                payload_bytes_mean,
                payload_bytes_max,
            });
            prop_assert!((TICK_MIN..=TICK_MAX).contains(&protection.tick));
            prop_assert!((8..=MAX_WINDOW).contains(&protection.window));
            prop_assert!((10..=300).contains(&protection.symbols_percent));
        }
    }
}
