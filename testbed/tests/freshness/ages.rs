//! What a flight shows of the age of its samples.

use std::time::Duration;

/// When each sample was taken and when it arrived, and what the link carried.
#[derive(Default)]
pub(crate) struct Ages {
    /// By sequence number.
    pub(crate) samples: Vec<(Duration, Option<Duration>)>,
    pub(crate) seconds: f64,
    pub(crate) up_bytes: u64,
    pub(crate) up_packets: u64,
    pub(crate) down_bytes: u64,
    /// When the link was down.
    pub(crate) outages: Vec<(Duration, Duration)>,
}

impl Ages {
    pub(crate) const HEADING: &str = "scenario                   load         p50   p99 p99.9   max   over 1 s  lost   up B/s pack/s down B/s  first fresh  under 1 s  worst";

    /// Milliseconds, sorted, of samples taken while the link was up.
    fn millis(&self) -> Vec<f64> {
        let mut ages: Vec<f64> = self
            .samples
            .iter()
            .filter(|(taken, _)| !self.is_disturbed(*taken))
            .filter_map(|(taken, arrived)| {
                Some((arrived.as_ref()?.saturating_sub(*taken)).as_secs_f64() * 1e3)
            })
            .collect();
        ages.sort_by(f64::total_cmp);
        ages
    }

    /// Whether a sample of this time had to wait for the link, which was down then.
    fn is_disturbed(&self, taken: Duration) -> bool {
        self.outages
            .iter()
            .any(|(from, to)| (*from - Duration::from_secs(1)..*to + Duration::from_secs(1)).contains(&taken))
    }

    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let ages = self.millis();
        ages.get(((ages.len() as f64 * share) as usize).min(ages.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::NAN)
    }

    pub(crate) fn late_share(&self) -> f64 {
        let ages = self.millis();
        ages.iter().filter(|age| **age > 1000.0).count() as f64 / ages.len().max(1) as f64
    }

    pub(crate) fn lost(&self) -> usize {
        self.samples.iter().filter(|(_, arrived)| arrived.is_none()).count()
    }

    /// After the outage that ended at `up`: until the first sample that was taken since or less than 1 s before it
    /// arrives fresh, until the view is under a second old for good, and the oldest that the view was from then on.
    pub(crate) fn after_outage(&self, up: Duration) -> (f64, f64, f64) {
        let mut arrivals: Vec<(Duration, Duration)> = self
            .samples
            .iter()
            .filter_map(|(taken, arrived)| Some(((*arrived)?, *taken)))
            .filter(|(arrived, _)| *arrived > up)
            .collect();
        arrivals.sort_unstable();
        let second = Duration::from_secs(1);
        let fresh: Vec<_> = arrivals.iter().filter(|(arrived, taken)| *arrived - *taken < second).collect();
        let first = fresh.first().map_or(f64::NAN, |(arrived, _)| (*arrived - up).as_secs_f64() * 1e3);
        let mut newest = Duration::ZERO;
        let (mut view, mut worst) = (f64::NAN, 0f64);
        for (arrived, taken) in arrivals {
            if !view.is_nan() {
                worst = worst.max((arrived - newest).as_secs_f64() * 1e3);
            }
            newest = newest.max(taken);
            if view.is_nan() && arrived - newest < second {
                view = (arrived - up).as_secs_f64() * 1e3;
            }
        }
        (first, view, worst)
    }

    pub(crate) fn row(&self, name: &str, load: &str) -> String {
        let mut row = format!(
            "{name:26} {load:10} {:5.0} {:5.0} {:5.0} {:5.0} {:8.3} % {:5} {:8.0} {:6.1} {:8.0}",
            self.quantile(0.5),
            self.quantile(0.99),
            self.quantile(0.999),
            self.quantile(1.0),
            self.late_share() * 100.0,
            self.lost(),
            self.up_bytes as f64 / self.seconds,
            self.up_packets as f64 / self.seconds,
            self.down_bytes as f64 / self.seconds,
        );
        for (_, up) in &self.outages {
            let (first, view, worst) = self.after_outage(*up);
            row += &format!(" {first:12.0} {view:10.0} {worst:6.0}");
        }
        row
    }
}
