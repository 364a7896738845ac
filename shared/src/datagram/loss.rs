//! How much a link loses, and in how long bursts: told from the numbers of the packets that came.

use serde::{Deserialize, Serialize};

/// A packet that comes fewer numbers late than this still counts as received.
const REORDERING: u32 = 16;
/// A run of this many losses is an outage: no code bridges it, so it shall not make the code thicker.
const OUTAGE: u32 = 64;
/// How many packets the share of loss looks back on.
pub(crate) const HORIZON_PACKETS: f64 = 1000.0;
/// What is assumed before anything was seen counts as much as so many packets.
const ASSUMED_PACKETS: f64 = 200.0;
/// How many bursts their mean length looks back on.
pub(crate) const HORIZON_BURSTS: f64 = 50.0;

/// What the ground tells the vehicle of the link between them, in small integers for the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossReport {
    /// Lost packets of a thousand, 0 to 1000, outages aside.
    pub loss_per_mille: u16,
    /// Mean length of bursts in tenths of a packet, 10 to 640. A single loss is a burst of one.
    pub burst_tenths: u16,
}

impl LossReport {
    /// What the ground tells of a link before it has seen enough of it, and the vehicle assumes of one whose rate it is still
    /// finding out: 1 % of single losses.
    pub const ASSUMED: LossReport = LossReport { loss_per_mille: 10, burst_tenths: 10 };

    /// What a vehicle is prepared for on a link of known rate, before its packets have shown more: the first burst comes without
    /// a warning, and with the ticks of single losses it would last for half a second.
    pub const FEARED: LossReport = LossReport { loss_per_mille: 10, burst_tenths: 20 };

    /// The worse of both, each for itself.
    pub fn at_least(self, other: LossReport) -> LossReport {
        LossReport {
            loss_per_mille: self.loss_per_mille.max(other.loss_per_mille),
            burst_tenths: self.burst_tenths.max(other.burst_tenths),
        }
    }
}

/// Counts the packets of one direction.
///
/// Packets may come up to 15 numbers late, and twice. A number further behind makes it begin again from there, keeping
/// what it learnt. A run of 64 losses or more is an outage, and no part of the report. Every call takes bounded time,
/// whatever the number.
#[derive(Clone, Debug)]
pub struct LossMeter {
    newest: Option<u32>,
    /// Which of the [`REORDERING`] newest numbers came: bit 0 stands for the newest. Numbers behind these are judged.
    came: u32,
    /// Losses in a row among the last numbers that were judged.
    run: u32,
    loss: Average,
    burst: Average,
    outages: u64,
}

impl Default for LossMeter {
    fn default() -> Self {
        LossMeter::new()
    }
}

/// An exponentially weighted mean that begins as a plain one.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    mean: f64,
    count: f64,
}

impl LossMeter {
    /// Has seen nothing, and assumes what [`LossReport::ASSUMED`] says until it has seen enough.
    pub fn new() -> Self {
        let assumed = f64::from(LossReport::ASSUMED.loss_per_mille) / 1000.0;
        LossMeter {
            newest: None,
            came: 0,
            run: 0,
            loss: Average { mean: assumed, count: ASSUMED_PACKETS },
            burst: Average::default(),
            outages: 0,
        }
    }

    /// Packet `number` came.
    pub fn handle_packet(&mut self, number: u32) {
        let ahead = number.wrapping_sub(self.newest.unwrap_or(number)).cast_signed();
        if self.newest.is_none() || ahead <= -REORDERING.cast_signed() {
            // What was before the first packet is nobody's loss.
            self.came = (1 << REORDERING) - 1;
            self.run = 0;
            self.newest = Some(number);
        } else if ahead <= 0 {
            self.came |= 1 << ahead.unsigned_abs();
        } else {
            // A longer gap is an outage already, and more of it changes nothing.
            for _ in 0..ahead.unsigned_abs().min(2 * (OUTAGE + REORDERING)) {
                self.judge(self.came >> (REORDERING - 1) & 1 == 1);
                self.came = self.came << 1 & ((1 << REORDERING) - 1);
            }
            self.came |= 1;
            self.newest = Some(number);
        }
    }

    /// What to tell the vehicle.
    pub fn report(&self) -> LossReport {
        let per_mille = (self.loss.mean * 1000.0).round() as u16;
        let tenths = (self.burst.mean * 10.0).round() as u16;
        LossReport { loss_per_mille: per_mille.min(1000), burst_tenths: tenths.max(10) }
    }

    /// How many outages there were: runs of 64 losses or more.
    pub fn outages(&self) -> u64 {
        self.outages
    }

    /// A number is too old to come any more.
    fn judge(&mut self, came: bool) {
        if !came {
            self.run = (self.run + 1).min(OUTAGE);
            return;
        }
        match std::mem::take(&mut self.run) {
            0 => {}
            OUTAGE => self.outages += 1,
            run => {
                self.burst.add(run.into(), HORIZON_BURSTS);
                (0..run).for_each(|_| self.loss.add(1.0, HORIZON_PACKETS));
            }
        }
        self.loss.add(0.0, HORIZON_PACKETS);
    }
}

impl Average {
    fn add(&mut self, value: f64, horizon: f64) {
        self.count = (self.count + 1.0).min(horizon);
        self.mean += (value - self.mean) / self.count;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// What a link of this Gilbert-Elliott model lets pass of `count` numbers.
    fn survivors(rng: &mut StdRng, first: u32, count: u32, enter: f64, leave: f64) -> Vec<u32> {
        let mut in_burst = false;
        let mut survives = || {
            in_burst ^= rng.random_bool(if in_burst { leave } else { enter });
            !in_burst
        };
        (0..count).filter(|_| survives()).map(|index| first.wrapping_add(index)).collect()
    }

    fn measured(numbers: impl IntoIterator<Item = u32>) -> LossMeter {
        let mut meter = LossMeter::new();
        numbers.into_iter().for_each(|number| meter.handle_packet(number));
        meter
    }

    #[test]
    fn share_and_bursts_are_those_of_the_link() {
        // Chance to enter and leave a burst; per mille and tenths that follow.
        for (enter, leave, per_mille, tenths) in
            [(0.01, 0.99, 10, 10), (0.05, 0.95, 50, 11), (0.0175, 0.33, 50, 30)]
        {
            let mut rng = StdRng::seed_from_u64(7);
            let (mut share, mut burst) = (0, 0);
            for _ in 0..50 {
                let numbers = survivors(&mut rng, u32::MAX - 2000, 5000, enter, leave);
                let report = measured(numbers).report();
                share += report.loss_per_mille;
                burst += report.burst_tenths;
            }
            assert!((share / 50).abs_diff(per_mille) <= 1 + per_mille / 8, "{per_mille}: {}", share / 50);
            assert!((burst / 50).abs_diff(tenths) <= 1 + tenths / 8, "{tenths}: {}", burst / 50);
        }
    }

    #[test]
    fn a_link_is_believed_to_lose_nothing_after_some_thousand_packets() {
        let per_mille = |packets| measured(0..packets).report().loss_per_mille;
        assert_eq!(LossMeter::new().report(), LossReport::ASSUMED);
        assert!((3..=5).contains(&per_mille(300)) && (1..=2).contains(&per_mille(1000)));
        assert_eq!(per_mille(3000), 0);
    }

    #[test]
    fn an_outage_is_counted_apart() {
        for outage in [64, 5000, 2_000_000_000] {
            let meter = measured((0..1000).chain(1000 + outage..4000 + outage));
            assert_eq!(meter.report(), LossReport { loss_per_mille: 0, burst_tenths: 10 }, "{outage}");
            assert_eq!(meter.outages(), 1);
        }
        let meter = measured((0..1000).chain(1063..2000));
        assert_eq!((meter.outages(), meter.report().burst_tenths), (0, 630));
    }

    #[test]
    fn reordering_and_duplicates_are_no_loss() {
        // Each group of eight comes backwards, and each number again, eight later.
        let numbers = (0u32..4000).flat_map(|n| [n ^ 7, n.saturating_sub(8)]);
        assert_eq!(measured(numbers).report().loss_per_mille, 0);
    }

    #[test]
    fn numbers_that_begin_again_are_no_loss() {
        let meter = measured((50_000..52_000).chain(0..2000));
        assert_eq!((meter.report().loss_per_mille, meter.outages()), (0, 0));
    }

    proptest! {
        #[test]
        fn any_numbers_are_taken(numbers in prop::collection::vec(prop_oneof![any::<u32>(), 0u32..300], 0..500)) {
            let report = measured(numbers).report();
            prop_assert!(report.loss_per_mille <= 1000 && (10..=640).contains(&report.burst_tenths));
        }
    }
}
