//! Objects of the backlog, put together from their parts.

use std::collections::BTreeMap;

use super::queues::QueueFill;
use crate::message::{BacklogPacket, MAX_FRAGMENTS, MAX_MESSAGE_BYTES};

/// What incomplete objects may take together, bytes. Beyond it the one that was heard of longest ago goes: the vehicle
/// sends it again.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// What a part costs beside its bytes, at most.
const PART_BYTES: usize = 64;

#[derive(Debug)]
struct Object {
    count: u16,
    parts: BTreeMap<u16, Vec<u8>>,
    bytes: usize,
    /// The packet that came last.
    heard: u64,
}

/// The incomplete objects of a connection.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    objects: BTreeMap<u32, Object>,
    bytes: usize,
    packets: u64,
}

impl Assembly {
    /// A part came. Returns the object when it was the last one; parts that fit no object are left out.
    pub(super) fn handle_packet(&mut self, packet: BacklogPacket) -> Option<Vec<u8>> {
        let BacklogPacket { number: id, index, count, bytes, .. } = packet;
        if index >= count || count > MAX_FRAGMENTS {
            return None;
        }
        if count == 1 {
            return Some(bytes);
        }
        self.packets += 1;
        let fresh = || Object { count, parts: BTreeMap::new(), bytes: 0, heard: 0 };
        let object = self.objects.entry(id).or_insert_with(fresh);
        object.heard = self.packets;
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
        while self.bytes > MAX_BYTES {
            let oldest = self.objects.iter().min_by_key(|(_, object)| object.heard).map(|(&id, _)| id)?;
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
