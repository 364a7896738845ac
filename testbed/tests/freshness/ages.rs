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

    /// After the outage that ended at `up`, in milliseconds: until the first sample that is newer than all before
    /// arrives, until one does that is under a second old, and the age of the oldest of those taken from then on until
    /// what the outage left is there.
    pub(crate) fn after_outage(&self, up: Duration) -> (f64, f64, f64) {
        let since_up = |at: Option<Duration>| at.map_or(f64::NAN, |at| (at - up).as_secs_f64() * 1e3);
        let seen = self.samples.iter().rposition(|(_, arrived)| arrived.is_some_and(|arrived| arrived < up));
        let first =
            self.samples[seen.map_or(0, |seen| seen + 1)..].iter().filter_map(|(_, arrived)| *arrived).min();
        let age = |(taken, arrived): &(Duration, Option<Duration>)| {
            arrived.map(|arrived| arrived.saturating_sub(*taken))
        };
        let is_fresh = |sample: &&_| age(sample).is_some_and(|age| age < Duration::from_secs(1));
        let arrivals = self.samples.iter().filter(is_fresh).filter_map(|(_, arrived)| *arrived);
        let view = arrivals.filter(|arrived| *arrived >= up).min();
        let drained =
            self.samples.iter().filter(|(taken, _)| *taken < up).filter_map(|(_, arrived)| *arrived).max();
        let meanwhile = |(taken, _): &&(Duration, _)| {
            view.is_some_and(|view| *taken >= view) && drained.is_none_or(|drained| *taken <= drained)
        };
        let worst = self.samples.iter().filter(meanwhile).filter_map(age).max();
        (since_up(first), since_up(view), worst.map_or(f64::NAN, |age| age.as_secs_f64() * 1e3))
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
