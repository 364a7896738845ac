//! What clients ask of the history, a step at a time: a step reads a page of frames in a thread that may block and makes a
//! bounded number of messages; the client that takes them slowly holds no thread meanwhile.

mod buckets;
mod capture_time;
mod fill;
mod pool;
mod records;
mod seed;
mod source;

use std::ops::Range;

use tern_shared::time::Timestamp;

use crate::history::HistoryError;
use crate::publish::Filter;
use crate::publish::message::{ErrorCode, Problem, ToClient};
use crate::publish::operation::HistoryRequest;

pub use buckets::BucketQuery;
pub use capture_time::CaptureTime;
pub use fill::{Fill, FillStep};
pub use pool::{Archive, ReadingPlace};
pub use records::RecordQuery;
pub use seed::seed;

/// The most buckets of a request.
const MAX_BUCKETS: u32 = 4000;

/// A history request that is being worked on.
#[derive(Debug)]
pub enum HistoryQuery {
    /// Every record.
    Records(RecordQuery),
    /// Downsampled.
    Buckets(BucketQuery),
}

/// What a step of a history request gives: calls `emit` with each message; true when the request is done.
pub type Emit<'a> = &'a mut dyn FnMut(&ToClient<'_>);

impl HistoryQuery {
    /// What a client asks for; `filter` is what it wants and may see.
    pub fn new(request: HistoryRequest, filter: Filter) -> Result<HistoryQuery, Problem> {
        let HistoryRequest { id, vehicle, from, to, buckets, after, .. } = request;
        let vehicle =
            vehicle.parse().map_err(|error| Problem::new(ErrorCode::UnknownVehicle, format!("{error}")))?;
        let time = |seconds: Option<f64>| {
            let invalid = || Problem::new(ErrorCode::Malformed, "times are seconds since the Unix epoch");
            seconds.map(|seconds| CaptureTime::of_seconds(seconds).ok_or_else(invalid)).transpose()
        };
        let span = span(time(from)?, time(to)?);
        if span.is_empty() {
            return Err(Problem::new(ErrorCode::Malformed, "from has to be before to"));
        }
        match buckets {
            None => RecordQuery::new(id, vehicle, filter, span, after).map(HistoryQuery::Records),
            Some(_) if after.is_some() => {
                Err(Problem::new(ErrorCode::Malformed, "after goes with requests without buckets"))
            }
            Some(count @ 1..=MAX_BUCKETS) => {
                Ok(HistoryQuery::Buckets(BucketQuery::new(id, vehicle, filter, span, count)))
            }
            Some(count) => {
                Err(Problem::new(ErrorCode::Limit, format!("{count} buckets: it takes 1 to {MAX_BUCKETS}")))
            }
        }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        match self {
            HistoryQuery::Records(query) => query.id(),
            HistoryQuery::Buckets(query) => query.id(),
        }
    }

    /// Works on it; true when it is done, the end told.
    pub fn step(&mut self, archive: &Archive, emit: Emit<'_>) -> bool {
        let result = match self {
            HistoryQuery::Records(query) => query.step(archive, emit),
            HistoryQuery::Buckets(query) => query.step(archive, emit),
        };
        result.unwrap_or_else(|problem| {
            self.end(Some(problem), emit);
            true
        })
    }

    /// Tells its end before it is done.
    pub fn end(&self, error: Option<Problem>, emit: Emit<'_>) {
        let records = match self {
            HistoryQuery::Records(query) => query.records(),
            HistoryQuery::Buckets(query) => query.records(),
        };
        emit(&ToClient::HistoryEnd { id: self.id(), records, next: None, error });
    }
}

/// A span of capture times; without an end of it, open there.
pub fn span(from: Option<CaptureTime>, to: Option<CaptureTime>) -> Range<Timestamp> {
    from.map_or(Timestamp(i64::MIN), |from| from.0)..to.map_or(Timestamp(i64::MAX), |to| to.0)
}

fn unavailable(error: &HistoryError) -> Problem {
    tracing::warn!(%error, "the history cannot be read");
    Problem::new(ErrorCode::Unavailable, "the history cannot be read; the ground's log says why")
}
