//! Every record of a vehicle in a span of capture times, in the order of its sequence numbers.

use std::ops::Range;

use tern_shared::id::VehicleId;
use tern_shared::time::Timestamp;

use super::source::{Epochs, wants};
use super::{Archive, Emit};
use crate::publish::message::{ErrorCode, Problem, Sample, ToClient};
use crate::publish::{Filter, PublishedRecord, Selection};

/// Records of a message.
const MAX_CHUNK: usize = 64;
/// Records of a request.
const MAX_RECORDS: u64 = 100_000;

/// A request for records.
#[derive(Debug)]
pub struct RecordQuery {
    id: String,
    vehicle: VehicleId,
    filter: Filter,
    span: Range<Timestamp>,
    epochs: Option<Epochs>,
    /// Which epoch is read, counted from the oldest, and from which sequence number on.
    next: (usize, u64),
    records: u64,
}

impl RecordQuery {
    pub(super) fn new(
        id: String,
        vehicle: VehicleId,
        filter: Filter,
        span: Range<Timestamp>,
        after: Option<String>,
    ) -> Result<Self, Problem> {
        let next = match after {
            None => (0, 0),
            Some(after) => after
                .split_once('-')
                .and_then(|(epoch, first)| Some((epoch.parse().ok()?, first.parse().ok()?)))
                .ok_or_else(|| Problem::new(ErrorCode::BadCursor, "after takes the next of a history-end"))?,
        };
        Ok(RecordQuery { id, vehicle, filter, span, epochs: None, next, records: 0 })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn step(&mut self, archive: &Archive, emit: Emit<'_>) -> Result<bool, Problem> {
        let mut epochs = match self.epochs.take() {
            Some(epochs) => epochs,
            None => epochs_of(archive, &self.vehicle)?,
        };
        let (at, from) = self.next;
        let Some(&epoch) = epochs.keys().get(at) else {
            self.finish(None, emit);
            return Ok(true);
        };
        let span = &self.span;
        let (frames, last) = archive.read(|reader| {
            let last = reader.frame_span(epoch, span)?.map_or(0, |(_, last)| last);
            let page = reader.frames(epoch, from, last, span)?;
            let mut records = Vec::with_capacity(page.frames.len());
            for frame in &page.frames {
                records.push((frame.first, epochs.records(reader, frame)?));
            }
            Ok((records, page.next))
        })?;
        self.next = last.map_or((at + 1, 0), |next| (at, next));
        let full = self.emit(frames, at, emit);
        if full {
            let next = format!("{}-{}", self.next.0, self.next.1);
            self.finish(Some(&next), emit);
        }
        self.epochs = Some(epochs);
        Ok(full)
    }

    /// True when the request has reached its limit, and `next` is where another goes on.
    fn emit(&mut self, frames: Vec<(u64, Vec<PublishedRecord>)>, epoch: usize, emit: Emit<'_>) -> bool {
        let mut chunk: Vec<(PublishedRecord, Selection)> = Vec::new();
        for (first, records) in frames {
            // A frame is not divided: where the limit falls, its records go into the next request.
            if self.records >= MAX_RECORDS {
                self.next = (epoch, first);
                self.emit_chunk(&chunk, emit);
                return true;
            }
            for published in records {
                if !self.span.contains(&published.record.time) || !wants(&self.filter, &published) {
                    continue;
                }
                let selection = self.filter.selection(&published.schema);
                if selection != Selection::None {
                    self.records += 1;
                    chunk.push((published, selection));
                }
                if chunk.len() >= MAX_CHUNK {
                    self.emit_chunk(&chunk, emit);
                    chunk.clear();
                }
            }
        }
        self.emit_chunk(&chunk, emit);
        false
    }

    fn emit_chunk(&self, chunk: &[(PublishedRecord, Selection)], emit: Emit<'_>) {
        if chunk.is_empty() {
            return;
        }
        let records = chunk.iter().map(|(published, selection)| Sample::new(published, selection)).collect();
        emit(&ToClient::Records { id: &self.id, vehicle: self.vehicle.as_str(), records });
    }

    fn finish(&self, next: Option<&str>, emit: Emit<'_>) {
        emit(&ToClient::HistoryEnd { id: &self.id, records: self.records, next, error: None });
    }
}

/// The epochs of one vehicle.
pub(super) fn epochs_of(archive: &Archive, vehicle: &VehicleId) -> Result<Epochs, Problem> {
    let epochs = archive.read(|reader| Epochs::open(reader, |row| row.vehicle == vehicle.as_str()))?;
    if epochs.keys().is_empty() {
        let message = format!("the history has no vehicle {vehicle}");
        return Err(Problem::new(ErrorCode::UnknownVehicle, message));
    }
    Ok(epochs)
}
