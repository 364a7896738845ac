//! Latency of what arrives.

use std::collections::VecDeque;
use std::time::Duration;

use super::client::{Arrival, Lane};

/// What "recent" means.
const WINDOW: Duration = Duration::from_secs(10);
/// The most live records of a window that count, the newest: 10,000 a second.
const WINDOW_RECORDS_MAX: usize = 100_000;
/// Latencies of the whole run are counted by the millisecond up to this; longer ones count as this.
const LATENCY_MS_MAX: usize = 120_000;

/// Counts arrivals.
#[derive(Debug, Default)]
pub(super) struct Meter {
    window: VecDeque<(Duration, f64)>,
    /// How many live records took so many milliseconds.
    by_millis: Vec<u64>,
    live_records: u64,
    backlog_records: u64,
}

/// Latency of live records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Latency {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) records: u64,
}

impl Meter {
    /// Counts an arrival at `elapsed` after the start.
    pub(super) fn add(&mut self, elapsed: Duration, arrival: Arrival) {
        match arrival.lane {
            Lane::Backlog => self.backlog_records += 1,
            Lane::Live => {
                self.live_records += 1;
                let latency_ms = arrival.age_s * 1e3;
                let millis = (latency_ms.max(0.0) as usize).min(LATENCY_MS_MAX);
                if self.by_millis.len() <= millis {
                    self.by_millis.resize(millis + 1, 0);
                }
                self.by_millis[millis] += 1;
                if self.window.len() == WINDOW_RECORDS_MAX {
                    self.window.pop_front();
                }
                self.window.push_back((elapsed, latency_ms));
            }
        }
    }

    /// Latency over the last 10 s; `None` when nothing live arrived in them.
    pub(super) fn recent(&mut self, elapsed: Duration) -> Option<Latency> {
        while self.window.front().is_some_and(|&(at, _)| at + WINDOW < elapsed) {
            self.window.pop_front();
        }
        let mut latencies: Vec<f64> = self.window.iter().map(|&(_, latency_ms)| latency_ms).collect();
        latencies.sort_by(f64::total_cmp);
        let rank =
            |share: f64| latencies.get(((latencies.len() as f64 * share) as usize).min(latencies.len() - 1));
        (!latencies.is_empty()).then(|| Latency {
            p50_ms: rank(0.5).copied().unwrap_or_default(),
            p99_ms: rank(0.99).copied().unwrap_or_default(),
            records: latencies.len() as u64,
        })
    }

    /// Latency since the start, to the millisecond; `None` when nothing live arrived.
    pub(super) fn overall(&self) -> Option<Latency> {
        let rank = |share: f64| {
            let mut left = (self.live_records as f64 * share) as u64;
            let found = self.by_millis.iter().position(|&count| {
                let found = count > left;
                left = left.saturating_sub(count);
                found
            });
            found.unwrap_or(self.by_millis.len().saturating_sub(1)) as f64
        };
        (self.live_records > 0).then(|| Latency {
            p50_ms: rank(0.5),
            p99_ms: rank(0.99),
            records: self.live_records,
        })
    }

    /// The share of live records that were older than a second, percent.
    pub(super) fn late_percent(&self) -> f64 {
        let late: u64 = self.by_millis.iter().skip(1001).sum();
        late as f64 * 100.0 / self.live_records.max(1) as f64
    }

    /// Live records and those from the backlog.
    pub(super) fn records(&self) -> u64 {
        self.live_records + self.backlog_records
    }

    /// Records that came from the backlog.
    pub(super) fn backlog_records(&self) -> u64 {
        self.backlog_records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(age_ms: u32) -> Arrival {
        Arrival { lane: Lane::Live, age_s: f64::from(age_ms) / 1e3 }
    }

    #[test]
    fn percentiles_are_of_live_records_only() {
        let mut meter = Meter::default();
        for age_ms in 0..=100 {
            meter.add(Duration::ZERO, live(age_ms * 12));
        }
        meter.add(Duration::ZERO, Arrival { lane: Lane::Backlog, age_s: 60.0 });
        let recent = meter.recent(Duration::ZERO).unwrap();
        assert_eq!((recent.p50_ms.round(), recent.p99_ms.round(), recent.records), (600.0, 1188.0, 101));
        assert!((meter.late_percent() - 1700.0 / 101.0).abs() < 0.01, "{}", meter.late_percent());
        assert_eq!(meter.records(), 102);
    }

    #[test]
    fn what_is_older_than_the_window_is_not_recent() {
        let mut meter = Meter::default();
        meter.add(Duration::from_secs(1), live(300));
        assert!(meter.recent(Duration::from_secs(11)).is_some());
        assert_eq!(meter.recent(Duration::from_secs(12)), None);
        assert_eq!(meter.overall().unwrap().records, 1);
    }
}
