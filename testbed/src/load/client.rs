//! A web client that measures how old records are when they come.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::LoadError;
use crate::client::epoch_seconds;

/// What a connection holds to read into: ten thousand of them add up.
const READ_BUFFER_BYTES: usize = 2048;

/// What all clients of this thread have seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Clients whose snapshot is complete.
    pub(super) ready: usize,
    /// Milliseconds from sending to arrival, live records only.
    pub(super) latencies_ms: Vec<f64>,
    /// Records that the ground said were skipped.
    pub(super) missed: u64,
}

pub(super) struct Client(WebSocketStream<TcpStream>);

impl Client {
    /// Connects and subscribes to everything.
    pub(super) async fn connect(ground: SocketAddr) -> Result<Client, LoadError> {
        let stream = TcpStream::connect(ground).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
        let url = format!("ws://{ground}/ws");
        let (mut socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await?;
        socket.send(Message::text(r#"{"type":"subscribe"}"#)).await?;
        Ok(Client(socket))
    }

    /// Counts what comes, until the connection ends.
    pub(super) async fn watch(mut self, seen: Rc<RefCell<Seen>>) {
        while let Some(Ok(message)) = self.0.next().await {
            let Message::Text(text) = message else { continue };
            let now = epoch_seconds();
            let mut seen = seen.borrow_mut();
            if text.starts_with(r#"{"type":"record","cursor""#) {
                if let Some(sent) = number(&text, "\"sent\":") {
                    seen.latencies_ms.push((now - sent) * 1e3);
                }
            } else if text.starts_with(r#"{"type":"ready""#) {
                seen.ready += 1;
            } else if text.starts_with(r#"{"type":"missed""#) {
                seen.missed += number(&text, "\"count\":").unwrap_or_default() as u64;
            }
        }
    }

    /// Keeps the connection and reads nothing of it.
    pub(super) fn stall(self) -> TcpStream {
        self.0.into_inner()
    }
}

/// The number behind a key, without reading the whole message: the clients' share of the machine is not what is measured.
fn number(text: &str, key: &str) -> Option<f64> {
    let (_, rest) = text.split_once(key)?;
    let end = rest.find([',', '}'])?;
    rest[..end].parse().ok()
}
