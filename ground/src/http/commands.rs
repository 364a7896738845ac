//! `/api/vehicles/{id}/commands`: commands for programs without WebSocket.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tern_shared::command::InvalidCommandId;

use super::extract::{Path, Query};
use super::vehicles::answer;
use super::{Refused, admit, check_view};
use crate::client::{Clients, caller, known_vehicle};
use crate::command::{CommandRequest, CommandStatus};
use crate::publish::message::{ErrorCode, Problem};
use crate::serve::Peer;

/// The longest request, bytes: the longest arguments of a device, and room for the rest.
const MAX_BODY_BYTES: usize = 16 * 1024;
/// Commands that are listed unless another number is asked for, and at most.
const LISTED: usize = 50;
const MAX_LISTED: usize = 500;
/// HTTP knows no connections that steer.
const NO_CONNECTION: u64 = u64::MAX;

/// How many are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Listed {
    commands: Vec<CommandStatus>,
}

/// Serves `POST`: issues a command.
pub async fn issue(
    State(clients): State<Arc<Clients>>,
    Extension(peer): Extension<Peer>,
    Path(vehicle): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let grant = admit(&clients, &peer, &headers)?;
    let too_large =
        || Problem::new(ErrorCode::TooLarge, format!("a command may have {MAX_BODY_BYTES} bytes"));
    // One far over the limit is not read to its end.
    let body = body.ok().filter(|body| body.len() <= MAX_BODY_BYTES).ok_or_else(too_large)?;
    let malformed = |error: serde_json::Error| Problem::new(ErrorCode::Malformed, error.to_string());
    let request: CommandRequest = serde_json::from_slice(&body).map_err(malformed)?;
    let vehicle = known_vehicle(&clients, &grant, &vehicle)?;
    let status = clients.commands.issue(caller(&grant, &vehicle, NO_CONNECTION), &vehicle, request).await?;
    Ok((StatusCode::ACCEPTED, answer(&status)).into_response())
}

/// Serves `GET`: the newest commands, newest first.
pub async fn list(
    State(clients): State<Arc<Clients>>,
    Extension(peer): Extension<Peer>,
    Path(vehicle): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let grant = admit(&clients, &peer, &headers)?;
    check_view(&grant, &vehicle)?;
    let vehicle = known_vehicle(&clients, &grant, &vehicle)?;
    let commands = clients.commands.list(&vehicle, wanted.limit.unwrap_or(LISTED).min(MAX_LISTED)).await?;
    Ok(answer(&Listed { commands }))
}

/// Serves `DELETE`: takes a command back, if the vehicle has not begun it.
pub async fn cancel(
    State(clients): State<Arc<Clients>>,
    Extension(peer): Extension<Peer>,
    Path((vehicle, command)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let grant = admit(&clients, &peer, &headers)?;
    let vehicle = known_vehicle(&clients, &grant, &vehicle)?;
    let malformed = |error: InvalidCommandId| Problem::new(ErrorCode::Malformed, error.to_string());
    let command = command.parse().map_err(malformed)?;
    let status = clients.commands.cancel(caller(&grant, &vehicle, NO_CONNECTION), &vehicle, command).await?;
    Ok(answer(&status))
}
