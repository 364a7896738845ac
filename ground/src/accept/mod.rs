//! Where vehicles connect: `/vehicle`, a WebSocket of binary messages, and by QUIC.

mod authorize;
mod connection;
mod places;
pub mod quic;
mod socket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tern_shared::message::MAX_MESSAGE_BYTES;
use tokio::sync::{mpsc, watch};

pub use authorize::VehicleTokens;
pub use places::{MAX_STRANGERS, Places};

use crate::clock::Clock;
use crate::history::Health;
use crate::relay::Vehicles;
use crate::serve::Peer;
use crate::vehicle::SessionNumber;
use connection::{Connection, Handshake};
use places::Place;
use socket::Socket;

/// WebSocket messages of this size are read, so that the session can refuse those over its own limit with a reason.
const MAX_READ_BYTES: usize = 4 * MAX_MESSAGE_BYTES;
/// What a connection holds to read into, bytes: a live frame of a busy autopilot. Larger ones come in several reads.
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// What serving vehicles takes.
pub struct Accept {
    /// The process's clocks.
    pub clock: Clock,
    /// Name and version of this program.
    pub agent: String,
    /// Who may connect.
    pub tokens: VehicleTokens,
    /// The vehicles' tasks.
    pub vehicles: Arc<Vehicles>,
    /// Whether the history can be written.
    pub health: watch::Receiver<Health>,
    /// Becomes true when the process ends.
    pub shutdown: watch::Receiver<bool>,
    /// Held by every connection: the process waits until all are gone.
    pub alive: mpsc::Sender<()>,
    /// Bounds connections.
    pub places: Arc<Places>,
    /// After how long without a message a connection is ended.
    pub idle_timeout: Duration,
    /// Numbers sessions.
    pub next_session: AtomicU64,
}

impl Accept {
    fn connection(
        self: &Arc<Self>,
        socket: Socket,
        place: Place,
        handshake: Option<Handshake>,
        peer: SocketAddr,
    ) -> Connection {
        let number = SessionNumber(self.next_session.fetch_add(1, Ordering::Relaxed));
        Connection::new(socket, self.clone(), place, handshake, peer, number)
    }
}

/// Serves `/vehicle`.
pub async fn upgrade(
    State(accept): State<Arc<Accept>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    // Only browsers send it, on behalf of whatever page is open in them.
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "vehicles are not web pages\n").into_response();
    }
    let upgrade = upgrade.max_message_size(MAX_READ_BYTES).max_frame_size(MAX_READ_BYTES);
    upgrade.read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0).on_upgrade(async move |socket| {
        let place = accept.places.enter(peer.address.ip());
        accept.connection(Socket::WebSocket(Box::new(socket)), place, None, peer.address).run().await;
    })
}
