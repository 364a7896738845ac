//! The live lane at the ground: payloads that came or were recovered, decoded in the order in which each continues
//! another.

use std::collections::BTreeMap;
use std::time::Duration;

use super::queues::QueueFill;
use crate::codec::predictive::{Decoder, FrameError};
use crate::codec::{DecodeError, SchemaTable};
use crate::datagram::coding::{CodingReceiver, HORIZON, MAX_LOST_UNITS, Symbols, UnitNumbers, units_of};
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

/// How often one is decoded as far as to a schema that is not there: each time costs as much as a whole frame. Those that
/// begin together are declared together, so the second time is the last one nearly always.
const MAX_SCHEMA_WAITS: u8 = 4;

/// What recovering payloads may cost in [`ROWS_TIME`], added rows ([`CodingReceiver::rows_added`]): twice what brings
/// [`MAX_LOST_UNITS`] back. No honest vehicle comes near it; one that does gets its records by the backlog.
const MAX_ROWS: u64 = 2 * (MAX_LOST_UNITS as u64).pow(2);
const ROWS_TIME: Duration = Duration::from_secs(1);

/// A payload that cannot be decoded yet.
#[derive(Debug)]
struct Waiting {
    came: Instant,
    payload: Payload,
    /// The schema that it lacked when it was last tried...
    lacks: Option<SchemaId>,
    /// ... and how often it lacked one.
    schema_waits: u8,
}

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
    /// When [`ROWS_TIME`] began, and the rows until then.
    rows_from: (Instant, u64),
    decoder: Decoder,
    /// How many units the longest of the last payloads that came had, about.
    usual_units: u16,
    /// By the number of the first unit.
    waiting: BTreeMap<u32, Waiting>,
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
            rows_from: (Instant::default(), 0),
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
        let LivePacket { header, unit_number, payload, mut symbols } = packet;
        // One that is so late that its number cannot be told is of no use; the vehicle sends its records again.
        let Some(number) = self.numbers.tell(header.number, unit_number) else { return Ok(()) };
        let came = if payload.is_empty() { None } else { Some(decode(&payload)?) };
        if !self.may_recover(now) {
            self.coding.give_up();
            symbols = Symbols::default();
        }
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
            self.waiting.insert(of, Waiting { came: now, payload, lacks: None, schema_waits: 0 });
        }
        while self.waiting.len() > MAX_WAITING {
            self.waiting.pop_first();
            self.key_frame_wanted = true;
        }
        Ok(())
    }

    fn may_recover(&mut self, now: Instant) -> bool {
        let rows = self.coding.rows_added();
        if now.since(self.rows_from.0) >= ROWS_TIME {
            self.rows_from = (now, rows);
        }
        rows - self.rows_from.1 <= MAX_ROWS
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
            let Some(waiting) = self.waiting.get_mut(&number) else { continue };
            if let Some(id) = waiting.lacks.filter(|id| !schemas.contains_key(id)) {
                self.schema_wanted.get_or_insert(id);
                continue;
            }
            let before = || self.ends.get(&number).copied();
            let Some(offset) = waiting.payload.start.offset().or_else(before) else { continue };
            match self.decoder.decode(&waiting.payload.frame, schemas, base.wrapping_add_signed(offset)) {
                Err(FrameError::NoBase { .. }) => continue,
                Err(FrameError::Frame(DecodeError::UnknownSchema(id)))
                    if waiting.schema_waits < MAX_SCHEMA_WAITS =>
                {
                    waiting.lacks = Some(id);
                    waiting.schema_waits += 1;
                    self.schema_wanted.get_or_insert(id);
                }
                Ok(parts) => {
                    self.key_frame_wanted = false;
                    let records: usize = parts.iter().map(Vec::len).sum();
                    let units = units_of(waiting.payload.encode_covered().len()) as u32;
                    self.waiting.remove(&number);
                    self.ends
                        .insert(number.wrapping_add(units), offset.saturating_add_unsigned(records as u64));
                    while self.ends.len() > HORIZON {
                        self.ends.pop_first();
                    }
                    return Ok(Some(Decoded { offset, parts }));
                }
                Err(FrameError::Desync { .. } | FrameError::Frame(DecodeError::UnknownSchema(_))) => {
                    self.waiting.remove(&number);
                    self.key_frame_wanted = true;
                }
                Err(FrameError::Frame(error)) => {
                    self.waiting.remove(&number);
                    return Err(error);
                }
            }
        }
        let max_wait = if self.schema_wanted.is_some() { MAX_SCHEMA_WAIT } else { MAX_WAIT };
        while let Some(entry) = self.waiting.first_entry()
            && now.since(entry.get().came) > max_wait
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
    use crate::datagram::coding::{
        CodingSender, MAX_PAYLOAD_BYTES, MAX_SYMBOLS_PER_PACKET, MAX_WINDOW_UNITS,
    };
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
    fn it_is_decoded_in_vain_a_few_times_at_most() {
        let streams = SchemaId(1).0..=8;
        let all: SchemaTable =
            streams.clone().map(|id| (SchemaId(id), schemas()[&SchemaId(1)].clone())).collect();
        let record = |id: u32| Record {
            schema: SchemaId(id),
            time: Timestamp::from_millis(i64::from(id)),
            values: vec![Value::Int(1)],
        };
        let batch = Batch::new(streams.clone().map(record).collect());
        let frame =
            Encoder::new().encode(&[batch], &all, BASE, Base::Key, Keep::Nothing, MAX_PAYLOAD_BYTES).unwrap();
        let header = PacketHeader { number: 0, sent_millis: 0 };
        let payload = Payload { start: Start::At(0), frame }.encode();
        let packet = LivePacket { header, unit_number: 0, payload, symbols: Symbols::default() };
        let mut chain = Chain::new();
        chain.handle_packet(at(0), packet).unwrap();
        let mut declared = SchemaTable::new();
        let lacks = streams.map(|id| {
            // Again and again, as other packets come.
            (0..9).for_each(|_| assert!(chain.poll(at(0), &declared, BASE).unwrap().is_none()));
            declared.insert(SchemaId(id), all[&SchemaId(id)].clone());
            chain.lack()
        });
        let lacks: Vec<Lack> = lacks.collect();
        let schema = |id| Lack::Schema(SchemaId(id));
        assert_eq!(lacks[..4], [schema(1), schema(2), schema(3), schema(4)]);
        assert_eq!(lacks[4..], [Lack::KeyFrame; 4]);
        assert!(!chain.is_waiting());
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
    fn symbols_that_recover_nothing_cost_little_a_second() {
        use rand::rngs::StdRng;
        use rand::{Rng, SeedableRng};

        let (mut rng, mut chain) = (StdRng::seed_from_u64(1), Chain::new());
        for number in 0..4_000 {
            let combinations = (0..MAX_SYMBOLS_PER_PACKET).map(|_| rng.random()).collect();
            let packet = LivePacket {
                header: PacketHeader { number, sent_millis: 0 },
                unit_number: number as u16,
                payload: Vec::new(),
                symbols: Symbols { window: MAX_WINDOW_UNITS, combinations },
            };
            chain.handle_packet(at(u64::from(number)), packet).unwrap();
        }
        let a_packet = u64::from(MAX_SYMBOLS_PER_PACKET) * 2 * u64::from(MAX_LOST_UNITS);
        let rows = chain.coding.rows_added();
        assert!(rows > 4 * MAX_ROWS && rows <= 4 * (MAX_ROWS + a_packet), "{rows} in 4 s");
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
