//! Which of the vehicle's records are where: acknowledged, on their way, or waiting in the spool.

use std::collections::BTreeMap;
use std::time::Duration;

use super::queues::QueueFill;
use crate::codec::predictive::MAX_PARTS;
use crate::message::{GapReason, MAX_ACK_RANGES};
use crate::range::{RangeSet, SequenceRange};
use crate::time::Instant;

/// The most ranges that the waiting records are kept in, and those that were sent. Beyond it the two oldest are joined
/// over the hole between them, which at worst asks the spool for records that it has forgotten.
const MAX_RANGES: usize = 4096;
/// The most ranges that an honest ground acknowledges an epoch in: it takes no more.
const MAX_ACKNOWLEDGED_RANGES: usize = super::receive::MAX_RANGES;

/// Messages on their way before the session waits for acknowledgements, and those that the last object adds.
const MAX_IN_FLIGHT: usize = super::outgoing::MAX_IN_FLIGHT + MAX_PARTS;

/// What was sent and waits for an acknowledgement.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    end: u64,
    /// When it has left at the link's rate.
    sent: Instant,
    /// Why the records will not come, when it is a gap that was sent.
    gap: Option<GapReason>,
}

/// The books of a session. Every sequence number below `next` is in exactly one place: acknowledged, in flight,
/// pending, or held by the session's own queues.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The first record of this start: what was before is not counted.
    base: u64,
    /// One past the newest record.
    next: u64,
    acknowledged: RangeSet,
    pending: RangeSet,
    /// By first sequence number.
    in_flight: BTreeMap<u64, InFlight>,
    /// What was given to any connection of this start.
    sent: RangeSet,
    /// Whether the welcome of this connection told everything that the ground held before.
    welcomed: bool,
    /// What was taken for lost on the way and was not sent again. An acknowledgement may still come.
    recalled: RangeSet,
    /// What was told as lost and not acknowledged by then, or by the end of the connection.
    told_lost: RangeSet,
    lost_records: u64,
    acknowledged_records: u64,
}

/// The ground acknowledged what it cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FalseClaim {
    /// Records that were never made.
    Unmade {
        /// What it claims to hold.
        claimed: u64,
        /// One past what there is.
        next: u64,
    },
    /// Records that it did not hold at its welcome, and that were not sent.
    Unsent(SequenceRange),
    /// More ranges than it can have received.
    Scattered,
}

impl Ledger {
    /// Everything below `next` waits in the spool until the ground says otherwise.
    pub(super) fn new(next: u64) -> Self {
        Ledger {
            base: next,
            next,
            acknowledged: RangeSet::new(),
            pending: [SequenceRange::new(0, next)].into_iter().collect(),
            in_flight: BTreeMap::new(),
            sent: RangeSet::new(),
            welcomed: false,
            recalled: RangeSet::new(),
            told_lost: RangeSet::new(),
            lost_records: 0,
            acknowledged_records: 0,
        }
    }

    /// New records exist, in one of the session's queues.
    pub(super) fn add(&mut self, range: SequenceRange) {
        self.next = self.next.max(range.end);
    }

    /// Records left the session's queues unsent: the spool has them.
    pub(super) fn put_back(&mut self, range: SequenceRange) {
        for missing in self.acknowledged.missing_in(range) {
            self.pending.insert(missing);
        }
        bound(&mut self.pending);
    }

    /// Records moved from the spool to the session's queues.
    pub(super) fn take(&mut self, range: SequenceRange) {
        self.pending.remove(range);
    }

    /// A frame (or a gap, with its reason) is given to the link, which is done with it at `sent`.
    pub(super) fn sent(&mut self, sent: Instant, range: SequenceRange, gap: Option<GapReason>) {
        self.sent.insert(range);
        bound(&mut self.sent);
        self.recalled.remove(range);
        self.in_flight.insert(range.start, InFlight { end: range.end, sent, gap });
    }

    /// What was given to the link is sent again, or still: the link is done with it at `sent`.
    pub(super) fn postpone(&mut self, range: SequenceRange, sent: Instant) {
        if let Some(flight) = self.in_flight.get_mut(&range.start) {
            flight.sent = sent;
        }
    }

    /// The waiting records with the highest sequence numbers.
    pub(super) fn newest_pending(&self) -> Option<SequenceRange> {
        self.pending.last()
    }

    /// Whether the ground has all of these.
    pub(super) fn is_acknowledged(&self, range: SequenceRange) -> bool {
        self.acknowledged.covers(range)
    }

    /// When the oldest unacknowledged message left.
    pub(super) fn oldest_in_flight(&self) -> Option<Instant> {
        self.in_flight.values().map(|flight| flight.sent).min()
    }

    /// How many messages are unacknowledged.
    pub(super) fn in_flight_count(&self) -> usize {
        self.in_flight.len()
    }

    /// The ground says what it holds at the start of a session: what it does not hold is pending again, whatever an
    /// earlier history of it had acknowledged. `held` are the ranges in the session's own queues.
    pub(super) fn restart(
        &mut self,
        committed: impl Iterator<Item = SequenceRange>,
        held: impl Iterator<Item = SequenceRange>,
    ) -> Result<Vec<SequenceRange>, FalseClaim> {
        let committed: RangeSet = committed.collect();
        self.check_made(&committed)?;
        self.welcomed = committed.range_count() < MAX_ACK_RANGES;
        let mut counted = std::mem::take(&mut self.acknowledged);
        self.pending = [SequenceRange::new(0, self.next)].into_iter().collect();
        for (&start, flight) in &self.in_flight {
            let range = SequenceRange::new(start, flight.end);
            self.pending.remove(range);
            counted.insert(range);
        }
        for range in held {
            self.pending.remove(range);
        }
        let news = self.settle(&committed)?;
        self.count_welcomed(&news, &counted);
        Ok(news)
    }

    /// The ground committed these. Returns those that are news.
    pub(super) fn acknowledge(
        &mut self,
        ranges: impl Iterator<Item = SequenceRange>,
    ) -> Result<Vec<SequenceRange>, FalseClaim> {
        let committed: RangeSet = ranges.collect();
        self.check_made(&committed)?;
        let claimed = committed.iter().flat_map(|range| self.acknowledged.missing_in(range));
        if let Some(unsent) = claimed.flat_map(|range| self.sent.missing_in(range)).next()
            && self.welcomed
        {
            return Err(FalseClaim::Unsent(unsent));
        }
        self.settle(&committed)
    }

    /// These are done with. Returns those that are news.
    fn settle(&mut self, committed: &RangeSet) -> Result<Vec<SequenceRange>, FalseClaim> {
        let mut news = Vec::new();
        for range in committed.iter() {
            for new in self.acknowledged.missing_in(range) {
                self.acknowledged.insert(new);
                self.pending.remove(new);
                news.push(new);
            }
        }
        if self.acknowledged.range_count() > MAX_ACKNOWLEDGED_RANGES {
            return Err(FalseClaim::Scattered);
        }
        for range in &news {
            self.count_recalled(*range);
            let first =
                self.in_flight.range(..=range.start).next_back().map_or(range.start, |(&start, _)| start);
            let done: Vec<u64> = self
                .in_flight
                .range(first..range.end)
                .filter(|(start, flight)| self.acknowledged.covers(SequenceRange::new(**start, flight.end)))
                .map(|(&start, _)| start)
                .collect();
            for start in done {
                if let Some(flight) = self.in_flight.remove(&start) {
                    let records = flight.end - start;
                    match flight.gap {
                        None => self.acknowledged_records += records,
                        Some(reason) if reason.is_loss() => self.lost_records += records,
                        Some(_) => {}
                    }
                }
            }
        }
        Ok(news)
    }

    /// Nothing that is in flight will arrive any more: it is pending again.
    pub(super) fn recall(&mut self) {
        self.welcomed = false;
        self.recalled = RangeSet::new();
        for (start, flight) in std::mem::take(&mut self.in_flight) {
            let range = SequenceRange::new(start, flight.end);
            if flight.gap.is_some_and(GapReason::is_loss) {
                self.told_lost.insert(range);
            }
            self.put_back(range);
        }
    }

    /// Whether this, as it was sent, waits for its acknowledgement.
    pub(super) fn is_in_flight(&self, range: SequenceRange) -> bool {
        self.in_flight.get(&range.start).is_some_and(|flight| flight.end == range.end)
    }

    /// A frame was lost: its records are pending again.
    pub(super) fn give_back(&mut self, range: SequenceRange) {
        if self.is_in_flight(range) {
            self.recall_one(range.start);
        }
    }

    /// What was sent `after` or longer ago and is still unacknowledged is pending again.
    pub(super) fn recall_overdue(&mut self, now: Instant, after: Duration) {
        let overdue = |flight: &InFlight| flight.sent + after <= now;
        let overdue: Vec<u64> =
            self.in_flight.iter().filter(|(_, flight)| overdue(flight)).map(|(&start, _)| start).collect();
        overdue.into_iter().for_each(|start| self.recall_one(start));
    }

    /// The message from this record on is taken for lost.
    fn recall_one(&mut self, start: u64) {
        let Some(flight) = self.in_flight.remove(&start) else { return };
        let range = SequenceRange::new(start, flight.end);
        self.recalled.insert(range);
        if self.recalled.range_count() > MAX_RANGES {
            let oldest = self.recalled.iter().next();
            oldest.into_iter().for_each(|oldest| self.recalled.remove(oldest));
        }
        if flight.gap.is_some_and(GapReason::is_loss) {
            self.told_lost.insert(range);
        }
        self.put_back(range);
    }

    /// When the first message is overdue that waits this long for its acknowledgement.
    pub(super) fn first_overdue(&self, after: Duration) -> Option<Instant> {
        self.oldest_in_flight().map(|sent| sent + after)
    }

    /// Whether everything there is was acknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.acknowledged.covers(SequenceRange::new(0, self.next))
    }

    pub(super) fn in_flight_records(&self) -> u64 {
        let frames = self.in_flight.iter().filter(|(_, flight)| flight.gap.is_none());
        frames.map(|(start, flight)| flight.end - start).sum()
    }

    pub(super) fn lost_records(&self) -> u64 {
        self.lost_records
    }

    pub(super) fn acknowledged_records(&self) -> u64 {
        self.acknowledged_records
    }

    pub(super) fn queues(&self) -> Vec<QueueFill> {
        vec![
            QueueFill::new("ranges that wait in the spool", self.pending.range_count(), MAX_RANGES),
            QueueFill::new("unacknowledged messages", self.in_flight.len(), MAX_IN_FLIGHT),
            QueueFill::new(
                "ranges of acknowledged records",
                self.acknowledged.range_count(),
                MAX_ACKNOWLEDGED_RANGES + MAX_ACK_RANGES + 1,
            ),
        ]
    }

    /// Counts what of these had been taken for lost.
    fn count_recalled(&mut self, range: SequenceRange) {
        let mut arrived: RangeSet = [range].into_iter().collect();
        self.recalled.missing_in(range).into_iter().for_each(|other| arrived.remove(other));
        arrived.iter().for_each(|range| self.count(range));
        self.recalled.remove(range);
    }

    /// Counts records that arrived, or were told as lost.
    fn count(&mut self, range: SequenceRange) {
        let kept: u64 = self.told_lost.missing_in(range).iter().map(|range| range.len()).sum();
        self.acknowledged_records += kept;
        self.lost_records += range.len() - kept;
    }

    /// Counts what arrived on an earlier connection, whose acknowledgement did not. `counted` are those that were counted
    /// before, or are as messages that were on their way.
    fn count_welcomed(&mut self, news: &[SequenceRange], counted: &RangeSet) {
        let counted_from = self.base;
        let ours = news.iter().filter(|range| range.end > counted_from);
        let ours = ours.map(|range| SequenceRange::new(range.start.max(counted_from), range.end));
        for range in ours.flat_map(|range| counted.missing_in(range)) {
            self.count(range);
        }
        self.told_lost = RangeSet::new();
    }

    fn check_made(&self, committed: &RangeSet) -> Result<(), FalseClaim> {
        match committed.last() {
            Some(range) if range.end > self.next => {
                Err(FalseClaim::Unmade { claimed: range.end, next: self.next })
            }
            _ => Ok(()),
        }
    }
}

/// Joins the oldest ranges of a set that has too many.
fn bound(set: &mut RangeSet) {
    while set.range_count() > MAX_RANGES {
        let mut oldest = set.iter();
        let (Some(first), Some(second)) = (oldest.next(), oldest.next()) else { return };
        drop(oldest);
        set.insert(SequenceRange::new(first.start, second.end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> SequenceRange {
        SequenceRange::new(start, end)
    }

    /// With these sent one by one on a connection whose ground holds nothing, at time 0.
    fn ledger(records: u64) -> Ledger {
        let mut ledger = Ledger::new(0);
        ledger.restart(std::iter::empty(), std::iter::empty()).unwrap();
        for start in 0..records {
            ledger.add(range(start, start + 1));
            ledger.sent(Instant::default(), range(start, start + 1), None);
        }
        ledger
    }

    fn overdue(ledger: &mut Ledger) {
        ledger.recall_overdue(Instant(Duration::from_secs(9)), Duration::from_secs(1));
    }

    #[test]
    fn what_arrived_although_it_was_taken_for_lost_counts_once() {
        let mut ledger = ledger(4);
        ledger.give_back(range(1, 2));
        ledger.sent(Instant::default(), range(3, 4), Some(GapReason::NotStored));
        overdue(&mut ledger);
        assert_eq!(
            (ledger.in_flight_count(), ledger.pending.iter().collect::<Vec<_>>()),
            (0, vec![range(0, 4)])
        );
        // Some of it is on its way again.
        ledger.sent(Instant::default(), range(2, 3), None);
        assert_eq!(ledger.acknowledge([range(0, 4)].into_iter()).unwrap(), [range(0, 4)]);
        assert_eq!((ledger.acknowledged_records(), ledger.lost_records()), (3, 1));
        assert!(ledger.is_settled() && ledger.recalled.is_empty());
    }

    #[test]
    fn a_ground_that_acknowledges_every_other_record_is_left() {
        let most = MAX_ACKNOWLEDGED_RANGES as u64;
        let mut ledger = ledger(2 * most + 2);
        let every_other = |count: u64| (0..count).map(|n| range(2 * n, 2 * n + 1));
        assert_eq!(ledger.acknowledge(every_other(most)).unwrap().len(), MAX_ACKNOWLEDGED_RANGES);
        assert_eq!(ledger.acknowledge(every_other(most + 1)), Err(FalseClaim::Scattered));
    }
}
