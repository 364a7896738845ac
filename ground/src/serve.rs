//! Accepts connections and speaks HTTP on them, with TLS or without, until they become WebSockets.
//!
//! What a peer can hold without having said who it is: one of 256 places, for 30 s, with a buffer of 16 kB. When all
//! places are taken the oldest gives way, so that peers that stall keep nobody out. Answers that take longer by their nature
//! (server-sent events, exports) are bounded by those who give them.

mod wire;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::relay::until_true;
use wire::WireStream;
pub use wire::{Sent, Wire};

/// The most connections that are not WebSockets.
pub const MAX_HTTP_CONNECTIONS: usize = 256;
/// How long a connection may be something else than a WebSocket, TLS handshake included. Handshakes over a geostationary
/// link take under 2 s; lost packets add seconds.
const HTTP_LIMIT: Duration = Duration::from_secs(30);
/// Bounds a request's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long to wait for files of this process to be closed when it has too many open.
const ACCEPT_RETRY: Duration = Duration::from_millis(500);

/// Who is at the other end of a connection; an extension of every request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    stays: Arc<AtomicBool>,
    wire: Weak<Wire>,
}

impl Peer {
    /// Lets the connection stay for as long as its answer takes. Whoever calls this bounds such answers.
    pub fn stay(&self) {
        self.stays.store(true, Ordering::Relaxed);
    }

    /// Its connection, for as long as that is there. `None` with TLS.
    pub fn wire(&self) -> Option<Arc<Wire>> {
        self.wire.upgrade()
    }

    fn stays(&self) -> bool {
        self.stays.load(Ordering::Relaxed)
    }
}

/// Serves `router` until `shutdown` is true. WebSockets go on after that, other connections end.
pub async fn serve(
    router: Router,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    mut shutdown: watch::Receiver<bool>,
) {
    let tls = tls.map(TlsAcceptor::from);
    let mut connections = JoinSet::new();
    let mut by_age: VecDeque<(AbortHandle, Peer)> = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            () = until_true(&mut shutdown) => return,
            Some(_) = connections.join_next() => {
                by_age.retain(|(connection, peer)| !connection.is_finished() && !peer.stays());
            }
            (stream, address) = accept(&listener) => {
                if by_age.len() >= MAX_HTTP_CONNECTIONS {
                    by_age.retain(|(_, peer)| !peer.stays());
                }
                if by_age.len() >= MAX_HTTP_CONNECTIONS
                    && let Some((oldest, _)) = by_age.pop_front()
                {
                    oldest.abort();
                }
                let peer = Peer { address, stays: Arc::default(), wire: Weak::new() };
                let connection = connection(router.clone(), stream, peer.clone(), tls.clone());
                by_age.push_back((connections.spawn(connection), peer));
            }
        }
    }
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {
                debug!(%error, "connection lost before it was accepted");
            }
            Err(error) => {
                warn!(%error, "cannot accept connections; is the limit of open files (ulimit -n) too low?");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(router: Router, stream: TcpStream, peer: Peer, tls: Option<TlsAcceptor>) {
    let address = peer.address;
    // Without it, Nagle's algorithm holds an acknowledgement back for a round trip.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%address, %error, "TCP_NODELAY");
    }
    let served = async {
        match tls {
            Some(tls) => {
                let failed = |error| io::Error::other(format!("TLS handshake failed: {error}"));
                http(router, tls.accept(stream).await.map_err(failed)?, peer.clone()).await
            }
            None => {
                let wire = Wire::new(stream);
                let peer = Peer { wire: Arc::downgrade(&wire), ..peer.clone() };
                http(router, WireStream(wire), peer).await
            }
        }
    };
    tokio::pin!(served);
    let ended = match timeout(HTTP_LIMIT, &mut served).await {
        Err(_) if peer.stays() => Ok(served.await),
        ended => ended,
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%address, %error, "connection failed"),
        Err(_) => debug!(%address, "connection took too long"),
    }
}

/// Returns when the connection has ended or become a WebSocket.
async fn http<S>(router: Router, stream: S, peer: Peer) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let mut request: Request<hyper::body::Incoming> = request;
        request.extensions_mut().insert(peer.clone());
        router.call(request)
    });
    http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await
        .map_err(io::Error::other)
}
