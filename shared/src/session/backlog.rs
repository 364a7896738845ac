//! The backlog lane at the vehicle: stored frames, newest first, merged into objects and cut to fit datagrams.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::send::Frame;
use crate::batch::Batch;
use crate::codec::predictive::{Base, Encoder, Keep, MAX_PARTS};
use crate::codec::{self, SchemaTable};
use crate::id::SchemaId;
use crate::message::{MAX_FRAGMENTS, MAX_FRAME_BYTES, ObjectPart};
use crate::range::SequenceRange;
use crate::time::Timestamp;

/// How long a time the records of an object span: as long as the newest of them is old, so that what is new does not wait for
/// the parts of what is not, but at least the first and at most the second of these, beyond which nothing more is saved.
const OBJECT_SPAN: std::ops::RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(10);
/// What the codec makes of stored frames at most when it merges them, in halves: enough to fill an object, little
/// enough that few frames are read in vain.
const STORED_PER_OBJECT: usize = 3;

/// Records to send, encoded together.
#[derive(Debug)]
pub(super) struct Merged {
    /// The records of each batch, ascending.
    pub(super) ranges: Vec<SequenceRange>,
    /// The frame.
    pub(super) frame: Vec<u8>,
}

impl Merged {
    /// How many numbers are left out before each batch but the first; empty when none are.
    pub(super) fn skips(&self) -> Vec<u64> {
        let skips = self.ranges.windows(2).map(|pair| pair[1].start - pair[0].end);
        let skips: Vec<u64> = skips.collect();
        if skips.iter().all(|&skip| skip == 0) { Vec::new() } else { skips }
    }
}

/// A part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) object: u32,
    pub(super) index: u16,
}

/// An object on its way.
#[derive(Debug)]
struct Object {
    /// As in [`Merged`]: at least one.
    ranges: Vec<SequenceRange>,
    bytes: Vec<u8>,
    fragment_bytes: usize,
    /// Parts to send, or to send again.
    waiting: BTreeSet<u16>,
}

/// What was fetched from the spool, and what of it is on its way.
#[derive(Debug, Default)]
pub(super) struct BacklogLane {
    /// Newest first.
    fetched: VecDeque<Frame>,
    objects: BTreeMap<u32, Object>,
    next_object: u32,
    /// Of frames that continue nothing, and that nothing continues.
    encoder: Encoder,
}

impl BacklogLane {
    /// Carries this stream's capture times in microseconds.
    pub(super) fn carry_microseconds(&mut self, schema: SchemaId) {
        self.encoder.carry_microseconds(schema);
    }

    /// Takes what the spool gave, newest first: all of it older than what was fetched before, or all of it newer.
    pub(super) fn extend(&mut self, frames: impl Iterator<Item = Frame>) {
        let newest = self.newest_fetched();
        let (newer, older): (Vec<Frame>, Vec<Frame>) =
            frames.partition(|frame| newest.is_some_and(|newest| newest.end <= frame.range.start));
        self.fetched.extend(older);
        newer.into_iter().rev().for_each(|frame| self.fetched.push_front(frame));
    }

    /// The oldest of what was fetched, while that is more than so many bytes: it may be fetched again later.
    pub(super) fn overflow(&mut self, max_bytes: usize) -> Option<SequenceRange> {
        let is_over = self.fetched.len() > 1 && self.fetched_bytes() > max_bytes;
        if is_over { self.fetched.pop_back().map(|frame| frame.range) } else { None }
    }

    /// Bytes of what was fetched and did not leave.
    pub(super) fn fetched_bytes(&self) -> usize {
        self.fetched.iter().map(|frame| frame.bytes.len()).sum()
    }

    /// The newest records that were fetched and did not leave.
    pub(super) fn newest_fetched(&self) -> Option<SequenceRange> {
        self.fetched.front().map(|frame| frame.range)
    }

    /// The oldest of those.
    pub(super) fn oldest_fetched(&self) -> Option<SequenceRange> {
        self.fetched.back().map(|frame| frame.range)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fetched.is_empty()
    }

    /// Drops everything, and returns the ranges of what had been fetched and not sent.
    pub(super) fn clear(&mut self) -> Vec<SequenceRange> {
        self.objects.clear();
        self.next_object = 0;
        self.fetched.drain(..).map(|frame| frame.range).collect()
    }

    /// Drops what is not wanted any more.
    pub(super) fn retain(&mut self, wanted: impl Fn(SequenceRange) -> bool) {
        self.fetched.retain(|frame| wanted(frame.range));
        self.retain_objects(wanted);
    }

    /// Drops the objects that are not wanted any more.
    pub(super) fn retain_objects(&mut self, wanted: impl Fn(SequenceRange) -> bool) {
        self.objects.retain(|_, object| object.ranges.iter().any(|range| wanted(*range)));
    }

    /// Merges the newest frames into one of about `suited_bytes`. Only one that was stored so is longer than `max_bytes`.
    pub(super) fn merge(
        &mut self,
        now: Timestamp,
        schemas: &SchemaTable,
        suited_bytes: usize,
        max_bytes: usize,
    ) -> Option<Merged> {
        let mut frames: Vec<Frame> = vec![self.fetched.pop_front()?];
        let (mut stored, newest) = (frames[0].bytes.len(), frames[0].newest);
        let span = spans(now, newest).clamp(*OBJECT_SPAN.start(), *OBJECT_SPAN.end());
        while let Some(next) = self.fetched.front()
            && next.range.end <= frames[frames.len() - 1].range.start
            && spans(next.newest, newest) <= span
            && stored + next.bytes.len() <= suited_bytes * STORED_PER_OBJECT / 2
            && frames.len() < MAX_PARTS
        {
            stored += next.bytes.len();
            frames.extend(self.fetched.pop_front());
        }
        let mut batches: Vec<Batch> = frames
            .iter()
            .rev()
            .map(|frame| Batch::new(codec::decode(&frame.bytes, schemas).unwrap_or_default()))
            .collect();
        loop {
            let first = frames.last()?.range.start;
            let (base, keep) = (Base::Key, Keep::Nothing);
            // One stored frame always fits: the codec falls back to the spool's.
            let most = if frames.len() == 1 { MAX_FRAME_BYTES } else { max_bytes };
            if let Ok(frame) = self.encoder.encode(&batches, schemas, first, base, keep, most) {
                let ranges = frames.iter().rev().map(|frame| frame.range).collect();
                return Some(Merged { ranges, frame });
            }
            let half = frames.len().div_ceil(2);
            for frame in frames.drain(half..).rev() {
                self.fetched.push_front(frame);
            }
            batches.drain(..batches.len() - half);
        }
    }

    /// Takes an encoded object to be sent in parts.
    pub(super) fn begin(&mut self, ranges: Vec<SequenceRange>, bytes: Vec<u8>, fragment_bytes: usize) {
        let fragment_bytes = fragment_bytes.max(bytes.len().div_ceil(usize::from(MAX_FRAGMENTS)));
        let count = bytes.len().div_ceil(fragment_bytes) as u16;
        let object = Object { ranges, bytes, fragment_bytes, waiting: (0..count).collect() };
        self.objects.insert(self.next_object, object);
        self.next_object += 1;
    }

    /// The part to send next: of the newest records first.
    pub(super) fn next_fragment(&mut self) -> Option<Fragment> {
        let (object, _) = self.newest_waiting()?;
        let index = self.objects.get_mut(&object)?.waiting.pop_first()?;
        Some(Fragment { object, index })
    }

    /// The part itself, as long as its object is wanted.
    pub(super) fn part(&self, fragment: Fragment) -> Option<ObjectPart> {
        let object = self.objects.get(&fragment.object)?;
        let mut chunks = object.bytes.chunks(object.fragment_bytes);
        let count = chunks.len() as u16;
        let bytes = chunks.nth(fragment.index.into())?.to_vec();
        Some(ObjectPart { number: fragment.object, index: fragment.index, count, bytes })
    }

    /// What is left to send of an object, bytes, and its records.
    pub(super) fn remaining(&self, object: u32) -> (usize, &[SequenceRange]) {
        let Some(object) = self.objects.get(&object) else { return (0, &[]) };
        (object.waiting.len() * object.fragment_bytes, &object.ranges)
    }

    /// Whether a part waits to be sent.
    pub(super) fn has_fragment(&self) -> bool {
        self.newest_waiting().is_some()
    }

    /// Whether what was fetched is newer than all parts that wait, or nothing waits: the next object goes first.
    pub(super) fn is_object_due(&self) -> bool {
        let waiting = self.newest_waiting().and_then(|(_, object)| object.ranges.last());
        waiting.is_none_or(|waiting| self.newest_fetched().is_some_and(|newest| waiting.end <= newest.start))
    }

    /// The object of the newest records of which parts wait to be sent.
    fn newest_waiting(&self) -> Option<(u32, &Object)> {
        let waiting = self.objects.iter().filter(|(_, object)| !object.waiting.is_empty());
        waiting
            .max_by_key(|(_, object)| object.ranges.last().map(|range| range.end))
            .map(|(&id, object)| (id, object))
    }

    /// A part was lost: it is sent again, as long as its object is wanted.
    pub(super) fn lost(&mut self, fragment: Fragment) {
        if let Some(object) = self.objects.get_mut(&fragment.object) {
            object.waiting.insert(fragment.index);
        }
    }

    /// Bytes of the objects that are on their way.
    pub(super) fn object_bytes(&self) -> usize {
        self.objects.values().map(|object| object.bytes.len()).sum()
    }
}

fn spans(a: Timestamp, b: Timestamp) -> Duration {
    Duration::from_micros(a.micros_since(b).unsigned_abs())
}
