//! What the ground tells a vehicle of what came: when, and what of it.

use std::time::Duration;

use super::receive::{Datagrams, GroundSession, Phase};
use super::transmit::Channel;
use crate::message::{Acknowledgement, Feedback, Lack, MAX_ACK_RANGES, ToVehicle};
use crate::range::{RangeSet, SequenceRange};
use crate::time::Instant;

/// The longest that committed records wait for their acknowledgement: the return channel is paid for too.
const ACK_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two feedbacks when something is missing: the round trip, within these bounds. Before an answer can come
/// there is no use in asking again.
const HURRIED_INTERVAL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(400));
/// The same when delay or rate grow, for a vehicle that finds out the link's rate, and after a [`LONG_SILENCE`].
const SOON_INTERVAL: Duration = Duration::from_millis(250);
/// So many packets later the symbols that recover a single lost payload have most likely come.
const SYMBOL_PACKETS: u32 = 4;
/// After so long without a packet the first one is answered at once: the vehicle waits for it to send its backlog.
pub(super) const LONG_SILENCE: Duration = Duration::from_millis(1500);
/// ... and once more soon, as that answer may be lost.
const ANSWERS_TO_SILENCE: u8 = 2;
/// How often a committed range is told: feedbacks may be lost.
pub(super) const TOLD_TIMES: usize = 3;

impl Datagrams {
    /// What something that came cannot be decoded without, what is live first.
    fn lack(&self) -> Lack {
        let undeclared = self.undeclared.front().map(|(id, _)| Lack::Schema(*id));
        match (self.chain.lack(), undeclared) {
            (Lack::Nothing, Some(schema)) => schema,
            // Perhaps nothing live comes any more: each in its turn.
            (Lack::KeyFrame, Some(schema)) if self.told_lack == Lack::KeyFrame => schema,
            (lack, _) => lack,
        }
    }
}

impl GroundSession {
    /// These are committed, or came again: they are acknowledged soon.
    pub(super) fn owe_acknowledgement(&mut self, now: Instant, range: SequenceRange) {
        self.unacknowledged.push(range);
        let gathered = self.datagrams.as_ref().map(|datagrams| datagrams.arrivals.gathering_time());
        self.acknowledge_at.get_or_insert(now + gathered.unwrap_or(ACK_INTERVAL));
        if self.unacknowledged.len() >= MAX_ACK_RANGES * 4 {
            self.tell(now);
        }
    }

    /// Tells what is owed, in the way of the carrier.
    pub(super) fn tell(&mut self, now: Instant) {
        if self.datagrams.is_some() { self.feed_back(now) } else { self.acknowledge() }
    }

    /// A packet arrived: it is told of within a second, at once when the vehicle waits for a sign, and soon when a live
    /// payload is missing.
    pub(super) fn owe_feedback(&mut self, now: Instant, at_once: bool) {
        let Some(datagrams) = &mut self.datagrams else { return };
        let chain = &datagrams.chain;
        let wanted = chain.wanted();
        let lack = datagrams.lack();
        let hurried = chain.is_waiting() || lack != Lack::Nothing || wanted.is_some();
        datagrams.hurried_since = datagrams.hurried_since.or(Some(now)).filter(|_| hurried);
        let hurry = datagrams.round_trip.map_or(HURRIED_INTERVAL.1, |round_trip| {
            round_trip.clamp(HURRIED_INTERVAL.0, HURRIED_INTERVAL.1)
        });
        // One payload is likely to be back soon.
        let is_single =
            !matches!(chain.lack(), Lack::Schema(_)) && wanted.is_some_and(|wanted| chain.is_single(wanted));
        let patience = datagrams.arrivals.interval() * if is_single { SYMBOL_PACKETS } else { 0 };
        datagrams.hurried_at = datagrams
            .last_feedback
            .zip(datagrams.hurried_since)
            .map(|(last, since)| (last + hurry).max(since + patience));
        if at_once {
            datagrams.answers = ANSWERS_TO_SILENCE;
        }
        let grows = datagrams.finds_rate && datagrams.arrivals.grows(now);
        let due = match datagrams.last_feedback {
            _ if at_once => now,
            Some(last) if grows || datagrams.answers > 0 => last + SOON_INTERVAL,
            Some(last) => last + datagrams.arrivals.gathering_time(),
            None => now,
        };
        self.acknowledge_at = Some(self.acknowledge_at.map_or(due, |at| at.min(due)));
    }

    /// Tells which packets arrived and what was committed.
    pub(super) fn feed_back(&mut self, now: Instant) {
        self.acknowledge_at = None;
        let floor = self.floor();
        let Some(datagrams) = &mut self.datagrams else { return };
        datagrams.hurried_at = None;
        // Gaps come on the stream, before any packet perhaps.
        let Some(report) = datagrams.arrivals.report(now) else { return self.acknowledge() };
        if self.phase != Phase::Open {
            return;
        }
        datagrams.told.push_back(std::mem::take(&mut self.unacknowledged));
        while datagrams.told.len() > TOLD_TIMES {
            datagrams.told.pop_front();
        }
        datagrams.last_feedback = Some(now);
        datagrams.answers = datagrams.answers.saturating_sub(1);
        // The newest first: what does not fit is told again, or asked for.
        let told: RangeSet = datagrams
            .told
            .iter()
            .flatten()
            .flat_map(|range| self.committed.overlapping(*range).collect::<Vec<_>>())
            .filter(|range| range.start > floor)
            .collect();
        let lack = datagrams.lack();
        datagrams.told_lack = lack;
        let skipped = told.range_count().saturating_sub(MAX_ACK_RANGES);
        let feedback = Feedback {
            committed: Acknowledgement::new(floor, told.iter().skip(skipped)),
            largest: report.largest,
            missing: report.missing,
            arrived_millis: report.arrived_millis,
            held_millis: report.held_millis,
            loss: report.loss,
            lack,
            wanted: datagrams.chain.wanted(),
        };
        self.transmit(Channel::Datagram, ToVehicle::Feedback(feedback));
    }

    /// Acknowledges what is owed: each range in full length, as the history holds it.
    pub(super) fn acknowledge(&mut self) {
        self.acknowledge_at = None;
        if self.unacknowledged.is_empty() || matches!(self.phase, Phase::Silent | Phase::Asked | Phase::Ended)
        {
            return;
        }
        let owed: RangeSet = self
            .unacknowledged
            .drain(..)
            .flat_map(|range| self.committed.overlapping(range).collect::<Vec<_>>())
            .filter(|range| range.start > 0)
            .collect();
        let mut owed = owed.iter().peekable();
        loop {
            let some = owed.by_ref().take(MAX_ACK_RANGES);
            let acknowledgement = Acknowledgement::new(self.floor(), some);
            self.transmit(Channel::Stream, ToVehicle::Acknowledge(acknowledgement));
            if owed.peek().is_none() {
                break;
            }
        }
    }

    /// One past the range that begins with sequence number 0, which is all below it.
    pub(super) fn floor(&self) -> u64 {
        self.committed.iter().next().filter(|range| range.start == 0).map_or(0, |range| range.end)
    }
}
