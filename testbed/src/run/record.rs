//! What happened in a run, as it happened.

use std::time::Instant;

use tern_shared::schema::Class;

use crate::client::Arrival;
use crate::path::PathTraffic;

/// A sample that was handed to the edge.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    /// The same, seconds since the Unix epoch.
    pub(super) wall_s: f64,
    pub(super) stream: String,
    pub(super) class: Class,
}

/// Samples, arrivals and counters by their time.
#[derive(Debug, Default)]
pub(super) struct Recording {
    samples: Vec<Sample>,
    arrivals: Vec<Arrival>,
    traffic: Vec<(Instant, PathTraffic)>,
    distinct_arrivals: std::collections::BTreeSet<u64>,
}

impl Recording {
    /// The sample's number is how many there were before it.
    pub(super) fn sent(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    pub(super) fn arrived(&mut self, arrival: Arrival) {
        self.distinct_arrivals.insert(arrival.sequence);
        self.arrivals.push(arrival);
    }

    pub(super) fn traffic(&mut self, traffic: PathTraffic) {
        self.traffic.push((Instant::now(), traffic));
    }

    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    pub(super) fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    pub(super) fn all_arrived(&self) -> bool {
        self.distinct_arrivals.len() >= self.samples.len()
    }

    /// What crossed the link from the start of the recording until `at`.
    pub(super) fn traffic_until(&self, at: Instant) -> PathTraffic {
        let until = self.traffic.partition_point(|&(time, _)| time <= at);
        let total =
            |index: usize| self.traffic.get(index).map_or_else(PathTraffic::default, |&(_, total)| total);
        total(until.saturating_sub(1)).since(total(0))
    }

    /// What crossed the link in the whole recording.
    pub(super) fn whole_traffic(&self) -> PathTraffic {
        self.traffic.last().map_or_else(PathTraffic::default, |&(at, _)| self.traffic_until(at))
    }
}
