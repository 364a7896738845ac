//! Where vehicles connect by QUIC: one UDP socket for all of them.
//!
//! What peers can make the ground hold before they have said who they are: 512 connections of about 20 kB that are
//! shaking hands, for 30 s at most, or have ended and linger for some seconds. From 32 on, an address has to show that it
//! receives what it is sent before it takes a place (Retry), which keeps out floods with forged addresses. Those that shake
//! hands or owe a hello have strangers' places (`accept/places.rs`), as WebSocket connections do.
//!
//! A vehicle that has been here before sends its hello and first telemetry with its first packet (0-RTT), which somebody
//! on the way could send again. That changes nothing: a ticket for 0-RTT is good once, records have sequence numbers and
//! are stored once, and nothing that a vehicle sends makes the ground act on anything but its history. What somebody
//! withheld, and sends later, has a ticket that is still good; it stores the vehicle's records, but ends after
//! 30 s, as its handshake is never complete, and until then takes over from no other session.

mod memory;
mod socket;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicServerConfig};
use quinn::{Connection, ConnectionError, Endpoint, EndpointConfig, Incoming, TokioRuntime, ZeroRttAccepted};
use tern_shared::quic::{ground_ids, transport_config};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, info};

use memory::Memory;
pub use memory::MemoryError;
pub(super) use socket::QuicSocket;

use super::places::Place;
use super::socket::Socket;
use super::{Accept, MAX_STRANGERS};
use crate::config::QuicConfig;
use crate::relay::until_true;
use crate::tls::{self, TlsError};

/// From so many connections without a session on, addresses have to be shown to be real.
const RETRY_FROM: usize = 32;
/// The most connections without a session.
const MAX_WITHOUT_SESSION: usize = 2 * MAX_STRANGERS;
/// How long a handshake may take. It is 3 kB, which the narrowest link carries in 10 s.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);
/// Connection attempts that wait to be looked at, and what more of each and of all of them is kept.
const MAX_WAITING: usize = 256;
const WAITING_BYTES: u64 = 16 * 1024;
const ALL_WAITING_BYTES: u64 = 1024 * 1024;
/// How long the last packets may take to leave when the ground ends. Connections linger for seconds after that, to answer
/// what was on its way to them; a vehicle that missed their end has its answer from the next ground.
const FLUSH_LIMIT: Duration = Duration::from_millis(100);

/// Why QUIC cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum QuicError {
    /// Certificates or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// TLS lacks what QUIC needs.
    #[error("TLS cannot protect QUIC: {0}")]
    Cipher(#[from] NoInitialCipherSuite),
    /// What is kept across restarts.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address} (UDP): {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

/// Listens. What outlives the process lies beside the history.
///
/// # Errors
///
/// See [`QuicError`].
pub fn listen(config: &QuicConfig, history: &Path) -> Result<Endpoint, QuicError> {
    let (memory, reset_key) = Memory::open(history)?;
    let tls = tls::quic_server_config(config, Arc::new(memory))?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    server
        .transport_config(Arc::new(transport_config(None)))
        .max_incoming(MAX_WAITING)
        .incoming_buffer_size(WAITING_BYTES)
        .incoming_buffer_size_total(ALL_WAITING_BYTES);
    let mut endpoint = EndpointConfig::new(Arc::new(reset_key));
    endpoint.cid_generator(ground_ids);
    let listen = || {
        let socket = std::net::UdpSocket::bind(config.listen)?;
        Endpoint::new(endpoint, Some(server), socket, Arc::new(TokioRuntime))
    };
    listen().map_err(|error| QuicError::Listen { address: config.listen, error })
}

/// Serves vehicles until `shutdown` is true; those that are connected go on after that, until they are done.
pub async fn serve(endpoint: Endpoint, accept: Arc<Accept>, mut shutdown: watch::Receiver<bool>) {
    let mut handshakes = JoinSet::new();
    // Held by every session, which counts them.
    let sessions = Arc::new(());
    loop {
        tokio::select! {
            biased;
            () = until_true(&mut shutdown) => break,
            Some(_) = handshakes.join_next() => {}
            incoming = endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                let without = endpoint.open_connections().saturating_sub(Arc::strong_count(&sessions) - 1);
                if without >= MAX_WITHOUT_SESSION {
                    incoming.ignore();
                    continue;
                }
                if without >= RETRY_FROM && !incoming.remote_address_validated() {
                    let _ = incoming.retry();
                    continue;
                }
                let place = accept.places.enter(incoming.remote_address().ip());
                handshakes.spawn(handshake(incoming, place, accept.clone(), Arc::downgrade(&sessions)));
            }
        }
    }
    handshakes.shutdown().await;
    endpoint.set_server_config(None);
}

/// Ends all connections that are left, and lets the last packets leave.
pub async fn close(endpoint: &Endpoint) {
    endpoint.close(0u32.into(), b"the ground has ended");
    if timeout(FLUSH_LIMIT, endpoint.wait_idle()).await.is_err() {
        debug!("QUIC connections do not end");
    }
}

/// Shakes hands, then leaves the connection to a task of its own.
async fn handshake(incoming: Incoming, place: Place, accept: Arc<Accept>, sessions: Weak<()>) {
    let peer = incoming.remote_address();
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(error) => return debug!(%peer, %error, "QUIC handshake failed"),
    };
    let Ok((connection, established)) = connecting.into_0rtt() else { return };
    let mut handshake = until_complete(connection.clone(), established).boxed();
    // A vehicle that was here before opens its stream before the handshake is complete.
    let opened = tokio::select! {
        biased;
        stream = connection.accept_bi() => Ok((stream.ok(), Some(handshake))),
        ended = &mut handshake => ended.map(|()| (None, None)),
        () = place.gives_way() => Err("it gives way to newer connections".to_owned()),
    };
    let (stream, handshake) = match (opened, connection.close_reason()) {
        (Ok(opened), None) => opened,
        // People should know of a certificate that is not good; of peers that come and go, only who looks for them.
        (_, Some(error @ (ConnectionError::TransportError(_) | ConnectionError::ConnectionClosed(_)))) => {
            return info!(%peer, %error, "QUIC handshake failed");
        }
        (_, Some(error)) => return debug!(%peer, %error, "QUIC handshake failed"),
        (Err(error), None) => return debug!(%peer, error, "QUIC handshake failed"),
    };
    let Some(socket) = QuicSocket::new(connection, stream) else {
        return debug!(%peer, "a vehicle that takes no datagrams");
    };
    let socket = Socket::Quic(Box::new(socket));
    let connection = accept.connection(socket, place, handshake, peer);
    let counted = sessions.upgrade();
    tokio::spawn(async move {
        connection.run().await;
        drop(counted);
    });
}

async fn until_complete(connection: Connection, established: ZeroRttAccepted) -> Result<(), String> {
    if timeout(HANDSHAKE_LIMIT, established).await.is_err() {
        return Err("the handshake took too long".to_owned());
    }
    // A connection that is lost ends its handshake, too.
    connection.close_reason().map_or(Ok(()), |error| Err(error.to_string()))
}
