//! What the ground answers over plain HTTP: `/healthz`, `/api` for programs without WebSocket, `/metrics`.

pub mod commands;
pub mod cors;
pub mod events;
pub mod export;
pub mod extract;
pub mod health;
pub mod history;
pub mod metrics;
mod process;
pub mod vehicles;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::access::Grant;
use crate::client::Clients;
use crate::publish::message::{ErrorCode, Problem};
use crate::publish::operation::anything;
use crate::serve::Peer;

/// A problem as an answer.
#[derive(Debug)]
pub struct Refused(pub Problem);

#[derive(Serialize)]
struct ErrorBody {
    error: Problem,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Refused(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        use ErrorCode::{
            BadCursor, Busy, Duplicate, Expired, Forbidden, Limit, Malformed, NotAuthorized, NotConnected,
            Taken, TooFast, TooLarge, Unavailable, UnknownId, UnknownOperation, UnknownVehicle,
        };
        let status = match self.0.code {
            Malformed | Limit | BadCursor => StatusCode::BAD_REQUEST,
            NotAuthorized | Expired => StatusCode::UNAUTHORIZED,
            Forbidden => StatusCode::FORBIDDEN,
            Duplicate | NotConnected | Taken => StatusCode::CONFLICT,
            UnknownVehicle | UnknownId | UnknownOperation => StatusCode::NOT_FOUND,
            TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            TooFast => StatusCode::TOO_MANY_REQUESTS,
            Busy | Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut response = (status, Json(ErrorBody { error: self.0 })).into_response();
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// What the sender of a request may do.
fn admit(clients: &Clients, peer: &Peer, headers: &HeaderMap) -> Result<Arc<Grant>, Problem> {
    let needed =
        || Problem::new(ErrorCode::NotAuthorized, "an authorization header with a bearer token is needed");
    clients.admit(peer, headers)?.ok_or_else(needed)
}

fn check_view(grant: &Grant, vehicle: &str) -> Result<(), Problem> {
    if grant.may_view(vehicle) {
        return Ok(());
    }
    let vehicle: String = vehicle.chars().take(80).collect();
    Err(Problem::new(ErrorCode::Forbidden, format!("this token does not show vehicle {vehicle}")))
}

/// The patterns of a list in a query, separated by commas.
fn list(text: Option<&str>) -> Vec<String> {
    text.map_or_else(anything, |text| text.split(',').map(str::to_owned).collect())
}

/// A client that does not take anything for this long is gone.
const SEND_LIMIT: Duration = Duration::from_secs(60);

/// Hands a chunk to a client; false when it is gone.
async fn send(chunks: &mpsc::Sender<Bytes>, chunk: Vec<u8>) -> bool {
    // An empty chunk would end the body.
    chunk.is_empty() || matches!(timeout(SEND_LIMIT, chunks.send(chunk.into())).await, Ok(Ok(())))
}

/// An answer of what comes through a channel, for as long as that takes. It is the last of its connection.
fn streamed(peer: &Peer, content_type: &'static str, chunks: mpsc::Receiver<Bytes>) -> Response {
    peer.stay();
    let body = Body::from_stream(stream::unfold(chunks, async |mut chunks| {
        let chunk = chunks.recv().await?;
        Some((Ok::<_, Infallible>(chunk), chunks))
    }));
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONNECTION, "close"),
    ];
    (headers, body).into_response()
}
