//! A web client of the ground.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::path::Place;

/// How long to wait between two attempts to connect.
const RETRY: Duration = Duration::from_millis(50);

/// A record that arrived at the web client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    /// The same, seconds since the Unix epoch.
    pub(crate) wall_s: f64,
    pub(crate) stream: String,
    pub(crate) lane: Lane,
    /// Capture time by the edge's clock, seconds since the Unix epoch.
    pub(crate) captured_s: f64,
    /// Its sequence number.
    pub(crate) sequence: u64,
    /// Its field `n`, where that is a whole number: the number that the workload gave it.
    pub(crate) number: Option<u64>,
}

/// How a record crossed the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lane {
    Live,
    Backlog,
}

#[derive(Deserialize)]
struct RecordMessage {
    #[serde(rename = "type")]
    kind: String,
    stream: String,
    t: f64,
    lane: Lane,
    seq: u64,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    n: Value,
}

impl Arrival {
    /// Arrival minus capture, seconds; both on this machine's clock.
    pub(crate) fn age_s(&self) -> f64 {
        self.wall_s - self.captured_s
    }
}

/// Subscribes to everything and reports each record. Ends when the ground is gone.
pub(crate) async fn run(socket: TcpStream, ground: SocketAddr, arrivals: mpsc::Sender<Arrival>) {
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
            && let Some(arrival) = parse(&text, Instant::now(), epoch_seconds())
            && arrivals.send(arrival).await.is_err()
        {
            return;
        }
    }
}

/// Connects to a ground that is starting; `None` when it did not accept within `limit`.
pub(crate) async fn connect(place: &Place, ground: SocketAddr, limit: Duration) -> Option<TcpStream> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Ok(socket) = place.connect(ground)
            && socket.set_nonblocking(true).is_ok()
        {
            return TcpStream::from_std(socket).ok();
        }
        tokio::time::sleep(RETRY).await;
    }
    None
}

/// The streams of Tern's own ends: no part of a workload.
const OWN_STREAMS: &str = "tern/";

/// Messages of other types (snapshot, vehicle status) are no arrivals, nor is what Tern tells of itself.
fn parse(text: &str, at: Instant, wall_s: f64) -> Option<Arrival> {
    let record: RecordMessage = serde_json::from_str(text).ok()?;
    let RecordMessage { kind, stream, t: captured_s, lane, seq: sequence, fields } = record;
    let number = fields.n.as_u64();
    (kind == "record" && !stream.starts_with(OWN_STREAMS)).then_some(Arrival {
        at,
        wall_s,
        stream,
        lane,
        captured_s,
        sequence,
        number,
    })
}

/// Seconds since the Unix epoch.
pub(crate) fn epoch_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_are_arrivals() {
        let at = Instant::now();
        let parse = |text: &str| parse(text, at, 101.0);
        let record = r#"{"type":"record","vehicle":"v","stream":"s","t":100.5,"lane":"backlog","seq":1,"fields":{"n":7}}"#;
        let arrival = parse(record).unwrap();
        assert_eq!((arrival.lane, arrival.age_s(), arrival.number), (Lane::Backlog, 0.5, Some(7)));
        let record = record.replace('7', "null");
        let unnumbered = parse(&record).unwrap();
        assert_eq!((unnumbered.sequence, unnumbered.number), (1, None));
        assert_eq!(parse(&record.replace("\"s\"", "\"tern/edge\"")), None);
        assert_eq!(parse(r#"{"type":"stream","vehicle":"v","stream":"s"}"#), None);
        assert_eq!(parse("nonsense"), None);
    }
}
