//! What the demo prints.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::meter::{Latency, Meter, WINDOW};
use crate::proxy::ProxyStatus;

/// Seconds between two status lines where the output is no terminal.
const PLAIN_LINE_SECONDS: u64 = 5;

/// The state of everything at one moment.
pub(super) struct Snapshot {
    pub(super) elapsed: Duration,
    pub(super) proxy: ProxyStatus,
    pub(super) edge: Value,
    pub(super) recent_latency: Option<Latency>,
}

pub(super) struct Screen {
    out: std::io::Stdout,
    is_terminal: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        let out = std::io::stdout();
        Screen { is_terminal: out.is_terminal(), out }
    }

    pub(super) fn announce(&mut self, address: SocketAddr, length: Option<Duration>) -> std::io::Result<()> {
        writeln!(
            self.out,
            "Tern: a recorded flight over a simulated geostationary link (geo-bgan, 8 s outage a minute)"
        )?;
        writeln!(
            self.out,
            "  page: http://{address}/ (vehicle demo has a lamp to switch, vehicle rover can be steered)"
        )?;
        match length {
            Some(length) => writeln!(self.out, "  ends after {} s", length.as_secs()),
            None => writeln!(self.out, "  Ctrl-C ends it"),
        }
    }

    /// On a terminal one line that is written over each second, else a line every 5 s.
    pub(super) fn show(&mut self, snapshot: &Snapshot) -> std::io::Result<()> {
        let line = status_line(snapshot);
        if self.is_terminal {
            // Carriage return, and erase to the end of the line.
            write!(self.out, "\r{line}\x1b[K")?;
        } else if snapshot.elapsed.as_secs().is_multiple_of(PLAIN_LINE_SECONDS) {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }

    pub(super) fn summarise(&mut self, snapshot: &Snapshot, meter: &Meter) -> std::io::Result<()> {
        if self.is_terminal {
            writeln!(self.out)?;
        }
        write_summary(&mut self.out, snapshot, meter)
    }
}

fn write_summary(out: &mut impl Write, snapshot: &Snapshot, meter: &Meter) -> std::io::Result<()> {
    let edge = |key: &str| snapshot.edge[key].as_u64().unwrap_or(0);
    let (up, down) = (snapshot.proxy.to_ground, snapshot.proxy.to_vehicle);
    writeln!(out, "summary after {:.0} s", snapshot.elapsed.as_secs_f64())?;
    match meter.overall() {
        Some(latency) => writeln!(
            out,
            "  live     {} records of all vehicles, latency p50 {:.0} ms, p99 {:.0} ms, {:.1} % over 1 s",
            latency.records,
            latency.p50_ms,
            latency.p99_ms,
            meter.late_percent()
        )?,
        None => writeln!(out, "  live     nothing arrived")?,
    }
    writeln!(out, "  later    {} records of all vehicles, out of the backlog", meter.backlog_records())?;
    let (accepted, acknowledged, lost) =
        (edge("accepted_records"), edge("acknowledged_records"), edge("lost_records"));
    let unsent = edge("backlog_records");
    // Every record that was taken in is somewhere.
    let on_their_way = accepted.saturating_sub(acknowledged + unsent + lost);
    writeln!(
        out,
        "  edge     {accepted} records of the first vehicle: {acknowledged} acknowledged, {on_their_way} on their way, \
         {unsent} still to send, {lost} lost"
    )?;
    writeln!(
        out,
        "  link     {:.1} kB to the ground ({} of {} packets lost, with the outages), {:.1} kB back",
        up.wire_bytes as f64 / 1e3,
        up.lost_segments,
        up.segments,
        down.wire_bytes as f64 / 1e3
    )
}

fn status_line(snapshot: &Snapshot) -> String {
    let proxy = &snapshot.proxy;
    let link = match proxy.down_until {
        Some(_) => "link DOWN",
        None => "link up  ",
    };
    let latency = match snapshot.recent_latency {
        Some(latency) => format!("p50 {:>4.0} ms p99 {:>4.0} ms", latency.p50_ms, latency.p99_ms),
        None if snapshot.elapsed < WINDOW => "nothing live yet".to_owned(),
        None => format!("nothing live for {} s", WINDOW.as_secs()),
    };
    let segments = proxy.to_ground.segments + proxy.to_vehicle.segments;
    let lost = proxy.to_ground.lost_segments + proxy.to_vehicle.lost_segments;
    format!(
        "{:>4.0} s | {link} | {latency} | backlog {:>4} | up {:.1} kB down {:.1} kB | lost {:.1} % (with the outages)",
        snapshot.elapsed.as_secs_f64(),
        snapshot.edge["backlog_records"].as_u64().unwrap_or(0),
        proxy.to_ground.wire_bytes as f64 / 1e3,
        proxy.to_vehicle.wire_bytes as f64 / 1e3,
        lost as f64 * 100.0 / segments.max(1) as f64
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn snapshot(seconds: u64) -> Snapshot {
        let edge = json!({
            "accepted_records": 4098, "acknowledged_records": 3983, "backlog_records": 10, "lost_records": 1,
        });
        let mut proxy = ProxyStatus::default();
        (proxy.to_ground.segments, proxy.to_ground.lost_segments) = (200, 50);
        Snapshot { elapsed: Duration::from_secs(seconds), proxy, edge, recent_latency: None }
    }

    #[test]
    fn nothing_is_said_of_a_time_before_the_start() {
        assert!(status_line(&snapshot(0)).contains("| nothing live yet |"));
        assert!(status_line(&snapshot(10)).contains("| nothing live for 10 s |"));
    }

    #[test]
    fn packets_that_an_outage_took_are_not_passed_off_as_loss() {
        assert!(status_line(&snapshot(30)).ends_with("| lost 25.0 % (with the outages)"));
    }

    #[test]
    fn the_summary_leaves_no_record_out() {
        let mut out = Vec::new();
        write_summary(&mut out, &snapshot(40), &Meter::default()).unwrap();
        let summary = String::from_utf8(out).unwrap();
        assert!(
            summary.contains("4098 records of the first vehicle: 3983 acknowledged, 104 on their way, 10 still to send, 1 lost"),
            "{summary}"
        );
    }
}
