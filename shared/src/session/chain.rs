//! The live lane at the ground: payloads that came or were recovered, decoded in the order in which each continues
//! another.

use std::collections::BTreeMap;
use std::time::Duration;

use super::queues::QueueFill;
use crate::codec::predictive::{Decoder, FrameError};
use crate::codec::{DecodeError, SchemaTable};
use crate::datagram::coding::{CodingReceiver, HORIZON, MAX_LOST_UNITS, UnitNumbers, units_of};
use crate::id::SchemaId;
use crate::message::{Lack, LivePacket, Payload, Wanted};
use crate::record::Record;
use crate::time::Instant;

/// Payloads that wait for the one that they continue, or for a schema: as many as come back together, and some more.
const MAX_WAITING: usize = MAX_LOST_UNITS as usize + 64;
/// How long they do: longer than coded symbols take to recover one. The vehicle sends their records again.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// The same while a schema is asked for: on 2400 bit/s, that and the answer take two seconds.
const MAX_SCHEMA_WAIT: Duration = Duration::from_secs(4);

/// A decoded payload.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) offset: i64,
    /// The batches of the frame, as the vehicle numbered them.
    pub(super) parts: Vec<Vec<Record>>,
}

/// # Errors
///
/// Bytes that are no payload.
fn decode(payload: &[u8]) -> Result<Payload, DecodeError> {
    Payload::decode(payload).map_err(|_| DecodeError::Malformed("no payload"))
}

/// The chain of a connection.
#[derive(Debug)]
pub(super) struct Chain {
    numbers: UnitNumbers,
    coding: CodingReceiver,
    decoder: Decoder,
    /// How many units the longest of the last payloads that came had, about.
    usual_units: u16,
    /// By the number of the first unit.
    waiting: BTreeMap<u32, (Instant, Payload)>,
    /// The offset after the last record of each payload that was decoded, by the number after its last unit, of the newest
    /// [`HORIZON`].
    ends: BTreeMap<u32, i64>,
    key_frame_wanted: bool,
    /// What the oldest payload without its schema waited for when they were last tried.
    schema_wanted: Option<SchemaId>,
}

impl Chain {
    pub(super) fn new() -> Self {
        Chain {
            numbers: UnitNumbers::new(),
            coding: CodingReceiver::new(),
            usual_units: 0,
            decoder: Decoder::new(),
            waiting: BTreeMap::new(),
            ends: BTreeMap::new(),
            key_frame_wanted: false,
            schema_wanted: None,
        }
    }

    /// A packet came. [`poll`](Self::poll) has what can be decoded then.
    ///
    /// # Errors
    ///
    /// A payload that is none, or one over the limits.
    pub(super) fn handle_packet(&mut self, now: Instant, packet: LivePacket) -> Result<(), DecodeError> {
        let LivePacket { header, unit_number, payload, symbols } = packet;
        // One that is so late that its number cannot be told is of no use; the vehicle sends its records again.
        let Some(number) = self.numbers.tell(header.number, unit_number) else { return Ok(()) };
        let came = if payload.is_empty() { None } else { Some(decode(&payload)?) };
        let mut new = Vec::new();
        if let Some(payload) = &came {
            let covered = payload.encode_covered();
            let faded = self.usual_units - self.usual_units.div_ceil(16);
            self.usual_units = faded.max(units_of(covered.len()) as u16);
            new = self.coding.handle_payload(number, &covered);
        }
        new.extend(self.coding.handle_symbols(header.number, number, symbols));
        for (of, covered) in new {
            let payload = match &came {
                Some(payload) if of == number => payload.clone(),
                _ => decode(&covered)?,
            };
            self.waiting.insert(of, (now, payload));
        }
        while self.waiting.len() > MAX_WAITING {
            self.waiting.pop_first();
            self.key_frame_wanted = true;
        }
        Ok(())
    }

    /// A packet of the backlog came.
    pub(super) fn handle_other_packet(&mut self, number: u32) {
        self.numbers.handle_other(number);
    }

    /// The next payload that can be decoded: call again until there is none.
    ///
    /// # Errors
    ///
    /// Bytes that are no frame, or one over the limits.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        schemas: &SchemaTable,
        base: u64,
    ) -> Result<Option<Decoded>, DecodeError> {
        self.schema_wanted = None;
        let numbers: Vec<u32> = self.waiting.keys().copied().collect();
        for number in numbers {
            let Some((came, payload)) = self.waiting.remove(&number) else { continue };
            let before = || self.ends.get(&number).copied();
            let Some(offset) = payload.start.offset().or_else(before) else {
                self.waiting.insert(number, (came, payload));
                continue;
            };
            match self.decoder.decode(&payload.frame, schemas, base.wrapping_add_signed(offset)) {
                Ok(parts) => {
                    self.key_frame_wanted = false;
                    let records: usize = parts.iter().map(Vec::len).sum();
                    let units = units_of(payload.encode_covered().len()) as u32;
                    self.ends
                        .insert(number.wrapping_add(units), offset.saturating_add_unsigned(records as u64));
                    while self.ends.len() > HORIZON {
                        self.ends.pop_first();
                    }
                    return Ok(Some(Decoded { offset, parts }));
                }
                Err(FrameError::NoBase { .. }) => _ = self.waiting.insert(number, (came, payload)),
                Err(FrameError::Frame(DecodeError::UnknownSchema(id))) => {
                    self.schema_wanted.get_or_insert(id);
                    self.waiting.insert(number, (came, payload));
                }
                Err(FrameError::Desync { .. }) => self.key_frame_wanted = true,
                Err(FrameError::Frame(error)) => return Err(error),
            }
        }
        let max_wait = if self.schema_wanted.is_some() { MAX_SCHEMA_WAIT } else { MAX_WAIT };
        while let Some(entry) = self.waiting.first_entry()
            && now.since(entry.get().0) > max_wait
        {
            entry.remove();
            self.key_frame_wanted = true;
        }
        Ok(None)
    }

    pub(super) fn queue(&self) -> QueueFill {
        QueueFill::new("payloads that wait for another", self.waiting.len(), MAX_WAITING)
    }

    /// Coded symbols that would recover all payloads that are lost, unless so much is that none are of use.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        let missing = self.coding.missing().filter(|(symbols, _)| *symbols <= MAX_LOST_UNITS);
        missing.map(|(symbols, window)| Wanted { symbols, window })
    }

    /// Whether these symbols are wanted for one payload, as far as can be told.
    pub(super) fn is_single(&self, wanted: Wanted) -> bool {
        wanted.symbols <= self.usual_units
    }

    /// Whether a payload waits for one that was lost.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What payloads that came cannot be decoded without.
    pub(super) fn lack(&self) -> Lack {
        match self.schema_wanted {
            // A key frame would wait for it as well.
            Some(id) => Lack::Schema(id),
            None if self.key_frame_wanted => Lack::KeyFrame,
            None => Lack::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::batch::Batch;
    use crate::codec::predictive::{Base, Encoder, Keep, continues_previous};
    use crate::datagram::coding::{CodingSender, MAX_PAYLOAD_BYTES, Symbols};
    use crate::id::SchemaId;
    use crate::message::{PacketHeader, Start};
    use crate::record::Value;
    use crate::schema::{Class, Field, FieldKind, Origin, Schema};
    use crate::time::Timestamp;

    const BASE: u64 = 1000;
    /// Records of a payload.
    const RECORDS: u64 = 2;

    fn at(millis: u64) -> Instant {
        Instant(Duration::from_millis(millis))
    }

    fn schemas() -> SchemaTable {
        let fields = vec![Field::new("count", FieldKind::I32)];
        let schema = Schema { stream: "s".into(), origin: Origin::Sensor, class: Class::Live, fields };
        [(SchemaId(1), Arc::new(schema))].into_iter().collect()
    }

    /// So many packets, each with a payload that continues the one before and with two symbols of the four before: packets
    /// and payloads have the same numbers.
    fn packets(count: u64) -> Vec<LivePacket> {
        packets_with_restarts(count, &[])
    }

    /// As [`packets`], but that these payloads continue the first one, which was acknowledged.
    fn packets_with_restarts(count: u64, restarts: &[u64]) -> Vec<LivePacket> {
        let (mut encoder, mut coding) = (Encoder::new(), CodingSender::new());
        let packet = |index: u64| {
            let record = |number: u64| Record {
                schema: SchemaId(1),
                time: Timestamp::from_millis(number as i64 * 20),
                values: vec![Value::Int(number as i64)],
            };
            let number = index * RECORDS;
            let batch = Batch::new((number..number + RECORDS).map(record).collect());
            let (start, base, keep) = match index {
                0 => (Start::At(0), Base::Previous, Keep::ForAll),
                _ if restarts.contains(&index) => {
                    (Start::NextAt(number as i64), Base::Acknowledged, Keep::ForAll)
                }
                _ => (Start::Next, Base::Previous, Keep::ForNext),
            };
            let frame =
                encoder.encode(&[batch], &schemas(), BASE + number, base, keep, MAX_PAYLOAD_BYTES).unwrap();
            encoder.acknowledge(BASE);
            assert_eq!(continues_previous(&frame), start == Start::Next);
            let payload = Payload { start, frame };
            let header = PacketHeader { number: index as u32, sent_millis: 0 };
            let (unit_number, symbols) =
                (coding.next(), coding.symbols(header.number, coding.units_of(4), 2));
            coding.push(&payload.encode_covered()).unwrap();
            LivePacket { header, unit_number, payload: payload.encode(), symbols }
        };
        (0..count).map(packet).collect()
    }

    fn without_symbols(packet: &LivePacket) -> LivePacket {
        LivePacket { symbols: Symbols::default(), ..packet.clone() }
    }

    /// Offsets of all that can be decoded.
    fn decoded(chain: &mut Chain, millis: u64) -> Vec<i64> {
        let mut offsets = Vec::new();
        while let Some(decoded) = chain.poll(at(millis), &schemas(), BASE).unwrap() {
            let records: Vec<&Record> = decoded.parts.iter().flatten().collect();
            assert_eq!(records.len() as u64, RECORDS);
            assert_eq!(records[0].values, [Value::Int(decoded.offset)]);
            offsets.push(decoded.offset);
        }
        offsets
    }

    #[test]
    fn a_payload_without_an_offset_follows_the_one_before() {
        let mut chain = Chain::new();
        for (index, packet) in (0..).zip(packets(600)) {
            chain.handle_packet(at(0), without_symbols(&packet)).unwrap();
            assert_eq!(decoded(&mut chain, 0), [index * RECORDS as i64]);
            assert!(!chain.is_waiting() && chain.ends.len() <= HORIZON);
        }
    }

    #[test]
    fn it_waits_for_one_that_is_late() {
        let (packets, mut chain) = (packets(6), Chain::new());
        for index in [1, 0, 5, 3, 2] {
            chain.handle_packet(at(0), without_symbols(&packets[index])).unwrap();
        }
        assert_eq!(decoded(&mut chain, 0), [0, 2, 4, 6]);
        assert!(chain.is_waiting());
        chain.handle_packet(at(100), without_symbols(&packets[4])).unwrap();
        assert_eq!(decoded(&mut chain, 100), [8, 10]);
        assert!(!chain.is_waiting() && chain.lack() == Lack::Nothing);
    }

    #[test]
    fn it_waits_for_its_schema_and_says_which() {
        let (packets, mut chain) = (packets(2), Chain::new());
        for packet in &packets {
            chain.handle_packet(at(0), without_symbols(packet)).unwrap();
        }
        assert!(chain.poll(at(0), &SchemaTable::new(), BASE).unwrap().is_none());
        assert_eq!(chain.lack(), Lack::Schema(SchemaId(1)));
        assert_eq!(decoded(&mut chain, 4000), [0, 2]);
        assert_eq!(chain.lack(), Lack::Nothing);
    }

    #[test]
    fn it_is_given_up_when_its_schema_does_not_come() {
        let (packets, mut chain) = (packets(1), Chain::new());
        chain.handle_packet(at(0), without_symbols(&packets[0])).unwrap();
        let mut lack_at = |millis| {
            assert!(chain.poll(at(millis), &SchemaTable::new(), BASE).unwrap().is_none());
            chain.lack()
        };
        assert_eq!(lack_at(4000), Lack::Schema(SchemaId(1)));
        assert_eq!((lack_at(4001), lack_at(4002)), (Lack::Schema(SchemaId(1)), Lack::KeyFrame));
    }

    #[test]
    fn it_waits_for_one_that_is_recovered() {
        let (packets, mut chain) = (packets(260), Chain::new());
        let lost = [1, 2, 254, 255];
        let came = packets.iter().filter(|packet| !lost.contains(&packet.header.number));
        let mut offsets = Vec::new();
        for packet in came {
            chain.handle_packet(at(0), packet.clone()).unwrap();
            offsets.extend(decoded(&mut chain, 0));
        }
        assert_eq!(offsets, (0..260).map(|index| index * RECORDS as i64).collect::<Vec<_>>());
    }

    #[test]
    fn it_waits_for_as_many_as_come_back_together() {
        let (packets, mut chain) = (packets(202), Chain::new());
        let units = |packet: &LivePacket| u32::from(packet.unit_number) + (1 << 16);
        let mut coding = CodingSender::new();
        for packet in &packets {
            let payload = Payload::decode(&packet.payload).unwrap();
            coding.push(&payload.encode_covered()).unwrap();
        }
        for index in [0, 201] {
            chain.handle_packet(at(0), without_symbols(&packets[index])).unwrap();
        }
        assert_eq!(decoded(&mut chain, 0), [0]);
        let wanted = chain.wanted().unwrap();
        assert_eq!(u32::from(wanted.symbols), units(&packets[201]) - units(&packets[1]));
        let mut header = packets[201].header;
        for _ in 0..wanted.symbols.div_ceil(50) {
            header.number += 1;
            let symbols = coding.symbols(header.number, wanted.window, 50);
            let packet = LivePacket { header, unit_number: coding.next(), payload: Vec::new(), symbols };
            chain.handle_packet(at(100), packet).unwrap();
        }
        assert_eq!(decoded(&mut chain, 100).len(), 201);
    }

    #[test]
    fn one_that_continues_what_was_acknowledged_does_not_wait() {
        let (packets, mut chain) = (packets_with_restarts(6, &[3]), Chain::new());
        for index in [0, 3, 4] {
            chain.handle_packet(at(0), without_symbols(&packets[index])).unwrap();
        }
        assert_eq!(decoded(&mut chain, 0), [0, 6, 8]);
    }

    #[test]
    fn recovered_without_its_offset_it_follows_the_one_before() {
        let (packets, mut chain) = (packets_with_restarts(6, &[3]), Chain::new());
        chain.handle_packet(at(0), packets[0].clone()).unwrap();
        chain.handle_packet(at(0), packets[1].clone()).unwrap();
        chain.handle_packet(at(0), packets[4].clone()).unwrap();
        assert_eq!(decoded(&mut chain, 0), [0, 2, 4, 6, 8]);
    }

    #[test]
    fn it_is_given_up_when_that_does_not_come() {
        let (packets, mut chain) = (packets(4), Chain::new());
        for index in [0, 2, 3] {
            chain.handle_packet(at(0), without_symbols(&packets[index])).unwrap();
        }
        assert_eq!(decoded(&mut chain, 2000), [0]);
        assert!(chain.is_waiting() && chain.lack() == Lack::Nothing);
        assert_eq!(decoded(&mut chain, 2001), []);
        assert!(!chain.is_waiting() && chain.lack() == Lack::KeyFrame);
        // Nor is one of before that: the vehicle begins anew.
        chain.handle_packet(at(3000), without_symbols(&packets[1])).unwrap();
        assert_eq!(decoded(&mut chain, 3000), [2]);
        assert_eq!(chain.lack(), Lack::Nothing);
    }

    /// Where backlog fills a wide link, hundreds of packets are between two payloads.
    #[test]
    fn packets_of_the_backlog_between_do_not_part_payloads() {
        let (mut packets, mut chain) = (packets(3), Chain::new());
        for (index, packet) in (0..).zip(&mut packets) {
            packet.header.number = 1000 * index;
            chain.handle_packet(at(0), without_symbols(packet)).unwrap();
            (1..1000).filter(|packet| packet % 9 != 0).for_each(|packet| {
                chain.handle_other_packet(1000 * index + packet);
            });
        }
        assert_eq!(decoded(&mut chain, 0), [0, 2, 4]);
    }

    #[test]
    fn any_packets_are_taken_within_bounds() {
        use rand::rngs::StdRng;
        use rand::{Rng, SeedableRng};

        let mut rng = StdRng::seed_from_u64(1);
        let (packets, schemas, mut chain) = (packets(400), schemas(), Chain::new());
        let key_frame = Payload::decode(&packets[0].payload).unwrap().frame;
        let (mut refused, mut taken) = (0, 0);
        for round in 0..20_000u32 {
            let mut packet = packets[(round as usize + rng.random_range(0..9)) % packets.len()].clone();
            packet.header.number = round + rng.random_range(0..8);
            let now = at(100 * u64::from(round));
            match rng.random_range(0..8) {
                0 => packet.header.number += rng.random_range(0..300) / 299 * 1000,
                1 => packet.unit_number = rng.random(),
                2 => packet.payload.clear(),
                3 => packet.payload.truncate(rng.random_range(0..4)),
                4 => {
                    let mut frame = key_frame.clone();
                    match rng.random_range(0..3) {
                        0 => frame.clear(),
                        1 => frame[rng.random_range(0..4)] ^= 1 << rng.random_range(0..8),
                        _ => {}
                    }
                    packet.payload = Payload { start: Start::At(0), frame }.encode();
                }
                5 => packet.symbols.window = rng.random(),
                6 => packet.symbols.combinations.iter_mut().for_each(|bytes| bytes.fill(2)),
                _ => chain.handle_other_packet(round + rng.random_range(0..600)),
            }
            refused += u32::from(chain.handle_packet(now, packet).is_err());
            loop {
                match chain.poll(now, &schemas, BASE) {
                    Ok(None) => break,
                    Ok(Some(_)) => taken += 1,
                    Err(_) => refused += 1,
                }
            }
            assert!(chain.waiting.len() <= MAX_WAITING && chain.ends.len() <= HORIZON);
        }
        assert!(refused > 300 && taken > 300, "{refused} {taken}");
    }
}
