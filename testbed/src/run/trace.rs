//! A run sample by sample, for plots.

use super::evaluate::Trip;

/// What a result is made of. Times count from the first sample, seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// In the order in which they were handed over.
    pub samples: Vec<TracedSample>,
    /// When the link was down: from, to.
    pub outages: Vec<(f64, f64)>,
}

/// A sample's way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TracedSample {
    /// When it was handed over.
    pub sent_s: f64,
    /// How long it took; `None` when it never arrived.
    pub latency_ms: Option<f64>,
}

impl Trace {
    pub(super) fn new(trips: &[Trip], down_times: &[(std::time::Instant, std::time::Instant)]) -> Trace {
        let Some(start) = trips.first().map(|trip| trip.sent) else { return Trace::default() };
        // The link's time begins before the first sample.
        let since_start = |at: std::time::Instant| at.saturating_duration_since(start).as_secs_f64();
        let sample = |trip: &Trip| TracedSample {
            sent_s: since_start(trip.sent),
            latency_ms: trip.latency().map(|latency| latency.as_secs_f64() * 1e3),
        };
        Trace {
            samples: trips.iter().map(sample).collect(),
            outages: down_times.iter().map(|&(down, up)| (since_start(down), since_start(up))).collect(),
        }
    }
}
