//! Both ends of the code together.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::gf256::{add_scaled, inverse, scale};
use super::symbol::coefficient;
use super::*;

/// What crosses the link.
struct Packet {
    packet: u32,
    /// The payload's first unit.
    number: u32,
    payload: Vec<u8>,
    symbols: Symbols,
}

fn payload(rng: &mut StdRng, bytes_max: usize) -> Vec<u8> {
    let bytes = rng.random_range(0..=bytes_max);
    // Zeros are what padding is made of.
    (0..bytes).map(|_| if rng.random_bool(0.3) { 0 } else { rng.random() }).collect()
}

impl Packet {
    fn units(&self) -> impl Iterator<Item = u32> + use<> {
        let first = self.number;
        (0..units_of(self.payload.len()) as u32).map(move |after| first.wrapping_add(after))
    }
}

/// A sender whose next payload begins with the unit of this number.
fn sender(number: u32) -> CodingSender {
    let mut sender = CodingSender::new();
    for _ in 0..number % 65_536 {
        // Nothing is remembered of these.
        assert!(sender.push(&[0; MAX_PAYLOAD_BYTES + 1]).is_err());
    }
    sender
}

/// `window` counts payloads.
fn packets(seed: u64, first: u32, count: u32, window: u8, symbols: u8) -> Vec<Packet> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut sender, mut number) = (sender(first), first);
    (0..count)
        .map(|packet| {
            let payload = payload(&mut rng, 100);
            let symbols = sender.symbols(packet, sender.units_of(window), symbols);
            sender.push(&payload).unwrap();
            let packet = Packet { packet, number, payload, symbols };
            number = number.wrapping_add(units_of(packet.payload.len()) as u32);
            packet
        })
        .collect()
}

/// Hands a packet over; whatever comes back is one of `sent`, and nothing comes back twice.
fn receive(
    receiver: &mut CodingReceiver,
    packet: &Packet,
    sent: &BTreeMap<u32, &[u8]>,
    got: &mut BTreeSet<u32>,
) {
    let mut new = receiver.handle_payload(packet.number, &packet.payload);
    new.extend(receiver.handle_symbols(packet.packet, packet.number, packet.symbols.clone()));
    for (number, payload) in new {
        assert_eq!(sent.get(&number), Some(&&payload[..]), "payload {number}");
        assert!(got.insert(number), "payload {number} twice");
    }
}

fn sent(packets: &[Packet]) -> BTreeMap<u32, &[u8]> {
    packets.iter().map(|packet| (packet.number, &packet.payload[..])).collect()
}

/// Which lost payloads follow from all symbols that came: elimination from scratch over the coefficients alone.
fn determined(packets: &[Packet], came: &[usize]) -> BTreeSet<u32> {
    let known: BTreeSet<u32> = came.iter().flat_map(|index| packets[*index].units()).collect();
    let lost: Vec<u32> =
        packets.iter().flat_map(Packet::units).filter(|number| !known.contains(number)).collect();
    let row = |packet: &Packet, index: u8| -> Vec<u8> {
        let window = 1..=u32::from(packet.symbols.window);
        let covers = |number: u32| window.contains(&packet.number.wrapping_sub(number));
        lost.iter()
            .map(|n| if covers(*n) { coefficient(packet.packet, index, *n as u16) } else { 0 })
            .collect()
    };
    let came: BTreeSet<usize> = came.iter().copied().collect();
    let mut rows: Vec<Vec<u8>> = came
        .iter()
        .flat_map(|at| {
            let count = packets[*at].symbols.combinations.len() as u8;
            (0..count).map(|index| row(&packets[*at], index))
        })
        .collect();
    let mut rank = 0;
    for column in 0..lost.len() {
        let Some(pivot) = (rank..rows.len()).find(|row| rows[*row][column] != 0) else { continue };
        rows.swap(rank, pivot);
        let factor = inverse(rows[rank][column]);
        scale(&mut rows[rank], factor);
        let pivot = rows[rank].clone();
        for (index, row) in rows.iter_mut().enumerate() {
            if index != rank {
                let factor = row[column];
                add_scaled(row, factor, &pivot);
            }
        }
        rank += 1;
    }
    let solved = rows.iter().filter(|row| row.iter().filter(|c| **c != 0).count() == 1);
    let solved: BTreeSet<u32> =
        solved.filter_map(|row| row.iter().position(|c| *c != 0)).map(|column| lost[column]).collect();
    let begins: BTreeSet<u32> = came
        .iter()
        .map(|at| &packets[*at])
        .filter(|packet| packet.symbols.window > 0)
        .map(|packet| packet.number.wrapping_sub(packet.symbols.window.into()))
        .collect();
    let mut payloads = BTreeSet::new();
    let mut is_known = false;
    for (index, packet) in packets.iter().enumerate() {
        let begins = is_known || begins.contains(&packet.number);
        let is_solved = begins && packet.units().all(|unit| solved.contains(&unit));
        is_known = came.contains(&index) || is_solved;
        if is_solved {
            payloads.insert(packet.number);
        }
    }
    payloads
}

proptest! {
    /// Any loss, duplication and reordering within the horizon: exactly what the symbols determine is recovered.
    #[test]
    fn all_that_the_symbols_determine_is_recovered(
        seed: u64,
        first: u32,
        window in 1..=MAX_WINDOW,
        symbols in 0u8..6,
        loss in 0.0..0.7f64,
        disorder in 0.0..0.3f64,
    ) {
        let packets = packets(seed, first, 120, window, symbols);
        let mut rng = StdRng::seed_from_u64(!seed);
        let mut came: Vec<usize> = (0..packets.len()).filter(|_| !rng.random_bool(loss)).collect();
        for index in 1..came.len() {
            if rng.random_bool(disorder) {
                came.swap(index - 1, index);
            }
            if rng.random_bool(disorder) {
                came.push(came[index]);
            }
        }
        let (sent, mut got, mut receiver) = (sent(&packets), BTreeSet::new(), CodingReceiver::new());
        for index in &came {
            receive(&mut receiver, &packets[*index], &sent, &mut got);
        }
        let mut expected = determined(&packets, &came);
        expected.extend(came.iter().map(|index| packets[*index].number));
        prop_assert_eq!(got, expected);
        prop_assert_eq!(receiver.stats().inconsistent, 0);
    }

    /// As many symbols as losses, and two for bad luck with the coefficients.
    #[test]
    fn a_burst_is_back_after_as_many_symbols(
        seed: u64,
        first: u32,
        burst in 1usize..16,
        symbols in 2u8..12,
        before in 0usize..100,
    ) {
        let packets = packets(seed, first, 200 + before as u32, MAX_WINDOW, symbols);
        let lost: usize = packets[before..before + burst].iter().map(|packet| packet.units().count()).sum();
        let after = (lost + 2).div_ceil(symbols.into()).min(60);
        let packets = &packets[..before + burst + after];
        let (sent, mut got, mut receiver) = (sent(packets), BTreeSet::new(), CodingReceiver::new());
        for packet in packets[..before].iter().chain(&packets[before + burst..]) {
            receive(&mut receiver, packet, &sent, &mut got);
        }
        prop_assert_eq!(got.len(), packets.len());
        prop_assert_eq!(receiver.stats().recovered, burst as u64);
    }

    /// Whatever comes: no panic, bounded memory.
    #[test]
    fn any_input_is_taken_within_bounds(seed: u64, near in any::<u32>()) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut receiver = CodingReceiver::new();
        let mut number = near;
        for _ in 0..400 {
            number = match rng.random_range(0..20) {
                0 => rng.random(),
                1 => number.wrapping_add(rng.random_range(0..300)),
                2 => number.wrapping_sub(rng.random_range(0..300)),
                3 => u32::MAX,
                _ => number.wrapping_add(rng.random_range(0..3)),
            };
            if rng.random_bool(0.4) {
                let bytes_max = if rng.random_bool(0.1) { 3000 } else { 20 };
                let payload = payload(&mut rng, bytes_max);
                receiver.handle_payload(number, &payload);
            } else {
                let combinations = (0..rng.random_range(0..6)).map(|_| rng.random()).collect();
                let window = if rng.random_bool(0.1) { rng.random() } else { rng.random_range(0..20) };
                let symbols = Symbols { window, combinations };
                receiver.handle_symbols(rng.random(), number, symbols);
            }
            receiver.assert_invariants();
        }
    }
}

#[test]
fn hundreds_of_thousands_of_packets_at_loss_bring_nothing_wrong() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut payloads: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let (mut got, mut is_bad) = (0, false);
    let first = u32::MAX - 50_000;
    let (mut sender, mut receiver) = (sender(first), CodingReceiver::new());
    let mut next = first;
    for packet in 0..100_000 {
        let (number, payload) = (next, payload(&mut rng, 60));
        next = number.wrapping_add(units_of(payload.len()) as u32);
        let symbols = sender.symbols(packet, sender.units_of(24), 4);
        sender.push(&payload).unwrap();
        payloads.insert(number, payload.clone());
        is_bad ^= rng.random_bool(if is_bad { 0.33 } else { 0.0175 });
        if is_bad {
            continue;
        }
        let mut new = receiver.handle_payload(number, &payload);
        new.extend(receiver.handle_symbols(packet, number, symbols));
        for (number, payload) in new {
            assert_eq!(payloads.get(&number), Some(&payload));
            got += 1;
        }
    }
    let stats = receiver.stats();
    assert_eq!(stats.inconsistent, 0);
    assert!(got > 99_990 && stats.recovered > 4_000, "{got} of 100000, {stats:?}");
}

/// `bytes` long each, with no symbols.
fn alike(first: u32, count: u32, bytes: usize) -> Vec<Packet> {
    let units = units_of(bytes) as u32;
    (0..count)
        .map(|packet| Packet {
            packet,
            number: first.wrapping_add(packet * units),
            payload: vec![packet as u8; bytes],
            symbols: Symbols::default(),
        })
        .collect()
}

#[test]
fn after_an_outage_losses_are_recovered_again() {
    for outage in [100, 1023, 1024, 50_000, 2_000_000_000] {
        let packets = packets(3, 10, 60, 8, 4);
        let (sent, mut got, mut receiver) = (sent(&packets), BTreeSet::new(), CodingReceiver::new());
        for number in 0..200 {
            receiver.handle_payload(10u32.wrapping_sub(outage + 200 - number), b"before the outage");
        }
        // The symbols of the first packets cover what the outage took; 8 packets later they do not.
        for (_, packet) in (0..).zip(&packets).skip(9).filter(|(index, _)| ![20, 22, 25].contains(index)) {
            receive(&mut receiver, packet, &sent, &mut got);
        }
        let all_but_the_outage = packets[9..].iter().all(|packet| got.contains(&packet.number));
        assert!(all_but_the_outage, "{outage}: {got:?}");
    }
}

#[test]
fn more_than_can_come_back_keeps_nothing_from_coming_back_later() {
    let (mut sender, mut receiver) = (CodingSender::new(), CodingReceiver::new());
    let packets = alike(0, 400, 13);
    for (index, packet) in packets.iter().enumerate() {
        let symbols = sender.symbols(packet.packet, 300, 2);
        sender.push(&packet.payload).unwrap();
        // A symbol each for 300 lost payloads, which no window covers together; then one of ten is lost.
        let is_lost = if index < 340 { index % 8 != 0 && index > 30 } else { index % 10 == 0 };
        if !is_lost {
            receiver.handle_payload(packet.number, &packet.payload);
            receiver.handle_symbols(packet.packet, packet.number, symbols);
            receiver.assert_invariants();
        }
    }
    assert_eq!(receiver.missing().map(|(wanted, _)| wanted > 0), Some(true));
    let symbols = sender.symbols(1000, 50, 5);
    assert_eq!(receiver.handle_symbols(1000, 400, symbols).len(), 5, "350 to 390");
}

#[test]
fn a_broken_symbol_is_noticed_and_harms_nothing_later() {
    let packets = packets(5, 0, 300, 16, 4);
    let lost = (10..20).rev().find(|index| packets[*index].units().count() == 1).unwrap();
    let sent = sent(&packets);
    let mut receiver = CodingReceiver::new();
    let mut broken = packets[20].symbols.clone();
    broken.combinations.truncate(1);
    broken.combinations[0].fill(0xff);
    for packet in packets[..20].iter().filter(|packet| packet.packet != lost as u32) {
        receiver.handle_payload(packet.number, &packet.payload);
    }
    // It recovers nonsense, which has an impossible length or no zeros behind it.
    assert_eq!(receiver.handle_symbols(20, packets[20].number, broken.clone()), []);
    assert_eq!(receiver.stats().inconsistent, 1);
    let mut got = BTreeSet::new();
    receive(&mut receiver, &packets[20], &sent, &mut got);
    assert_eq!(got, BTreeSet::from([packets[lost].number, packets[20].number]));
    // Nothing is unknown any more: it contradicts what is known.
    receiver.handle_symbols(20, packets[20].number, broken);
    assert_eq!(receiver.stats().inconsistent, 2);
    for packet in packets[21..].iter().filter(|packet| packet.packet % 7 != 0) {
        receive(&mut receiver, packet, &sent, &mut got);
    }
    assert!(packets[21..294].iter().all(|packet| got.contains(&packet.number)));
}

#[test]
fn a_payload_that_comes_late_is_returned_once_and_completes_equations() {
    let mut sender = CodingSender::new();
    let (packets, mut receiver) = (alike(0, 6, 20), CodingReceiver::new());
    packets[..5].iter().for_each(|packet| sender.push(&packet.payload).unwrap());
    for index in [0, 1, 2, 5] {
        assert_eq!(receiver.handle_payload(packets[index].number, &packets[index].payload).len(), 1);
    }
    assert_eq!(receiver.handle_symbols(5, packets[5].number, sender.symbols(5, 10, 2)), []);
    let came = receiver.handle_payload(packets[3].number, &packets[3].payload);
    assert_eq!(came.len(), 2, "it came and the one behind it follows from it");
    assert_eq!(receiver.handle_payload(packets[4].number, &packets[4].payload), []);
    assert_eq!(receiver.handle_payload(packets[5].number, &packets[5].payload), []);
}

#[test]
fn what_is_missing_is_told_and_as_many_symbols_bring_it_back() {
    let packets = alike(u32::MAX - 60, 60, 20);
    let mut sender = sender(packets[0].number);
    let mut receiver = CodingReceiver::new();
    assert_eq!(receiver.missing(), None);
    for packet in &packets {
        sender.push(&packet.payload).unwrap();
    }
    // What was before the first payload is not missing.
    let came = |packet: &&Packet| ![7, 20, 21, 22, 40].contains(&packet.packet);
    for packet in packets.iter().filter(came).skip(5) {
        receiver.handle_payload(packet.number, &packet.payload);
    }
    assert_eq!(receiver.missing(), Some((10, 106)));
    let end = packets[59].number.wrapping_add(2);
    // None of them carries a payload, so all are ahead of the same one.
    for wanted in (1..10).rev() {
        let packet = 100 - u32::from(wanted);
        assert_eq!(receiver.handle_symbols(packet, end, sender.symbols(packet, 106, 1)), []);
        assert_eq!(receiver.missing(), Some((wanted, 106)));
    }
    let new = receiver.handle_payload(packets[40].number, &packets[40].payload);
    assert_eq!((new.len(), receiver.missing()), (5, None), "all follow from one of them and nine symbols");
}

#[test]
fn what_comes_too_late_is_dropped_and_nothing_is_forgotten_for_it() {
    let packets = alike(1000, 520, 20);
    let mut receiver = CodingReceiver::new();
    for packet in packets.iter().skip(1) {
        receiver.handle_payload(packet.number, &packet.payload);
    }
    assert_eq!(receiver.handle_payload(1000, &packets[0].payload), []);
    let symbols = Symbols { window: 2, combinations: vec![[1; UNIT_BYTES]] };
    for packet in [0, 1, 7, 8, 9] {
        let number = packets[packet].number;
        assert_eq!(receiver.handle_symbols(packet as u32, number, symbols.clone()), []);
    }
    let stats = receiver.stats();
    assert_eq!((stats.useless, stats.inconsistent), (4, 1), "one does not reach back too far");
    let newest = &packets[519];
    assert_eq!(receiver.handle_payload(newest.number, &newest.payload), [], "still known");
    assert_eq!(receiver.missing(), None);
}
