//! Parts of a request, as axum takes them; what is wrong with one is told as every other error is.

use axum::extract::{self, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use super::Refused;
use crate::publish::message::{ErrorCode, Problem};

/// The query.
pub struct Query<T>(pub T);

/// The parts of the path that are names.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let query = extract::Query::from_request_parts(parts, state).await;
        query.map(|extract::Query(wanted)| Query(wanted)).map_err(|error| malformed(error.body_text()))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let path = extract::Path::from_request_parts(parts, state).await;
        path.map(|extract::Path(names)| Path(names)).map_err(|error| malformed(error.body_text()))
    }
}

fn malformed(message: String) -> Refused {
    Problem::new(ErrorCode::Malformed, message).into()
}

/// Answers requests for what there is not.
pub async fn not_found(uri: Uri) -> Refused {
    let message = format!("there is no {}; docs/API.md lists what there is", path(&uri));
    Problem::new(ErrorCode::UnknownOperation, message).into()
}

/// Answers requests for what there is, by a method that it does not take.
pub async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let message = format!("{} does not take {method}; the header allow lists what it takes", path(&uri));
    let refused = Refused::from(Problem::new(ErrorCode::UnknownOperation, message));
    (StatusCode::METHOD_NOT_ALLOWED, refused).into_response()
}

/// As it was asked for: what is below `/api` is told apart from that.
fn path(uri: &Uri) -> String {
    format!("/api{}", uri.path().chars().take(80).collect::<String>())
}
