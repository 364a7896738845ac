//! `/api/vehicles/{id}/export`: a file of a vehicle's history, as `tern-ground export` writes it.

use std::io::{self, Write};
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use clap::ValueEnum as _;
use serde::Deserialize;
use tern_shared::id::VehicleId;
use tern_shared::pattern::Pattern;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::extract::{Path, Query};
use super::{Refused, admit, check_view, send, streamed};
use crate::client::Clients;
use crate::config::ExportFormat;
use crate::export::{self, ExportError, Request};
use crate::publish::message::{ErrorCode, Problem};
use crate::query::{CaptureTime, span};
use crate::serve::Peer;

/// Chunks that wait for the client.
const CHUNKS: usize = 4;
/// Of a chunk.
const CHUNK_BYTES: usize = 16 * 1024;

/// What is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    format: String,
    stream: Option<String>,
    from: Option<CaptureTime>,
    to: Option<CaptureTime>,
}

/// Serves `/api/vehicles/{id}/export`.
pub async fn export(
    State(clients): State<Arc<Clients>>,
    Extension(peer): Extension<Peer>,
    Path(vehicle): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let grant = admit(&clients, &peer, &headers)?;
    check_view(&grant, &vehicle)?;
    let malformed = |text: String| Problem::new(ErrorCode::Malformed, text);
    let format = ExportFormat::from_str(&wanted.format, false)
        .map_err(|_| malformed("format takes tlog, jsonl or csv".to_owned()))?;
    let vehicle: VehicleId =
        vehicle.parse().map_err(|error| Problem::new(ErrorCode::UnknownVehicle, format!("{error}")))?;
    let streams = Pattern::new(wanted.stream.as_deref().unwrap_or("*"))
        .map_err(|error| Problem::new(ErrorCode::Limit, error.to_string()))?;
    let name = format!("{vehicle}.{}", wanted.format);
    let request = Request { vehicle, format, streams, span: span(wanted.from, wanted.to) };

    let place = (clients.place(&peer)?, clients.archive.export_place()?);
    let (sender, chunks) = mpsc::channel(CHUNKS);
    let (opened, is_open) = oneshot::channel();
    let (archive, handle) = (clients.archive.clone(), Handle::current());
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let mut opened = Some(opened);
        let done = archive.read(|reader| {
            Ok(export::export(reader, &request, || {
                opened.take().map(|opened| opened.send(Ok(())));
                Ok(Body { sender, handle, buffer: Vec::with_capacity(CHUNK_BYTES) })
            }))
        });
        match (done, opened) {
            (Ok(Err(error)), Some(opened)) => drop(opened.send(Err(problem(&error)))),
            (Err(problem), Some(opened)) => drop(opened.send(Err(problem))),
            (Ok(Err(ExportError::Write(error))), None) => {
                tracing::debug!(%error, "export ended by its client");
            }
            (Ok(Err(error)), None) => warn!(%error, "an export ended early"),
            _ => {}
        }
    });
    let failed = |_| Problem::new(ErrorCode::Unavailable, "the export failed");
    is_open.await.map_err(failed)??;
    let content_type = match format {
        ExportFormat::Tlog => "application/octet-stream",
        ExportFormat::Jsonl => "application/x-ndjson",
        ExportFormat::Csv => "text/csv; charset=utf-8; header=present",
    };
    let mut response = streamed(&peer, content_type, chunks);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// Writes to a client.
struct Body {
    sender: mpsc::Sender<Bytes>,
    handle: Handle,
    buffer: Vec<u8>,
}

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES));
        let sent = self.handle.block_on(send(&self.sender, chunk));
        if sent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }
}

fn problem(error: &ExportError) -> Problem {
    let code = match error {
        ExportError::UnknownVehicle { .. } => {
            return Problem::new(ErrorCode::UnknownVehicle, "the history has no such vehicle");
        }
        ExportError::EmptySpan | ExportError::SeveralStreams { .. } | ExportError::NoStream { .. } => {
            ErrorCode::Malformed
        }
        ExportError::Pattern(_) => ErrorCode::Limit,
        _ => {
            warn!(%error, "the history cannot be exported");
            return Problem::new(
                ErrorCode::Unavailable,
                "the history cannot be read; the ground's log says why",
            );
        }
    };
    Problem::new(code, error.to_string())
}
