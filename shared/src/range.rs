//! Sequence numbers and sets of them.
//!
//! A record's sequence number is given when its batch closes, in the order in which the batch's frame holds it, so a
//! frame is a range and everything that the two ends tell each other about records is a set of ranges.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The records `start..end` of an epoch; `end` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SequenceRange {
    /// The first sequence number.
    pub start: u64,
    /// One past the last.
    pub end: u64,
}

impl SequenceRange {
    /// The range `start..end`; empty when `end <= start`.
    pub fn new(start: u64, end: u64) -> Self {
        SequenceRange { start, end }
    }

    /// How many records it names.
    pub fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// The part that both ranges name (empty when they do not touch).
    pub fn intersect(&self, other: &SequenceRange) -> SequenceRange {
        SequenceRange::new(self.start.max(other.start), self.end.min(other.end))
    }
}

impl fmt::Display for SequenceRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// A set of sequence numbers as disjoint, non-adjacent ranges in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// start -> end
    ranges: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// The empty set.
    pub fn new() -> Self {
        RangeSet::default()
    }

    /// Adds a range, merging it with those it overlaps or touches.
    pub fn insert(&mut self, range: SequenceRange) {
        if range.is_empty() {
            return;
        }
        let SequenceRange { mut start, mut end } = range;
        if let Some((&s, &e)) = self.ranges.range(..=start).next_back()
            && e >= start
        {
            start = s;
            end = end.max(e);
        }
        while let Some((&s, &e)) = self.ranges.range(start..=end).next() {
            end = end.max(e);
            self.ranges.remove(&s);
        }
        self.ranges.insert(start, end);
    }

    /// Takes a range out, splitting what it cuts.
    pub fn remove(&mut self, range: SequenceRange) {
        if range.is_empty() {
            return;
        }
        if let Some((&s, &e)) = self.ranges.range(..range.start).next_back()
            && e > range.start
        {
            self.ranges.insert(s, range.start);
            if e > range.end {
                self.ranges.insert(range.end, e);
                return;
            }
        }
        while let Some((&s, &e)) = self.ranges.range(range.start..range.end).next() {
            self.ranges.remove(&s);
            if e > range.end {
                self.ranges.insert(range.end, e);
            }
        }
    }

    /// Whether the set names this record.
    pub fn contains(&self, sequence: u64) -> bool {
        self.ranges.range(..=sequence).next_back().is_some_and(|(_, &end)| end > sequence)
    }

    /// Whether the set names every record of the range.
    pub fn covers(&self, range: SequenceRange) -> bool {
        range.is_empty()
            || self.ranges.range(..=range.start).next_back().is_some_and(|(_, &end)| end >= range.end)
    }

    /// The parts of `range` that the set does not name, ascending.
    pub fn missing_in(&self, range: SequenceRange) -> Vec<SequenceRange> {
        let mut missing = Vec::new();
        let mut at = range.start;
        for known in self.overlapping(range) {
            if known.start > at {
                missing.push(SequenceRange::new(at, known.start));
            }
            at = at.max(known.end);
        }
        if at < range.end {
            missing.push(SequenceRange::new(at, range.end));
        }
        missing
    }

    /// The set's ranges that share a record with `range`, ascending, whole (not cut to `range`).
    pub fn overlapping(&self, range: SequenceRange) -> impl Iterator<Item = SequenceRange> + '_ {
        let first = self
            .ranges
            .range(..=range.start)
            .next_back()
            .filter(|&(_, &end)| end > range.start)
            .map_or(range.start, |(&start, _)| start);
        self.ranges.range(first..range.end.max(first)).map(|(&start, &end)| SequenceRange::new(start, end))
    }

    /// All ranges, ascending; reversible, for newest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = SequenceRange> + '_ {
        self.ranges.iter().map(|(&start, &end)| SequenceRange::new(start, end))
    }

    /// The range with the highest sequence numbers.
    pub fn last(&self) -> Option<SequenceRange> {
        self.iter().next_back()
    }

    /// How many disjoint ranges the set is made of: what it costs in memory.
    pub fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// How many records the set names.
    pub fn len(&self) -> u64 {
        self.iter().map(|range| range.len()).fold(0, u64::saturating_add)
    }

    /// Whether the set names no record.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl FromIterator<SequenceRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = SequenceRange>>(ranges: I) -> Self {
        let mut set = RangeSet::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn range() -> impl Strategy<Value = SequenceRange> {
        (0u64..60, 0u64..12).prop_map(|(start, len)| SequenceRange::new(start, start + len))
    }

    proptest! {
        #[test]
        fn behaves_as_a_set_of_numbers(steps in prop::collection::vec((any::<bool>(), range()), 0..40), probe in range()) {
            let mut set = RangeSet::new();
            let mut model = BTreeSet::new();
            for (insert, range) in steps {
                if insert {
                    set.insert(range);
                    model.extend(range.start..range.end);
                } else {
                    set.remove(range);
                    model.retain(|n| !(range.start..range.end).contains(n));
                }
                prop_assert_eq!(set.len(), model.len() as u64);
                prop_assert!(set.iter().zip(set.iter().skip(1)).all(|(a, b)| a.end < b.start));
            }
            for n in 0..80 {
                prop_assert_eq!(set.contains(n), model.contains(&n));
            }
            let inside: Vec<u64> = (probe.start..probe.end).collect();
            prop_assert_eq!(set.covers(probe), inside.iter().all(|n| model.contains(n)));
            let missing: Vec<u64> = set.missing_in(probe).iter().flat_map(|r| r.start..r.end).collect();
            let expected: Vec<u64> = inside.into_iter().filter(|n| !model.contains(n)).collect();
            prop_assert_eq!(missing, expected);
            let touching: Vec<u64> = set
                .overlapping(probe)
                .flat_map(|r| r.start..r.end)
                .filter(|n| (probe.start..probe.end).contains(n))
                .collect();
            let expected: Vec<u64> = (probe.start..probe.end).filter(|n| model.contains(n)).collect();
            prop_assert_eq!(touching, expected);
        }
    }
}
