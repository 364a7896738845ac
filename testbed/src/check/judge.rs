//! What was seen beside what was asked for.

use std::time::Duration;

use tern_shared::time::Instant;

use super::CheckRow;
use super::flow::{Seen, SeenProbe};
use super::plan::{Plan, loss_variance_factor};
use crate::latency::Percentiles;
use crate::path::LinkKind;

/// The most that the median delay may be off.
const DELAY_P50_TOLERANCE_MS: f64 = 2.0;
/// The most that the 99th percentile of the delay may be off.
const DELAY_P99_TOLERANCE_MS: f64 = 5.0;
/// The most that the rate may be off.
const RATE_TOLERANCE_SHARE: f64 = 0.02;
/// How many standard deviations the number of lost probes may be off.
const LOSS_TOLERANCE_SIGMAS: f64 = 4.0;
/// How many intervals of probes an outage's length may be off, for losses by chance at its ends.
const OUTAGE_TOLERANCE_INTERVALS: f64 = 4.0;

/// How many standard deviations a percentile may be off beyond that when its draws are the kernel's own.
const DRAWS_TOLERANCE_SIGMAS: f64 = 3.0;
/// How many draws tell the standard deviation.
const DRAWS: u64 = 50;

/// The figures of one direction.
pub(super) fn rows(plan: &Plan, seen: &Seen, link: LinkKind) -> Vec<CheckRow> {
    let mut rows =
        if link.is_netem() { netem_delay_rows(plan, &seen.steady) } else { delay_rows(plan, &seen.steady) };
    rows.extend(rate_row(plan, &seen.burst));
    rows.push(loss_row(plan, &seen.steady));
    rows.extend(outage_rows(plan, &seen.steady));
    rows
}

/// The delay and rate of a link without jitter and loss, which nothing is drawn for.
pub(super) fn quiet_rows(plan: &Plan, seen: &Seen) -> Vec<CheckRow> {
    let mut rows = delay_rows(plan, &seen.steady);
    for row in &mut rows {
        row.what = match row.what {
            "delay p50, ms" => "steady delay p50, ms",
            _ => "steady delay p99, ms",
        };
    }
    rows.extend(rate_row(plan, &seen.burst));
    rows
}

/// Beside what the model makes of the same draws.
fn delay_rows(plan: &Plan, steady: &[SeenProbe]) -> Vec<CheckRow> {
    let sent = sent(steady);
    let (p50, p99) = delays(&sent, plan.expected_arrivals(&sent));
    percentile_rows(plan, steady, [(p50, 0.0), (p99, 0.0)])
}

/// Beside the mean of what netem makes of many draws; the tolerance is wider by how far these are apart.
fn netem_delay_rows(plan: &Plan, steady: &[SeenProbe]) -> Vec<CheckRow> {
    let sent = sent(steady);
    let draws: Vec<(f64, f64)> =
        (0..DRAWS).map(|seed| delays(&sent, plan.netem_arrivals(&sent, seed))).collect();
    let spread = |pick: fn(&(f64, f64)) -> f64| {
        let mean = draws.iter().map(pick).sum::<f64>() / DRAWS as f64;
        let variance = draws.iter().map(|draw| (pick(draw) - mean).powi(2)).sum::<f64>() / (DRAWS - 1) as f64;
        (mean, DRAWS_TOLERANCE_SIGMAS * variance.sqrt())
    };
    percentile_rows(plan, steady, [spread(|draw| draw.0), spread(|draw| draw.1)])
}

/// `asked`: median and 99th percentile, each with what it may be off beyond the link's own tolerance.
fn percentile_rows(plan: &Plan, steady: &[SeenProbe], asked: [(f64, f64); 2]) -> Vec<CheckRow> {
    let measured = delays(&sent(steady), steady.iter().map(|probe| probe.arrived));
    let row = |what, (asked, more), measured, tolerance| CheckRow {
        direction: plan.direction,
        what,
        asked,
        measured,
        tolerance: tolerance + more,
    };
    vec![
        row("delay p50, ms", asked[0], measured.0, DELAY_P50_TOLERANCE_MS),
        row("delay p99, ms", asked[1], measured.1, DELAY_P99_TOLERANCE_MS),
    ]
}

fn sent(steady: &[SeenProbe]) -> Vec<Instant> {
    steady.iter().map(|probe| probe.sent).collect()
}

/// Median and 99th percentile, milliseconds.
fn delays(sent: &[Instant], arrivals: impl IntoIterator<Item = Option<Instant>>) -> (f64, f64) {
    let delays = arrivals
        .into_iter()
        .zip(sent)
        .filter_map(|(arrived, &sent)| Some(arrived?.since(sent).as_secs_f64() * 1e3));
    Percentiles::of(delays.collect()).map_or((f64::NAN, f64::NAN), |delay| (delay.p50, delay.p99))
}

/// By the first and the last that arrived, and what came between them: those lost took their part of the rate, too.
/// `None` when the link was not saturated.
fn rate_row(plan: &Plan, burst: &[SeenProbe]) -> Option<CheckRow> {
    if burst.is_empty() {
        return None;
    }
    let arrived: Vec<(u64, Instant)> =
        (0..).zip(burst).filter_map(|(number, probe)| Some((number, probe.arrived?))).collect();
    let measured = arrived.first().zip(arrived.last()).map_or(f64::NAN, |(first, last)| {
        let bytes = (last.0 - first.0) * plan.burst.wire_bytes as u64;
        (bytes * 8) as f64 / last.1.since(first.1).as_secs_f64() / 1e3
    });
    let asked = plan.link.rate_bits_per_second.get() as f64 / 1e3;
    Some(CheckRow {
        direction: plan.direction,
        what: "rate, kbit/s",
        asked,
        measured,
        tolerance: asked * RATE_TOLERANCE_SHARE,
    })
}

/// Outside whole outages; partial ones count with their share.
fn loss_row(plan: &Plan, steady: &[SeenProbe]) -> CheckRow {
    let (share, variance_factor) = (plan.link.loss.share(), loss_variance_factor(&plan.link.loss));
    let (mut count, mut expected, mut variance, mut lost) = (0u32, 0.0, 0.0, 0u32);
    for probe in steady {
        let off_modem = probe.sent + Duration::from_secs_f64(transmission_s(plan));
        let outage = plan.outages.loss_probability(probe.sent, off_modem);
        if outage >= 1.0 {
            continue;
        }
        let chance = 1.0 - (1.0 - share) * (1.0 - outage);
        count += 1;
        expected += chance;
        variance += chance * (1.0 - chance) * variance_factor;
        lost += u32::from(probe.arrived.is_none());
    }
    let percent = |number: f64| number * 100.0 / f64::from(count.max(1));
    CheckRow {
        direction: plan.direction,
        what: "loss, %",
        asked: percent(expected),
        measured: percent(lost.into()),
        tolerance: percent(LOSS_TOLERANCE_SIGMAS * variance.sqrt()),
    }
}

fn outage_rows(plan: &Plan, steady: &[SeenProbe]) -> Vec<CheckRow> {
    let Some(last) = steady.last() else { return Vec::new() };
    let interval = plan.steady.interval.as_secs_f64();
    let row = |(down, up): (Instant, Instant)| {
        let middle = down + up.since(down) / 2;
        let arrived = || steady.iter().filter(|probe| probe.arrived.is_some()).map(|probe| probe.sent);
        let before = arrived().filter(|&sent| sent < middle).max().unwrap_or_default();
        let after = arrived().find(|&sent| sent > middle).unwrap_or(last.sent);
        CheckRow {
            direction: plan.direction,
            what: "outage, s",
            asked: up.since(down).as_secs_f64(),
            measured: after.since(before).as_secs_f64() - interval,
            tolerance: OUTAGE_TOLERANCE_INTERVALS * interval,
        }
    };
    plan.outages.down_times(last.sent).into_iter().map(row).collect()
}

fn transmission_s(plan: &Plan) -> f64 {
    plan.steady.wire_bytes as f64 * 8.0 / plan.link.rate_bits_per_second.get() as f64
}
