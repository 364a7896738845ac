//! Which stream's record comes when.
//!
//! The records of a frame are coded in the order of their times. What comes next is mostly what came next the last time
//! after the same two streams.

use std::collections::BTreeMap;

use super::first::Usual;
use super::model::{Bit, Weights, mix};
use super::number::{HINTS, Number, Outside, Ring, Shape};
use super::range_coder::BitCoder;
use super::residual::SharedResiduals;
use crate::id::SchemaId;

const TIME: Shape =
    Shape { ring: Ring::Bits(64), first_cost: 3 << 8, first: Usual { length: 4, signed: false } };
const BEGIN: Shape =
    Shape { ring: Ring::Bits(64), first_cost: 1 << 8, first: Usual { length: 2, signed: false } };
const FINE: Shape =
    Shape { ring: Ring::Bits(64), first_cost: 9 << 8, first: Usual { length: 8, signed: true } };
const COUNT: Shape =
    Shape { ring: Ring::Bits(64), first_cost: 4 << 8, first: Usual { length: 4, signed: false } };
const ID: Shape =
    Shape { ring: Ring::Bits(64), first_cost: 1 << 8, first: Usual { length: 4, signed: false } };
/// Contexts of two streams, hashed.
const PAIRS: usize = 256;
/// The most streams that are known by a short index.
const MAX_KNOWN: usize = 4096;
const NOBODY: u16 = u16::MAX;

/// What is remembered of the order of records.
#[derive(Clone, Debug)]
pub(super) struct Events {
    known: Vec<SchemaId>,
    clocks: Vec<StreamClock>,
    /// When each stream's next record is due, and its period; 0 when unknown.
    dues: Vec<(i64, i64)>,
    /// What times have beyond milliseconds, by stream, of those streams that carry microseconds.
    fine: BTreeMap<u16, Number>,
    pairs: [Follower; PAIRS],
    previous: [u16; 2],
    last_time: Option<i64>,
    /// From the record before to the first one of a stream.
    begin: Number,
    count: Number,
    new_id: Number,
    hits: [[Bit; 3]; 2],
    weights: Weights,
    is_new: Bit,
    is_next: Bit,
    /// Whether a new stream carries microseconds.
    is_fine: Bit,
}

/// A record that comes.
pub(super) struct Event {
    /// The index of its stream, in the order in which streams came up.
    pub(super) stream: usize,
    pub(super) id: SchemaId,
    /// Microseconds.
    pub(super) time: i64,
}

#[derive(Clone, Copy, Debug)]
struct StreamClock {
    time: Number,
    /// Time since the record before, of any stream, when this stream's last record came.
    gap: i64,
    follower: Follower,
    /// Whether it came when it was to follow, by whether it was due as well.
    hits: [Bit; 3],
    /// Whether it came when it was due.
    due_hit: Bit,
}

#[derive(Clone, Copy, Debug)]
struct Follower {
    next: u16,
    hit: Bit,
    /// Time between the last two that followed each other so.
    gap: i64,
}

impl Follower {
    const NOBODY: Follower = Follower { next: NOBODY, hit: Bit::new(45000), gap: 0 };
}

impl Events {
    pub(super) fn new() -> Self {
        Events {
            known: Vec::new(),
            clocks: Vec::new(),
            dues: Vec::new(),
            fine: BTreeMap::new(),
            pairs: [Follower::NOBODY; PAIRS],
            previous: [NOBODY; 2],
            last_time: None,
            begin: Number::new(&BEGIN),
            count: Number::new(&COUNT),
            new_id: Number::new(&ID),
            hits: [[Bit::new(45000); 3]; 2],
            weights: Weights([26000, 20000, 14000, 6000]),
            is_new: Bit::sure(50000, 1),
            is_next: Bit::sure(45000, 2),
            is_fine: Bit::sure(800, 4),
        }
    }

    /// Codes how many records the frame has.
    pub(super) fn code_count<C: BitCoder>(
        &mut self,
        coder: &mut C,
        shared: &mut SharedResiduals,
        count: i64,
    ) -> i64 {
        self.count.code(coder, shared, &COUNT, &Outside::default(), count)
    }

    /// Codes of which stream the next record is and when it was captured, microseconds; `is_fine` is whether a stream
    /// that is new is to carry them rather than milliseconds.
    pub(super) fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        shared: &mut SharedResiduals,
        id: SchemaId,
        is_fine: bool,
        micros: i64,
    ) -> Option<Event> {
        let time = micros.saturating_add(500).div_euclid(1000);
        let pair = (usize::from(self.previous[0]) * 31 + usize::from(self.previous[1]) * 7) % PAIRS;
        let stream = self.code_stream(coder, shared, pair, id, is_fine)?;
        let id = self.known[usize::from(stream)];
        let clock = &mut self.clocks[usize::from(stream)];
        let previous = match self.last_time {
            Some(previous) => previous,
            None => code_origin(coder, time),
        };
        let time = if clock.time.last().is_some() {
            let mut hints = [None; HINTS];
            hints[0] = Some(previous);
            hints[1] = Some(previous.wrapping_add(clock.gap));
            hints[2] = Some(previous.wrapping_add(self.pairs[pair].gap));
            let outside = Outside { hints, ..Outside::default() };
            clock.time.code(coder, shared, &TIME, &outside, time)
        } else {
            let gap = time.wrapping_sub(previous);
            let time =
                previous.wrapping_add(self.begin.code(coder, shared, &BEGIN, &Outside::default(), gap));
            clock.time.begin(time);
            time
        };
        self.dues[usize::from(stream)] = clock.time.next().unwrap_or_default();
        clock.gap = time.wrapping_sub(previous);
        self.pairs[pair].gap = clock.gap;
        self.last_time = Some(time);
        let whole = time.wrapping_mul(1000);
        let time = match self.fine.get_mut(&stream) {
            None => whole,
            Some(fine) => {
                let beyond = micros.wrapping_sub(whole);
                whole.wrapping_add(fine.code(coder, shared, &FINE, &Outside::default(), beyond))
            }
        };
        Some(Event { stream: usize::from(stream), id, time })
    }

    fn code_stream<C: BitCoder>(
        &mut self,
        coder: &mut C,
        shared: &mut SharedResiduals,
        pair: usize,
        id: SchemaId,
        is_fine: bool,
    ) -> Option<u16> {
        let first = self.pairs[pair].next;
        let due = self.due();
        let is = |stream: u16, known: &[SchemaId]| known.get(usize::from(stream)) == Some(&id);
        let mut found = None;
        if first != NOBODY {
            let agreement = usize::from(due == first) + 2 * usize::from(due == NOBODY);
            let [by_agreement, by_all] = &mut self.hits;
            let inputs = [
                (&mut self.pairs[pair].hit, 20),
                (&mut by_agreement[agreement], 60),
                (&mut self.clocks[usize::from(first)].hits[agreement], 30),
                (&mut by_all[0], 60),
            ];
            if mix(coder, &mut self.weights, inputs, is(first, &self.known)) {
                found = Some(first);
            }
        }
        if found.is_none() && due != NOBODY && due != first {
            let hit = &mut self.clocks[usize::from(due)].due_hit;
            if hit.code(coder, is(due, &self.known), 20) {
                found = Some(due);
            }
        }
        let single = self.clocks.get(usize::from(self.previous[0])).map(|clock| clock.follower.next);
        if let (None, Some(second)) = (found, single)
            && second != NOBODY
            && second != first
            && second != due
        {
            let hit = &mut self.clocks[usize::from(self.previous[0])].follower.hit;
            if hit.code(coder, is(second, &self.known), 20) {
                found = Some(second);
            }
        }
        let stream = match found {
            Some(stream) => stream,
            None => self.code_other(coder, shared, id, is_fine)?,
        };
        self.pairs[pair].next = stream;
        if let Some(clock) = self.clocks.get_mut(usize::from(self.previous[0])) {
            clock.follower.next = stream;
        }
        self.previous = [stream, self.previous[0]];
        Some(stream)
    }

    /// The stream whose next record is due first, by the last two of each; one that has missed its turn is left out.
    fn due(&self) -> u16 {
        let now = self.last_time.unwrap_or_default();
        let mut first = (i64::MAX, NOBODY);
        for (index, &(next, period)) in self.dues.iter().enumerate() {
            if period > 0 && (next < first.0 || first.1 == NOBODY) && next.wrapping_add(period) > now {
                first = (next, index as u16);
            }
        }
        first.1
    }

    /// A stream that nothing foretold.
    fn code_other<C: BitCoder>(
        &mut self,
        coder: &mut C,
        shared: &mut SharedResiduals,
        id: SchemaId,
        is_fine: bool,
    ) -> Option<u16> {
        let wanted = if C::DECODES { None } else { self.known.iter().position(|known| *known == id) };
        let is_new = self.known.is_empty() || self.is_new.code(coder, wanted.is_none(), 20);
        if is_new {
            if self.known.len() >= MAX_KNOWN {
                return None;
            }
            let next = self.known.last().map_or(0, |id| id.0.wrapping_add(1));
            let id = if self.is_next.code(coder, id.0 == next, 20) {
                SchemaId(next)
            } else {
                let ahead = i64::from(id.0).wrapping_sub(next.into());
                let ahead = self.new_id.code(coder, shared, &ID, &Outside::default(), ahead);
                SchemaId(u32::try_from(i64::from(next).wrapping_add(ahead)).ok()?)
            };
            if self.known.contains(&id) {
                return None;
            }
            self.known.push(id);
            self.dues.push((0, 0));
            self.clocks.push(StreamClock {
                time: Number::new(&TIME),
                gap: 0,
                follower: Follower::NOBODY,
                hits: [Bit::new(45000); 3],
                due_hit: Bit::new(32768),
            });
            let index = self.known.len() as u16 - 1;
            if self.is_fine.code(coder, is_fine, 20) {
                self.fine.insert(index, Number::new(&FINE));
            }
            return Some(index);
        }
        let bits = usize::BITS - (self.known.len() - 1).leading_zeros();
        let index = coder.code_raw(bits, wanted.unwrap_or(0) as u64) as u16;
        (usize::from(index) < self.known.len()).then_some(index)
    }
}

/// The time from which the first record's is counted: 2^40 ms from 2010 on, or any.
fn code_origin<C: BitCoder>(coder: &mut C, time: i64) -> i64 {
    const FROM: i64 = 1_262_304_000_000;
    let since = time.wrapping_sub(FROM);
    if coder.code(64, !(0..1 << 40).contains(&since)) {
        coder.code_raw(64, time as u64) as i64
    } else {
        FROM.wrapping_add(coder.code_raw(40, since as u64) as i64)
    }
}
