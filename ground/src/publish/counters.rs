//! What has arrived and how soon it was published, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tern_shared::message::Lane;

/// Upper bounds of the histogram's buckets, seconds.
pub const PUBLISH_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    live_records: AtomicU64,
    backlog_records: AtomicU64,
    lost_records: AtomicU64,
    /// Frames by bucket, those beyond the last bound behind them.
    publish: [AtomicU64; PUBLISH_BUCKETS.len() + 1],
    publish_micros: AtomicU64,
}

/// The frames that were published, by how long that took.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishTimes {
    /// Frames within each bound of [`PUBLISH_BUCKETS`], those within the bounds before included.
    pub within: [u64; PUBLISH_BUCKETS.len()],
    /// All frames.
    pub frames: u64,
    /// All times together, seconds.
    pub sum_seconds: f64,
}

impl Counters {
    /// Records have been published, so long after they arrived.
    pub fn published(&self, lane: Lane, records: u64, after: Duration) {
        let of_lane = match lane {
            Lane::Live => &self.live_records,
            Lane::Backlog => &self.backlog_records,
        };
        of_lane.fetch_add(records, Ordering::Relaxed);
        let bucket = PUBLISH_BUCKETS.partition_point(|bound| *bound < after.as_secs_f64());
        self.publish[bucket].fetch_add(1, Ordering::Relaxed);
        self.publish_micros.fetch_add(after.as_micros() as u64, Ordering::Relaxed);
    }

    /// Records are known to be lost.
    pub fn lost(&self, records: u64) {
        self.lost_records.fetch_add(records, Ordering::Relaxed);
    }

    /// Records that came on a lane.
    pub fn records(&self, lane: Lane) -> u64 {
        match lane {
            Lane::Live => self.live_records.load(Ordering::Relaxed),
            Lane::Backlog => self.backlog_records.load(Ordering::Relaxed),
        }
    }

    /// Records known to be lost.
    pub fn lost_records(&self) -> u64 {
        self.lost_records.load(Ordering::Relaxed)
    }

    /// How soon frames were published.
    pub fn publish_times(&self) -> PublishTimes {
        let mut frames = 0;
        let mut within = [0; PUBLISH_BUCKETS.len()];
        for (i, bucket) in self.publish.iter().enumerate() {
            frames += bucket.load(Ordering::Relaxed);
            if let Some(within) = within.get_mut(i) {
                *within = frames;
            }
        }
        let sum_seconds = self.publish_micros.load(Ordering::Relaxed) as f64 / 1e6;
        PublishTimes { within, frames, sum_seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_within_every_bound_that_they_keep() {
        let counters = Counters::default();
        for millis in [0, 1, 2, 60, 9000] {
            counters.published(Lane::Live, 2, Duration::from_millis(millis));
        }
        let times = counters.publish_times();
        assert_eq!((times.within[0], times.within[1], times.within[6], times.within[10]), (2, 3, 4, 4));
        assert_eq!((times.frames, counters.records(Lane::Live)), (5, 10));
        assert!((times.sum_seconds - 9.063).abs() < 1e-9);
    }
}
