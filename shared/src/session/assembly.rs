//! Objects of the backlog, put together from their parts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::parity::RecentParts;
use super::queues::QueueFill;
use crate::message::{BacklogPacket, MAX_FRAGMENTS, MAX_MESSAGE_BYTES, ObjectPart, ParityPacket};
use crate::time::Instant;

/// What incomplete objects may take together, bytes. Beyond it the one that was heard of longest ago goes: the vehicle
/// sends it again.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// The same for their number: some more than a vehicle has on their way.
const MAX_OBJECTS: usize = 256;
/// What a vehicle has not sent again by then, it sends as parts of another object. On a narrow link whose queue is long, a
/// lost part takes many minutes to come again.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);
/// What a part costs beside its bytes, at most.
const PART_BYTES: usize = 64;

#[derive(Debug)]
struct Object {
    count: u16,
    parts: BTreeMap<u16, Vec<u8>>,
    bytes: usize,
    /// When the last part came.
    heard: Instant,
}

/// The incomplete objects of a connection.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    objects: BTreeMap<u32, Object>,
    bytes: usize,
    recent: RecentParts,
}

impl Assembly {
    /// A part came. Returns the object when it was the last one; parts that fit no object are left out.
    pub(super) fn handle_packet(&mut self, now: Instant, packet: BacklogPacket) -> Option<Vec<u8>> {
        self.recent.handle_packet(&packet);
        self.handle_part(now, packet.part)
    }

    /// A parity came. Returns the object when the part that it makes good was the last one.
    pub(super) fn handle_parity(&mut self, now: Instant, packet: ParityPacket) -> Option<Vec<u8>> {
        let part = self.recent.handle_parity(packet)?;
        self.handle_part(now, part)
    }

    fn handle_part(&mut self, now: Instant, part: ObjectPart) -> Option<Vec<u8>> {
        let ObjectPart { number: id, index, count, bytes } = part;
        if index >= count || count > MAX_FRAGMENTS {
            return None;
        }
        if count == 1 {
            return Some(bytes);
        }
        let fresh = || Object { count, parts: BTreeMap::new(), bytes: 0, heard: now };
        let object = self.objects.entry(id).or_insert_with(fresh);
        object.heard = now;
        let size = bytes.len() + PART_BYTES;
        if object.count != count
            || object.parts.contains_key(&index)
            || object.bytes + size > 2 * MAX_MESSAGE_BYTES
        {
            return None;
        }
        object.bytes += size;
        self.bytes += size;
        object.parts.insert(index, bytes);
        if object.parts.len() == usize::from(count) {
            let object = self.remove(id)?;
            return Some(object.parts.into_values().flatten().collect());
        }
        while let Some((&oldest, object)) = self.objects.iter().min_by_key(|(_, object)| object.heard)
            && (self.bytes > MAX_BYTES
                || self.objects.len() > MAX_OBJECTS
                || now.since(object.heard) > MAX_AGE)
        {
            self.remove(oldest);
        }
        None
    }

    pub(super) fn queue(&self) -> QueueFill {
        QueueFill::new("bytes of incomplete objects", self.bytes, MAX_BYTES)
    }

    fn remove(&mut self, id: u32) -> Option<Object> {
        let object = self.objects.remove(&id)?;
        self.bytes -= object.bytes;
        Some(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::PacketHeader;

    fn at(seconds: u64) -> Instant {
        Instant(Duration::from_secs(seconds))
    }

    fn part(number: u32, index: u16, bytes: usize) -> BacklogPacket {
        let header = PacketHeader { number, sent_millis: 0 };
        BacklogPacket {
            header,
            part: ObjectPart { number, index, count: 3, bytes: vec![index as u8; bytes] },
        }
    }

    #[test]
    fn parts_in_any_order_and_number_make_the_object_once() {
        let mut assembly = Assembly::default();
        for index in [2, 0, 2, 0] {
            assert_eq!(assembly.handle_packet(at(0), part(1, index, 2)), None);
        }
        assert_eq!(assembly.handle_packet(at(0), part(1, 1, 2)), Some(vec![0, 0, 1, 1, 2, 2]));
        assert_eq!((assembly.bytes, assembly.objects.len()), (0, 0));
    }

    #[test]
    fn objects_that_are_never_completed_are_bounded_in_bytes_and_number() {
        let mut assembly = Assembly::default();
        for number in 0..100_000 {
            assembly.handle_packet(at(0), part(number, 0, 1));
            assert!(assembly.objects.len() <= MAX_OBJECTS);
        }
        for number in 100_000..101_000 {
            assembly.handle_packet(at(1), part(number, 0, 60_000));
            assert!(assembly.bytes <= MAX_BYTES);
        }
        let held: usize = assembly.objects.values().map(|object| object.bytes).sum();
        assert_eq!(assembly.bytes, held);
    }

    #[test]
    fn an_object_whose_parts_stay_away_is_forgotten_and_one_that_goes_on_is_not() {
        let mut assembly = Assembly::default();
        assembly.handle_packet(at(0), part(1, 0, 2));
        assembly.handle_packet(at(0), part(2, 0, 2));
        assembly.handle_packet(at(3_000), part(2, 1, 2));
        assembly.handle_packet(at(6_000), part(3, 0, 2));
        assert_eq!(assembly.objects.keys().copied().collect::<Vec<_>>(), [2, 3]);
        assert!(assembly.handle_packet(at(6_000), part(2, 2, 2)).is_some());
    }
}
