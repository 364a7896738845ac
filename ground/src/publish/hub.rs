//! The newest value of every stream, and the way of new ones to the feeds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Message;
use tern_shared::codec::SchemaTable;
use tern_shared::id::{Epoch, VehicleId};
use tern_shared::message::{ClockEstimate, Lane};
use tern_shared::range::SequenceRange;
use tern_shared::record::Record;
use tern_shared::schema::{Class, MAX_SCHEMAS, Schema};
use tern_shared::time::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::counters::Counters;
use super::cursor::{Cursor, Position};
use super::feed::{Feed, Shape};
use super::filter::Selection;
use super::message::{self, StreamAbout, ToClient, VehicleStatus};
use super::positions::Positions;
use super::rounds::{Rounds, Subscriber};
use super::snapshot::Snapshot;
use super::subscription::Subscription;
use super::thinning::{Thinned, Thinning};

/// A record that the ground has, and how it came.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedRecord {
    /// Whose.
    pub vehicle: Arc<str>,
    /// The epoch of its sequence number.
    pub epoch: Epoch,
    /// Its sequence number.
    pub sequence: u64,
    /// Its place in the order of publication.
    pub position: Position,
    /// When it arrived, by the ground's clock.
    pub received: Timestamp,
    /// How it crossed the satellite link.
    pub lane: Lane,
    /// The vehicle's clock when it arrived.
    pub clock: Option<ClockEstimate>,
    /// What it is made of.
    pub schema: Arc<Schema>,
    /// The record.
    pub record: Record,
}

/// A frame of records that has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// From whom.
    pub vehicle: &'a VehicleId,
    /// The epoch of its sequence numbers.
    pub epoch: Epoch,
    /// Its sequence numbers, one a record.
    pub range: SequenceRange,
    /// When, by the ground's clock.
    pub received: Timestamp,
    /// On which lane.
    pub lane: Lane,
    /// The vehicle's clock.
    pub clock: Option<ClockEstimate>,
}

/// Holds the newest values and fills the feeds. Never waits for a client.
#[derive(Debug)]
pub struct Hub {
    positions: Arc<Positions>,
    counters: Counters,
    state: Mutex<State>,
    /// Told when a record has to be published later than now.
    thinned: Notify,
    rounds: Arc<Rounds>,
}

/// How a message gets into a feed.
type Tell = fn(&Arc<Feed>, Instant, Position, Message);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) vehicles: BTreeMap<Arc<str>, VehicleState>,
    feeds: BTreeMap<Shape, Arc<Feed>>,
    /// The streams with a record that waits for its turn, by when that is.
    due: BTreeMap<(Instant, u64), StreamName>,
    next_due: u64,
}

#[derive(Debug, Default)]
pub(super) struct VehicleState {
    pub(super) status: VehicleStatus,
    pub(super) status_at: Position,
    pub(super) streams: BTreeMap<Arc<str>, StreamState>,
}

#[derive(Debug)]
pub(super) struct StreamState {
    pub(super) schema: Arc<Schema>,
    pub(super) schema_at: Position,
    pub(super) newest: Option<Arc<PublishedRecord>>,
    outlets: Vec<Outlet>,
}

/// A feed that wants a stream.
#[derive(Debug)]
struct Outlet {
    feed: Arc<Feed>,
    /// The fields it wants of the schema that was seen last.
    selection: (Arc<Schema>, Selection),
    thinning: Option<Thinning>,
}

impl PublishedRecord {
    /// Whether this takes the place of `other`. Within an epoch sequence numbers tell, which no jump of the vehicle's
    /// clock disturbs; between epochs whatever is live is newer, and backlog goes by its capture time.
    fn replaces(&self, other: &PublishedRecord) -> bool {
        if self.epoch == other.epoch {
            self.sequence > other.sequence
        } else {
            self.lane == Lane::Live || self.record.time > other.record.time
        }
    }
}

impl Hub {
    /// A hub without vehicles.
    pub fn new(positions: Arc<Positions>) -> Self {
        let (counters, state, thinned, rounds) = Default::default();
        Hub { positions, counters, state, thinned, rounds }
    }

    /// In which subscribers are told: somebody has to run them.
    pub fn rounds(&self) -> &Arc<Rounds> {
        &self.rounds
    }

    /// Where records get their positions.
    pub fn positions(&self) -> &Arc<Positions> {
        &self.positions
    }

    /// What has arrived.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A vehicle's state has changed.
    pub fn publish_vehicle(&self, vehicle: &VehicleId, status: &VehicleStatus) {
        self.keep_vehicle(
            vehicle,
            status,
            Some(|feed, now, at, message| {
                feed.push(now, at, message, false);
                feed.close(now, at);
            }),
        );
    }

    /// Only a vehicle's counters and its clock have changed, and records of it follow. When clients are to hear of it they do
    /// with these, so that they are written to once for both; those who want none of them with the next, or by
    /// [`Hub::tidy`].
    pub fn publish_counters(&self, vehicle: &VehicleId, status: &VehicleStatus, is_told: bool) {
        self.keep_vehicle(vehicle, status, is_told.then_some(Feed::push_patient));
    }

    fn keep_vehicle(&self, vehicle: &VehicleId, status: &VehicleStatus, tell: Option<Tell>) {
        let (mut state, now) = (self.lock(), Instant::now());
        let State { vehicles, feeds, .. } = &mut *state;
        let at = self.positions.last();
        let (name, kept) = entry(vehicles, vehicle.as_str());
        kept.status.clone_from(status);
        kept.status_at = at;
        let Some(tell) = tell else { return };
        for feed in feeds.values().filter(|feed| feed.shape.filter.wants_vehicle(&name)) {
            tell(feed, now, at, self.vehicle_message(feed, &name, status, at));
        }
    }

    /// Records have come. Returns the position of the first; the frame is to be settled.
    pub fn publish_records(
        &self,
        arrival: Arrival<'_>,
        schemas: &SchemaTable,
        records: Vec<Record>,
    ) -> Position {
        let (mut state, now) = (self.lock(), Instant::now());
        let first = self.positions.take(arrival.range.len());
        let mut touched: Vec<Arc<Feed>> = Vec::new();
        let mut position = first;
        for (place, record) in (0..).zip(records) {
            let Some(schema) = schemas.get(&record.schema) else { continue };
            position = first.plus(place);
            let before = Position(position.0 - 1);
            let (vehicle, stream) = state.stream(arrival.vehicle.as_str(), schema, first);
            let Some((stream_name, stream)) = stream else { continue };
            let published = Arc::new(PublishedRecord {
                vehicle: vehicle.clone(),
                epoch: arrival.epoch,
                sequence: arrival.range.start + place,
                position,
                received: arrival.received,
                lane: arrival.lane,
                clock: arrival.clock,
                schema: schema.clone(),
                record,
            });
            let is_newest = stream.newest.as_ref().is_none_or(|newest| published.replaces(newest));
            let is_news = stream.newest.is_none() || (is_newest && !same(&stream.schema, schema));
            if is_news {
                stream.schema = schema.clone();
                stream.schema_at = position;
            }
            let mut later = None;
            for outlet in &mut stream.outlets {
                let mut push = |feed: &Arc<Feed>, up_to, message, is_record| {
                    if feed.push(now, up_to, message, is_record) {
                        touched.push(feed.clone());
                    }
                };
                if is_news {
                    let about = self.stream_message(&outlet.feed, &vehicle, schema, before);
                    push(&outlet.feed, before, about, false);
                }
                match outlet.admit(now, &published) {
                    Thinned::Send => {
                        if let Some(message) = self.record_message(outlet, &published, position) {
                            push(&outlet.feed, position, message, true);
                        }
                    }
                    Thinned::Wait(due) => later = later.into_iter().chain([due]).min(),
                    Thinned::Drop => {}
                }
            }
            if is_newest {
                stream.newest = Some(published);
            }
            if let Some(due) = later {
                state.wait(due, vehicle, stream_name);
                self.thinned.notify_one();
            }
        }
        touched.iter().for_each(|feed| feed.close(now, position));
        first
    }

    /// What the history has as the newest of a stream, unless something newer has come. For a hub without clients.
    pub fn seed(&self, published: PublishedRecord) {
        let mut state = self.lock();
        let (schema, position) = (published.schema.clone(), published.position);
        let vehicle = published.vehicle.clone();
        if let (_, Some((_, stream))) = state.stream(&vehicle, &schema, position)
            && stream.newest.is_none()
        {
            stream.newest = Some(Arc::new(published));
        }
    }

    /// Publishes records that have waited for their turn. Returns when it is the next one's.
    pub fn publish_due(&self, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        let at = self.positions.last();
        while let Some((due, (vehicle, stream_name))) = state.take_due(now) {
            let Some(stream) =
                state.vehicles.get_mut(&vehicle).and_then(|kept| kept.streams.get_mut(&stream_name))
            else {
                continue;
            };
            let mut later: Option<Instant> = None;
            for outlet in &mut stream.outlets {
                let Some(thinning) = &mut outlet.thinning else { continue };
                let Some(published) = thinning.take_due(due) else {
                    later = later.into_iter().chain(thinning.due()).min();
                    continue;
                };
                if let Some(message) = self.record_message(outlet, &published, at) {
                    outlet.feed.push(now, at, message, true);
                    outlet.feed.close(now, at);
                }
            }
            if let Some(later) = later {
                state.wait(later, vehicle, stream_name);
            }
        }
        state.due.first_key_value().map(|((due, _), _)| *due)
    }

    /// Publishes what waits for its turn, when it is; ends with the process.
    pub async fn pace(&self) {
        loop {
            let due = self.publish_due(Instant::now());
            let next = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = next => {}
                () = self.thinned.notified() => {}
            }
        }
    }

    /// Drops what has waited too long in the feeds, and sends what has waited for company.
    pub fn tidy(&self, now: Instant) {
        let state = self.lock();
        let published = self.positions.last();
        for feed in state.feeds.values() {
            feed.expire(now);
            feed.flush(now, published);
        }
    }

    /// Subscribes to what a shape wants: a snapshot, then everything from here on, of which `subscriber` is
    /// told.
    pub fn subscribe(self: &Arc<Self>, shape: Shape, subscriber: Arc<dyn Subscriber>) -> Subscription {
        // All under the lock that publishing holds: nothing is missed between snapshot and feed and nothing comes twice.
        let mut state = self.lock();
        let State { vehicles, feeds, .. } = &mut *state;
        let feed = feeds.entry(shape.clone()).or_insert_with(|| {
            let feed = Arc::new(Feed::new(shape, self.rounds.clone()));
            for (vehicle, kept) in vehicles.iter_mut() {
                for (stream, kept) in &mut kept.streams {
                    if feed.shape.filter.wants_stream(vehicle, stream) {
                        kept.outlets.push(Outlet::new(feed.clone(), &kept.schema));
                    }
                }
            }
            feed
        });
        // What the snapshot tells is newer.
        feed.flush(Instant::now(), self.positions.last());
        let (number, place) = feed.join(subscriber);
        let snapshot = Snapshot::new(Position::START, self.positions.last());
        Subscription::new(self.clone(), feed.clone(), number, place, snapshot)
    }

    /// Ends a subscription.
    pub(super) fn unsubscribe(&self, feed: &Arc<Feed>, number: u64) {
        let mut state = self.lock();
        if feed.leave(number) {
            state.feeds.remove(&feed.shape);
            for stream in state.vehicles.values_mut().flat_map(|kept| kept.streams.values_mut()) {
                stream.outlets.retain(|outlet| !Arc::ptr_eq(&outlet.feed, feed));
            }
        }
    }

    /// The place that subscriptions have reached which have been given everything, `None` when one of them has not.
    pub fn idle_cursor<'a>(
        &self,
        mut subscriptions: impl Iterator<Item = &'a Subscription>,
    ) -> Option<Cursor> {
        let _state = self.lock();
        subscriptions.all(Subscription::is_idle).then(|| self.cursor(self.positions.last()))
    }

    /// The cursor of a position.
    pub fn cursor(&self, position: Position) -> Cursor {
        Cursor::new(self.positions.history(), position)
    }

    /// The state of all vehicles of which `wanted` holds.
    pub fn vehicles(&self, wanted: impl Fn(&str) -> bool) -> Vec<(Arc<str>, VehicleStatus)> {
        let state = self.lock();
        let wanted = state.vehicles.iter().filter(|(vehicle, _)| wanted(vehicle));
        wanted.map(|(vehicle, kept)| (vehicle.clone(), kept.status.clone())).collect()
    }

    /// The streams of a vehicle and the newest record of each.
    pub fn newest(&self, vehicle: &str) -> Vec<(Arc<Schema>, Option<Arc<PublishedRecord>>)> {
        let state = self.lock();
        let streams = state.vehicles.get(vehicle).into_iter().flat_map(|kept| kept.streams.values());
        streams.map(|stream| (stream.schema.clone(), stream.newest.clone())).collect()
    }

    pub(super) fn vehicle_message(
        &self,
        feed: &Feed,
        vehicle: &str,
        status: &VehicleStatus,
        at: Position,
    ) -> Message {
        let Shape { sub, encoding, .. } = &feed.shape;
        encoding.encode(&ToClient::Vehicle { sub, cursor: self.cursor(at), vehicle, status })
    }

    pub(super) fn stream_message(
        &self,
        feed: &Feed,
        vehicle: &str,
        schema: &Schema,
        at: Position,
    ) -> Message {
        let Shape { sub, encoding, .. } = &feed.shape;
        let about = StreamAbout::new(schema);
        encoding.encode(&ToClient::Stream { sub, cursor: self.cursor(at), vehicle, about })
    }

    /// `None` when the feed wants none of the record's fields.
    fn record_message(
        &self,
        outlet: &mut Outlet,
        published: &PublishedRecord,
        at: Position,
    ) -> Option<Message> {
        let Shape { sub, encoding, .. } = &outlet.feed.shape;
        if !Arc::ptr_eq(&outlet.selection.0, &published.schema) {
            let selection = outlet.feed.shape.filter.selection(&published.schema);
            outlet.selection = (published.schema.clone(), selection);
        }
        match &outlet.selection.1 {
            Selection::None => None,
            selection => {
                Some(encoding.encode(&message::record(self.cursor(at), sub, None, published, selection)))
            }
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // No code under this lock can leave the map half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A vehicle and a stream of it.
type StreamName = (Arc<str>, Arc<str>);
type NamedStream<'a> = (Arc<str>, &'a mut StreamState);

impl State {
    /// The stream of a schema, made known when it is new; `None` for one beyond the limit, which the history has alone.
    fn stream(
        &mut self,
        vehicle: &str,
        schema: &Arc<Schema>,
        at: Position,
    ) -> (Arc<str>, Option<NamedStream<'_>>) {
        let State { vehicles, feeds, .. } = self;
        let (vehicle, kept) = entry(vehicles, vehicle);
        let name = match kept.streams.get_key_value(schema.stream.as_str()) {
            Some((name, _)) => name.clone(),
            None if kept.streams.len() >= MAX_SCHEMAS as usize => return (vehicle, None),
            None => Arc::from(schema.stream.as_str()),
        };
        let stream = kept.streams.entry(name.clone()).or_insert_with(|| {
            let wanting = feeds.values().filter(|feed| feed.shape.filter.wants_stream(&vehicle, &name));
            let outlets = wanting.map(|feed| Outlet::new(feed.clone(), schema)).collect();
            StreamState { schema: schema.clone(), schema_at: at, newest: None, outlets }
        });
        (vehicle, Some((name, stream)))
    }

    fn wait(&mut self, due: Instant, vehicle: Arc<str>, stream: Arc<str>) {
        self.due.insert((due, self.next_due), (vehicle, stream));
        self.next_due += 1;
    }

    fn take_due(&mut self, now: Instant) -> Option<(Instant, StreamName)> {
        let first = self.due.first_entry().filter(|first| first.key().0 <= now)?;
        let ((due, _), stream) = first.remove_entry();
        Some((due, stream))
    }
}

impl Outlet {
    fn new(feed: Arc<Feed>, schema: &Arc<Schema>) -> Self {
        let filter = &feed.shape.filter;
        let selection = (schema.clone(), filter.selection(schema));
        // What is critical is an event, of which the newest does not stand for those before.
        let interval = filter.interval().filter(|_| schema.class != Class::Critical);
        Outlet { thinning: interval.map(Thinning::new), selection, feed }
    }

    fn admit(&mut self, now: Instant, published: &Arc<PublishedRecord>) -> Thinned {
        if published.lane == Lane::Backlog && !self.feed.shape.filter.wants_backlog() {
            return Thinned::Drop;
        }
        match &mut self.thinning {
            Some(thinning) => thinning.admit(now, published),
            None => Thinned::Send,
        }
    }
}

fn entry<'a>(
    vehicles: &'a mut BTreeMap<Arc<str>, VehicleState>,
    vehicle: &str,
) -> (Arc<str>, &'a mut VehicleState) {
    let name = match vehicles.get_key_value(vehicle) {
        Some((name, _)) => name.clone(),
        None => Arc::from(vehicle),
    };
    let kept = vehicles.entry(name.clone()).or_default();
    (name, kept)
}

/// Whether clients are told the same about both.
fn same(one: &Arc<Schema>, other: &Arc<Schema>) -> bool {
    Arc::ptr_eq(one, other) || StreamAbout::new(one) == StreamAbout::new(other)
}

#[cfg(test)]
pub(super) mod tests;
