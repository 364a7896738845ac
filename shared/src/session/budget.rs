//! What the vehicle may spend: bytes a second, a flight and a month, both directions, headers counted.
//!
//! The session counts what it hears and sends by estimate at once, and is set right by what the transport has really
//! counted. Bytes a second lower the rate. As a flight's or a month's bytes run short, the lanes thin out in the order of
//! [`Thinning`]; a packet and its answer are always left, so that no budget is exceeded.

use std::collections::VecDeque;
use std::fmt;

use super::pacing::Pacer;
use crate::time::{Instant, Timestamp};

/// What is kept back of a budget: the largest packet, and what the ground says to it.
const RESERVE_BYTES: u64 = 2000;

/// The limits of what may be spent; `None` for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// Bytes a second.
    pub bytes_per_second: Option<u64>,
    /// From a start of the edge to its end.
    pub flight_bytes: Option<u64>,
    /// In a calendar month, UTC.
    pub month_bytes: Option<u64>,
}

/// One of the budgets that run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetKind {
    /// [`Budgets::flight_bytes`].
    Flight,
    /// [`Budgets::month_bytes`].
    Month,
}

/// What a budget that runs short still allows. Each includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thinning {
    /// Everything.
    #[default]
    None,
    /// From 80 %: no backlog and nothing of class bulk.
    NoBacklog,
    /// From 90 %: of live records, half the bytes, half as often.
    HalfLive,
    /// From 97 %: of live records, only those of class critical.
    CriticalOnly,
    /// 100 %, but for the last packet and its answer: nothing is sent.
    Spent,
}

/// A calendar month, UTC, as months since the year 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(pub u32);

/// What was spent in a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonthSpent {
    /// Which.
    pub month: Month,
    /// Both directions, headers counted.
    pub bytes: u64,
}

/// A budget that came to another stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetChange {
    /// Which budget.
    pub kind: BudgetKind,
    /// What it allows from here on.
    pub thinning: Thinning,
    /// What was spent of it.
    pub spent_bytes: u64,
    /// All of it.
    pub limit_bytes: u64,
}

/// What was spent, and what that leaves.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Budgets,
    pacer: Pacer,
    flight_bytes: u64,
    month: MonthSpent,
    /// The month that ended last, which a clock that is set right may come back to.
    ended: MonthSpent,
    /// Whether this month began by the vehicle's clock alone.
    is_doubtful: bool,
    /// What the transport had counted in all, and what was estimated since.
    counted: u64,
    estimated: u64,
    /// What was counted beyond the estimates and the pacer was not charged for; negative where it was charged too much.
    uncharged: i64,
    /// As last told.
    told: [Thinning; 2],
    changes: VecDeque<BudgetChange>,
}

impl Budget {
    pub(super) fn new(limits: Budgets) -> Self {
        Budget {
            pacer: Pacer::of_budget(limits.bytes_per_second.map(|bytes| bytes.saturating_mul(8))),
            limits,
            flight_bytes: 0,
            month: MonthSpent::default(),
            ended: MonthSpent::default(),
            is_doubtful: false,
            counted: 0,
            estimated: 0,
            uncharged: 0,
            told: [Thinning::None; 2],
            changes: VecDeque::new(),
        }
    }

    /// What an earlier start has spent of a month.
    pub(super) fn restore(&mut self, month: MonthSpent) {
        self.month = MonthSpent { month: month.month, bytes: month.bytes.saturating_add(self.month.bytes) };
        self.tell();
    }

    /// So much was sent or heard, by estimate.
    pub(super) fn handle_estimate(&mut self, now: Instant, wire_bytes: usize) {
        let bytes = wire_bytes as u64;
        self.estimated += bytes;
        self.flight_bytes += bytes;
        self.month.bytes += bytes;
        self.pacer.charge(now, wire_bytes);
        self.tell();
    }

    /// The transport has counted so much in all since the start of the edge.
    pub(super) fn handle_counted(&mut self, now: Instant, total_bytes: u64) {
        let counted = total_bytes.saturating_sub(self.counted);
        let correction = counted.wrapping_sub(self.estimated) as i64;
        self.counted = self.counted.max(total_bytes);
        self.estimated = 0;
        self.flight_bytes = self.flight_bytes.saturating_add_signed(correction);
        self.month.bytes = self.month.bytes.saturating_add_signed(correction);
        self.uncharged += correction;
        if self.uncharged > 0 {
            self.pacer.charge(now, self.uncharged as usize);
            self.uncharged = 0;
        }
        self.tell();
    }

    /// It is this time, by the ground's clock where that is known (`is_known`), by the vehicle's otherwise, which may only
    /// go on to a later month: one that starts in 1970 begins none.
    pub(super) fn handle_time(&mut self, wall: Timestamp, is_known: bool) {
        let month = Month::of(wall);
        if month > self.month.month {
            let is_first = self.month.month == Month::default();
            let bytes = if is_first || self.is_doubtful { self.month.bytes } else { 0 };
            let ended = std::mem::replace(&mut self.month, MonthSpent { month, bytes });
            if !self.is_doubtful {
                (self.ended, self.is_doubtful) = (ended, !is_first);
            }
            if bytes == 0 && self.told[1] != Thinning::None {
                self.told[1] = Thinning::None;
                self.changes.extend(self.limits.month_bytes.map(|limit_bytes| BudgetChange {
                    kind: BudgetKind::Month,
                    thinning: Thinning::None,
                    spent_bytes: 0,
                    limit_bytes,
                }));
            }
        } else if is_known && month < self.month.month {
            self.month.month = month;
            if month == self.ended.month {
                self.month.bytes = self.month.bytes.saturating_add(std::mem::take(&mut self.ended).bytes);
                self.tell();
            }
        }
        self.is_doubtful &= !is_known;
    }

    /// What the budgets allow.
    pub(super) fn thinning(&self) -> Thinning {
        self.told.into_iter().max().unwrap_or_default()
    }

    /// Whether the bytes a second let a message leave now, or when to ask again.
    pub(super) fn ready(&mut self, now: Instant) -> Result<(), Instant> {
        self.pacer.ready(now)
    }

    pub(super) fn bits_per_second(&self) -> Option<u64> {
        self.limits.bytes_per_second.map(|bytes| bytes.saturating_mul(8))
    }

    pub(super) fn flight_bytes(&self) -> u64 {
        self.flight_bytes
    }

    pub(super) fn month(&self) -> MonthSpent {
        self.month
    }

    /// What the next start shall know: of the month before, while this one may be one that a wrong clock began.
    pub(super) fn month_to_keep(&self) -> MonthSpent {
        let MonthSpent { month, bytes } = self.ended;
        let both = MonthSpent { month, bytes: bytes.saturating_add(self.month.bytes) };
        if self.is_doubtful { both } else { self.month }
    }

    /// What is left of the scarcest budget, bytes; `None` without one.
    pub(super) fn left_bytes(&self) -> Option<u64> {
        let left = |(_, spent, limit): (BudgetKind, u64, u64)| limit.saturating_sub(spent);
        self.budgets().into_iter().flatten().map(left).min()
    }

    pub(super) fn poll_change(&mut self) -> Option<BudgetChange> {
        self.changes.pop_front()
    }

    /// Each with what was spent of it and its limit.
    fn budgets(&self) -> [Option<(BudgetKind, u64, u64)>; 2] {
        [
            self.limits.flight_bytes.map(|limit| (BudgetKind::Flight, self.flight_bytes, limit)),
            self.limits.month_bytes.map(|limit| (BudgetKind::Month, self.month.bytes, limit)),
        ]
    }

    fn tell(&mut self) {
        for (index, budget) in self.budgets().into_iter().enumerate() {
            let Some((kind, spent_bytes, limit_bytes)) = budget else { continue };
            let thinning = Thinning::at(spent_bytes, limit_bytes);
            // An estimate that was set right is no reason to say everything twice.
            if thinning > self.told[index] {
                self.told[index] = thinning;
                self.changes.push_back(BudgetChange { kind, thinning, spent_bytes, limit_bytes });
            }
        }
    }
}

impl Thinning {
    fn at(spent_bytes: u64, limit_bytes: u64) -> Thinning {
        let permille = u128::from(spent_bytes) * 1000 / u128::from(limit_bytes.max(1));
        match permille {
            _ if spent_bytes.saturating_add(RESERVE_BYTES) > limit_bytes => Thinning::Spent,
            970.. => Thinning::CriticalOnly,
            900.. => Thinning::HalfLive,
            800.. => Thinning::NoBacklog,
            _ => Thinning::None,
        }
    }
}

impl Month {
    /// The month of a time; of one before 1970, the first of that year.
    pub fn of(wall: Timestamp) -> Month {
        let days = wall.0.div_euclid(86_400_000_000).clamp(0, 3_000_000) as u32;
        let mut year = 1970 + days / 366;
        while days_before(year + 1) <= days {
            year += 1;
        }
        let leap = days_before(year + 1) - days_before(year) - 365;
        let lengths = [31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut left = days - days_before(year);
        let mut month = 0;
        for length in lengths {
            if left < length {
                break;
            }
            left -= length;
            month += 1;
        }
        Month(year * 12 + month)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 12, self.0 % 12 + 1)
    }
}

/// Days from the beginning of 1970 to that of a year.
fn days_before(year: u32) -> u32 {
    let leaps = |year: u32| year / 4 - year / 100 + year / 400;
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant(std::time::Duration::ZERO);

    fn budget(flight_bytes: Option<u64>, month_bytes: Option<u64>) -> Budget {
        Budget::new(Budgets { bytes_per_second: None, flight_bytes, month_bytes })
    }

    fn day(seconds: i64) -> String {
        Month::of(Timestamp(seconds * 1_000_000)).to_string()
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        assert_eq!(day(-5), "1970-01");
        assert_eq!(day(951_782_400), "2000-02"); // The 29th.
        assert_eq!(day(951_868_800), "2000-03");
        assert_eq!(day(1_764_547_199), "2025-11");
        assert_eq!(day(1_764_547_200), "2025-12");
        assert_eq!(day(1_767_225_599), "2025-12");
        assert_eq!(day(4_107_542_400), "2100-03"); // 2100 is no leap year.
        assert_eq!(Month::of(Timestamp(i64::MAX)).to_string(), "10183-09");
    }

    #[test]
    fn lanes_thin_out_in_order_and_each_stage_is_told_once() {
        let mut budget = budget(Some(1_000_000), None);
        let mut stages = Vec::new();
        for _ in 0..1000 {
            budget.handle_estimate(START, 1000);
            stages.extend(std::iter::from_fn(|| budget.poll_change()));
        }
        let stages: Vec<(Thinning, u64)> =
            stages.into_iter().map(|change| (change.thinning, change.spent_bytes)).collect();
        use Thinning::{CriticalOnly, HalfLive, NoBacklog, Spent};
        assert_eq!(
            stages,
            [(NoBacklog, 800_000), (HalfLive, 900_000), (CriticalOnly, 970_000), (Spent, 999_000)]
        );
    }

    #[test]
    fn the_scarcer_budget_decides() {
        let mut budget = budget(Some(100_000), Some(1_000_000));
        budget.restore(MonthSpent { month: Month(24_310), bytes: 950_000 });
        assert_eq!((budget.thinning(), budget.left_bytes()), (Thinning::HalfLive, Some(50_000)));
        budget.handle_estimate(START, 90_000);
        assert_eq!((budget.thinning(), budget.left_bytes()), (Thinning::Spent, Some(0)));
    }

    #[test]
    fn what_the_transport_counts_sets_estimates_right() {
        let mut budget = budget(Some(1_000_000), None);
        budget.handle_estimate(START, 5000);
        budget.handle_counted(START, 8000);
        assert_eq!(budget.flight_bytes(), 8000);
        budget.handle_estimate(START, 5000);
        // What was handed over last has not left yet.
        budget.handle_counted(START, 9000);
        assert_eq!(budget.flight_bytes(), 9000);
        budget.handle_counted(START, 13_000);
        assert_eq!(budget.flight_bytes(), 13_000);
    }

    #[test]
    fn a_new_month_begins_by_the_ground_clock_and_not_by_one_without_a_battery() {
        let mut budget = budget(None, Some(10_000));
        let november = Timestamp(1_764_000_000_000_000);
        budget.restore(MonthSpent { month: Month::of(november), bytes: 9_900 });
        assert_eq!(budget.thinning(), Thinning::Spent);
        budget.handle_time(Timestamp(0), false);
        assert_eq!(budget.thinning(), Thinning::Spent);
        budget.handle_time(november.offset_by(86_400_000_000 * 8), true);
        assert_eq!((budget.thinning(), budget.month().bytes), (Thinning::None, 0));
    }

    #[test]
    fn a_clock_that_swings_to_another_month_and_back_forgets_nothing_that_was_spent() {
        let mut budget = budget(None, Some(10_000));
        let november = Timestamp(1_764_000_000_000_000);
        budget.restore(MonthSpent { month: Month::of(november), bytes: 7_000 });
        for is_known in [true, false] {
            budget.handle_time(november.offset_by(86_400_000_000 * 400), is_known);
            budget.handle_estimate(START, 500);
            // A clock that nothing vouches for may pass another month meanwhile.
            budget
                .handle_time(november.offset_by(86_400_000_000 * if is_known { 400 } else { 440 }), is_known);
            let kept = budget.month_to_keep();
            assert_eq!(kept.month == Month::of(november), !is_known, "{kept:?}");
            budget.handle_time(november, true);
        }
        assert_eq!(budget.month_to_keep(), budget.month());
        assert_eq!((budget.thinning(), budget.month().bytes), (Thinning::NoBacklog, 8_000));
    }

    #[test]
    fn what_is_counted_beyond_the_estimates_slows_down_what_is_sent() {
        let limits = Budgets { bytes_per_second: Some(1000), ..Budgets::default() };
        let mut budget = Budget::new(limits);
        let (mut now, mut counted) = (Instant::default(), 0);
        while now.0.as_secs() < 600 {
            match budget.ready(now) {
                Ok(()) => {
                    budget.handle_estimate(now, 200);
                    counted += 300;
                    budget.handle_counted(now, counted);
                }
                Err(later) => now = later,
            }
        }
        assert!((595_000..=602_000).contains(&counted), "{counted}");
    }
}
