//! The link to the ground: connections made and made again, messages in and out.
//!
//! A task of its own keeps one connection up; each [`Connection`] it makes is handed to the relay, which closes it by
//! dropping it. At most one message waits between the two, so what goes next is decided as late as can be.

mod dial;
mod tls;
mod url;
mod websocket;

use std::time::Duration;

use tern_shared::backoff::Backoff;
use tern_shared::message::MAX_MESSAGE_BYTES;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

pub use tls::TlsError;
pub use url::{GroundUrl, InvalidGroundUrl};

use crate::config::LinkConfig;
use dial::Dialer;
use websocket::End;

/// Messages from the ground that wait for the relay.
const INCOMING_MESSAGES: usize = 16;
/// A connection that one of the ends closed within this time was not wanted (a refusal takes a round trip or two), so
/// the next one waits longer.
const SHORT_LIFE: Duration = Duration::from_secs(3);
/// The longest wait after such endings.
const UNWANTED_CAP: Duration = Duration::from_secs(30);
/// The longest wait after an attempt that failed by an answer (nobody listens, the handshake fails) or a connection
/// that soon broke: a ground that
/// restarts is found again soon, and one that stays away costs some 40 bytes a second. A link that is merely down is
/// tried every second at no cost, see `dial.rs`.
const FAILED_CAP: Duration = Duration::from_secs(3);

/// A connection to the ground. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    /// Messages to the ground; room for one.
    pub outgoing: mpsc::Sender<Vec<u8>>,
    /// Messages from the ground; ends with the connection.
    pub incoming: mpsc::Receiver<Vec<u8>>,
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    /// The TCP connection.
    #[error("cannot reach {address}: {error}")]
    Dial { address: String, error: std::io::Error },
    /// The handshake of TLS and WebSocket took too long.
    #[error("no answer to the handshake within {0:?}")]
    Timeout(Duration),
    /// The handshake failed: a certificate that does not match, or no tern-ground.
    #[error("handshake failed: {0}")]
    Handshake(String),
}

/// Keeps a connection up until nobody takes connections any more.
pub struct Link {
    config: LinkConfig,
    dialer: Dialer,
    tls: Option<tokio_rustls::TlsConnector>,
}

impl Link {
    /// A link that is not connected yet. Reads the trusted certificates, so that a missing file is known at the start.
    pub fn new(config: LinkConfig) -> Result<Self, TlsError> {
        let tls = if config.ground.is_encrypted() {
            Some(tls::connector(config.certificates.as_deref())?)
        } else {
            None
        };
        let dialer = Dialer::new(&config.ground, config.rate_bits_per_second);
        Ok(Link { config, dialer, tls })
    }

    /// Makes connection after connection; each is taken by the relay before the next is made.
    pub async fn run(mut self, connections: mpsc::Sender<Connection>) {
        let mut unwanted = Backoff::new(Duration::from_secs(1), UNWANTED_CAP);
        let mut failed = Backoff::new(Duration::from_millis(500), FAILED_CAP);
        loop {
            let delay = match self.connect().await {
                Ok(socket) => {
                    info!(ground = %self.config.ground, "connected");
                    let (outgoing, to_send) = mpsc::channel(1);
                    let (received, incoming) = mpsc::channel(INCOMING_MESSAGES);
                    if connections.send(Connection { outgoing, incoming }).await.is_err() {
                        return;
                    }
                    let up_since = tokio::time::Instant::now();
                    let end = websocket::run(socket, to_send, received).await;
                    info!(?end, "connection ended");
                    if up_since.elapsed() >= SHORT_LIFE {
                        unwanted.reset();
                        failed.reset();
                        continue;
                    }
                    match end {
                        End::Closed(_) => unwanted.next_delay(rand::random()),
                        // A link that flaps is no refusal.
                        End::Broken(_) => failed.next_delay(rand::random()),
                    }
                }
                Err(error) => {
                    warn!(ground = %self.config.ground, "cannot connect: {error}");
                    failed.next_delay(rand::random())
                }
            };
            debug!(?delay, "waiting before the next connection");
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = connections.closed() => return,
            }
        }
    }

    async fn connect(&mut self) -> Result<websocket::Socket, ConnectError> {
        let stream = self
            .dialer
            .dial()
            .await
            .map_err(|error| ConnectError::Dial { address: self.config.ground.authority(), error })?;
        let handshake =
            websocket::handshake(stream, &self.config.ground, self.tls.as_ref(), MAX_MESSAGE_BYTES);
        // What does not answer in this time was cut off: the dialer takes over, which tries every second.
        let limit = self.config.silence_limit.max(Duration::from_secs(5));
        match tokio::time::timeout(limit, handshake).await {
            Ok(result) => result.map_err(ConnectError::Handshake),
            Err(_) => Err(ConnectError::Timeout(limit)),
        }
    }
}
