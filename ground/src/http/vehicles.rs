//! `/api/vehicles` and `/api/vehicles/{id}/latest`: what is known right now.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::extract::{Path, Query};
use super::{Refused, admit, check_view, list};
use crate::client::Clients;
use crate::clock::wall_now;
use crate::json::epoch_seconds;
use crate::publish::cursor::Cursor;
use crate::publish::encode::json;
use crate::publish::message::{ErrorCode, Problem, Sample, StreamAbout, VehicleStatus};
use crate::publish::{Filter, Selection};
use crate::serve::Peer;

/// What of a vehicle is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    streams: Option<String>,
    fields: Option<String>,
}

#[derive(Serialize)]
struct Vehicles {
    server_time: f64,
    cursor: Cursor,
    vehicles: Vec<Vehicle>,
}

#[derive(Serialize)]
struct Vehicle {
    vehicle: String,
    #[serde(flatten)]
    status: VehicleStatus,
}

#[derive(Serialize)]
struct Latest<'a> {
    server_time: f64,
    cursor: Cursor,
    vehicle: Vehicle,
    streams: Vec<StreamAbout<'a>>,
    records: Vec<Sample<'a>>,
}

/// Serves `/api/vehicles`.
pub async fn vehicles(
    State(clients): State<Arc<Clients>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let grant = admit(&clients, &peer, &headers)?;
    let cursor = clients.hub.cursor(clients.hub.positions().last());
    let vehicles = clients.hub.vehicles(|vehicle| grant.may_view(vehicle));
    let vehicles = vehicles
        .into_iter()
        .map(|(vehicle, status)| Vehicle { vehicle: vehicle.to_string(), status })
        .collect();
    Ok(answer(&Vehicles { server_time: epoch_seconds(wall_now()), cursor, vehicles }))
}

/// Serves `/api/vehicles/{id}/latest`.
pub async fn latest(
    State(clients): State<Arc<Clients>>,
    Extension(peer): Extension<Peer>,
    Path(vehicle): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let grant = admit(&clients, &peer, &headers)?;
    check_view(&grant, &vehicle)?;
    let over_limit = |error: crate::publish::InvalidFilter| Problem::new(ErrorCode::Limit, error.to_string());
    let streams = list(wanted.streams.as_deref());
    let filter = Filter::new(std::slice::from_ref(&vehicle), &streams, grant.view.clone())
        .and_then(|filter| filter.with_fields(&list(wanted.fields.as_deref())))
        .map_err(over_limit)?;
    let cursor = clients.hub.cursor(clients.hub.positions().last());
    let Some((name, status)) = clients.hub.vehicles(|name| name == vehicle).pop() else {
        let text = format!("this ground knows no vehicle {}", vehicle.chars().take(80).collect::<String>());
        return Err(Problem::new(ErrorCode::UnknownVehicle, text).into());
    };
    let mut newest = clients.hub.newest(&vehicle);
    newest.retain(|(schema, _)| {
        filter.wants_stream(&vehicle, &schema.stream) && filter.selection(schema) != Selection::None
    });
    let selections: Vec<Selection> =
        newest.iter().flat_map(|(_, record)| record).map(|record| filter.selection(&record.schema)).collect();
    let records = newest.iter().flat_map(|(_, record)| record).zip(&selections);
    Ok(answer(&Latest {
        server_time: epoch_seconds(wall_now()),
        cursor,
        vehicle: Vehicle { vehicle: name.to_string(), status },
        streams: newest.iter().map(|(schema, _)| StreamAbout::new(schema)).collect(),
        records: records.map(|(record, selection)| Sample::new(record, selection)).collect(),
    }))
}

pub(super) fn answer<T: Serialize>(content: &T) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, json(content)).into_response()
}
