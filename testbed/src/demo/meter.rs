//! Latency of what arrives.

use std::collections::VecDeque;
use std::time::Duration;

use crate::client::{Arrival, Lane};
use crate::latency::{Histogram, Percentiles};

/// What "recent" means.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// The most live records of a window that count, the newest: 10,000 a second.
const WINDOW_RECORDS_MAX: usize = 100_000;
/// Latencies of the whole run are counted by the millisecond up to this; longer ones count as this.
const LATENCY_MS_MAX: usize = 120_000;

/// Counts arrivals.
#[derive(Debug)]
pub(super) struct Meter {
    window: VecDeque<(Duration, f64)>,
    /// Of live records, milliseconds.
    latency_ms: Histogram,
    backlog_records: u64,
}

/// Latency of live records.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Latency {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) records: u64,
}

impl Default for Meter {
    fn default() -> Self {
        Meter { window: VecDeque::new(), latency_ms: Histogram::new(LATENCY_MS_MAX), backlog_records: 0 }
    }
}

impl Meter {
    /// Counts an arrival at `elapsed` after the start.
    pub(super) fn add(&mut self, elapsed: Duration, arrival: &Arrival) {
        match arrival.lane {
            Lane::Backlog => self.backlog_records += 1,
            Lane::Live => {
                let latency_ms = arrival.age_s() * 1e3;
                self.latency_ms.add(latency_ms);
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
        let recent = Percentiles::of(self.window.iter().map(|&(_, latency_ms)| latency_ms).collect())?;
        Some(Latency { p50_ms: recent.p50, p99_ms: recent.p99, records: self.window.len() as u64 })
    }

    /// Latency since the start, to the millisecond; `None` when nothing live arrived.
    pub(super) fn overall(&self) -> Option<Latency> {
        (self.latency_ms.total() > 0).then(|| Latency {
            p50_ms: self.latency_ms.percentile(0.5),
            p99_ms: self.latency_ms.percentile(0.99),
            records: self.latency_ms.total(),
        })
    }

    /// The share of live records that were older than a second, percent.
    pub(super) fn late_percent(&self) -> f64 {
        self.latency_ms.above(1000) as f64 * 100.0 / self.latency_ms.total().max(1) as f64
    }

    /// Live records and those from the backlog.
    pub(super) fn records(&self) -> u64 {
        self.latency_ms.total() + self.backlog_records
    }

    /// Records that came from the backlog.
    pub(super) fn backlog_records(&self) -> u64 {
        self.backlog_records
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(lane: Lane, age_ms: u32) -> Arrival {
        Arrival {
            at: std::time::Instant::now(),
            wall_s: f64::from(age_ms) / 1e3,
            stream: "s".to_owned(),
            lane,
            captured_s: 0.0,
            sequence: 0,
            number: None,
        }
    }

    #[test]
    fn percentiles_are_of_live_records_only() {
        let mut meter = Meter::default();
        for age_ms in 0..=100 {
            meter.add(Duration::ZERO, &arrival(Lane::Live, age_ms * 12));
        }
        meter.add(Duration::ZERO, &arrival(Lane::Backlog, 60_000));
        let recent = meter.recent(Duration::ZERO).unwrap();
        assert_eq!((recent.p50_ms.round(), recent.p99_ms.round(), recent.records), (600.0, 1188.0, 101));
        assert!((meter.late_percent() - 1700.0 / 101.0).abs() < 0.01, "{}", meter.late_percent());
        assert_eq!(meter.records(), 102);
    }

    #[test]
    fn what_is_older_than_the_window_is_not_recent() {
        let mut meter = Meter::default();
        meter.add(Duration::from_secs(1), &arrival(Lane::Live, 300));
        assert!(meter.recent(Duration::from_secs(11)).is_some());
        assert_eq!(meter.recent(Duration::from_secs(12)), None);
        assert_eq!(meter.overall().unwrap().records, 1);
    }
}
