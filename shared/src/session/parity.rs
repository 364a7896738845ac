//! Makes good one lost datagram of the backlog lane among those that left last, without asking for it.

use std::collections::BTreeMap;

use crate::message::{BacklogPacket, ObjectPart, ParityPacket};

/// How far back a parity reaches, packets of any kind.
pub(super) const PARITY_REACH: u32 = u64::BITS;
const LENGTH_BYTES: usize = 2;

/// Which packets a parity covers that is itself the `number`th; none of them may be further back than
/// [`PARITY_REACH`].
pub(super) fn covered(number: u32, packets: impl Iterator<Item = u32>) -> u64 {
    packets.fold(0, |covered, packet| covered | 1 << (number - 1 - packet))
}

/// The parity of these parts.
pub(super) fn parity_of<'a>(parts: impl Iterator<Item = &'a ObjectPart>) -> Vec<u8> {
    let mut parity = vec![0; LENGTH_BYTES];
    parts.for_each(|part| add(&mut parity, &part.encode()));
    parity
}

/// The parts that came last, at the ground.
#[derive(Debug, Default)]
pub(super) struct RecentParts(BTreeMap<u32, Vec<u8>>);

impl RecentParts {
    /// A packet came.
    pub(super) fn handle_packet(&mut self, packet: &BacklogPacket) {
        self.0.insert(packet.header.number, packet.part.encode());
        if let Some((newest, _)) = self.0.last_key_value() {
            self.0 = self.0.split_off(&newest.saturating_sub(PARITY_REACH));
        }
    }

    /// A parity came. Returns what it covers if one of that has not come; `None` also when more have not.
    pub(super) fn handle_parity(&self, packet: ParityPacket) -> Option<ObjectPart> {
        let ParityPacket { header, covered, mut bytes } = packet;
        let length = bytes.len();
        let mut missing = 0;
        for bit in (0..PARITY_REACH).filter(|bit| covered >> bit & 1 == 1) {
            match header.number.checked_sub(bit + 1).and_then(|number| self.0.get(&number)) {
                Some(part) => add(&mut bytes, part),
                None => missing += 1,
            }
        }
        if missing != 1 || bytes.len() > length {
            return None;
        }
        let (length, part) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
        ObjectPart::decode(part.get(..u16::from_le_bytes(*length).into())?).ok()
    }
}

fn add(parity: &mut Vec<u8>, part: &[u8]) {
    let length = (part.len() as u16).to_le_bytes();
    parity.resize(parity.len().max(LENGTH_BYTES + part.len()), 0);
    parity.iter_mut().zip(length.iter().chain(part)).for_each(|(sum, byte)| *sum ^= byte);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::PacketHeader;

    fn packet(number: u32, bytes: &[u8]) -> BacklogPacket {
        let header = PacketHeader { number, sent_millis: 0 };
        let part = ObjectPart { number: number / 2, index: 0, count: 2, bytes: bytes.to_vec() };
        BacklogPacket { header, part }
    }

    fn parity(number: u32, packets: &[BacklogPacket]) -> ParityPacket {
        ParityPacket {
            header: PacketHeader { number, sent_millis: 0 },
            covered: covered(number, packets.iter().map(|packet| packet.header.number)),
            bytes: parity_of(packets.iter().map(|packet| &packet.part)),
        }
    }

    #[test]
    fn any_one_comes_back_and_two_do_not() {
        let packets = [packet(3, &[1, 2, 3]), packet(5, &[4; 600]), packet(6, &[]), packet(66, &[7])];
        let parity = parity(67, &packets);
        assert_eq!(parity.covered, 1 << 63 | 1 << 61 | 1 << 60 | 1);
        let without = |left_out: &[usize]| {
            let mut recent = RecentParts::default();
            for (_, packet) in packets.iter().enumerate().filter(|(index, _)| !left_out.contains(index)) {
                recent.handle_packet(packet);
            }
            recent.handle_parity(parity.clone())
        };
        for (missing, packet) in packets.iter().enumerate() {
            assert_eq!(without(&[missing]).as_ref(), Some(&packet.part));
        }
        assert_eq!((without(&[]), without(&[1, 2])), (None, None));
    }

    #[test]
    fn what_does_not_belong_together_makes_no_part() {
        let mut recent = RecentParts::default();
        recent.handle_packet(&packet(3, &[1, 2, 3]));
        let header = PacketHeader { number: 4, sent_millis: 0 };
        for bytes in [&[][..], &[1], &[255, 255, 1], &[9; 40]] {
            for covered in [0, 1, 2, 3, 16, u64::MAX] {
                let parity = ParityPacket { header, covered, bytes: bytes.to_vec() };
                assert_eq!(recent.handle_parity(parity), None, "{covered} {bytes:?}");
            }
        }
    }

    #[test]
    fn as_many_parts_are_kept_as_a_parity_reaches_back() {
        let mut recent = RecentParts::default();
        for number in (0..1000).chain([5, u32::MAX, 7]) {
            recent.handle_packet(&packet(number, &[1]));
            assert!(recent.0.len() <= PARITY_REACH as usize + 1);
        }
        assert_eq!(recent.0.keys().collect::<Vec<_>>(), [&u32::MAX]);
    }
}
