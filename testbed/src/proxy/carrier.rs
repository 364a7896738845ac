//! Carries TCP segments and datagrams over a link that loses packets, free of I/O.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tern_shared::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

use super::{DATAGRAM_HEADER_BYTES, HEADER_BYTES, SEGMENT_BYTES_MAX};
use crate::link::{Fate, Link, LinkCounters, LinkProfile, OutageSchedule, Packet};

/// How much later than a round trip a sender notices a loss: the acknowledgements of the next few segments.
const LOSS_DETECTION: Duration = Duration::from_millis(10);

/// One segment of one connection, or one datagram of one flow.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// The connection's number, or the flow's.
    pub(super) connection: u64,
    /// Counts from 0 in each connection and direction; 0 of a datagram.
    pub(super) number: u64,
    pub(super) content: Content,
}

/// What a segment says.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// The first segment towards the ground: connect.
    Open,
    /// Bytes, and the part of the connection's window that they fill until they are written or dropped.
    Data(Vec<u8>, Arc<OwnedSemaphorePermit>),
    /// The last segment of this direction.
    Close,
    /// A datagram, which is lost when it is lost.
    Datagram(Vec<u8>),
}

impl Packet for Segment {
    fn wire_bytes(&self) -> usize {
        match &self.content {
            Content::Open | Content::Close => HEADER_BYTES,
            Content::Data(bytes, _) => HEADER_BYTES + bytes.len(),
            Content::Datagram(bytes) => DATAGRAM_HEADER_BYTES + bytes.len(),
        }
    }

    /// TCP hides corruption; a segment that would be sent again because of it is not.
    fn flip_bit(&mut self, index: u64) {
        if let Content::Datagram(bytes) = &mut self.content {
            bytes.flip_bit(index);
        }
    }
}

/// A link that delivers every segment, the lost ones a round trip later, possibly out of order, and datagrams as they
/// come through.
#[derive(Debug)]
pub(super) struct Carrier {
    link: Link<Segment>,
    retransmit_after: Duration,
    /// Segments that wait for another trip, by when they may start it and then by age.
    waiting: BTreeMap<(Instant, u64), Segment>,
    postponed: u64,
}

impl Carrier {
    pub(super) fn new(
        profile: LinkProfile,
        outages: OutageSchedule,
        round_trip: Duration,
        seed: u64,
    ) -> Self {
        Carrier {
            link: Link::new(profile, outages, seed),
            retransmit_after: round_trip + LOSS_DETECTION,
            waiting: BTreeMap::new(),
            postponed: 0,
        }
    }

    /// Whether it takes another segment: not in an outage, and not while the queue is full.
    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        self.link.outages().down_until(now).is_none()
            && self.link.has_room(now, HEADER_BYTES + SEGMENT_BYTES_MAX)
    }

    /// Takes a segment. What comes while there is no room waits for it, or is lost when it is a datagram.
    pub(super) fn send(&mut self, now: Instant, segment: Segment) {
        if let Content::Datagram(_) = segment.content {
            self.link.send(now, segment);
            return;
        }
        if let Some(up) = self.link.outages().down_until(now) {
            return self.postpone(up, segment);
        }
        match self.link.send(now, segment.clone()) {
            Fate::Arrives(_) => {}
            Fate::Lost(at) => self.postpone(at + self.retransmit_after, segment),
            Fate::QueueFull => {
                let room = self.link.next_departure(now).unwrap_or(now);
                self.postpone(room, segment);
            }
        }
    }

    /// The next segment that has arrived. Call until it returns `None`.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Segment> {
        while let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= now
        {
            let segment = entry.remove();
            self.send(now, segment);
        }
        self.link.poll(now)
    }

    /// When to call [`Carrier::poll`] and [`Carrier::has_room`] again; `None` when nothing is under way.
    pub(super) fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let waiting = self.waiting.first_key_value().map(|(&(at, _), _)| at);
        let room = if self.has_room(now) {
            None
        } else {
            self.link.outages().down_until(now).or_else(|| self.link.next_departure(now))
        };
        [waiting, room, self.link.poll_timeout()].into_iter().flatten().min()
    }

    /// When the link is up again; `None` when it is up.
    pub(super) fn down_until(&self, now: Instant) -> Option<Instant> {
        self.link.outages().down_until(now)
    }

    pub(super) fn counters(&self) -> LinkCounters {
        self.link.counters()
    }

    fn postpone(&mut self, until: Instant, segment: Segment) {
        self.waiting.insert((until, self.postponed), segment);
        self.postponed += 1;
    }
}

/// Puts the segments of one connection and direction back in order.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    next_number: u64,
    /// Bounded by the window of the connection.
    early: BTreeMap<u64, Content>,
}

impl Reassembly {
    pub(super) fn insert(&mut self, segment: Segment) {
        // The link may deliver twice.
        if segment.number >= self.next_number {
            self.early.insert(segment.number, segment.content);
        }
    }

    /// The next content in order, when it is there. Call until it returns `None`.
    pub(super) fn next(&mut self) -> Option<Content> {
        let content = self.early.remove(&self.next_number)?;
        self.next_number += 1;
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Loss, Outage};

    fn profile() -> LinkProfile {
        LinkProfile::ideal(64_000.try_into().unwrap(), Duration::from_millis(300))
    }

    fn carrier(profile: LinkProfile, outages: Vec<Outage>) -> Carrier {
        Carrier::new(profile, OutageSchedule::new(outages).unwrap(), Duration::from_millis(600), 1)
    }

    fn millis(ms: u64) -> Instant {
        Instant(Duration::from_millis(ms))
    }

    fn segment(number: u64) -> Segment {
        Segment { connection: 1, number, content: Content::Close }
    }

    /// Runs the carrier until nothing is under way; (arrival, number) of every segment in the order of arrival.
    fn arrivals(carrier: &mut Carrier, mut now: Instant) -> Vec<(Instant, u64)> {
        let mut arrivals = Vec::new();
        loop {
            while let Some(segment) = carrier.poll(now) {
                arrivals.push((now, segment.number));
            }
            match carrier.poll_timeout(now) {
                Some(at) => now = at,
                None => return arrivals,
            }
        }
    }

    #[test]
    fn every_segment_of_a_lossy_link_arrives_once_and_reassembles_in_order() {
        let mut carrier = carrier(LinkProfile { loss: Loss::burst(10.0, 30.0), ..profile() }, vec![]);
        for n in 0..500 {
            carrier.send(millis(0), segment(n));
        }
        let arrived = arrivals(&mut carrier, millis(0));
        assert_eq!(arrived.len(), 500);
        assert!(carrier.counters().lost_packets > 50);

        let mut reassembly = Reassembly::default();
        let mut in_order = 0;
        for (_, number) in arrived {
            reassembly.insert(segment(number));
            while reassembly.next().is_some() {
                in_order += 1;
            }
        }
        assert_eq!(in_order, 500);
    }

    #[test]
    fn a_lost_segment_arrives_a_round_trip_later() {
        let mut carrier = carrier(LinkProfile { loss: Loss::Random { percent: 30.0 }, ..profile() }, vec![]);
        // 52 bytes at 64 kbit/s are 6.5 ms; a second trip starts 610 ms after the first left.
        let first = Duration::from_micros(306_500);
        let mut second_trips = 0;
        for n in 0..20 {
            let sent = millis(10_000 * n);
            carrier.send(sent, segment(n));
            let arrived = arrivals(&mut carrier, sent);
            let took = arrived[0].0.since(sent);
            let trips = (took.saturating_sub(first).as_micros() / 616_500) as u32;
            assert_eq!(
                (arrived.len(), took),
                (1, first + Duration::from_micros(616_500) * trips),
                "segment {n}"
            );
            second_trips += trips;
        }
        assert!(second_trips > 2, "{second_trips}");
    }

    #[test]
    fn the_trips_that_fail_are_the_packets_that_the_link_alone_would_lose() {
        let lossy = LinkProfile { loss: Loss::burst(10.0, 30.0), ..profile() };
        let mut alone = Link::<Vec<u8>>::new(lossy.clone(), OutageSchedule::default(), 1);
        let mut carrier = carrier(lossy, vec![]);
        let mut trips = Vec::new();
        for n in 0..200 {
            let sent = millis(100_000 * n);
            carrier.send(sent, segment(n));
            let lost_before = trips.iter().filter(|&&lost| lost).count();
            arrivals(&mut carrier, sent);
            let lost = carrier.counters().lost_packets as usize - lost_before;
            trips.extend(std::iter::repeat_n(true, lost).chain([false]));
        }
        let fates = (0..trips.len() as u64).map(|n| alone.send(millis(1_000 * n), vec![0; 100]));
        assert_eq!(trips, fates.map(|fate| matches!(fate, Fate::Lost(_))).collect::<Vec<_>>());
        assert!(trips.len() > 230);
    }

    #[test]
    fn an_outage_holds_segments_and_lets_them_go_at_its_end() {
        let outage = Outage::once(Duration::from_secs(1), Duration::from_secs(8));
        let mut carrier = carrier(profile(), vec![outage]);
        assert!(carrier.has_room(millis(999)) && !carrier.has_room(millis(1_000)));
        assert_eq!(carrier.poll_timeout(millis(1_000)), Some(millis(9_000)));
        carrier.send(millis(2_000), segment(0));
        assert_eq!(arrivals(&mut carrier, millis(2_000)), [(Instant(Duration::from_micros(9_306_500)), 0)]);
    }

    #[test]
    fn datagrams_are_lost_as_by_the_link_alone_also_in_an_outage() {
        let lossy = LinkProfile { loss: Loss::burst(10.0, 30.0), ..profile() };
        let outage = Outage::once(Duration::from_secs(10), Duration::from_secs(8));
        let outages = OutageSchedule::new(vec![outage]).unwrap();
        let mut alone = Link::<Vec<u8>>::new(lossy.clone(), outages, 1);
        let mut carrier = carrier(lossy, vec![outage]);
        let mut lost = Vec::new();
        for n in 0..300 {
            let sent = millis(100 * n);
            let before = carrier.counters().lost_packets;
            carrier.send(sent, Segment { connection: 0, number: 0, content: Content::Datagram(vec![0; 72]) });
            lost.push(carrier.counters().lost_packets > before);
            assert_eq!(lost.last(), Some(&matches!(alone.send(sent, vec![0; 100]), Fate::Lost(_))), "{n}");
        }
        assert!(lost[100..180].iter().all(|&lost| lost) && lost[180..].iter().any(|&lost| !lost));
    }

    #[test]
    fn a_segment_that_arrives_twice_is_one() {
        let mut carrier = carrier(LinkProfile { duplicate_percent: 100.0, ..profile() }, vec![]);
        let mut reassembly = Reassembly::default();
        let mut in_order = 0;
        for n in 0..5 {
            carrier.send(millis(0), segment(n));
        }
        for (_, number) in arrivals(&mut carrier, millis(0)) {
            reassembly.insert(segment(number));
            in_order += std::iter::from_fn(|| reassembly.next()).count();
        }
        assert_eq!((in_order, reassembly.early.len()), (5, 0));
    }

    #[test]
    fn a_full_queue_is_no_room_until_it_has_drained() {
        let mut carrier = carrier(LinkProfile { queue_bytes: 1_300, ..profile() }, vec![]);
        assert!(carrier.has_room(millis(0)));
        carrier.send(millis(0), segment(0));
        assert!(!carrier.has_room(millis(6)));
        assert_eq!(carrier.poll_timeout(millis(0)), Some(Instant(Duration::from_micros(6_500))));
        assert!(carrier.has_room(millis(7)));
    }
}
