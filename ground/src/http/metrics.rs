//! `/metrics`, in Prometheus' text format 0.0.4.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use tern_shared::message::Lane;

use super::health::Monitor;
use super::{Refused, admit, process};
use crate::history::Health;
use crate::publish::counters::PUBLISH_BUCKETS;
use crate::publish::message::VehicleStatus;
use crate::serve::Peer;

/// Serves `/metrics`: the ground's own, and those of the vehicles that the client may see.
pub async fn metrics(
    State(monitor): State<Arc<Monitor>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let grant = admit(&monitor.clients, &peer, &headers)?;
    let mut text = Text::default();
    ground(&mut text, &monitor);
    vehicles(&mut text, &monitor.clients.hub.vehicles(|vehicle| grant.may_view(vehicle)));
    for (name, kind, help, value) in [
        (
            "process_resident_memory_bytes",
            "gauge",
            "Memory in RAM.",
            process::resident_bytes().map(|n| n as f64),
        ),
        ("process_cpu_seconds_total", "counter", "Time on processors.", process::cpu_seconds()),
        ("process_open_fds", "gauge", "Open files.", process::open_files().map(|n| n as f64)),
    ] {
        if let Some(value) = value {
            text.family(name, kind, help).sample(name, "", value);
        }
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.0).into_response())
}

/// A vehicle's value of a family; `None` where it has none.
type Measure = fn(&VehicleStatus) -> Option<f64>;

fn ground(text: &mut Text, monitor: &Monitor) {
    let (clients, ingest) = (&monitor.clients.counters, monitor.clients.hub.counters());
    let version = concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"");
    text.family("tern_ground_info", "gauge", "The ground.").sample("tern_ground_info", version, 1);
    let connected = "tern_ground_vehicles_connected";
    text.family(connected, "gauge", "Vehicles with a session.").sample(
        connected,
        "",
        monitor.vehicles.connected(),
    );
    let known = "tern_ground_vehicles_known";
    text.family(known, "gauge", "Vehicles that have connected since the start.").sample(
        known,
        "",
        monitor.vehicles.known(),
    );
    let places = "tern_ground_clients";
    text.family(places, "gauge", "Clients that are connected.")
        .sample(places, "transport=\"websocket\"", clients.websockets.load(Ordering::Relaxed))
        .sample(places, "transport=\"events\"", clients.events.load(Ordering::Relaxed));
    let messages = "tern_ground_client_messages_total";
    text.family(messages, "counter", "Messages sent to clients on WebSockets.").sample(
        messages,
        "",
        clients.messages.load(Ordering::Relaxed),
    );
    let missed = "tern_ground_client_missed_records_total";
    text.family(missed, "counter", "Records that clients were too slow for.").sample(
        missed,
        "",
        clients.missed_records.load(Ordering::Relaxed),
    );
    let refused = "tern_ground_refused_commands_total";
    text.family(refused, "counter", "Commands, cancellations and set-points that were refused.").sample(
        refused,
        "",
        monitor.clients.commands.refused(),
    );
    let records = "tern_ground_records_total";
    text.family(records, "counter", "Records that have arrived.")
        .sample(records, "lane=\"live\"", ingest.records(Lane::Live))
        .sample(records, "lane=\"backlog\"", ingest.records(Lane::Backlog));
    let lost = "tern_ground_lost_records_total";
    text.family(lost, "counter", "Records that vehicles say are lost.").sample(
        lost,
        "",
        ingest.lost_records(),
    );
    let times = ingest.publish_times();
    let publish = "tern_ground_publish_seconds";
    text.family(publish, "histogram", "From the arrival of a frame to its publication.");
    for (bound, frames) in PUBLISH_BUCKETS.iter().zip(times.within) {
        text.sample("tern_ground_publish_seconds_bucket", &format!("le=\"{bound}\""), frames);
    }
    text.sample("tern_ground_publish_seconds_bucket", "le=\"+Inf\"", times.frames)
        .sample("tern_ground_publish_seconds_sum", "", times.sum_seconds)
        .sample("tern_ground_publish_seconds_count", "", times.frames);
    let failing = "tern_ground_history_failing";
    let is_failing = *monitor.health.borrow() != Health::Good;
    text.family(failing, "gauge", "1 while the history cannot be written.").sample(
        failing,
        "",
        u8::from(is_failing),
    );
}

fn vehicles(text: &mut Text, vehicles: &[(Arc<str>, VehicleStatus)]) {
    let families: [(&str, &str, &str, Measure); 6] = [
        ("tern_vehicle_connected", "gauge", "1 while it has a session.", |status| {
            Some(f64::from(u8::from(status.connected)))
        }),
        ("tern_vehicle_records", "gauge", "Records of it, over all epochs.", |status| {
            Some(status.records as f64)
        }),
        ("tern_vehicle_lost_records", "gauge", "Records of it that are lost.", |status| {
            Some(status.lost_records as f64)
        }),
        ("tern_vehicle_last_received_seconds", "gauge", "When its last record arrived.", |status| {
            status.last_received
        }),
        ("tern_vehicle_clock_offset_seconds", "gauge", "Ground time minus vehicle time.", |status| {
            status.clock_offset_ms.map(|ms| ms / 1e3)
        }),
        ("tern_vehicle_clock_uncertainty_seconds", "gauge", "How far that may be off.", |status| {
            status.clock_uncertainty_ms.map(|ms| ms / 1e3)
        }),
    ];
    for (name, kind, help, value) in families {
        text.family(name, kind, help);
        for (vehicle, status) in vehicles {
            // Names of vehicles have no character that would need an escape.
            if let Some(value) = value(status) {
                text.sample(name, &format!("vehicle=\"{vehicle}\""), value);
            }
        }
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) -> &mut Self {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) -> &mut Self {
        let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
        let _ = writeln!(self.0, "{name}{open}{labels}{close} {value}");
        self
    }
}
