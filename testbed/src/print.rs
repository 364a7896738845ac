//! Results for people, on standard output.

use std::io::Write;
use std::process::ExitCode;

use tern_testbed::check::CheckReport;
use tern_testbed::compare::{Comparison, Side, Verdict};
use tern_testbed::run::{LatencyMs, RunResult};
use tern_testbed::scenario::{Scenario, Transport};

use crate::Failure;

pub(crate) fn scenarios(scenarios: &[Scenario]) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    for scenario in scenarios {
        let seconds = scenario.length.as_secs();
        writeln!(out, "{:<26} {seconds:>4} s  {}", scenario.name, scenario.about)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn result(result: &RunResult) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let (RunResult { scenario, link, seed, .. }, transport) = (result, by(result.transport));
    writeln!(out, "{scenario}{transport} over {link} with seed {seed}")?;
    writeln!(
        out,
        "  samples   {}, {} lost, {} duplicates, {:.2} % older than 1 s",
        result.samples,
        result.lost,
        result.duplicates,
        result.late_over_1s * 100.0
    )?;
    match &result.latency_ms {
        Some(latency) => writeln!(
            out,
            "  latency   p50 {:.0}, p95 {:.0}, p99 {:.0}, p99.9 {:.0}, max {:.0} ms (the link alone {:.0})",
            latency.p50, latency.p95, latency.p99, latency.p999, latency.max, result.one_way_ms
        )?,
        None => writeln!(out, "  latency   nothing arrived")?,
    }
    for (name, traffic) in [("uplink", result.uplink), ("downlink", result.downlink)] {
        let per_sample = traffic.bytes as f64 / result.samples.max(1) as f64;
        let (bytes, packets) = (traffic.bytes, traffic.packets);
        writeln!(out, "  {name:<9} {bytes} bytes in {packets} packets, {per_sample:.1} bytes a sample")?;
    }
    for outage in &result.outages {
        writeln!(
            out,
            "  outage    {:.0} s; then new data after {} ms, under 1 s old after {} ms, backlog done after {} s \
             with {} of the spare capacity, fresh data at most {} ms old meanwhile (p99 {} ms)",
            outage.seconds,
            number(outage.first_fresh_ms, 0),
            number(outage.fresh_under_1s_ms, 0),
            number(outage.backlog_drained_s, 1),
            number(outage.spare_used, 2),
            number(outage.worst_fresh_age_ms, 0),
            number(outage.fresh_age_p99_ms, 0)
        )?;
    }
    for (name, usage) in [("edge", result.edge), ("ground", result.ground)] {
        writeln!(out, "  {name:<9} {:.2} s of CPU, {:.0} MB", usage.cpu_s, usage.rss_mb)?;
    }
    writeln!(out, "  control   p99 {:.2} ms", result.control_p99_ms)?;
    for bound in &result.bounds {
        let verdict = if bound.met { "met" } else { "MISSED" };
        writeln!(
            out,
            "  bound     {} {} of at most {}: {verdict}",
            bound.name,
            number(bound.value, 2),
            bound.limit
        )?;
    }
    Ok(())
}

/// Systems beside each other.
pub(crate) fn peers(results: &[RunResult]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let Some(first) = results.first() else { return Ok(()) };
    writeln!(out, "{} samples over {} with seed {}; latency in ms", first.samples, first.link, first.seed)?;
    writeln!(
        out,
        "  {:<28} {:>7} {:>7} {:>7} {:>7} {:>7} {:>6} {:>6} {:>10} {:>10} {:>8}",
        "system", "p50", "p95", "p99", "p99.9", "max", ">1 s", "lost", "up B/smpl", "down", "control"
    )?;
    for result in results {
        let latency = |pick: fn(&LatencyMs) -> f64| number(result.latency_ms.as_ref().map(pick), 0);
        let per_sample = |bytes: u64| bytes as f64 / result.samples.max(1) as f64;
        writeln!(
            out,
            "  {:<28} {:>7} {:>7} {:>7} {:>7} {:>7} {:>5.1}% {:>6} {:>10.1} {:>10.1} {:>8.2}",
            result.scenario,
            latency(|l| l.p50),
            latency(|l| l.p95),
            latency(|l| l.p99),
            latency(|l| l.p999),
            latency(|l| l.max),
            result.late_over_1s * 100.0,
            result.lost,
            per_sample(result.uplink.bytes),
            per_sample(result.downlink.bytes),
            result.control_p99_ms,
        )?;
    }
    for result in results {
        for outage in &result.outages {
            writeln!(
                out,
                "  {:<28} after {:.0} s without link: new data {} ms, under 1 s old {} ms, backlog done {} s",
                result.scenario,
                outage.seconds,
                number(outage.first_fresh_ms, 0),
                number(outage.fresh_under_1s_ms, 0),
                number(outage.backlog_drained_s, 1),
            )?;
        }
    }
    Ok(())
}

pub(crate) fn comparisons(comparisons: &[Comparison]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for Comparison { scenario, transport, results: [before, after], differences, rows } in comparisons {
        writeln!(out, "{scenario}{}: {before} against {after} results", by(*transport))?;
        for difference in differences {
            writeln!(out, "  NOT THE SAME {difference}")?;
        }
        writeln!(out, "  {:<26} {:>20} {:>20} {:>9}", "", "before", "after", "change")?;
        for row in rows.iter().filter(|row| row.verdict != Verdict::Unchanged) {
            let change = match row.sides.map(|side| side.mean) {
                [Some(before), Some(after)] if before != 0.0 => {
                    format!("{:+.1} %", (after - before) / before.abs() * 100.0)
                }
                _ => String::new(),
            };
            let verdict = match row.verdict {
                Verdict::Unchanged => "unchanged",
                Verdict::WithinNoise => "within the noise",
                Verdict::Better => "BETTER, beyond the noise",
                Verdict::Worse => "WORSE, beyond the noise",
                Verdict::NoiseUnknown => "noise unknown: too few results",
            };
            let [before, after] = row.sides.map(side);
            writeln!(out, "  {:<26} {before:>20} {after:>20} {change:>9}  {verdict}", row.name)?;
        }
        let unchanged: Vec<&str> =
            rows.iter().filter(|row| row.verdict == Verdict::Unchanged).map(|row| &row.name[..]).collect();
        if !unchanged.is_empty() {
            writeln!(out, "  unchanged: {}", unchanged.join(", "))?;
        }
    }
    Ok(())
}

/// Mean and standard deviation.
fn side(side: Side) -> String {
    let mut text = number(side.mean, 3);
    if let Some(deviation) = side.deviation {
        text += &format!(" ± {deviation:.3}");
    }
    match (side.mean, side.never) {
        (Some(_), never) if never > 0 => format!("{text}, never {never}x"),
        _ => text,
    }
}

pub(crate) fn check(report: &CheckReport) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} over {} with seed {}", report.profile, report.link, report.seed)?;
    writeln!(
        out,
        "  {:<11} {:<21} {:>12} {:>12} {:>12}",
        "direction", "what", "asked", "measured", "tolerance"
    )?;
    for row in &report.rows {
        writeln!(
            out,
            "  {:<11} {:<21} {:>12.2} {:>12.2} {:>12.2}  {}",
            row.direction,
            row.what,
            row.asked,
            row.measured,
            row.tolerance,
            if row.is_as_asked() { "ok" } else { "WRONG" }
        )?;
    }
    for note in &report.notes {
        writeln!(out, "  {note}")?;
    }
    Ok(())
}

/// How the edge reached the ground, where that is known.
fn by(transport: Option<Transport>) -> String {
    transport.map_or_else(String::new, |transport| format!(" by {}", transport.name()))
}

/// `never` when there is none.
fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "never".to_owned(), |value| format!("{value:.decimals$}"))
}
