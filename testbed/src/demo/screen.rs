//! What the demo prints.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::meter::{Latency, Meter};
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
        let edge = |key: &str| snapshot.edge[key].as_u64().unwrap_or(0);
        let (up, down) = (snapshot.proxy.to_ground, snapshot.proxy.to_vehicle);
        writeln!(self.out, "summary after {:.0} s", snapshot.elapsed.as_secs_f64())?;
        match meter.overall() {
            Some(latency) => writeln!(
                self.out,
                "  live     {} records of all vehicles, latency p50 {:.0} ms, p99 {:.0} ms, {:.1} % over 1 s",
                latency.records,
                latency.p50_ms,
                latency.p99_ms,
                meter.late_percent()
            )?,
            None => writeln!(self.out, "  live     nothing arrived")?,
        }
        writeln!(
            self.out,
            "  backlog  {} records arrived, {} still to come",
            meter.backlog_records(),
            edge("backlog_records")
        )?;
        writeln!(
            self.out,
            "  edge     {} records of the first vehicle accepted, {} acknowledged, {} lost",
            edge("accepted_records"),
            edge("acknowledged_records"),
            edge("lost_records")
        )?;
        writeln!(
            self.out,
            "  link     {:.1} kB to the ground ({} of {} packets lost), {:.1} kB back",
            up.wire_bytes as f64 / 1e3,
            up.lost_segments,
            up.segments,
            down.wire_bytes as f64 / 1e3
        )
    }
}

fn status_line(snapshot: &Snapshot) -> String {
    let proxy = &snapshot.proxy;
    let link = match proxy.down_until {
        Some(_) => "link DOWN",
        None => "link up  ",
    };
    let latency = match snapshot.recent_latency {
        Some(latency) => format!("p50 {:>4.0} ms p99 {:>4.0} ms", latency.p50_ms, latency.p99_ms),
        None => "nothing live for 10 s".to_owned(),
    };
    let segments = proxy.to_ground.segments + proxy.to_vehicle.segments;
    let lost = proxy.to_ground.lost_segments + proxy.to_vehicle.lost_segments;
    format!(
        "{:>4.0} s | {link} | {latency} | backlog {:>4} | up {:.1} kB down {:.1} kB | loss {:.1} %",
        snapshot.elapsed.as_secs_f64(),
        snapshot.edge["backlog_records"].as_u64().unwrap_or(0),
        proxy.to_ground.wire_bytes as f64 / 1e3,
        proxy.to_vehicle.wire_bytes as f64 / 1e3,
        lost as f64 * 100.0 / segments.max(1) as f64
    )
}
