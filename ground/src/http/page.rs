//! What a browser or a monitor asks for over plain HTTP: the page and `/healthz`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::watch;

use crate::client::Clients;
use crate::clock::Clock;
use crate::history::Health;
use crate::relay::Vehicles;

/// Everything on the page is in the page; it connects to where it came from.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
     img-src data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Any site can give its own name the ground's address, and its pages would then read telemetry.
const PUBLIC_NAME: &str = "Without a viewer token this ground serves its page by address (http://127.0.0.1:8080), \
     localhost or a local name only. To serve it by this name, configure [viewer] token.\n";

/// What the page and `/healthz` look at.
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

/// Serves `/`.
pub async fn page(State(monitor): State<Arc<Monitor>>, request: HeaderMap) -> Response {
    if !monitor.clients.origins.is_named_safely(&request) {
        return (StatusCode::MISDIRECTED_REQUEST, PUBLIC_NAME).into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, include_str!("../../web/index.html")).into_response()
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
