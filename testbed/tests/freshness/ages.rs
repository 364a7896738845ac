//! What a flight shows of the age of its samples.

use std::time::Duration;

/// A sample on its way.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) taken: Duration,
    /// When it came, and whether on the live lane.
    pub(crate) came: Option<(Duration, bool)>,
}

impl Sample {
    fn arrived(&self) -> Option<Duration> {
        self.came.map(|(at, _)| at)
    }

    fn age(&self) -> Option<Duration> {
        self.arrived().map(|arrived| arrived.saturating_sub(self.taken))
    }
}

/// The samples of a flight, and what the link carried.
#[derive(Default)]
pub(crate) struct Ages {
    /// By sequence number.
    pub(crate) samples: Vec<Sample>,
    pub(crate) seconds: f64,
    pub(crate) up_bytes: u64,
    pub(crate) up_packets: u64,
    pub(crate) down_bytes: u64,
    /// When the link was down.
    pub(crate) outages: Vec<(Duration, Duration)>,
}

impl Ages {
    pub(crate) const HEADING: &str = "\
scenario                   load         p50   p99 p99.9   max   over 1 s  lost   up B/s pack/s down B/s  live p50  p99  \
first fresh  under 1 s  worst  drained";

    /// Milliseconds, sorted, of samples taken while the link was up; of all, or of those that came on the live lane.
    fn millis(&self, live_only: bool) -> Vec<f64> {
        let mut ages: Vec<f64> = self
            .samples
            .iter()
            .filter(|sample| !self.is_disturbed(sample.taken))
            .filter(|sample| !live_only || sample.came.is_some_and(|(_, is_live)| is_live))
            .filter_map(Sample::age)
            .map(millis)
            .collect();
        ages.sort_by(f64::total_cmp);
        ages
    }

    /// Whether a sample of this time had to wait for the link, which was down then.
    fn is_disturbed(&self, taken: Duration) -> bool {
        let second = Duration::from_secs(1);
        self.outages.iter().any(|(from, to)| (*from - second..*to + second).contains(&taken))
    }

    pub(crate) fn quantile(&self, share: f64) -> f64 {
        quantile(&self.millis(false), share)
    }

    pub(crate) fn late_share(&self) -> f64 {
        let ages = self.millis(false);
        ages.iter().filter(|age| **age > 1000.0).count() as f64 / ages.len().max(1) as f64
    }

    pub(crate) fn lost(&self) -> usize {
        self.samples.iter().filter(|sample| sample.came.is_none()).count()
    }

    /// After the outage that ended at `up`, in milliseconds: until the first sample that is newer than all before
    /// arrives, until one does that is under a second old, the age of the oldest of those taken from then on until what
    /// the outage left is there, and until that.
    pub(crate) fn after_outage(&self, up: Duration) -> (f64, f64, f64, f64) {
        let since_up = |at: Option<Duration>| at.map_or(f64::NAN, |at| millis(at - up));
        let arrived_before = |sample: &Sample| sample.arrived().is_some_and(|arrived| arrived < up);
        let new = self.samples.iter().rposition(arrived_before).map_or(0, |seen| seen + 1);
        let first = self.samples[new..].iter().filter_map(Sample::arrived).min();
        let is_fresh = |sample: &&Sample| sample.age().is_some_and(|age| age < Duration::from_secs(1));
        let arrivals = self.samples.iter().filter(is_fresh).filter_map(Sample::arrived);
        let view = arrivals.filter(|arrived| *arrived >= up).min();
        let backlog = self.samples.iter().filter(|sample| sample.taken < up);
        let drained = backlog.filter_map(Sample::arrived).max();
        let meanwhile = |sample: &&Sample| {
            view.is_some_and(|view| sample.taken >= view)
                && drained.is_none_or(|drained| sample.taken <= drained)
        };
        let worst = self.samples.iter().filter(meanwhile).filter_map(Sample::age).max();
        (since_up(first), since_up(view), worst.map_or(f64::NAN, millis), since_up(drained))
    }

    pub(crate) fn row(&self, name: &str, load: &str) -> String {
        let a_second = |amount: u64| amount as f64 / self.seconds;
        let live = self.millis(true);
        let mut row = format!(
            "{name:26} {load:10} {:5.0} {:5.0} {:5.0} {:5.0} {:8.3} % {:5} {:8.0} {:6.1} {:8.0}  {:8.0} {:4.0}",
            self.quantile(0.5),
            self.quantile(0.99),
            self.quantile(0.999),
            self.quantile(1.0),
            self.late_share() * 100.0,
            self.lost(),
            a_second(self.up_bytes),
            a_second(self.up_packets),
            a_second(self.down_bytes),
            quantile(&live, 0.5),
            quantile(&live, 0.99),
        );
        for (_, up) in &self.outages {
            let (first, view, worst, drained) = self.after_outage(*up);
            row += &format!(" {first:12.0} {view:10.0} {worst:6.0} {drained:8.0}");
        }
        row
    }
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
