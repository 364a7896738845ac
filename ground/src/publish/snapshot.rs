//! The newest value of everything that a feed wants, a chunk at a time: a slow client holds no copy of it, and gets values
//! that are new when it takes them.

use std::ops::Bound;
use std::sync::Arc;

use axum::extract::ws::Message;

use super::cursor::Position;
use super::feed::Feed;
use super::filter::Selection;
use super::hub::{Hub, StreamState};
use super::message::{self, Phase};

/// Messages of a chunk.
const MAX_CHUNK: usize = 64;

/// How far a snapshot has come.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// What has not changed since is left out.
    since: Position,
    /// What came after this comes from the feed.
    until: Position,
    /// The vehicle, and its stream, that went last.
    last: Option<(Arc<str>, Option<Arc<str>>)>,
}

impl Snapshot {
    pub(super) fn new(since: Position, until: Position) -> Self {
        Snapshot { since, until, last: None }
    }

    /// The feed goes on from here.
    pub(super) fn until(&self) -> Position {
        self.until
    }

    /// The next messages; none when it is complete.
    pub(super) fn chunk(&mut self, hub: &Hub, feed: &Feed) -> Vec<Message> {
        let state = hub.lock();
        let filter = &feed.shape.filter;
        let mut chunk = Vec::new();
        let start = match &self.last {
            Some((vehicle, _)) => Bound::Included(vehicle.clone()),
            None => Bound::Unbounded,
        };
        for (vehicle, kept) in state.vehicles.range((start, Bound::Unbounded)) {
            if !filter.wants_vehicle(vehicle) {
                continue;
            }
            if chunk.len() >= MAX_CHUNK {
                return chunk;
            }
            let resumed = self.last.take_if(|(last, _)| last == vehicle);
            if resumed.is_none() && kept.status_at >= self.since {
                chunk.push(hub.vehicle_message(feed, vehicle, &kept.status, kept.status_at.min(self.until)));
            }
            let start = match resumed.and_then(|(_, stream)| stream) {
                Some(stream) => Bound::Excluded(stream),
                None => Bound::Unbounded,
            };
            self.last = Some((vehicle.clone(), None));
            for (stream, kept) in kept.streams.range((start, Bound::Unbounded)) {
                if chunk.len() >= MAX_CHUNK {
                    return chunk;
                }
                self.last = Some((vehicle.clone(), Some(stream.clone())));
                if filter.wants_stream(vehicle, stream) {
                    self.take(hub, feed, vehicle, kept, &mut chunk);
                }
            }
        }
        chunk
    }

    fn take(&self, hub: &Hub, feed: &Feed, vehicle: &str, stream: &StreamState, chunk: &mut Vec<Message>) {
        let selection = feed.shape.filter.selection(&stream.schema);
        if selection == Selection::None {
            return;
        }
        let is_new = |at: Position| at > self.since || self.since == Position::START;
        if is_new(stream.schema_at) && stream.schema_at <= self.until {
            chunk.push(hub.stream_message(feed, vehicle, &stream.schema, stream.schema_at));
        }
        if let Some(newest) = &stream.newest
            && is_new(newest.position)
            && newest.position <= self.until
        {
            let selection = feed.shape.filter.selection(&newest.schema);
            let sub = &feed.shape.sub;
            let cursor = hub.cursor(newest.position);
            let record = message::record(cursor, sub, Some(Phase::Snapshot), newest, &selection);
            chunk.push(feed.shape.encoding.encode(&record));
        }
    }
}
