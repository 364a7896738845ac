//! What a run's `--json` holds.

use serde::{Deserialize, Serialize};

use super::trace::Trace;
pub use super::usage::UsageResult;
use crate::path::Traffic;
use crate::provenance::Provenance;
use crate::scenario::{BoundName, Transport};

/// What came of a run. Times are by one clock: from the moment a sample was handed to the edge to its arrival at a web
/// client of the ground.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Its name.
    pub scenario: String,
    /// What made it.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// How long samples were sent.
    #[serde(default)]
    pub seconds: u64,
    /// How the edge reached the ground; `None` of other systems, and of results of earlier releases.
    #[serde(default)]
    pub transport: Option<Transport>,
    /// What made the link.
    pub link: String,
    /// What drew loss and jitter.
    pub seed: u64,
    /// Samples handed to the edge.
    pub samples: u64,
    /// Samples of these that never arrived.
    pub lost: u64,
    /// Arrivals of samples that had arrived before.
    pub duplicates: u64,
    /// The share of samples that were older than a second when they arrived, 0 to 1, of those that arrived.
    pub late_over_1s: f64,
    /// Over every sample that arrived; `None` when none did.
    pub latency_ms: Option<LatencyMs>,
    /// The link's own mean delay from the vehicle to the ground: what no system can be faster than.
    pub one_way_ms: f64,
    /// From the vehicle to the ground, headers counted.
    pub uplink: Traffic,
    /// From the ground to the vehicle, headers counted.
    pub downlink: Traffic,
    /// What came after each outage.
    pub outages: Vec<OutageResult>,
    /// 99th percentile of round trips around the link.
    pub control_p99_ms: f64,
    /// The edge's CPU time and peak memory.
    pub edge: UsageResult,
    /// The ground's CPU time and peak memory.
    pub ground: UsageResult,
    /// The scenario's bounds.
    pub bounds: Vec<BoundResult>,
    /// Every sample; not in files.
    #[serde(skip)]
    pub trace: Trace,
}

/// A distribution of latency, milliseconds.
pub type LatencyMs = crate::latency::Percentiles;

/// What came after an outage. Times count from its end; `None` is never.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutageResult {
    /// How long it was.
    pub seconds: f64,
    /// The first arrival of a sample newer than all that had arrived before.
    pub first_fresh_ms: Option<f64>,
    /// The first arrival of a sample less than a second old.
    pub fresh_under_1s_ms: Option<f64>,
    /// When all samples from before the outage's end had arrived.
    pub backlog_drained_s: Option<f64>,
    /// The part of the link's capacity beyond the live samples' need that was used until then, 0 to 1.
    pub spare_used: Option<f64>,
    /// The greatest age at arrival of samples that were taken from `fresh_under_1s_ms` until then.
    pub worst_fresh_age_ms: Option<f64>,
    /// The 99th percentile of the same ages.
    #[serde(default)]
    pub fresh_age_p99_ms: Option<f64>,
}

/// A bound and whether it was kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundResult {
    /// What is bounded.
    pub name: BoundName,
    /// The most that is allowed.
    pub limit: f64,
    /// What was measured; `None` when there was nothing to measure (it never came).
    pub value: Option<f64>,
    /// Whether the value is within the limit; never when there is none.
    pub met: bool,
}

impl RunResult {
    /// Whether all bounds were kept.
    pub fn is_within_bounds(&self) -> bool {
        self.bounds.iter().all(|bound| bound.met)
    }

    /// What a bound of this name is about.
    pub(crate) fn value(&self, name: BoundName) -> Option<f64> {
        let latency = |pick: fn(&LatencyMs) -> f64| self.latency_ms.as_ref().map(pick);
        let per_sample =
            |traffic: Traffic| (self.samples > 0).then(|| traffic.bytes as f64 / self.samples as f64);
        match name {
            BoundName::LatencyP50Ms => latency(|latency| latency.p50),
            BoundName::LatencyP95Ms => latency(|latency| latency.p95),
            BoundName::LatencyP99Ms => latency(|latency| latency.p99),
            BoundName::LatencyP999Ms => latency(|latency| latency.p999),
            BoundName::LateOver1s => Some(self.late_over_1s),
            BoundName::Lost => Some(self.lost as f64),
            BoundName::Duplicates => Some(self.duplicates as f64),
            BoundName::UplinkBytesPerSample => per_sample(self.uplink),
            BoundName::DownlinkBytesPerSample => per_sample(self.downlink),
            BoundName::FirstFreshMs => self.worst(|outage| outage.first_fresh_ms),
            BoundName::FreshUnder1sMs => self.worst(|outage| outage.fresh_under_1s_ms),
            BoundName::BacklogDrainedS => self.worst(|outage| outage.backlog_drained_s),
            BoundName::WorstFreshAgeMs => self.worst(|outage| outage.worst_fresh_age_ms),
            BoundName::EdgeRssMb => Some(self.edge.rss_mb),
            BoundName::GroundRssMb => Some(self.ground.rss_mb),
        }
    }

    /// The greatest over all outages; `None` when there is none, or one without a value.
    fn worst(&self, pick: impl Fn(&OutageResult) -> Option<f64>) -> Option<f64> {
        let values: Option<Vec<f64>> = self.outages.iter().map(pick).collect();
        values?.into_iter().max_by(f64::total_cmp)
    }
}
