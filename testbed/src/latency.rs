//! Distributions of latency.

/// Percentiles of a whole set of values, each of them one of the values.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Percentiles {
    /// Half of the values are below it.
    pub p50: f64,
    /// 95 % of the values are below it.
    pub p95: f64,
    /// 99 % of the values are below it.
    pub p99: f64,
    /// 99.9 % of the values are below it.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

impl Percentiles {
    /// Of `values`, in their unit; `None` when there are none.
    pub fn of(mut values: Vec<f64>) -> Option<Percentiles> {
        values.sort_by(f64::total_cmp);
        let max = *values.last()?;
        let rank = |share: f64| values[((values.len() as f64 * share) as usize).min(values.len() - 1)];
        Some(Percentiles { p50: rank(0.5), p95: rank(0.95), p99: rank(0.99), p999: rank(0.999), max })
    }
}

/// Counts values by their whole part, so that a run of any length takes the same memory.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    value_max: usize,
}

impl Histogram {
    /// Values above `value_max` count as `value_max`.
    pub fn new(value_max: usize) -> Self {
        Histogram { counts: Vec::new(), total: 0, value_max }
    }

    /// Counts a value; one below 0 counts as 0.
    pub fn add(&mut self, value: f64) {
        let whole = (value.max(0.0) as usize).min(self.value_max);
        if self.counts.len() <= whole {
            self.counts.resize(whole + 1, 0);
        }
        self.counts[whole] += 1;
        self.total += 1;
    }

    /// How many values were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many values were above `value`, to its whole part.
    pub fn above(&self, value: usize) -> u64 {
        self.counts.iter().skip(value + 1).sum()
    }

    /// The whole part of the value that `share` (0 to 1) of the values are below; 0 when there are none.
    pub fn percentile(&self, share: f64) -> f64 {
        let mut left = (self.total as f64 * share) as u64;
        let found = self.counts.iter().position(|&count| {
            let found = count > left;
            left = left.saturating_sub(count);
            found
        });
        found.unwrap_or(self.counts.len().saturating_sub(1)) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_of_the_set() {
        let all = Percentiles::of((0..=1000).rev().map(f64::from).collect()).unwrap();
        assert_eq!(all, Percentiles { p50: 500.0, p95: 950.0, p99: 990.0, p999: 999.0, max: 1000.0 });
        assert_eq!(Percentiles::of(vec![7.0]).unwrap().p999, 7.0);
        assert_eq!(Percentiles::of(vec![]), None);
    }

    #[test]
    fn a_histogram_agrees_with_the_whole_set() {
        let mut histogram = Histogram::new(500);
        (0..=1000).for_each(|value| histogram.add(f64::from(value) + 0.4));
        assert_eq!((histogram.percentile(0.25), histogram.percentile(0.99)), (250.0, 500.0));
        assert_eq!((histogram.above(99), histogram.total()), (901, 1001));
    }
}
