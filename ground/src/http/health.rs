//! What a monitor asks for over plain HTTP: `/healthz`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Serialize;
use tokio::sync::watch;

use crate::client::Clients;
use crate::clock::Clock;
use crate::history::Health;
use crate::relay::Vehicles;

/// What `/healthz` looks at.
pub struct Monitor {
    /// The process's clocks.
    pub clock: Clock,
    /// Whether the history can be written.
    pub health: watch::Receiver<Health>,
    /// The vehicles' tasks.
    pub vehicles: Arc<Vehicles>,
    /// The web clients.
    pub clients: Arc<Clients>,
}

#[derive(Debug, Serialize)]
struct HealthReport {
    status: &'static str,
    version: &'static str,
    uptime_seconds: u64,
    vehicles_connected: usize,
    vehicles_known: usize,
    clients: usize,
    history: HistoryReport,
}

#[derive(Debug, Serialize)]
struct HistoryReport {
    status: &'static str,
    error: Option<String>,
}

/// Serves `/healthz`: 200 while everything works, 503 while the history cannot be written.
pub async fn healthz(State(monitor): State<Arc<Monitor>>) -> impl IntoResponse {
    let error = match &*monitor.health.borrow() {
        Health::Good => None,
        Health::Failing(error) => Some(error.clone()),
    };
    let (code, status) = match error {
        None => (StatusCode::OK, "ok"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "failing"),
    };
    let clients = &monitor.clients.counters;
    let report = HealthReport {
        status,
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: monitor.clock.now().instant.0.as_secs(),
        vehicles_connected: monitor.vehicles.connected(),
        vehicles_known: monitor.vehicles.known(),
        clients: clients.websockets.load(Ordering::Relaxed) + clients.events.load(Ordering::Relaxed),
        history: HistoryReport { status, error },
    };
    (code, Json(report))
}
