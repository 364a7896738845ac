//! `/api/vehicles/{id}/history`: the messages of a `history` request as lines of JSON.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::extract::{Path, Query};
use super::{Refused, admit, check_view, list, send, streamed};
use crate::client::Clients;
use crate::json::epoch_seconds;
use crate::publish::Filter;
use crate::publish::encode::json;
use crate::publish::message::{ErrorCode, Problem};
use crate::publish::operation::HistoryRequest;
use crate::query::{CaptureTime, HistoryQuery};
use crate::serve::Peer;

/// Steps of a request that wait for the client.
const STEPS: usize = 2;

/// What of the history is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    streams: Option<String>,
    fields: Option<String>,
    from: Option<CaptureTime>,
    to: Option<CaptureTime>,
    buckets: Option<u32>,
    after: Option<String>,
}

/// Serves `/api/vehicles/{id}/history`.
pub async fn history(
    State(clients): State<Arc<Clients>>,
    Extension(peer): Extension<Peer>,
    Path(vehicle): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let grant = admit(&clients, &peer, &headers)?;
    check_view(&grant, &vehicle)?;
    let Wanted { streams, fields, from, to, buckets, after } = wanted;
    let (streams, fields) = (list(streams.as_deref()), list(fields.as_deref()));
    let over_limit = |error: crate::publish::InvalidFilter| Problem::new(ErrorCode::Limit, error.to_string());
    let filter = Filter::new(std::slice::from_ref(&vehicle), &streams, grant.view.clone())
        .and_then(|filter| filter.with_fields(&fields))
        .map_err(over_limit)?;
    let id = String::new();
    let [from, to] = [from, to].map(|time| time.map(|time| epoch_seconds(time.0)));
    let request = HistoryRequest { id, vehicle, streams, fields, from, to, buckets, after };
    let query = HistoryQuery::new(request, filter)?;
    // The first step here: what is wrong with the request is said by the status.
    let place = clients.archive.place().await?;
    let (query, first) = place.work(|archive| step(query, archive)).await.ok_or_else(failed)?;
    if let (None, Some(problem)) = (&query, first.problem) {
        return Err(problem.into());
    }
    let place = clients.place(&peer)?;
    let (sender, chunks) = mpsc::channel(STEPS);
    tokio::spawn(async move {
        let _place = place;
        let (mut next, mut lines) = (query, first.lines);
        while send(&sender, lines).await
            && let Some(query) = next
        {
            let Ok(place) = clients.archive.place().await else { return };
            let Some((query, done)) = place.work(|archive| step(query, archive)).await else { return };
            (next, lines) = (query, done.lines);
        }
    });
    Ok(streamed(&peer, "application/x-ndjson", chunks))
}

struct Done {
    lines: Vec<u8>,
    /// What ended the request.
    problem: Option<Problem>,
}

/// `None` instead of the query when it is done.
fn step(mut query: HistoryQuery, archive: &crate::query::Archive) -> (Option<HistoryQuery>, Done) {
    let mut done = Done { lines: Vec::new(), problem: None };
    let is_done = query.step(archive, &mut |message| {
        if let crate::publish::message::ToClient::HistoryEnd { error: Some(error), .. } = message {
            done.problem = Some(error.clone());
        }
        done.lines.extend_from_slice(json(message).as_bytes());
        done.lines.push(b'\n');
    });
    ((!is_done).then_some(query), done)
}

fn failed() -> Problem {
    Problem::new(ErrorCode::Unavailable, "reading the history failed")
}
