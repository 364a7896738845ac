//! The backlog on its way out: what the vehicle reads of its spool, and what of it leaves behind what is live.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::budget::Thinning;
use super::packets::Content;
use super::parity::{PARITY_REACH, covered, parity_of};
use super::queues::QueueFill;
use super::send::{Datagrams, EdgeEvent, EdgeSession, Frame, Phase};
use crate::codec::{self, SchemaTable};
use crate::message::{
    BacklogPacket, FrameMessage, GapReason, Lane, MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, Object, ObjectPart,
    ParityPacket, ToGround,
};
use crate::range::SequenceRange;
use crate::time::{Instant, Now};

/// Backlog fetched from the spool at once: about this much time of the link...
const FETCH_TIME: Duration = Duration::from_secs(2);
/// ... within these bounds, bytes.
const FETCH_BYTES: RangeInclusive<usize> = 16 * 1024..=1024 * 1024;
/// What is kept of it, bytes: newer records are fetched before older ones have left.
pub(super) const FETCHED_BYTES: usize = 2 * *FETCH_BYTES.end();
/// The longest that a piece of backlog may keep the link busy, ahead of what is live: on a stream...
const FRAME_TIME: Duration = Duration::from_millis(75);
/// ... within these bounds, bytes.
const FRAME_BYTES: RangeInclusive<usize> = 256..=MAX_FRAME_BYTES;
/// ... and on datagrams.
const FRAGMENT_TIME: Duration = Duration::from_millis(75);
/// The smallest piece worth its headers, bytes.
const MIN_FRAGMENT_BYTES: usize = 200;
/// What an object of the backlog may take of the link.
const OBJECT_TIME: Duration = Duration::from_secs(2);
/// ... within these bounds, bytes.
const OBJECT_BYTES: RangeInclusive<usize> = 1024..=32 * 1024;
/// Objects on their way, as time of the link...
const OBJECTS_TIME: Duration = Duration::from_secs(6);
/// ... within these bounds, bytes.
const OBJECTS_BYTES: RangeInclusive<usize> = 8 * 1024..=4 * 1024 * 1024;
/// An object of the backlog waits this long for what the spool still reads.
const SPOOL_PATIENCE: Duration = Duration::from_millis(100);
/// By how much a parity is longer than a part: which packets it covers, and the part's own header.
const PARITY_ADDS_BYTES: usize = 16;
/// How many parts are worth a parity.
const PARITY_PARTS: usize = 4;

impl EdgeSession {
    /// The spool's answer to [`EdgeEvent::FetchBacklog`]: the frames found, newest first, the range that the search
    /// covered (a suffix of what was asked) and the parts of it that the spool does not hold.
    pub fn handle_backlog(
        &mut self,
        covered: SequenceRange,
        frames: Vec<Frame>,
        absent: Vec<(SequenceRange, GapReason)>,
    ) {
        self.fetching = false;
        if self.phase != Phase::Open {
            return;
        }
        self.ledger.take(covered);
        // One that the disk damaged would have the ground refuse this session and every later one.
        let (sound, damaged): (Vec<Frame>, Vec<Frame>) =
            frames.into_iter().partition(|frame| is_sound(frame, self.declarations.schemas()));
        let lost = damaged.into_iter().map(|frame| (frame.range, GapReason::NotStored));
        let gaps = lost.chain(absent).filter(|(range, _)| !self.ledger.is_acknowledged(*range));
        self.control.gaps.extend(gaps);
        let ledger = &self.ledger;
        self.backlog.extend(sound.into_iter().filter(|frame| !ledger.is_acknowledged(frame.range)));
        while let Some(oldest) = self.backlog.overflow(FETCHED_BYTES) {
            self.ledger.put_back(oldest);
        }
    }

    /// Has the spool read what should leave next, if it does not already.
    pub(super) fn want_backlog(&mut self, now: Instant) {
        if self.fetching {
            return;
        }
        let Some(range) = self.wanted_backlog(now) else {
            self.fetching_since = None;
            return;
        };
        self.fetching = true;
        self.fetching_since.get_or_insert(now);
        let max_bytes = self.bytes_in(FETCH_TIME).clamp(*FETCH_BYTES.start(), *FETCH_BYTES.end());
        self.events.push_back(EdgeEvent::FetchBacklog { range, max_bytes });
    }

    /// What the spool should read next.
    fn wanted_backlog(&self, now: Instant) -> Option<SequenceRange> {
        let idle = self.control.gaps.is_empty() && !self.closing;
        let may_leave = idle && self.budget.thinning() == Thinning::None;
        // In the dark nothing of it leaves, and what lies between its frames and was sent comes back later: read then, all
        // of it is in order.
        if self.phase != Phase::Open || !may_leave || self.is_dark(now) {
            return None;
        }
        let range = self.ledger.newest_pending()?;
        // What the live lane had no room for goes before what is older.
        let is_newest = self.backlog.newest_fetched().is_none_or(|fetched| fetched.end <= range.start);
        // A few records between others that are on their way fill no object. Reading far ahead is for nothing when the link
        // narrows.
        let is_next = self.backlog.oldest_fetched().is_some_and(|fetched| range.end <= fetched.start)
            && self.backlog.fetched_bytes() < self.object_bytes() / 4;
        (is_newest || is_next).then_some(range)
    }

    /// Whether backlog may leave now.
    pub(super) fn may_backlog(&self, now: Instant) -> bool {
        self.has_backlog(now) && self.line.idle_at() <= now
    }

    /// Whether backlog may leave as soon as the link is idle.
    pub(super) fn has_backlog(&self, now: Instant) -> bool {
        let may_spend = self.budget.thinning() == Thinning::None;
        let waits = self.may_begin_object(now) || self.backlog.has_fragment() || self.owes_parity();
        self.phase == Phase::Open && may_spend && !self.is_dark(now) && waits
    }

    /// Whether more backlog may be on its way than is already. What the spool still reads belongs to the same object: what
    /// is left out waits behind live records.
    fn may_begin_object(&self, now: Instant) -> bool {
        self.awaits_spool_until().is_none_or(|until| until <= now)
            && !self.backlog.is_empty()
            && self.has_room()
            && self.backlog.object_bytes() < self.objects_bytes()
    }

    /// Until when an object does not begin without what the spool reads.
    pub(super) fn awaits_spool_until(&self) -> Option<Instant> {
        let since = self.fetching_since.filter(|_| self.fetching && self.datagrams.is_some());
        since.map(|since| since + SPOOL_PATIENCE)
    }

    /// Whether a drain has come to its end: the link would idle while the ground asks for a part that was lost there.
    fn owes_parity(&self) -> bool {
        let is_drained = self.backlog.is_empty() && !self.backlog.has_fragment() && !self.fetching;
        is_drained
            && self.ledger.newest_pending().is_none()
            && self.unprotected().nth(PARITY_PARTS - 1).is_some()
    }

    /// Parts that are on their way, which no parity covers.
    fn unprotected(&self) -> impl Iterator<Item = (u32, ObjectPart)> + '_ {
        self.datagrams.iter().flat_map(|Datagrams { packets, parity_from, .. }| {
            let from = packets.next_number().saturating_sub(PARITY_REACH).max(*parity_from);
            let fragments = packets.open_fragments(from);
            fragments.filter_map(|(number, fragment)| Some((number, self.backlog.part(fragment)?)))
        })
    }

    /// What an object of the backlog may have, about.
    pub(super) fn object_bytes(&self) -> usize {
        self.bytes_in(OBJECT_TIME).clamp(*OBJECT_BYTES.start(), *OBJECT_BYTES.end())
    }

    /// What may be on its way at once.
    fn objects_bytes(&self) -> usize {
        self.bytes_in(OBJECTS_TIME).clamp(*OBJECTS_BYTES.start(), *OBJECTS_BYTES.end())
    }

    pub(super) fn object_queue(&self) -> QueueFill {
        // Whatever the rate was; the last object may go beyond it.
        let most = OBJECTS_BYTES.end() + MAX_MESSAGE_BYTES;
        QueueFill::new("bytes of backlog on their way", self.backlog.object_bytes(), most)
    }

    /// The newest records of the backlog, as a message.
    pub(super) fn backlog_frame(&mut self, now: Now) -> Option<ToGround> {
        let suited_bytes = self.bytes_in(FRAME_TIME).clamp(*FRAME_BYTES.start(), *FRAME_BYTES.end());
        let max_bytes = self.affordable_bytes();
        let object = self.merge_backlog(now, suited_bytes.min(max_bytes), max_bytes)?.1;
        Some(ToGround::Frame(FrameMessage { lane: Lane::Backlog, object }))
    }

    /// A part of the newest object of the backlog, as a packet.
    pub(super) fn backlog_packet(&mut self, now: Now) -> Option<ToGround> {
        if self.backlog.is_object_due() && self.may_begin_object(now.instant) {
            let (ranges, object) = self.merge_backlog(now, self.object_bytes(), MAX_FRAME_BYTES)?;
            let room = self.datagrams.as_ref()?.room();
            let suited = self.bytes_in(FRAGMENT_TIME).saturating_sub(self.overhead_bytes());
            let piece = suited.clamp(MIN_FRAGMENT_BYTES.min(room), room);
            self.backlog.begin(ranges, object.encode(), piece.saturating_sub(PARITY_ADDS_BYTES));
        }
        let fragment = self.backlog.next_fragment()?;
        let part = self.backlog.part(fragment)?;
        // The object's time begins anew with each of its parts: its last one decides when it is overdue.
        let (unsent_bytes, ranges) = self.backlog.remaining(fragment.object);
        let leaves = self.leaves(now, part.bytes.len() + unsent_bytes);
        for range in ranges {
            self.ledger.postpone(*range, leaves);
        }
        let header = self.packet_leaves(now, Content::Fragment(fragment), 0, 0)?;
        Some(ToGround::Backlog(BacklogPacket { header, part }))
    }

    /// The newest records of the backlog, booked as sent: about so many bytes, and at most so many.
    fn merge_backlog(
        &mut self,
        now: Now,
        suited_bytes: usize,
        max_bytes: usize,
    ) -> Option<(Vec<SequenceRange>, Object)> {
        let merged = self.backlog.merge(now.wall, self.declarations.schemas(), suited_bytes, max_bytes)?;
        let leaves = self.leaves(now, merged.frame.len());
        for range in &merged.ranges {
            self.ledger.sent(leaves, *range, None);
            // Their acknowledgement will not say that the ground decoded the live frame they were in.
            if let Some(datagrams) = &mut self.datagrams {
                datagrams.bases.retain(|_, base| base.intersect(range).is_empty());
            }
        }
        let offset = self.offset(*merged.ranges.first()?);
        let skips = merged.skips();
        Some((merged.ranges, Object { offset, skips, frame: merged.frame }))
    }

    /// The parity of the parts with which the drain ended, as a packet.
    pub(super) fn parity_packet(&mut self, now: Now) -> Option<ToGround> {
        if !self.owes_parity() {
            return None;
        }
        let (packets, parts): (Vec<u32>, Vec<ObjectPart>) = self.unprotected().unzip();
        let header = self.packet_leaves(now, Content::Parity, 0, 0)?;
        self.datagrams.as_mut()?.parity_from = header.number.wrapping_add(1);
        let covered = covered(header.number, packets.into_iter());
        Some(ToGround::Parity(ParityPacket { header, covered, bytes: parity_of(parts.iter()) }))
    }
}

/// Whether the ground can read the frame, and reads as many records as its range names.
fn is_sound(frame: &Frame, schemas: &SchemaTable) -> bool {
    codec::decode(&frame.bytes, schemas).is_ok_and(|records| records.len() as u64 == frame.range.len())
}
