//! Which streams the ground knows, at the vehicle: a schema is declared on the stream ahead of the first frame that uses it,
//! and again in datagrams where it may be lost, because until it is there all records that share its frames wait.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::codec::SchemaTable;
use crate::id::SchemaId;
use crate::message::{SchemaAnnouncement, SchemaBody};
use crate::schema::Schema;
use crate::time::Instant;

/// What repeated declarations may take of the link: on a narrow one, records would wait for them.
const REPEAT_TIME: Duration = Duration::from_millis(200);
/// What schemas that telemetry waits for may take of it, those declared with them included.
const LOST_TIME: Duration = Duration::from_millis(500);

/// The link on which schemas go again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeating {
    /// What a datagram has room for, bytes.
    pub(super) room: usize,
    /// What its headers take on the wire, bytes.
    pub(super) overhead_bytes: usize,
    pub(super) bytes_per_second: f64,
    pub(super) round_trip: Duration,
    /// After so much time what follows is not in the same burst of losses.
    pub(super) apart: Duration,
    /// How many more times a schema is declared.
    pub(super) times: usize,
}

impl Repeating {
    fn bytes_in(&self, time: Duration) -> usize {
        (self.bytes_per_second * time.as_secs_f64()) as usize
    }
}

/// The schemas there are, and what the ground was told of them on this connection.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    schemas: SchemaTable,
    /// The ground does not carry what our short forms stand for: schemas go field by field.
    in_full: bool,
    /// Those that were not declared yet.
    waiting: BTreeSet<SchemaId>,
    /// When those were declared that are.
    declared: BTreeMap<SchemaId, Instant>,
    /// What is declared once more, and when, soonest first.
    repeats: VecDeque<(Instant, Vec<SchemaAnnouncement>)>,
}

impl Declarations {
    pub(super) fn insert(&mut self, id: SchemaId, schema: Arc<Schema>) {
        self.schemas.insert(id, schema);
        self.waiting.insert(id);
    }

    pub(super) fn schemas(&self) -> &SchemaTable {
        &self.schemas
    }

    /// Schemas go field by field from here on.
    pub(super) fn use_full_form(&mut self) {
        self.in_full = true;
    }

    /// The next connection knows nothing.
    pub(super) fn restart(&mut self) {
        self.waiting = self.schemas.keys().copied().collect();
        self.declared.clear();
        self.repeats.clear();
    }

    /// Whether some were not declared yet.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the next to be declared takes at most so many bytes.
    pub(super) fn fits(&self, max_bytes: usize) -> bool {
        let next = self.waiting.first().and_then(|id| self.announcement(*id));
        next.is_some_and(|announcement| announcement.encoded_bytes() <= max_bytes)
    }

    /// Whether this one's declaration had reached the ground when that was last `heard`.
    pub(super) fn is_known(&self, id: SchemaId, heard: Instant, round_trip: Duration) -> bool {
        self.declared.get(&id).is_some_and(|declared| *declared + round_trip <= heard)
    }

    /// Whether any one's had.
    pub(super) fn is_any_known(&self, heard: Instant, round_trip: Duration) -> bool {
        self.declared.values().any(|declared| *declared + round_trip <= heard)
    }

    /// The next to declare, as many as share so many bytes, but at least one; later again, if they can be lost.
    pub(super) fn announce(
        &mut self,
        now: Instant,
        max_bytes: usize,
        repeating: Option<Repeating>,
    ) -> Vec<SchemaAnnouncement> {
        let mut ids = std::mem::take(&mut self.waiting);
        let announcements = self.gather(&mut ids, max_bytes);
        self.waiting = ids;
        self.declared.extend(announcements.iter().map(|announcement| (announcement.id, now)));
        if let Some(repeating) = repeating {
            self.repeat_later(now, &announcements, repeating);
        }
        announcements
    }

    /// The link is up again after an outage that began about when the ground was `heard` last: what was declared since is
    /// lost, most likely, and the stream repeats it late.
    pub(super) fn declare_again(&mut self, now: Instant, heard: Instant, repeating: Repeating) {
        let ids = self.declared.keys().copied();
        let mut lost: BTreeSet<SchemaId> =
            ids.filter(|id| !self.is_known(*id, heard, repeating.round_trip)).collect();
        let mut packets = repeating.bytes_in(REPEAT_TIME) / repeating.room.max(1) + 1;
        while packets > 0 && !lost.is_empty() {
            let announcements = self.gather(&mut lost, repeating.room);
            self.repeat_later(now, &announcements, repeating);
            packets -= 1;
        }
    }

    /// The ground has what uses this schema, but not the schema: it goes again ahead of all else, and with it as much as takes little of
    /// the link of what was declared then or since, which the stream holds back until it has repeated what it lost.
    pub(super) fn declare_lost(&mut self, now: Instant, id: SchemaId, repeating: Repeating) {
        // What was declared within the round trip is on its way.
        let is_under_way = !self.is_known(id, now, repeating.round_trip);
        let is_due = self.repeat_at().is_some_and(|due| due <= now);
        let Some(lost) = self.declared.get(&id).filter(|_| !is_under_way && !is_due) else { return };
        let held_back =
            self.declared.iter().filter(|(other, at)| *at >= lost && **other != id).map(|(other, _)| *other);
        let mut bytes = 0;
        let mut fits = |announcement: &SchemaAnnouncement, most: usize| {
            bytes += announcement.encoded_bytes();
            bytes <= most
        };
        let Some(first) = self.announcement(id).filter(|first| fits(first, repeating.room)) else { return };
        let most = repeating.room.min(repeating.bytes_in(LOST_TIME));
        let others =
            held_back.filter_map(|other| self.announcement(other)).take_while(|other| fits(other, most));
        let announcements = std::iter::once(first).chain(others).collect();
        self.repeats.push_front((now, announcements));
    }

    /// When schemas are next declared once more.
    pub(super) fn repeat_at(&self) -> Option<Instant> {
        self.repeats.front().map(|(due, _)| *due)
    }

    /// Those that are declared once more now.
    pub(super) fn next_repeat(&mut self, now: Instant) -> Option<Vec<SchemaAnnouncement>> {
        let (_, schemas) = self.repeats.pop_front_if(|(due, _)| *due <= now)?;
        self.declared.extend(schemas.iter().map(|schema| (schema.id, now)));
        Some(schemas)
    }

    /// Has schemas declared more times, after what may be a burst of losses: until the stream has repeated one that was
    /// lost, which takes it two round trips, all records that share its frames would wait.
    fn repeat_later(&mut self, now: Instant, schemas: &[SchemaAnnouncement], repeating: Repeating) {
        let bytes: usize = schemas.iter().map(SchemaAnnouncement::encoded_bytes).sum();
        if bytes > repeating.room {
            return;
        }
        let affordable = repeating.bytes_in(REPEAT_TIME) / (bytes + repeating.overhead_bytes);
        let mut due = now;
        for _ in 0..affordable.min(repeating.times) {
            due = due + repeating.apart;
            let place = self.repeats.partition_point(|(other, _)| *other <= due);
            self.repeats.insert(place, (due, schemas.to_vec()));
        }
    }

    /// Takes the first of these, as many as share so many bytes, but at least one.
    fn gather(&self, ids: &mut BTreeSet<SchemaId>, max_bytes: usize) -> Vec<SchemaAnnouncement> {
        let mut announcements = Vec::new();
        let mut bytes = 0;
        while bytes < max_bytes
            && let Some(id) = ids.pop_first()
        {
            let Some(announcement) = self.announcement(id) else { continue };
            bytes += announcement.encoded_bytes();
            if bytes > max_bytes && !announcements.is_empty() {
                ids.insert(id);
                break;
            }
            announcements.push(announcement);
        }
        announcements
    }

    fn announcement(&self, id: SchemaId) -> Option<SchemaAnnouncement> {
        let schema = self.schemas.get(&id)?;
        let body =
            if self.in_full { SchemaBody::Full(Schema::clone(schema)) } else { SchemaBody::compact(schema) };
        Some(SchemaAnnouncement { id, body })
    }
}
