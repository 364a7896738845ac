//! When a link is down.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tern_shared::time::Instant;

/// The shortest time between the starts of a repeated outage: 10 ms.
const EVERY_MS_MIN: u64 = 10;

/// A time, or a repeated time, in which the link loses packets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// When it (first) begins, milliseconds after the link's start.
    pub start_ms: u64,
    /// How long it lasts, milliseconds.
    pub for_ms: u64,
    /// The time from one beginning to the next, milliseconds; `None` for a single outage. At least 10 and more than
    /// `for_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// The share of packets lost while it lasts, percent; 100 (the default) is a link that is down.
    #[serde(default = "whole")]
    pub loss_percent: f64,
}

/// All outages of a link. Where several hold at once, the heaviest counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Outage>", into = "Vec<Outage>")]
pub struct OutageSchedule(Vec<Outage>);

/// Why a list of outages is no schedule.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidOutage {
    /// The repetition leaves no time between two outages, or is too fast.
    #[error(
        "an outage of {for_ms} ms cannot repeat every {every_ms} ms: it takes more than its length, and at least {EVERY_MS_MIN} ms"
    )]
    Every {
        /// Its length.
        for_ms: u64,
        /// Its repetition.
        every_ms: u64,
    },
    /// A loss outside 0 to 100 percent.
    #[error("an outage cannot lose {0} % of the packets")]
    Loss(f64),
    /// The text form has an unknown or a missing key, or no duration where one belongs.
    #[error(
        "{0:?} is no outage: write `for=8s,every=60s` or `for=30s,start=10s` (also ms, m, h; `loss=60` for a part)"
    )]
    Text(String),
}

impl Outage {
    /// A single outage in which the link is down.
    pub fn once(start: Duration, length: Duration) -> Self {
        Outage { start_ms: millis(start), for_ms: millis(length), every_ms: None, loss_percent: whole() }
    }

    /// An outage in which the link is down, every `every` from `start` on.
    pub fn periodic(start: Duration, length: Duration, every: Duration) -> Self {
        Outage { every_ms: Some(millis(every)), ..Outage::once(start, length) }
    }

    /// Whether the link is down in it, for some time.
    fn is_whole(&self) -> bool {
        self.loss_percent >= 100.0 && self.for_ms > 0
    }

    fn begins(&self) -> Duration {
        Duration::from_millis(self.start_ms)
    }

    /// The first occurrence that ends after `time`, as (begin, end).
    fn occurrence_after(&self, time: Duration) -> Option<(Duration, Duration)> {
        let length = Duration::from_millis(self.for_ms);
        let mut begin = self.begins();
        if let Some(every_ms) = self.every_ms
            && let Some(past) = time.checked_sub(begin + length)
        {
            let rounds = past.as_millis() as u64 / every_ms + 1;
            begin += Duration::from_millis(every_ms.saturating_mul(rounds));
        }
        let end = begin + length;
        (end > time).then_some((begin, end))
    }
}

impl std::str::FromStr for Outage {
    type Err = InvalidOutage;

    /// `for=8s,every=60s`, `for=30s,start=10s`. A repeated outage without `start` first begins after one period.
    fn from_str(text: &str) -> Result<Self, InvalidOutage> {
        let invalid = || InvalidOutage::Text(text.to_owned());
        let (mut start, mut length, mut every, mut loss_percent) = (None, None, None, whole());
        for part in text.split(',') {
            match part.split_once('=').ok_or_else(invalid)? {
                ("start", value) => start = Some(parse_duration(value).ok_or_else(invalid)?),
                ("for", value) => length = Some(parse_duration(value).ok_or_else(invalid)?),
                ("every", value) => every = Some(parse_duration(value).ok_or_else(invalid)?),
                ("loss", value) => loss_percent = value.parse().map_err(|_| invalid())?,
                _ => return Err(invalid()),
            }
        }
        let start = start.or(every).ok_or_else(invalid)?;
        Ok(Outage {
            every_ms: every.map(millis),
            loss_percent,
            ..Outage::once(start, length.ok_or_else(invalid)?)
        })
    }
}

impl OutageSchedule {
    /// Checks the outages.
    pub fn new(outages: Vec<Outage>) -> Result<Self, InvalidOutage> {
        for outage in &outages {
            if let Some(every_ms) = outage.every_ms
                && (every_ms < EVERY_MS_MIN || every_ms <= outage.for_ms)
            {
                return Err(InvalidOutage::Every { for_ms: outage.for_ms, every_ms });
            }
            if !(0.0..=100.0).contains(&outage.loss_percent) {
                return Err(InvalidOutage::Loss(outage.loss_percent));
            }
        }
        Ok(OutageSchedule(outages))
    }

    /// The chance, 0 to 1, that a packet on the air from `start` to `end` is lost to an outage.
    pub fn loss_probability(&self, start: Instant, end: Instant) -> f64 {
        self.0
            .iter()
            .filter(|outage| outage.occurrence_after(start.0).is_some_and(|(begin, _)| begin <= end.0))
            .map(|outage| outage.loss_percent / 100.0)
            .fold(0.0, f64::max)
    }

    /// When an outage begins or ends next; `None` when there are no more.
    pub fn next_change(&self, after: Instant) -> Option<Instant> {
        let changes = self.0.iter().filter(|outage| outage.for_ms > 0).filter_map(|outage| {
            let (begin, end) = outage.occurrence_after(after.0)?;
            Some(Instant(if begin > after.0 { begin } else { end }))
        });
        changes.min()
    }

    /// The times before `end` in which the link is wholly down, as (begin, end), by their beginning. Times of several
    /// outages may overlap.
    pub fn down_times(&self, end: Instant) -> Vec<(Instant, Instant)> {
        let mut times = Vec::new();
        for outage in self.0.iter().filter(|outage| outage.is_whole()) {
            let mut after = Duration::ZERO;
            while let Some((begin, over)) = outage.occurrence_after(after).filter(|&(begin, _)| begin < end.0)
            {
                times.push((Instant(begin), Instant(over)));
                after = over;
            }
        }
        times.sort();
        times
    }

    /// The first time in which the link is wholly down that is not over before `end`, as (begin, end): of those that have
    /// begun by then, and of outages that come only once.
    pub fn first_not_over(&self, end: Instant) -> Option<(Instant, Instant)> {
        let once = self.0.iter().filter(|outage| outage.is_whole() && outage.every_ms.is_none());
        let once = once.filter_map(|outage| outage.occurrence_after(Duration::ZERO));
        let once = once.map(|(begin, over)| (Instant(begin), Instant(over)));
        self.down_times(end).into_iter().chain(once).filter(|&(_, over)| over >= end).min()
    }

    /// When a link that is wholly down at `now` is up again; `None` when it is up.
    pub fn down_until(&self, now: Instant) -> Option<Instant> {
        self.0
            .iter()
            .filter(|outage| outage.loss_percent >= 100.0)
            .filter_map(|outage| outage.occurrence_after(now.0))
            .filter(|&(begin, _)| begin <= now.0)
            .map(|(_, end)| Instant(end))
            .max()
    }
}

impl TryFrom<Vec<Outage>> for OutageSchedule {
    type Error = InvalidOutage;

    fn try_from(outages: Vec<Outage>) -> Result<Self, InvalidOutage> {
        OutageSchedule::new(outages)
    }
}

impl From<OutageSchedule> for Vec<Outage> {
    fn from(schedule: OutageSchedule) -> Self {
        schedule.0
    }
}

/// `250ms`, `8s`, `1.5m`, `2h`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let seconds_per_unit = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds_per_unit).ok()
}

fn whole() -> f64 {
    100.0
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant(Duration::from_millis(ms))
    }

    #[test]
    fn a_periodic_outage_comes_back() {
        let outage: Outage = "every=60s,for=8s".parse().unwrap();
        let schedule = OutageSchedule::new(vec![outage]).unwrap();
        let down_until = |ms| schedule.down_until(at(ms));
        assert_eq!(down_until(59_999), None);
        assert_eq!(down_until(60_000), Some(at(68_000)));
        assert_eq!(down_until(67_999), Some(at(68_000)));
        assert_eq!(down_until(68_000), None);
        assert_eq!(down_until(6_000_001), Some(at(6_008_000)));
        assert_eq!(down_until(6_008_000), None);
    }

    #[test]
    fn changes_are_the_beginnings_and_ends_of_outages() {
        let outages = ["start=20s,for=5s", "every=15s,for=150ms,loss=60"];
        let schedule = OutageSchedule::new(outages.map(|text| text.parse().unwrap()).to_vec()).unwrap();
        let changes = std::iter::successors(Some(at(0)), |&after| schedule.next_change(after));
        let expected = [15_000, 15_150, 20_000, 25_000, 30_000, 30_150].map(at);
        assert_eq!(changes.skip(1).take(6).collect::<Vec<_>>(), expected);
        assert_eq!(OutageSchedule::default().next_change(at(0)), None);
    }

    #[test]
    fn down_times_are_those_of_whole_outages() {
        let outages = ["start=40s,for=5s", "every=30s,for=8s", "every=15s,for=150ms,loss=60"];
        let schedule = OutageSchedule::new(outages.map(|text| text.parse().unwrap()).to_vec()).unwrap();
        let secs = |s: u64| at(s * 1000);
        assert_eq!(
            schedule.down_times(secs(61)),
            [(secs(30), secs(38)), (secs(40), secs(45)), (secs(60), secs(68))]
        );
    }

    #[test]
    fn what_is_not_over_is_what_has_begun_and_what_comes_once() {
        let outages = ["start=40s,for=5s", "every=60s,for=8s", "start=90s,for=5s,loss=60"];
        let schedule = OutageSchedule::new(outages.map(|text| text.parse().unwrap()).to_vec()).unwrap();
        let secs = |s: u64| at(s * 1000);
        for end in [20, 42, 45] {
            assert_eq!(schedule.first_not_over(secs(end)), Some((secs(40), secs(45))), "{end}");
        }
        assert_eq!(schedule.first_not_over(secs(46)), None);
        assert_eq!(schedule.first_not_over(secs(61)), Some((secs(60), secs(68))));
    }

    #[test]
    fn a_packet_that_an_outage_cuts_into_is_lost() {
        let schedule = OutageSchedule::new(vec!["start=1s,for=1s".parse().unwrap()]).unwrap();
        assert_eq!(schedule.loss_probability(at(900), at(999)), 0.0);
        assert_eq!(schedule.loss_probability(at(900), at(1_001)), 1.0);
        assert_eq!(schedule.loss_probability(at(1_999), at(2_100)), 1.0);
        assert_eq!(schedule.loss_probability(at(2_000), at(2_100)), 0.0);
    }

    #[test]
    fn a_partial_outage_is_no_down_time() {
        let schedule = OutageSchedule::new(vec!["every=15s,for=150ms,loss=60".parse().unwrap()]).unwrap();
        assert_eq!(schedule.down_until(at(15_010)), None);
        assert_eq!(schedule.loss_probability(at(15_010), at(15_011)), 0.6);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "for=8s", "for=8,every=60s", "for=8s,every=60s,often=1", "for=-8s,every=60s"] {
            assert_eq!(text.parse::<Outage>(), Err(InvalidOutage::Text(text.to_owned())));
        }
        let endless = "for=60s,every=60s".parse().unwrap();
        assert!(matches!(OutageSchedule::new(vec![endless]), Err(InvalidOutage::Every { .. })));
    }
}
