//! What a resumed subscription has missed, in the order in which it was published.

use std::collections::BTreeMap;

use axum::extract::ws::Message;
use tern_shared::schema::Class;

use super::Archive;
use super::source::{Epochs, wants};
use crate::history::PAGE_FRAMES;
use crate::json::epoch_seconds;
use crate::publish::cursor::{Cursor, Position};
use crate::publish::message::{self, MissingReason, Phase, Problem, ToClient};
use crate::publish::{PublishedRecord, Selection, Shape};

/// Records of the vehicles that a fill goes through at most.
const FILL_LIMIT: u64 = 100_000;

/// A fill that is going on.
#[derive(Debug)]
pub struct Fill {
    shape: Shape,
    /// What the client has; everything up to the first position is filled.
    have: Cursor,
    /// Where the subscription's live records begin.
    until: Position,
    /// Frames from here on have not been read.
    next: Option<Position>,
    epochs: Epochs,
    /// Capture time of the last record that was sent, by stream, where the subscription has a highest rate.
    sent: BTreeMap<(std::sync::Arc<str>, String), i64>,
    records: u64,
}

/// What a step of a fill gives.
#[derive(Debug)]
pub struct FillStep {
    /// Messages to send.
    pub messages: Vec<Message>,
    /// Whether it is the last.
    pub done: bool,
}

impl Fill {
    /// Fills what `have` has not, up to `until`.
    pub fn new(shape: Shape, have: Cursor, until: Position) -> Self {
        let have = Cursor { live_after: Some(until), ..have };
        let (epochs, sent) = (Epochs::default(), BTreeMap::new());
        Fill { shape, have, until, next: None, epochs, sent, records: 0 }
    }

    /// Whether it has read anything yet.
    pub fn has_begun(&self) -> bool {
        self.next.is_some()
    }

    /// Where the subscription's live records begin.
    pub fn until(&self) -> Position {
        self.until
    }

    /// What is filled.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The subscription that is filled.
    pub fn sub(&self) -> &str {
        &self.shape.sub
    }

    /// What the client has once it has been sent everything so far.
    pub fn have(&self) -> &Cursor {
        &self.have
    }

    /// What tells the client that nothing can be filled.
    pub fn impossible(shape: &Shape, reason: MissingReason, message: &str, now: f64) -> Message {
        let message = message.to_owned();
        shape.encoding.encode(&ToClient::Missing { sub: &shape.sub, reason, from: None, to: now, message })
    }

    /// Goes on. A problem ends it; the client may resume later.
    pub fn step(&mut self, archive: &Archive) -> Result<FillStep, Problem> {
        let mut messages = Vec::new();
        let next = match self.next {
            Some(next) => next,
            None => self.begin(archive, &mut messages)?,
        };
        let (until, epochs) = (self.until, &mut self.epochs);
        let (count, records, last) = archive.read(|reader| {
            let frames = reader.published(epochs.keys(), next, until)?;
            let mut records: Vec<PublishedRecord> = Vec::new();
            for frame in &frames {
                records.append(&mut epochs.records(reader, frame)?);
            }
            Ok((frames.len(), records, frames.last().map(|frame| frame.position)))
        })?;
        let done = count < PAGE_FRAMES as usize;
        for published in &records {
            self.take(published, &mut messages);
        }
        match last.filter(|_| !done) {
            Some(last) => self.next = Some(last.plus(1)),
            None => {
                let Shape { sub, encoding, .. } = &self.shape;
                let cursor = Cursor::new(self.have.history, self.until);
                messages.push(encoding.encode(&ToClient::Filled { sub, records: self.records, cursor }));
            }
        }
        Ok(FillStep { messages, done })
    }

    fn begin(&mut self, archive: &Archive, messages: &mut Vec<Message>) -> Result<Position, Problem> {
        let filter = &self.shape.filter;
        self.epochs =
            archive.read(|reader| Epochs::open(reader, |row| filter.wants_vehicle(&row.vehicle)))?;
        let (after, until, keys) = (self.have.up_to, self.until, self.epochs.keys());
        let (from, start, arrivals) = archive.read(|reader| {
            let start = reader.published_limit(keys, after, until, FILL_LIMIT)?;
            let arrivals = (reader.arrival(after.plus(1))?, reader.arrival(start.plus(1))?);
            Ok((reader.published_at(start.plus(1))?, start, arrivals))
        })?;
        if start > after {
            let to = arrivals.1.map(epoch_seconds).unwrap_or_default();
            let message = format!(
                "more than {FILL_LIMIT} records were missed: the newest of them are filled, ask history for the others"
            );
            let Shape { sub, encoding, .. } = &self.shape;
            let (from, reason) = (arrivals.0.map(epoch_seconds), MissingReason::TooOld);
            messages.push(encoding.encode(&ToClient::Missing { sub, reason, from, to, message }));
            self.have.advance(start);
        }
        Ok(from)
    }

    fn take(&mut self, published: &PublishedRecord, messages: &mut Vec<Message>) {
        if self.have.has(published.position) || published.position > self.until {
            return;
        }
        let (filter, selection) = (&self.shape.filter, self.shape.filter.selection(&published.schema));
        let backlog = published.lane == tern_shared::message::Lane::Backlog;
        if selection == Selection::None
            || !wants(filter, published)
            || (backlog && !filter.wants_backlog())
            || self.is_thinned(published)
        {
            return;
        }
        self.records += 1;
        self.have.advance(published.position);
        let Shape { sub, encoding, .. } = &self.shape;
        let record = message::record(self.have.clone(), sub, Some(Phase::Fill), published, &selection);
        messages.push(encoding.encode(&record));
    }

    fn is_thinned(&mut self, published: &PublishedRecord) -> bool {
        let Some(interval) =
            self.shape.filter.interval().filter(|_| published.schema.class != Class::Critical)
        else {
            return false;
        };
        let time = published.record.time.0;
        let stream = (published.vehicle.clone(), published.schema.stream.clone());
        let thinned =
            self.sent.get(&stream).is_some_and(|last| time.abs_diff(*last) < interval.as_micros() as u64);
        if !thinned {
            self.sent.insert(stream, time);
        }
        thinned
    }
}
