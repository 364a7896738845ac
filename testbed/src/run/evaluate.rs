//! From what happened to what it means.

use std::time::{Duration, Instant};

use super::matching::{first_arrivals, left_out};
use super::record::Recording;
use super::result::{BoundResult, OutageResult, RunResult, UsageResult};
use super::trace::Trace;
use crate::latency::Percentiles;
use crate::path::LinkKind;
use crate::provenance::Provenance;
use crate::scenario::Scenario;

/// Older samples are late.
const LATE: Duration = Duration::from_secs(1);

/// The link of a run.
pub(super) struct LinkFacts {
    pub(super) kind: LinkKind,
    /// When its time began.
    pub(super) start: Instant,
}

/// A sample's way: handed over, arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trip {
    pub(super) sent: Instant,
    arrived: Option<Instant>,
}

impl Trip {
    pub(super) fn latency(&self) -> Option<Duration> {
        self.arrived.map(|arrived| arrived - self.sent)
    }
}

pub(super) fn evaluate(
    scenario: &Scenario,
    provenance: Provenance,
    link: LinkFacts,
    recording: &Recording,
    control_p99_ms: f64,
    [edge, ground]: [UsageResult; 2],
) -> RunResult {
    let (first_arrivals, duplicates) = first_arrivals(recording.samples(), recording.arrivals());
    let left_out = left_out(recording.samples(), &first_arrivals, &scenario.edge.streams);
    let trips: Vec<Trip> = recording
        .samples()
        .iter()
        .zip(&first_arrivals)
        .zip(&left_out)
        .filter(|(_, left_out)| !**left_out)
        .map(|((sample, &arrived), _)| Trip { sent: sample.at, arrived })
        .collect();
    let latencies: Vec<Duration> = trips.iter().filter_map(Trip::latency).collect();
    let late = latencies.iter().filter(|&&latency| latency > LATE).count();
    let traffic = recording.whole_traffic();
    let rate = scenario.link.to_ground.rate_bits_per_second.get() as f64 / 8.0;
    let down_times = scenario.link.outages.down_times(tern_shared::time::Instant(scenario.length));
    let down_times: Vec<(Instant, Instant)> =
        down_times.into_iter().map(|(down, up)| (link.start + down.0, link.start + up.0)).collect();
    let mut result = RunResult {
        scenario: scenario.name.clone(),
        provenance,
        seconds: scenario.length.as_secs(),
        transport: Some(scenario.edge.transport),
        link: link.kind.name().to_owned(),
        seed: scenario.seed,
        samples: trips.len() as u64,
        lost: (trips.len() - latencies.len()) as u64,
        duplicates,
        late_over_1s: late as f64 / latencies.len().max(1) as f64,
        latency_ms: Percentiles::of(latencies.iter().copied().map(millis).collect()),
        one_way_ms: scenario.link.to_ground.delay_ms,
        uplink: traffic.to_ground,
        downlink: traffic.to_vehicle,
        outages: down_times
            .iter()
            .map(|&(down, up)| after_outage(&trips, recording, down, up, rate))
            .collect(),
        control_p99_ms,
        edge,
        ground,
        bounds: Vec::new(),
        trace: Trace::new(&trips, &down_times),
    };
    let bounds = scenario.bounds.iter().map(|(name, limit)| {
        let value = result.value(name);
        BoundResult { name, limit, value, met: value.is_some_and(|value| value <= limit) }
    });
    result.bounds = bounds.collect();
    result
}

/// `rate`: what the link carries, bytes a second.
fn after_outage(
    trips: &[Trip],
    recording: &Recording,
    down: Instant,
    up: Instant,
    rate: f64,
) -> OutageResult {
    let newest_before = trips.iter().rposition(|trip| trip.arrived.is_some_and(|arrived| arrived < up));
    let new = newest_before.map_or(trips, |newest| &trips[newest + 1..]);
    let first_fresh = new.iter().filter_map(|trip| trip.arrived).min();
    let fresh = trips
        .iter()
        .filter(|trip| trip.latency().is_some_and(|latency| latency < LATE))
        .filter_map(|trip| trip.arrived.filter(|&arrived| arrived >= up))
        .min();
    let backlog = trips.iter().filter(|trip| trip.sent < up);
    let drained = backlog.map(|trip| trip.arrived).try_fold(up, |last, arrived| Some(last.max(arrived?)));
    let fresh_ages = fresh.and_then(|fresh| {
        let taken_meanwhile =
            |trip: &&Trip| trip.sent >= fresh && drained.is_none_or(|drained| trip.sent <= drained);
        let ages = trips.iter().filter(taken_meanwhile).filter_map(Trip::latency);
        Percentiles::of(ages.map(millis).collect())
    });
    let since_up = |at: Instant| at - up;
    OutageResult {
        seconds: (up - down).as_secs_f64(),
        first_fresh_ms: first_fresh.map(since_up).map(millis),
        fresh_under_1s_ms: fresh.map(since_up).map(millis),
        backlog_drained_s: drained.map(since_up).map(|after| after.as_secs_f64()),
        spare_used: drained.and_then(|drained| spare_used(trips, recording, down, up, drained, rate)),
        worst_fresh_age_ms: fresh_ages.map(|ages| ages.max),
        fresh_age_p99_ms: fresh_ages.map(|ages| ages.p99),
    }
}

/// Bytes beyond the need of the live samples, as it was before the outage, of those that the link could have carried.
fn spare_used(
    trips: &[Trip],
    recording: &Recording,
    down: Instant,
    up: Instant,
    drained: Instant,
    rate: f64,
) -> Option<f64> {
    let bytes_until = |at| recording.traffic_until(at).to_ground.bytes as f64;
    let before = down.checked_duration_since(trips.first()?.sent)?.as_secs_f64();
    let draining = (drained - up).as_secs_f64();
    let live = bytes_until(down) / before * draining;
    let spare = rate * draining - live;
    let used = bytes_until(drained) - bytes_until(up) - live;
    (spare > 0.0 && before > 0.0).then(|| (used / spare).clamp(0.0, 1.0))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample a second; down from 10 to 20 s; what was held up arrives from 25 s on, oldest last.
    fn trips(start: Instant) -> Vec<Trip> {
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        (0..40)
            .map(|n| {
                let sent = f64::from(n);
                let arrived = match n {
                    10..20 => 45.0 - sent,
                    20..22 => 22.5 + sent / 100.0,
                    _ => sent + 0.3,
                };
                Trip { sent: at(sent), arrived: Some(at(arrived)) }
            })
            .collect()
    }

    #[test]
    fn the_times_after_an_outage_are_those_of_the_view_and_of_the_backlog() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut trips = trips(start);
        let recording = Recording::default();
        let result = after_outage(&trips, &recording, at(10), at(20), 1000.0);
        assert_eq!(result.seconds, 10.0);
        assert_eq!(result.first_fresh_ms.map(f64::round), Some(2300.0));
        assert_eq!(result.fresh_under_1s_ms.map(f64::round), Some(2300.0));
        assert_eq!(result.backlog_drained_s, Some(15.0));
        assert_eq!(result.worst_fresh_age_ms.map(f64::round), Some(300.0));

        trips[12].arrived = None;
        let result = after_outage(&trips, &recording, at(10), at(20), 1000.0);
        assert_eq!((result.backlog_drained_s, result.spare_used), (None, None));
    }
}
