//! What a result must keep.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is bounded, by its key in scenarios and results. Each is the most that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoundName {
    /// Median latency, milliseconds.
    LatencyP50Ms,
    /// 95th percentile of the latency, milliseconds.
    LatencyP95Ms,
    /// 99th percentile of the latency, milliseconds.
    LatencyP99Ms,
    /// 99.9th percentile of the latency, milliseconds.
    LatencyP999Ms,
    /// The share of samples that were older than a second when they arrived, 0 to 1.
    #[serde(rename = "late_over_1s")]
    LateOver1s,
    /// Samples that did not arrive.
    Lost,
    /// Arrivals of samples that had arrived before.
    Duplicates,
    /// Bytes from the vehicle to the ground, headers counted, for each sample.
    UplinkBytesPerSample,
    /// Bytes from the ground to the vehicle, headers counted, for each sample.
    DownlinkBytesPerSample,
    /// From the end of an outage to the first arrival of something new, milliseconds; of the worst outage, as those
    /// that follow.
    FirstFreshMs,
    /// From the end of an outage until the view is less than a second old, milliseconds.
    #[serde(rename = "fresh_under_1s_ms")]
    FreshUnder1sMs,
    /// From the end of an outage until all from before its end has arrived, seconds.
    BacklogDrainedS,
    /// The greatest age of fresh samples at their arrival while the backlog was drained, milliseconds.
    WorstFreshAgeMs,
    /// Peak memory of the edge, megabytes.
    EdgeRssMb,
    /// Peak memory of the ground, megabytes.
    GroundRssMb,
}

/// Limits by what they limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds(BTreeMap<BoundName, f64>);

impl BoundName {
    /// All, in the order of results.
    pub const ALL: [BoundName; 15] = [
        BoundName::LatencyP50Ms,
        BoundName::LatencyP95Ms,
        BoundName::LatencyP99Ms,
        BoundName::LatencyP999Ms,
        BoundName::LateOver1s,
        BoundName::Lost,
        BoundName::Duplicates,
        BoundName::UplinkBytesPerSample,
        BoundName::DownlinkBytesPerSample,
        BoundName::FirstFreshMs,
        BoundName::FreshUnder1sMs,
        BoundName::BacklogDrainedS,
        BoundName::WorstFreshAgeMs,
        BoundName::EdgeRssMb,
        BoundName::GroundRssMb,
    ];

    /// Whether only a run with an outage has it.
    pub fn is_of_outages(self) -> bool {
        use BoundName::{BacklogDrainedS, FirstFreshMs, FreshUnder1sMs, WorstFreshAgeMs};
        matches!(self, FirstFreshMs | FreshUnder1sMs | BacklogDrainedS | WorstFreshAgeMs)
    }
}

impl Bounds {
    /// These limits.
    pub fn new(limits: BTreeMap<BoundName, f64>) -> Self {
        Bounds(limits)
    }

    /// What is bounded, and the most that is allowed.
    pub fn iter(&self) -> impl Iterator<Item = (BoundName, f64)> {
        self.0.iter().map(|(&name, &limit)| (name, limit))
    }
}

impl std::fmt::Display for BoundName {
    /// The key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(key)) => f.write_str(&key),
            _ => Err(std::fmt::Error),
        }
    }
}
