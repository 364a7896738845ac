//! `/api/events`: one subscription as server-sent events, for networks that cut WebSockets.
//!
//! An event's id is the whole of what the client has, so that it resumes with the last one whatever was going on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::Message;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::extract::Query;
use super::{Refused, admit, list, send, streamed};
use crate::client::{Clients, Session};
use crate::clock::wall_now;
use crate::json::epoch_seconds;
use crate::publish::cursor::Cursor;
use crate::publish::encode::{Encoding, json};
use crate::publish::message::{ErrorCode, Problem, ToClient};
use crate::publish::operation::{FromClient, Resume, Subscribe};
use crate::relay::until_true;
use crate::serve::Peer;

/// Batches that wait for the client, beside what its subscription holds.
const BATCHES: usize = 1;
/// How often the client is told the time.
const TIME_INTERVAL: Duration = Duration::from_secs(5);

/// What is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    vehicles: Option<String>,
    streams: Option<String>,
    fields: Option<String>,
    max_rate_hz: Option<f64>,
    backlog: Option<bool>,
    cursor: Option<String>,
}

/// Serves `/api/events`.
pub async fn events(
    State(clients): State<Arc<Clients>>,
    Extension(peer): Extension<Peer>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let grant = admit(&clients, &peer, &headers)?;
    let place = clients.place(&peer)?;
    let expires = grant.expires;
    let mut session = Session::new(clients.clone(), Encoding::Json, Some(grant), None);
    session.operate(wanted.operation(&headers)?)?;
    let (sender, chunks) = mpsc::channel(BATCHES);
    let mut shutdown = clients.shutdown.clone();
    let left = expires.map(|expires| expires.micros_since(wall_now()));
    tokio::spawn(async move {
        let _place = (place, clients.alive.clone());
        clients.counters.events.fetch_add(1, Ordering::Relaxed);
        tokio::select! {
            biased;
            () = until_true(&mut shutdown) => {}
            () = expired(left) => {
                let problem = Problem::new(ErrorCode::Expired, "the token has expired");
                let error = json(&ToClient::Error { problem, id: None });
                send(&sender, format!("event: error\ndata: {error}\n\n").into_bytes()).await;
            }
            () = feed(session, &sender) => {}
        }
        clients.counters.events.fetch_sub(1, Ordering::Relaxed);
    });
    Ok(streamed(&peer, "text/event-stream", chunks))
}

async fn feed(mut session: Session, sender: &mpsc::Sender<Bytes>) {
    let mut next_time = Instant::now() + TIME_INTERVAL;
    loop {
        if Instant::now() >= next_time {
            next_time = Instant::now() + TIME_INTERVAL;
            let cursor = session.idle_cursor();
            let time = json(&ToClient::Time { server_time: epoch_seconds(wall_now()), cursor });
            let id = session.idle_cursor().map_or_else(String::new, |cursor| format!("id: {cursor}\n"));
            if !send(sender, format!("event: time\n{id}data: {time}\n\n").into_bytes()).await {
                return;
            }
        }
        match session.next_batch() {
            Some(batch) => {
                let events =
                    batch.iter().fold(String::new(), |events, message| events + &event(message, &session));
                if !send(sender, events.into_bytes()).await {
                    return;
                }
            }
            None => tokio::select! {
                biased;
                () = sender.closed() => return,
                () = session.changed() => {}
                () = sleep_until(next_time) => {}
            },
        }
    }
}

/// A message as an event. Its type and cursor stand before everything that a vehicle could have written.
fn event(message: &Message, session: &Session) -> String {
    let Message::Text(text) = message else { return String::new() };
    let member = |name: &str| {
        let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
        rest.split_once('"').map(|(value, _)| value)
    };
    let name = member("type").unwrap_or_default();
    let phase = member("phase").filter(|_| name == "record");
    let cursor = match name {
        "record" | "vehicle" | "stream" | "ready" | "filled" if phase != Some("snapshot") => member("cursor"),
        _ => None,
    };
    let id = cursor.and_then(|cursor| cursor.parse::<Cursor>().ok()).map(|cursor| {
        let filling = session.subscriptions().first().and_then(|subscription| subscription.filling());
        match filling.filter(|_| phase.is_none() && name != "filled") {
            Some(have) => {
                let mut have = have.clone();
                have.add(have.live_after.unwrap_or_default(), cursor.up_to);
                format!("id: {have}\n")
            }
            None => format!("id: {cursor}\n"),
        }
    });
    format!("event: {name}\n{}data: {text}\n\n", id.unwrap_or_default())
}

async fn expired(left_micros: Option<i64>) {
    match left_micros {
        Some(left) => {
            let left = Duration::from_micros(u64::try_from(left).unwrap_or(0));
            tokio::time::sleep(left.min(Duration::from_secs(365 * 24 * 3600))).await;
        }
        None => std::future::pending().await,
    }
}

impl Wanted {
    fn operation(self, headers: &HeaderMap) -> Result<FromClient, Problem> {
        let Wanted { vehicles, streams, fields, max_rate_hz, backlog, cursor } = self;
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        let (id, backlog) = (String::new(), backlog.unwrap_or(true));
        let [vehicles, streams, fields] = [vehicles, streams, fields].map(|texts| list(texts.as_deref()));
        match last.or(cursor) {
            None => {
                Ok(FromClient::Subscribe(Subscribe { id, vehicles, streams, fields, max_rate_hz, backlog }))
            }
            Some(cursor) => {
                // What was live meanwhile is in the id itself.
                let live = None;
                Ok(FromClient::Resume(Resume {
                    id,
                    vehicles,
                    streams,
                    fields,
                    max_rate_hz,
                    backlog,
                    cursor,
                    live,
                }))
            }
        }
    }
}
