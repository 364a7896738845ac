//! A web client of the ground.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

/// How long to wait between two attempts to connect.
const RETRY: Duration = Duration::from_millis(50);

/// A record that arrived at the web client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arrival {
    pub(super) lane: Lane,
    /// Arrival minus capture, seconds; both on this machine's clock.
    pub(super) age_s: f64,
}

/// How a record crossed the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Lane {
    Live,
    Backlog,
}

#[derive(Deserialize)]
struct RecordMessage {
    #[serde(rename = "type")]
    kind: String,
    t: f64,
    lane: Lane,
}

/// Subscribes to everything and reports each record. Ends when the ground is gone, or did not accept within
/// `start_limit`.
pub(super) async fn run(ground: SocketAddr, start_limit: Duration, arrivals: mpsc::Sender<Arrival>) {
    let Ok(socket) = tokio::time::timeout(start_limit, connect(ground)).await else { return };
    let Ok((mut socket, _)) = tokio_tungstenite::client_async(format!("ws://{ground}/ws"), socket).await
    else {
        return;
    };
    let subscribe = r#"{"type":"subscribe","vehicles":["*"],"streams":["*"]}"#;
    if socket.send(Message::text(subscribe)).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(text) = message
            && let Some(arrival) = parse(&text, epoch_seconds())
            && arrivals.send(arrival).await.is_err()
        {
            return;
        }
    }
}

async fn connect(ground: SocketAddr) -> TcpStream {
    loop {
        match TcpStream::connect(ground).await {
            Ok(socket) => return socket,
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

/// Messages of other types (snapshot, vehicle status) are no arrivals.
fn parse(text: &str, now_s: f64) -> Option<Arrival> {
    let record: RecordMessage = serde_json::from_str(text).ok()?;
    (record.kind == "record").then_some(Arrival { lane: record.lane, age_s: now_s - record.t })
}

fn epoch_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_are_arrivals() {
        let record =
            r#"{"type":"record","vehicle":"v","stream":"s","t":100.5,"lane":"backlog","seq":1,"fields":{}}"#;
        assert_eq!(parse(record, 101.0), Some(Arrival { lane: Lane::Backlog, age_s: 0.5 }));
        assert_eq!(parse(r#"{"type":"snapshot","t":1,"lane":"live"}"#, 101.0), None);
        assert_eq!(parse("nonsense", 101.0), None);
    }
}
