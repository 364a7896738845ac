//! Web clients on `/ws`: a WebSocket of JSON or MessagePack messages. docs/API.md describes it.

mod commands;
mod connection;
mod line;
mod operations;
mod session;
mod threads;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, response::IntoResponse};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tracing::debug;

use crate::access::{Access, AddressPlace, Grant, Limits, Origins};
use crate::command::Commands;
use crate::http::Refused;
use crate::publish::Hub;
use crate::publish::encode::Encoding;
use crate::publish::message::{ErrorCode, Problem};
use crate::query::Archive;
use crate::serve::Peer;
pub(crate) use commands::{caller, known_vehicle};
use connection::Client;
pub use session::Session;
pub use threads::Threads;

/// The longest message of a client, bytes: a subscription with all the patterns it may have.
const MAX_CLIENT_MESSAGE_BYTES: usize = 32 * 1024;
/// What a connection holds to read into, bytes. Clients say little.
const READ_BUFFER_BYTES: usize = 256;
/// What a connection gathers before it writes, bytes; it keeps that much, and ten thousand of them add up.
const WRITE_BUFFER_BYTES: usize = 2048;

/// What serving clients takes, on `/ws` and over HTTP.
#[derive(Debug)]
pub struct Clients {
    /// Where telemetry comes from.
    pub hub: Arc<Hub>,
    /// The way to command vehicles.
    pub commands: Commands,
    /// The history.
    pub archive: Archive,
    /// Who may see it.
    pub access: Access,
    /// Whose pages may ask for it.
    pub origins: Origins,
    /// How much an address may ask for.
    pub limits: Limits,
    /// Becomes true when the process ends.
    pub shutdown: watch::Receiver<bool>,
    /// Held by every connection: the process waits until all are gone.
    pub alive: mpsc::Sender<()>,
    /// Where they are served.
    pub threads: Threads,
    /// Bounds the clients that stay.
    pub places: Arc<Semaphore>,
    /// What they did.
    pub counters: Counters,
}

/// Counts of clients, for `/metrics`.
#[derive(Debug, Default)]
pub struct Counters {
    /// Clients on WebSockets.
    pub websockets: AtomicUsize,
    /// Clients of server-sent events.
    pub events: AtomicUsize,
    /// Messages sent to clients.
    pub messages: AtomicU64,
    /// Records that clients were too slow for.
    pub missed_records: AtomicU64,
}

/// A client's place among all, and among those of its address.
#[derive(Debug)]
pub struct ClientPlace {
    _place: OwnedSemaphorePermit,
    _of_address: AddressPlace,
}

impl Clients {
    /// Checks the head of a request: its page, its address's rate, its token. `None` where a token has yet to come.
    pub fn admit(&self, peer: &Peer, headers: &HeaderMap) -> Result<Option<Arc<Grant>>, Problem> {
        self.origins.check(headers)?;
        self.limits.request(peer.address.ip())?;
        self.access.of_request(headers)
    }

    /// A place for a client that stays.
    pub fn place(&self, peer: &Peer) -> Result<ClientPlace, Problem> {
        let of_address = self.limits.client(peer.address.ip())?;
        let too_many = |_| Problem::new(ErrorCode::Busy, "too many clients, try again later");
        let place = self.places.clone().try_acquire_owned().map_err(too_many)?;
        Ok(ClientPlace { _place: place, _of_address: of_address })
    }
}

/// Serves `/ws`.
pub async fn upgrade(
    State(clients): State<Arc<Clients>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let admitted = clients.admit(&peer, &headers).and_then(|grant| Ok((grant, clients.place(&peer)?)));
    let (grant, place) = match admitted {
        Ok(admitted) => admitted,
        Err(problem) => {
            debug!(peer = %peer.address, code = ?problem.code, "web client refused");
            return Refused(problem).into_response();
        }
    };
    let upgrade = upgrade.protocols([Encoding::Json.subprotocol(), Encoding::MessagePack.subprotocol()]);
    let is_binary = |protocol: &axum::http::HeaderValue| protocol == Encoding::MessagePack.subprotocol();
    let encoding = if upgrade.selected_protocol().is_some_and(is_binary) {
        Encoding::MessagePack
    } else {
        Encoding::Json
    };
    let wire = peer.wire();
    upgrade
        .max_message_size(MAX_CLIENT_MESSAGE_BYTES)
        .max_frame_size(MAX_CLIENT_MESSAGE_BYTES)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .on_upgrade(async move |socket| {
            let serve = clients.clone();
            serve.threads.spawn(async move {
                let _alive = clients.alive.clone();
                Client::new(socket, wire, clients, encoding, grant).run().await;
                drop(place);
            });
        })
}
