//! Web clients that measure how old messages are when they come.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::LoadError;
use crate::client::epoch_seconds;

/// What a connection holds to read into, and clears before it does: ten thousand of them add up.
const READ_BUFFER_BYTES: usize = 256;

/// What all clients of this thread have seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Clients that are subscribed.
    pub(super) ready: usize,
    /// Milliseconds from sending to arrival.
    pub(super) latencies_ms: Vec<f64>,
    /// Messages that the server said were skipped.
    pub(super) missed: u64,
    /// Clients whose connection ended.
    pub(super) gone: usize,
}

/// What a server and its clients say to each other within a WebSocket.
pub(super) trait Dialect: Default + 'static {
    /// The subprotocol that is asked for.
    const SUBPROTOCOL: Option<&str>;
    /// Where the server listens.
    const PATH: &str;

    /// What a client begins with: it subscribes to everything.
    fn opening(&self) -> Vec<Message>;

    /// Notes what has come. Returns what has to be answered.
    fn take(&mut self, message: &Message, seen: &mut Seen) -> Option<Message>;
}

pub(super) struct Client<D> {
    socket: WebSocketStream<TcpStream>,
    dialect: D,
}

impl Seen {
    /// Notes content that names the time of its sending.
    pub(super) fn note(&mut self, content: &[u8]) {
        if let Some(sent) = number(content, "\"sent\":") {
            self.latencies_ms.push((epoch_seconds() - sent) * 1e3);
        }
    }
}

impl<D: Dialect> Client<D> {
    /// Connects and subscribes.
    pub(super) async fn connect(server: SocketAddr) -> Result<Client<D>, LoadError> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
        let mut request = format!("ws://{server}{}", D::PATH).into_client_request()?;
        if let Some(subprotocol) = D::SUBPROTOCOL {
            request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(subprotocol));
        }
        let (mut socket, _) =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
        let dialect = D::default();
        for message in dialect.opening() {
            socket.send(message).await?;
        }
        Ok(Client { socket, dialect })
    }

    /// Counts what comes, until the connection ends.
    pub(super) async fn watch(mut self, seen: Rc<RefCell<Seen>>) {
        while let Some(Ok(message)) = self.socket.next().await {
            let answer = self.dialect.take(&message, &mut seen.borrow_mut());
            if let Some(answer) = answer
                && self.socket.send(answer).await.is_err()
            {
                break;
            }
        }
        seen.borrow_mut().gone += 1;
    }

    /// Keeps the connection and reads nothing of it.
    pub(super) fn stall(self) -> TcpStream {
        self.socket.into_inner()
    }
}

/// The number behind a key, without reading the whole message: the clients' share of the machine is not what is measured.
pub(super) fn number(content: &[u8], key: &str) -> Option<f64> {
    let (_, rest) = std::str::from_utf8(content).ok()?.split_once(key)?;
    let end = rest.find([',', '}'])?;
    rest[..end].parse().ok()
}
