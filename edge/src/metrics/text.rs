//! The numbers of the status line in Prometheus' text format: of each metric what it is, and then all its samples.

use std::fmt::Write as _;

use serde_json::Value;

/// Every metric: its name after `tern_edge_`, its type, and what it is. A name is that of the status line; with `spool_` or
/// `source_` before it, that of the spool or of a source there.
const METRICS: &[(&str, &str, &str)] = &[
    ("connected", "gauge", "1 while a session with the ground is open."),
    ("accepted_records", "counter", "Records taken in and numbered."),
    ("refused_records", "counter", "Records over a size limit, or of one stream too many."),
    ("left_out_records", "counter", "Records left out as the configuration says."),
    ("spooled_records", "counter", "Records committed to the spool."),
    ("acknowledged_records", "counter", "Records of this start that the ground has acknowledged."),
    ("backlog_records", "gauge", "Records in the spool that were not sent."),
    ("in_flight_records", "gauge", "Records sent and not acknowledged."),
    ("lost_records", "counter", "Records evicted or never stored, and told to the ground."),
    ("settled", "gauge", "1 while the ground has acknowledged everything."),
    ("live_frames", "counter", "Frames sent live."),
    ("backlog_frames", "counter", "Frames sent from the spool."),
    ("wire_bytes", "counter", "Bytes sent by the session, with headers, estimated."),
    ("rate_bits_per_second", "gauge", "The rate kept to; absent for no limit."),
    ("flight_bytes", "counter", "What the link has cost since the start."),
    ("month_bytes", "counter", "What the link has cost this month."),
    ("budget_left_bytes", "gauge", "What is left of the scarcest budget; absent without one."),
    ("clock_offset_ms", "gauge", "The ground's clock minus this one."),
    ("clock_uncertainty_ms", "gauge", "How far that may be off."),
    ("spool_state", "gauge", "0 stores, 1 the disk is full, 2 failed."),
    ("spool_bytes", "gauge", "Bytes in the spool."),
    ("spool_records", "gauge", "Records in the spool."),
    ("spool_evicted_records", "counter", "Records that gave way to newer ones."),
    ("spool_not_stored_records", "counter", "Records that could not be stored."),
    ("source_records", "counter", "Records that the source handed over."),
    ("source_bytes", "counter", "Bytes that the source read."),
    ("source_bad_checksums", "counter", "Frames and sentences with a wrong checksum."),
    ("source_skipped_bytes", "counter", "Bytes that were part of no frame and no line."),
    ("source_malformed_lines", "counter", "Lines that could not be understood."),
    ("source_dropped", "counter", "Records dropped because the relay did not take them fast enough."),
    ("source_reconnects", "counter", "Connections made again."),
];

/// The metrics of a status line; those that it lacks are left out.
pub(super) fn text(status_line: &str) -> String {
    let status: Value = serde_json::from_str(status_line).unwrap_or_default();
    let mut text = String::new();
    for (name, kind, help) in METRICS {
        let samples = samples(&status, name);
        if !samples.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP tern_edge_{name} {help}\n# TYPE tern_edge_{name} {kind}");
        }
        for (label, value) in samples {
            let _ = writeln!(text, "tern_edge_{name}{label} {value}");
        }
    }
    text
}

/// What the status line says of a metric: labels and value, for each source or once.
fn samples(status: &Value, name: &str) -> Vec<(String, String)> {
    if let Some(member) = name.strip_prefix("source_") {
        let sources = status["sources"].as_array().into_iter().flatten();
        return sources.filter_map(|source| Some((label(source), number(&source[member])?))).collect();
    }
    let value = match name.strip_prefix("spool_") {
        Some(member) => &status["spool"][member],
        None => &status[name],
    };
    number(value).map(|number| (String::new(), number)).into_iter().collect()
}

fn label(source: &Value) -> String {
    let url = source["url"].as_str().unwrap_or_default();
    format!("{{url=\"{}\"}}", url.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn number(value: &Value) -> Option<String> {
    match value {
        Value::Bool(truth) => Some(u8::from(*truth).to_string()),
        Value::Number(number) => Some(number.to_string()),
        // The spool's state.
        Value::String(state) => {
            Some(["ok", "full", "failed"].iter().position(|name| name == state)?.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use tern_shared::message::ClockEstimate;
    use tern_shared::session::SendStats;

    use super::*;
    use crate::source::Counters;
    use crate::spool::{Counts, Held, SpoolState, SpoolStatus};
    use crate::status::{self, RelayStats, WatchedSource};

    /// A line with everything that one can have.
    fn status_line(sources: &[&str]) -> String {
        let clock = Some(ClockEstimate { offset_micros: -1500, uncertainty_micros: 20_000 });
        let relay = RelayStats { connected: true, accepted_records: 5, clock, ..RelayStats::default() };
        let session = SendStats {
            rate_bits_per_second: Some(64_000),
            budget_left_bytes: Some(9),
            ..SendStats::default()
        };
        let (counts, held) = (Counts::default(), Held::default());
        let spool = SpoolStatus { state: SpoolState::Full, up_to: 0, counts, held };
        let source = |url: &&str| WatchedSource {
            url: url.parse().unwrap(),
            counters: Arc::new(Counters::default()),
            ended: None,
        };
        status::line(&relay, &session, &spool, &sources.iter().map(source).collect::<Vec<_>>())
    }

    #[test]
    fn all_samples_of_a_metric_follow_what_it_is() {
        let text = text(&status_line(&["simulated:", "replay:a\"b\\c"]));
        let mut described = BTreeSet::new();
        let mut lines = text.lines().peekable();
        while let Some(help) = lines.next() {
            let name = help.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()).unwrap();
            let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap();
            assert!(["counter", "gauge"].contains(&kind) && described.insert(name), "{help}");
            let of_it = |line: &&str| line.split(['{', ' ']).next() == Some(name);
            let samples = std::iter::from_fn(|| lines.next_if(of_it)).count();
            assert_eq!(samples, if name.starts_with("tern_edge_source_") { 2 } else { 1 }, "{name}");
        }
        assert!(text.contains("\ntern_edge_source_records{url=\"replay:a\\\"b\\\\c\"} 0\n"), "{text}");
    }

    #[test]
    fn every_number_of_the_status_line_is_a_metric() {
        let line = status_line(&["simulated:"]);
        let text = text(&line);
        let status: Value = serde_json::from_str(&line).unwrap();
        let has = |name: &str, value: &Value| {
            let is_number = value.is_number() || value.is_boolean();
            assert!(!is_number || text.contains(&format!("# TYPE tern_edge_{name} ")), "{name}");
        };
        status.as_object().unwrap().iter().for_each(|(name, value)| has(name, value));
        let part = |prefix: &str, part: &Value| {
            part.as_object()
                .unwrap()
                .iter()
                .for_each(|(name, value)| has(&format!("{prefix}_{name}"), value));
        };
        part("spool", &status["spool"]);
        part("source", &status["sources"][0]);
        for sample in ["connected 1", "accepted_records 5", "clock_offset_ms -1.5", "spool_state 1"] {
            assert!(text.contains(&format!("\ntern_edge_{sample}\n")), "{sample}: {text}");
        }
    }
}
