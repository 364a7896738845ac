//! The newest value of every stream, and the way of new ones to all clients.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::ws::Utf8Bytes;
use tern_shared::id::{Epoch, VehicleId};
use tern_shared::message::Lane;
use tern_shared::schema::MAX_SCHEMAS;
use tern_shared::time::Timestamp;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::Filter;

/// Records that go to clients in one piece: a queue of pieces bounds a slow client's memory in records.
const MAX_PIECE: usize = 64;

/// One message for the clients that want it.
#[derive(Clone, Debug)]
pub struct Update {
    vehicle: Arc<str>,
    /// `None` when it is about the vehicle itself.
    stream: Option<Arc<str>>,
    /// The message, serialised once for everybody.
    pub text: Utf8Bytes,
}

/// What travels to clients.
#[derive(Clone, Debug)]
pub struct Piece {
    /// When it was published.
    pub published: Instant,
    /// Some updates in order.
    pub updates: Arc<[Update]>,
}

/// A record on its way to the clients.
#[derive(Clone, Debug)]
pub struct NewestValue {
    /// Its stream.
    pub stream: Arc<str>,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its sequence number.
    pub sequence: u64,
    /// Its capture time.
    pub time: Timestamp,
    /// How it came.
    pub lane: Lane,
    /// Its message.
    pub text: Utf8Bytes,
}

/// Holds the newest values and sends updates. Never waits for a client.
#[derive(Debug)]
pub struct Hub {
    state: Mutex<BTreeMap<Arc<str>, VehicleState>>,
    pieces: broadcast::Sender<Piece>,
}

#[derive(Debug, Default)]
struct VehicleState {
    status: Option<Utf8Bytes>,
    streams: BTreeMap<Arc<str>, StreamState>,
}

#[derive(Debug, Default)]
struct StreamState {
    about: Option<Utf8Bytes>,
    newest: Option<NewestValue>,
}

impl Update {
    /// Whether a client wants it.
    pub fn is_wanted(&self, filter: &Filter) -> bool {
        match &self.stream {
            Some(stream) => filter.wants_stream(&self.vehicle, stream),
            None => filter.wants_vehicle(&self.vehicle),
        }
    }
}

impl NewestValue {
    /// Whether this takes the place of `other`. Within an epoch sequence numbers tell, which no jump of the vehicle's
    /// clock disturbs; between epochs whatever is live is newer, and backlog goes by its capture time.
    fn replaces(&self, other: &NewestValue) -> bool {
        if self.epoch == other.epoch {
            self.sequence > other.sequence
        } else {
            self.lane == Lane::Live || self.time > other.time
        }
    }
}

impl Hub {
    /// A hub without vehicles that sends to the receivers of `pieces`.
    pub fn new(pieces: broadcast::Sender<Piece>) -> Self {
        Hub { state: Mutex::default(), pieces }
    }

    /// A vehicle's state has changed.
    pub fn publish_vehicle(&self, vehicle: &VehicleId, text: String) {
        let text = Utf8Bytes::from(text);
        let mut state = self.lock();
        let (vehicle, kept) = entry(&mut state, vehicle);
        kept.status = Some(text.clone());
        self.send([Update { vehicle, stream: None, text }].into());
    }

    /// A stream has come up or has got other fields.
    pub fn publish_stream(&self, vehicle: &VehicleId, stream: &Arc<str>, text: String) {
        let text = Utf8Bytes::from(text);
        let mut state = self.lock();
        let (vehicle, kept) = entry(&mut state, vehicle);
        if let Some(kept) = kept.stream(stream) {
            kept.about = Some(text.clone());
        }
        self.send([Update { vehicle, stream: Some(stream.clone()), text }].into());
    }

    /// Records have come.
    pub fn publish_records(&self, vehicle: &VehicleId, records: Vec<NewestValue>) {
        let mut state = self.lock();
        let (vehicle, kept) = entry(&mut state, vehicle);
        for piece in records.chunks(MAX_PIECE) {
            let update = |record: &NewestValue| Update {
                vehicle: vehicle.clone(),
                stream: Some(record.stream.clone()),
                text: record.text.clone(),
            };
            self.send(piece.iter().map(update).collect());
        }
        for record in records {
            if let Some(kept) = kept.stream(&record.stream)
                && kept.newest.as_ref().is_none_or(|newest| record.replaces(newest))
            {
                kept.newest = Some(record);
            }
        }
    }

    /// The newest of everything that `filter` wants, and everything from then on.
    pub fn subscribe(&self, filter: &Filter) -> (Vec<Utf8Bytes>, broadcast::Receiver<Piece>) {
        // Both under the lock that publishing holds: nothing is missed between them and nothing comes twice.
        let state = self.lock();
        let mut snapshot = Vec::new();
        for (vehicle, kept) in state.iter().filter(|(vehicle, _)| filter.wants_vehicle(vehicle)) {
            snapshot.extend(kept.status.clone());
            for (_, kept) in kept.streams.iter().filter(|(stream, _)| filter.wants_stream(vehicle, stream)) {
                snapshot.extend(kept.about.clone());
                snapshot.extend(kept.newest.as_ref().map(|newest| newest.text.clone()));
            }
        }
        (snapshot, self.pieces.subscribe())
    }

    fn send(&self, updates: Arc<[Update]>) {
        // Fails only when no client is there.
        let _ = self.pieces.send(Piece { published: Instant::now(), updates });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, VehicleState>> {
        // No code under this lock can leave the map half changed.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn entry<'a>(
    state: &'a mut BTreeMap<Arc<str>, VehicleState>,
    vehicle: &VehicleId,
) -> (Arc<str>, &'a mut VehicleState) {
    let name = match state.get_key_value(vehicle.as_str()) {
        Some((name, _)) => name.clone(),
        None => Arc::from(vehicle.as_str()),
    };
    let kept = state.entry(name.clone()).or_default();
    (name, kept)
}

impl VehicleState {
    /// What is kept of a stream; `None` for one beyond the limit, which goes to clients but into no snapshot.
    fn stream(&mut self, stream: &Arc<str>) -> Option<&mut StreamState> {
        if self.streams.len() >= MAX_SCHEMAS as usize && !self.streams.contains_key(stream) {
            return None;
        }
        Some(self.streams.entry(stream.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast::error::TryRecvError;

    use super::*;

    fn hub() -> Hub {
        Hub::new(broadcast::channel(4).0)
    }

    fn alpha() -> VehicleId {
        "alpha".parse().unwrap()
    }

    fn filter(streams: &str) -> Filter {
        Filter::new(&["*".to_owned()], &[streams.to_owned()]).unwrap()
    }

    fn value(stream: &str, epoch: u64, sequence: u64, time: i64, lane: Lane) -> NewestValue {
        let text = format!("{stream} {epoch} {sequence}").into();
        NewestValue {
            stream: stream.into(),
            epoch: Epoch(epoch),
            sequence,
            time: Timestamp(time),
            lane,
            text,
        }
    }

    fn snapshot(hub: &Hub) -> Vec<String> {
        hub.subscribe(&filter("*")).0.iter().map(|text| text.as_str().to_owned()).collect()
    }

    #[test]
    fn backlog_never_replaces_what_is_newer() {
        let hub = hub();
        hub.publish_records(&alpha(), vec![value("s", 1, 10, 100, Lane::Live)]);
        hub.publish_records(&alpha(), vec![value("s", 1, 5, 50, Lane::Backlog)]);
        assert_eq!(snapshot(&hub), ["s 1 10"]);
        hub.publish_records(&alpha(), vec![value("s", 2, 3, 90, Lane::Backlog)]);
        assert_eq!(snapshot(&hub), ["s 1 10"]);
    }

    #[test]
    fn a_clock_that_jumps_back_does_not_freeze_a_stream() {
        let hub = hub();
        hub.publish_records(&alpha(), vec![value("s", 1, 10, 3_600_000_000, Lane::Live)]);
        hub.publish_records(&alpha(), vec![value("s", 1, 11, 100, Lane::Live)]);
        assert_eq!(snapshot(&hub), ["s 1 11"]);
        hub.publish_records(&alpha(), vec![value("s", 2, 0, 50, Lane::Live)]);
        assert_eq!(snapshot(&hub), ["s 2 0"]);
    }

    #[test]
    fn a_snapshot_has_vehicle_stream_and_newest_value_in_this_order() {
        let hub = hub();
        hub.publish_stream(&alpha(), &"s".into(), "about s".to_owned());
        hub.publish_records(&alpha(), vec![value("s", 1, 1, 1, Lane::Live), value("t", 1, 2, 1, Lane::Live)]);
        hub.publish_vehicle(&alpha(), "status".to_owned());
        assert_eq!(snapshot(&hub), ["status", "about s", "s 1 1", "t 1 2"]);
        assert_eq!(hub.subscribe(&filter("t")).0.len(), 2);
    }

    #[tokio::test]
    async fn what_follows_a_snapshot_comes_once() {
        let hub = hub();
        hub.publish_records(&alpha(), vec![value("s", 1, 1, 1, Lane::Live)]);
        let (snapshot, mut updates) = hub.subscribe(&filter("*"));
        assert_eq!(snapshot.len(), 1);
        hub.publish_records(&alpha(), vec![value("s", 1, 2, 2, Lane::Live), value("t", 1, 3, 2, Lane::Live)]);
        let piece = updates.recv().await.unwrap();
        let wanted: Vec<&str> = piece
            .updates
            .iter()
            .filter(|update| update.is_wanted(&filter("t")))
            .map(|update| update.text.as_str())
            .collect();
        assert_eq!(wanted, ["t 1 3"]);
        assert!(matches!(updates.try_recv(), Err(TryRecvError::Empty)));
    }
}
