//! Status lines: what the edge tells the programs around it, one JSON object a line on standard output.

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use serde::Serialize;
use tern_shared::message::ClockEstimate;
use tern_shared::session::{SendStats, Thinning};

use crate::source::{Counters, SourceUrl};
use crate::spool::{SpoolState, SpoolStatus};

/// A source and what it counts.
#[derive(Clone, Debug)]
pub struct WatchedSource {
    /// Which source.
    pub url: SourceUrl,
    /// Its counters.
    pub counters: Arc<Counters>,
    /// Why it ended, when it did.
    pub ended: Option<String>,
}

/// What the relay knows beside the session's and the spool's own numbers.
#[derive(Clone, Debug, Default)]
pub struct RelayStats {
    /// Whether a session with the ground is open.
    pub connected: bool,
    /// The address of the ground that the connection in use leads to.
    pub ground: Option<String>,
    /// Records taken in and given a sequence number since the start.
    pub accepted_records: u64,
    /// Records refused: too large, or of one stream too many.
    pub refused_records: u64,
    /// Records left out as the configuration says.
    pub left_out_records: u64,
    /// The ground's clock.
    pub clock: Option<ClockEstimate>,
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    accepted_records: u64,
    refused_records: u64,
    left_out_records: u64,
    spooled_records: u64,
    acknowledged_records: u64,
    backlog_records: u64,
    in_flight_records: u64,
    lost_records: u64,
    settled: bool,
    live_frames: u64,
    backlog_frames: u64,
    wire_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_bits_per_second: Option<u64>,
    flight_bytes: u64,
    month_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_left_bytes: Option<u64>,
    thinning: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_offset_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_uncertainty_ms: Option<f64>,
    spool: Spool<'a>,
    sources: Vec<Source>,
}

#[derive(Serialize)]
struct Spool<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    bytes: u64,
    records: u64,
    evicted_records: u64,
    not_stored_records: u64,
}

#[derive(Serialize)]
struct Source {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    records: u64,
    bytes: u64,
    bad_checksums: u64,
    skipped_bytes: u64,
    malformed_lines: u64,
    dropped: u64,
    reconnects: u64,
}

/// The status line, without its line end.
pub fn line(
    relay: &RelayStats,
    session: &SendStats,
    spool: &SpoolStatus,
    sources: &[WatchedSource],
) -> String {
    let (state, error) = match &spool.state {
        SpoolState::Ok => ("ok", None),
        SpoolState::Full => ("full", None),
        SpoolState::Failed(error) => ("failed", Some(error.as_str())),
    };
    let line = Line {
        event: "status",
        connected: relay.connected,
        link: relay.ground.as_deref(),
        accepted_records: relay.accepted_records,
        refused_records: relay.refused_records,
        left_out_records: relay.left_out_records,
        spooled_records: spool.counts.committed_records,
        acknowledged_records: session.acknowledged_records,
        backlog_records: backlog_records(session, spool),
        in_flight_records: session.in_flight_records,
        lost_records: session.lost_records,
        settled: session.settled,
        live_frames: session.live_frames,
        backlog_frames: session.backlog_frames,
        wire_bytes: session.wire_bytes,
        rate_bits_per_second: session.rate_bits_per_second,
        flight_bytes: session.flight_bytes,
        month_bytes: session.month.bytes,
        budget_left_bytes: session.budget_left_bytes,
        thinning: match session.thinning {
            Thinning::None => "none",
            Thinning::NoBacklog => "no_backlog",
            Thinning::HalfLive => "half_live",
            Thinning::CriticalOnly => "critical_only",
            Thinning::Spent => "spent",
        },
        clock_offset_ms: relay.clock.map(|clock| clock.offset_micros as f64 / 1000.0),
        clock_uncertainty_ms: relay.clock.map(|clock| f64::from(clock.uncertainty_micros) / 1000.0),
        spool: Spool {
            state,
            error,
            bytes: spool.held.bytes,
            records: spool.held.records,
            evicted_records: spool.counts.evicted_records,
            not_stored_records: spool.counts.not_stored_records,
        },
        sources: sources.iter().map(source).collect(),
    };
    serde_json::to_string(&line).expect("plain data with text keys always encodes")
}

/// Records in the spool that were not sent.
pub fn backlog_records(session: &SendStats, spool: &SpoolStatus) -> u64 {
    spool.held.records.saturating_sub(session.in_flight_records)
}

/// Prints lines from a thread of its own: whoever does not read them must not stop the relay.
#[derive(Debug)]
pub struct Printer {
    lines: SyncSender<String>,
}

impl Printer {
    /// Starts the thread, which hands every line to `write` and ends with the printer.
    pub fn start(mut write: impl FnMut(&str) + Send + 'static) -> std::io::Result<Printer> {
        let (lines, printed) = sync_channel::<String>(1);
        let run = move || printed.iter().for_each(|line| write(&line));
        std::thread::Builder::new().name("status".to_owned()).spawn(run)?;
        Ok(Printer { lines })
    }

    /// Prints the line, or leaves it out when an earlier one still waits for its reader: a newer one will follow.
    pub fn print(&self, line: String) {
        let _ = self.lines.try_send(line);
    }
}

/// Writes a line to standard output; nobody reading it is no reason to stop.
pub fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn source(source: &WatchedSource) -> Source {
    let counts = source.counters.snapshot();
    Source {
        url: source.url.to_string(),
        ended: source.ended.clone(),
        records: counts.records,
        bytes: counts.bytes,
        bad_checksums: counts.bad_checksums,
        skipped_bytes: counts.skipped_bytes,
        malformed_lines: counts.malformed_lines,
        dropped: counts.dropped,
        reconnects: counts.reconnects,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_reads_nothing_delays_nobody() {
        let (read, reader) = sync_channel(0);
        let printer = Printer::start(move |line| read.send(line.to_owned()).unwrap()).unwrap();
        for n in 0..1000 {
            printer.print(n.to_string());
        }
        assert_eq!(reader.recv().unwrap(), "0");
        drop(printer);
        assert!(reader.iter().count() <= 2);
    }
}
