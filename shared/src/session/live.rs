//! The live lane at the vehicle: which records go at the next tick, and the chain of frames that they go in.

use std::collections::{BTreeMap, VecDeque};

use super::budget::Thinning;
use super::queues::QueueFill;
use super::send::Frame;
use crate::batch::Batch;
use crate::codec::predictive::{Base, Encoder, Keep};
use crate::codec::{self, SchemaTable};
use crate::id::SchemaId;
use crate::range::SequenceRange;
use crate::record::Record;
use crate::schema::Class;

/// Frames that wait for the lane. When more come than the link carries, the oldest goes to the backlog.
const QUEUE_FRAMES: usize = 8;
/// Stored frames are at most so many times as long as what the codec makes of them, about: more of them are not tried.
const STORED_TO_SENT: usize = 4;
/// What a record's encoding is of its size hint before anything is known of it: 1 in 4.
const FIRST_RATIO: f64 = 0.25;
/// A frame of so many bytes of size hints decides half of the ratio, a smaller one less.
const RATIO_BYTES: f64 = 2000.0;

/// An encoded frame, ready to leave.
#[derive(Debug)]
pub(super) struct Encoded {
    /// Its records.
    pub(super) range: SequenceRange,
    /// The frame.
    pub(super) bytes: Vec<u8>,
    /// Whether others may continue it once it is acknowledged.
    pub(super) is_base: bool,
}

/// What the next frame may continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chain {
    /// The frame before: the link loses nothing, or what it loses is coded for.
    On,
    /// Only what the ground has acknowledged.
    Restart,
    /// The same, and nothing is to continue it: what probably gets lost shall not drive out, at either end, what the
    /// ground is known to have.
    Aside,
    /// The same, but that the next frame continues it.
    AsideForNext,
}

/// Frames that wait, and the encoder that knows what those before held.
#[derive(Debug)]
pub(super) struct LiveLane {
    /// Oldest first.
    queue: VecDeque<Frame>,
    encoder: Encoder,
    /// Encoded bytes a byte of [`Record::size_hint`], averaged over the last records.
    ratio: f64,
    /// The division in which each stream was last served, for those that were.
    served: BTreeMap<SchemaId, u64>,
    divisions: u64,
}

impl LiveLane {
    pub(super) fn new() -> Self {
        LiveLane {
            queue: VecDeque::new(),
            encoder: Encoder::new(),
            ratio: FIRST_RATIO,
            served: BTreeMap::new(),
            divisions: 0,
        }
    }

    /// Carries this stream's capture times in microseconds.
    pub(super) fn carry_microseconds(&mut self, schema: SchemaId) {
        self.encoder.carry_microseconds(schema);
    }

    /// Another ground, or another process of it, decodes from here on.
    pub(super) fn restart(&mut self) {
        self.encoder.restart();
    }

    /// Takes a frame. [`overflow`](Self::overflow) has what it pushes out.
    pub(super) fn push(&mut self, frame: Frame) {
        self.queue.push_back(frame);
    }

    /// The oldest frame, while more wait than may: those that came, or the parts of one that fits no packet.
    pub(super) fn overflow(&mut self) -> Option<Frame> {
        if self.queue.len() > QUEUE_FRAMES { self.queue.pop_front() } else { None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The frames that wait.
    pub(super) fn ranges(&self) -> impl Iterator<Item = SequenceRange> + '_ {
        self.queue.iter().map(|frame| frame.range)
    }

    /// Drops what is not wanted any more.
    pub(super) fn retain(&mut self, wanted: impl Fn(SequenceRange) -> bool) {
        self.queue.retain(|frame| wanted(frame.range));
    }

    /// The ground decoded the frame that begins with this record.
    pub(super) fn acknowledge(&mut self, first: u64) {
        self.encoder.acknowledge(first);
    }

    pub(super) fn queue(&self) -> QueueFill {
        QueueFill::new("live frames", self.queue.len(), QUEUE_FRAMES)
    }

    /// Divides records into those that do not fit the lane and those that do, of at most `budget_bytes` when encoded:
    /// critical ones first, then the newest of each stream, then the newest but one..., the streams that waited longest
    /// before the others. At least one record is live, unless a budget that runs short keeps back all of them.
    pub(super) fn divide(
        &mut self,
        records: Vec<Record>,
        schemas: &SchemaTable,
        budget_bytes: f64,
        thinning: Thinning,
    ) -> (Vec<Record>, Vec<Record>) {
        self.divisions += 1;
        let mut budget = budget_bytes / self.ratio;
        let class = |record: &Record| schemas.get(&record.schema).map_or(Class::Live, |schema| schema.class);
        let lowest = match thinning {
            Thinning::None => Class::Bulk,
            Thinning::NoBacklog | Thinning::HalfLive => Class::Live,
            Thinning::CriticalOnly | Thinning::Spent => Class::Critical,
        };
        let (records, kept_back): (Vec<Record>, Vec<Record>) =
            records.into_iter().partition(|record| class(record) <= lowest);
        if records.is_empty() {
            return (kept_back, records);
        }
        let sizes: Vec<usize> = records.iter().map(Record::size_hint).collect();
        let total = sizes.iter().sum::<usize>() as f64;
        if thinning == Thinning::HalfLive {
            budget = budget.min(total / 2.0);
        }
        if total <= budget {
            self.served.extend(records.iter().map(|record| (record.schema, self.divisions)));
            return (kept_back, records);
        }
        let mut seen: BTreeMap<SchemaId, usize> = BTreeMap::new();
        let mut order: Vec<(bool, usize, u64, usize)> = Vec::with_capacity(records.len());
        for (index, record) in records.iter().enumerate().rev() {
            let newer = seen.entry(record.schema).or_default();
            let critical = class(record) == Class::Critical;
            let served = self.served.get(&record.schema).copied().unwrap_or_default();
            order.push((!critical, *newer, served, index));
            *newer += 1;
        }
        order.sort_unstable();
        let mut is_live = vec![false; records.len()];
        let mut size = 0;
        for (place, (_, _, _, index)) in order.into_iter().enumerate() {
            size += sizes[index];
            // Critical records are not halved.
            let is_kept =
                place == 0 || thinning == Thinning::HalfLive && class(&records[index]) == Class::Critical;
            if !is_kept && size as f64 > budget {
                break;
            }
            is_live[index] = true;
            self.served.insert(records[index].schema, self.divisions);
        }
        let mut is_live = is_live.into_iter();
        let (live, mut rest): (Vec<Record>, Vec<Record>) =
            records.into_iter().partition(|_| is_live.next().unwrap_or(false));
        rest.extend(kept_back);
        (rest, live)
    }

    /// Encodes the newest frame that waits, together with those just before it that wait as well, as many as fit
    /// `suited_bytes` and are in the mean no longer than `overhead_bytes`, the headers of a packet; or of the newest as many of
    /// its newest records as fit. The others wait on. A record by itself may take `max_bytes`: what does not fit even these is
    /// returned, for the backlog.
    pub(super) fn encode(
        &mut self,
        schemas: &SchemaTable,
        chain: Chain,
        suited_bytes: usize,
        max_bytes: usize,
        overhead_bytes: usize,
    ) -> Option<Result<Encoded, SequenceRange>> {
        // The newest of longer ones would be there sooner by itself, more than the others would be later.
        let room = |frames: usize| {
            if frames == 1 { suited_bytes } else { suited_bytes.min(frames * overhead_bytes) }
        };
        let mut frames = self.take_newest(|frames| room(frames) * STORED_TO_SENT)?;
        if matches!(chain, Chain::Aside | Chain::AsideForNext) {
            self.encoder.doubt();
        }
        let (base, keep) = match chain {
            Chain::On => (Base::Previous, Keep::ForNext),
            Chain::Restart => (Base::Acknowledged, Keep::ForAll),
            Chain::Aside => (Base::Acknowledged, Keep::Nothing),
            Chain::AsideForNext => (Base::Acknowledged, Keep::ForNext),
        };
        loop {
            // What the spool's codec wrote, it reads.
            let decode = |frame: &Frame| codec::decode(&frame.bytes, schemas).unwrap_or_default();
            let batches: Vec<Batch> = frames.iter().map(decode).map(Batch::new).collect();
            let sizes = batches.iter().flat_map(Batch::records).map(Record::size_hint);
            let (records, size) = sizes.fold((0, 0), |(records, bytes), size| (records + 1, bytes + size));
            let range = SequenceRange::new(frames.first()?.range.start, frames.last()?.range.end);
            let max_bytes = if records < 2 { max_bytes } else { room(frames.len()) };
            if let Ok(bytes) = self.encoder.encode(&batches, schemas, range.start, base, keep, max_bytes) {
                let size = f64::max(size as f64, 1.0);
                self.ratio += (bytes.len() as f64 / size - self.ratio) * size / (size + RATIO_BYTES);
                return Some(Ok(Encoded { range, bytes, is_base: keep == Keep::ForAll }));
            }
            if records < 2 {
                return Some(Err(range));
            }
            if let [frame] = &frames[..] {
                let (older, newer) = halves(frame, batches.first()?, schemas);
                self.queue.push_back(older);
                frames = vec![newer];
            } else {
                self.queue.push_back(frames.remove(0));
            }
        }
    }

    /// The newest frame that waits and those just before it, oldest first; of so many frames, at most `max_bytes` of them.
    fn take_newest(&mut self, max_bytes: impl Fn(usize) -> usize) -> Option<Vec<Frame>> {
        let newest = self.queue.pop_back()?;
        let (mut first, mut bytes) = (newest.range.start, newest.bytes.len());
        let mut frames = vec![newest];
        while let Some(older) = self.queue.pop_back_if(|older| {
            older.range.end == first && bytes + older.bytes.len() <= max_bytes(frames.len() + 1)
        }) {
            first = older.range.start;
            bytes += older.bytes.len();
            frames.push(older);
        }
        frames.reverse();
        Some(frames)
    }
}

/// A frame's records as two frames.
fn halves(frame: &Frame, batch: &Batch, schemas: &SchemaTable) -> (Frame, Frame) {
    let (front, back) = batch.records().split_at(batch.records().len() / 2);
    let middle = frame.range.start + front.len() as u64;
    let part = |records: &[Record], range| {
        let bytes = codec::encode(&Batch::new(records.to_vec()), schemas).into();
        Frame { range, newest: frame.newest, bytes }
    };
    (
        part(front, SequenceRange::new(frame.range.start, middle)),
        part(back, SequenceRange::new(middle, frame.range.end)),
    )
}
