//! Results for people, on standard output.

use std::io::Write;
use std::process::ExitCode;

use tern_testbed::check::CheckReport;
use tern_testbed::run::RunResult;
use tern_testbed::scenario::Scenario;

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
    writeln!(
        out,
        "{} over {} by {} with seed {}",
        result.scenario, result.link, result.transport, result.seed
    )?;
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
             with {} of the spare capacity, fresh data at most {} ms old meanwhile",
            outage.seconds,
            number(outage.first_fresh_ms, 0),
            number(outage.fresh_under_1s_ms, 0),
            number(outage.backlog_drained_s, 1),
            number(outage.spare_used, 2),
            number(outage.worst_fresh_age_ms, 0)
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

pub(crate) fn check(report: &CheckReport) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} over {} with seed {}", report.profile, report.link, report.seed)?;
    writeln!(
        out,
        "  {:<11} {:<18} {:>12} {:>12} {:>12}",
        "direction", "what", "asked", "measured", "tolerance"
    )?;
    for row in &report.rows {
        writeln!(
            out,
            "  {:<11} {:<18} {:>12.2} {:>12.2} {:>12.2}  {}",
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

/// `never` when there is none.
fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "never".to_owned(), |value| format!("{value:.decimals$}"))
}
