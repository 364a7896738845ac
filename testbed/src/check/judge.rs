//! What was seen beside what was asked for.

use std::time::Duration;

use tern_shared::time::Instant;

use super::CheckRow;
use super::flow::{Seen, SeenProbe};
use super::plan::{Plan, loss_variance_factor};
use crate::latency::Percentiles;
use crate::path::LinkKind;
use crate::proxy;

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

/// The figures of one direction.
pub(super) fn rows(plan: &Plan, seen: &Seen, link: LinkKind) -> Vec<CheckRow> {
    let mut rows = delay_rows(plan, &seen.steady, link);
    rows.push(rate_row(plan, &seen.burst));
    if link != LinkKind::Proxy {
        rows.push(loss_row(plan, &seen.steady));
        rows.extend(outage_rows(plan, &seen.steady));
    }
    rows
}

fn delay_rows(plan: &Plan, steady: &[SeenProbe], link: LinkKind) -> Vec<CheckRow> {
    let sent: Vec<Instant> = steady.iter().map(|probe| probe.sent).collect();
    // The proxy's first segment opens the connection.
    let opens = link == LinkKind::Proxy && plan.direction == "to ground";
    let expected = plan.expected_arrivals(&sent, opens.then_some(proxy::HEADER_BYTES));
    let delays = |arrivals: &mut dyn Iterator<Item = Option<Instant>>| {
        let delays =
            arrivals.zip(&sent).filter_map(|(arrived, &sent)| Some(arrived?.since(sent).as_secs_f64() * 1e3));
        Percentiles::of(delays.collect()).map_or((f64::NAN, f64::NAN), |delay| (delay.p50, delay.p99))
    };
    let asked = delays(&mut expected.into_iter());
    let measured = delays(&mut steady.iter().map(|probe| probe.arrived));
    let row = |what, asked, measured, tolerance| CheckRow {
        direction: plan.direction,
        what,
        asked,
        measured,
        tolerance,
    };
    vec![
        row("delay p50, ms", asked.0, measured.0, DELAY_P50_TOLERANCE_MS),
        row("delay p99, ms", asked.1, measured.1, DELAY_P99_TOLERANCE_MS),
    ]
}

/// By the numbers of the first and the last that arrived: those lost between them took their part of the rate, too.
fn rate_row(plan: &Plan, burst: &[SeenProbe]) -> CheckRow {
    let arrived = || (0u64..).zip(burst).filter_map(|(number, probe)| Some((number, probe.arrived?)));
    let measured =
        arrived().next().zip(arrived().last()).map_or(f64::NAN, |((first, start), (last, end))| {
            (last - first) as f64 * plan.burst.wire_bytes as f64 * 8.0 / end.since(start).as_secs_f64() / 1e3
        });
    let asked = plan.link.rate_bits_per_second.get() as f64 / 1e3;
    CheckRow {
        direction: plan.direction,
        what: "rate, kbit/s",
        asked,
        measured,
        tolerance: asked * RATE_TOLERANCE_SHARE,
    }
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
