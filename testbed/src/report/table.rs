//! The figures of a section.

use super::section::{Row, Section};
use crate::run::{LatencyMs, RunResult};

/// Rows of text under a head.
pub(super) struct Table {
    pub(super) title: &'static str,
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

/// All that there is something to say in.
pub(super) fn tables(section: &Section<'_>) -> Vec<Table> {
    let mut tables = vec![latency(section), bytes(section)];
    tables.extend([outages(section), bounds(section)].into_iter().filter(|table| !table.rows.is_empty()));
    tables
}

fn latency(section: &Section<'_>) -> Table {
    let row = |Row { system, result }: &Row<'_>| {
        let latency = |pick: fn(&LatencyMs) -> f64| number(result.latency_ms.as_ref().map(pick), 0);
        vec![
            (*system).to_owned(),
            latency(|l| l.p50),
            latency(|l| l.p95),
            latency(|l| l.p99),
            latency(|l| l.p999),
            latency(|l| l.max),
            format!("{:.1} %", result.late_over_1s * 100.0),
            format!("{} of {}", result.lost, result.samples),
            result.duplicates.to_string(),
            format!("{:.2}", result.control_p99_ms),
        ]
    };
    Table {
        title: "Latency, ms",
        head: vec![
            "System",
            "p50",
            "p95",
            "p99",
            "p99.9",
            "Max",
            "Older than 1 s",
            "Lost",
            "Duplicates",
            "Control p99",
        ],
        rows: section.rows.iter().map(row).collect(),
    }
}

fn bytes(section: &Section<'_>) -> Table {
    let row = |Row { system, result }: &Row<'_>| {
        vec![
            (*system).to_owned(),
            result.uplink.bytes.to_string(),
            result.uplink.packets.to_string(),
            per_sample(result, result.uplink.bytes),
            result.downlink.bytes.to_string(),
            result.downlink.packets.to_string(),
            per_sample(result, result.downlink.bytes),
            format!("{:.2} s, {:.0} MB", result.edge.cpu_s, result.edge.rss_mb),
            format!("{:.2} s, {:.0} MB", result.ground.cpu_s, result.ground.rss_mb),
        ]
    };
    Table {
        title: "What crossed the link, headers counted, and what it took (0 where it is no process of its own)",
        head: vec![
            "System",
            "Up, bytes",
            "Packets",
            "Bytes a sample",
            "Down, bytes",
            "Packets",
            "Bytes a sample",
            "Vehicle",
            "Ground",
        ],
        rows: section.rows.iter().map(row).collect(),
    }
}

fn outages(section: &Section<'_>) -> Table {
    let rows = section.rows.iter().flat_map(|Row { system, result }| {
        result.outages.iter().map(|outage| {
            vec![
                (*system).to_owned(),
                format!("{:.1}", outage.seconds),
                number(outage.first_fresh_ms, 0),
                number(outage.fresh_under_1s_ms, 0),
                number(outage.backlog_drained_s, 1),
                number(outage.spare_used, 2),
                number(outage.worst_fresh_age_ms, 0),
                number(outage.fresh_age_p99_ms, 0),
            ]
        })
    });
    Table {
        title: "After an outage, from the moment the link is up",
        head: vec![
            "System",
            "Outage, s",
            "New data, ms",
            "Under 1 s old, ms",
            "Backlog done, s",
            "Spare used",
            "Oldest fresh data, ms",
            "p99",
        ],
        rows: rows.collect(),
    }
}

fn bounds(section: &Section<'_>) -> Table {
    let rows = section.rows.iter().flat_map(|Row { system, result }| {
        result.bounds.iter().map(|bound| {
            vec![
                (*system).to_owned(),
                bound.name.to_string(),
                number(bound.value, 2),
                bound.limit.to_string(),
                if bound.met { "met" } else { "MISSED" }.to_owned(),
            ]
        })
    });
    Table {
        title: "Bounds",
        head: vec!["System", "Bound", "Measured", "At most", "Verdict"],
        rows: rows.collect(),
    }
}

fn per_sample(result: &RunResult, bytes: u64) -> String {
    number((result.samples > 0).then(|| bytes as f64 / result.samples as f64), 1)
}

/// `never` when there is none.
fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "never".to_owned(), |value| format!("{value:.decimals$}"))
}
