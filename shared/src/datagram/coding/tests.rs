//! Both ends of the code together.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::gf256::{add_scaled, inverse, scale};
use super::symbol::coefficient;
use super::*;

/// What crosses the link for payload `number`, symbols included: in these tests, the packet of the same number.
struct Packet {
    number: u32,
    payload: Vec<u8>,
    symbols: Symbols,
}

fn payload(rng: &mut StdRng, bytes_max: usize) -> Vec<u8> {
    let bytes = rng.random_range(0..=bytes_max);
    // Zeros are what padding is made of.
    (0..bytes).map(|_| if rng.random_bool(0.3) { 0 } else { rng.random() }).collect()
}

/// A sender whose next payload has this number.
fn sender(number: u32) -> CodingSender {
    let mut sender = CodingSender::new();
    for _ in 0..number % 256 {
        // Nothing is remembered of these.
        assert!(sender.push(&[0; MAX_PAYLOAD_BYTES + 1]).is_err());
    }
    sender
}

fn packets(seed: u64, first: u32, count: u32, window: u8, symbols: u8) -> Vec<Packet> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut sender = sender(first);
    (0..count)
        .map(|index| {
            let number = first.wrapping_add(index);
            let payload = payload(&mut rng, 200);
            let symbols = sender.symbols(number, window, symbols);
            sender.push(&payload).unwrap();
            Packet { number, payload, symbols }
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
    new.extend(receiver.handle_symbols(packet.number, packet.number, packet.symbols.clone()));
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
    let known: BTreeSet<u32> = came.iter().map(|index| packets[*index].number).collect();
    let lost: Vec<u32> =
        packets.iter().map(|packet| packet.number).filter(|number| !known.contains(number)).collect();
    let row = |packet: &Packet, index: u8| -> Vec<u8> {
        let window = 1..=u32::from(packet.symbols.window);
        let covers = |number: u32| window.contains(&packet.number.wrapping_sub(number));
        lost.iter()
            .map(|n| if covers(*n) { coefficient(packet.number, index, *n as u8) } else { 0 })
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
    rows.iter()
        .filter(|row| row.iter().filter(|c| **c != 0).count() == 1)
        .filter_map(|row| row.iter().position(|c| *c != 0))
        .map(|column| lost[column])
        .collect()
}

proptest! {
    /// Any loss, duplication and reordering within the horizon: exactly what the symbols determine is recovered.
    #[test]
    fn all_that_the_symbols_determine_is_recovered(
        seed: u64,
        first: u32,
        window in 1..=MAX_WINDOW,
        symbols in 0..=MAX_SYMBOLS_PER_PACKET,
        loss in 0.0..0.7f64,
        disorder in 0.0..0.3f64,
    ) {
        let packets = packets(seed, first, HORIZON as u32 - u32::from(MAX_WINDOW), window, symbols);
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
        burst in 1usize..20,
        symbols in 1..=MAX_SYMBOLS_PER_PACKET,
        before in 0usize..200,
    ) {
        let after = (burst + 2).div_ceil(symbols.into());
        let packets = packets(seed, first, (before + burst + after) as u32, MAX_WINDOW, symbols);
        let (sent, mut got, mut receiver) = (sent(&packets), BTreeSet::new(), CodingReceiver::new());
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
                let bytes_max = if rng.random_bool(0.1) { 3000 } else { 20 };
                let combinations =
                    (0..rng.random_range(0..6)).map(|_| payload(&mut rng, bytes_max)).collect();
                let symbols = Symbols { window: rng.random(), combinations };
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
    for number in (0..100_000).map(|index| first.wrapping_add(index)) {
        let payload = payload(&mut rng, 60);
        let symbols = sender.symbols(number, 24, 2);
        sender.push(&payload).unwrap();
        payloads.insert(number, payload.clone());
        payloads.remove(&number.wrapping_sub(HORIZON as u32));
        is_bad ^= rng.random_bool(if is_bad { 0.33 } else { 0.0175 });
        if is_bad {
            continue;
        }
        let mut new = receiver.handle_payload(number, &payload);
        new.extend(receiver.handle_symbols(number, number, symbols));
        for (number, payload) in new {
            assert_eq!(payloads.get(&number), Some(&payload));
            got += 1;
        }
    }
    let stats = receiver.stats();
    assert_eq!(stats.inconsistent, 0);
    assert!(got > 99_990 && stats.recovered > 4_000, "{got} of 100000, {stats:?}");
}

#[test]
fn after_an_outage_losses_are_recovered_again() {
    for outage in [100, 127, 128, 5_000, 2_000_000_000] {
        let packets = packets(3, 10, 60, 8, 1);
        let (sent, mut got, mut receiver) = (sent(&packets), BTreeSet::new(), CodingReceiver::new());
        for number in 0..200 {
            receiver.handle_payload(10u32.wrapping_sub(outage + 200 - number), b"before the outage");
        }
        // The symbols of the first packets cover what the outage took; 8 packets later they do not.
        for packet in packets.iter().skip(9).filter(|packet| ![20, 22, 25].contains(&packet.number)) {
            receive(&mut receiver, packet, &sent, &mut got);
        }
        assert!((20..=69).all(|number| got.contains(&number)), "{outage}: {got:?}");
    }
}

#[test]
fn a_broken_symbol_is_noticed_and_harms_nothing_later() {
    let packets = packets(5, 0, 300, 16, 1);
    let sent = sent(&packets);
    let mut receiver = CodingReceiver::new();
    let mut broken = packets[20].symbols.clone();
    broken.combinations[0].iter_mut().for_each(|byte| *byte ^= 0x3c);
    for packet in packets[..20].iter().filter(|packet| packet.number != 17) {
        receiver.handle_payload(packet.number, &packet.payload);
    }
    // It recovers nonsense for 17, which has an impossible length.
    assert_eq!(receiver.handle_symbols(20, 20, broken.clone()), []);
    assert_eq!(receiver.stats().inconsistent, 1);
    let mut got = BTreeSet::new();
    receive(&mut receiver, &packets[20], &sent, &mut got);
    assert_eq!(got, BTreeSet::from([17, 20]));
    // Nothing is unknown any more: it contradicts what is known.
    receiver.handle_symbols(20, 20, broken);
    assert_eq!(receiver.stats().inconsistent, 2);
    for packet in packets[21..].iter().filter(|packet| packet.number % 7 != 0) {
        receive(&mut receiver, packet, &sent, &mut got);
    }
    assert_eq!(got.len(), 281);
}

#[test]
fn a_payload_that_comes_late_is_returned_once_and_completes_equations() {
    let packets = packets(6, 0, 10, 8, 1);
    let (sent, mut got, mut receiver) = (sent(&packets), BTreeSet::new(), CodingReceiver::new());
    for index in [0, 1, 2, 5] {
        receive(&mut receiver, &packets[index], &sent, &mut got);
    }
    assert_eq!(got, BTreeSet::from([0, 1, 2, 5]));
    assert_eq!(receiver.handle_payload(3, &packets[3].payload).len(), 2, "3 came and 4 follows from it");
    assert_eq!(receiver.handle_payload(4, &packets[4].payload), []);
    assert_eq!(receiver.handle_payload(5, &packets[5].payload), []);
}

#[test]
fn what_is_missing_is_told_and_as_many_symbols_bring_it_back() {
    let packets = packets(7, u32::MAX - 30, 60, 8, 0);
    let mut sender = sender(packets[0].number);
    let mut receiver = CodingReceiver::new();
    assert_eq!(receiver.missing(), None);
    for packet in &packets {
        sender.push(&packet.payload).unwrap();
    }
    // What was before the first payload is not missing.
    let came = |index: usize| ![7, 20, 21, 22, 40].contains(&index);
    for packet in
        packets.iter().enumerate().filter(|(index, _)| came(*index)).map(|(_, packet)| packet).skip(5)
    {
        receiver.handle_payload(packet.number, &packet.payload);
    }
    assert_eq!(receiver.missing(), Some((5, 53)));
    let end = packets[59].number.wrapping_add(1);
    // None of them carries a payload, so all are ahead of the same one.
    for (packet, wanted) in [(90, 4), (91, 3), (92, 2), (93, 1)] {
        assert_eq!(receiver.handle_symbols(packet, end, sender.symbols(packet, 53, 1)), []);
        assert_eq!(receiver.missing(), Some((wanted, 53)));
    }
    receiver.handle_payload(packets[40].number, &packets[40].payload);
    assert_eq!(receiver.missing(), None, "all follow from one of them and four symbols");
}

#[test]
fn what_comes_too_late_is_dropped_and_nothing_is_forgotten_for_it() {
    let packets = packets(8, 1000, 140, 8, 1);
    let mut receiver = CodingReceiver::new();
    for packet in packets.iter().skip(1) {
        receiver.handle_payload(packet.number, &packet.payload);
    }
    assert_eq!(receiver.handle_payload(1000, &packets[0].payload), []);
    for packet in [&packets[0], &packets[1], &packets[11], &packets[12], &packets[13]] {
        let window = Symbols { window: 1, ..packets[20].symbols.clone() };
        assert_eq!(receiver.handle_symbols(packet.number, packet.number, window), []);
    }
    let stats = receiver.stats();
    assert_eq!((stats.useless, stats.inconsistent), (4, 1), "one does not reach back too far");
    assert_eq!(receiver.handle_payload(1139, &packets[139].payload), [], "still known");
    assert_eq!(receiver.missing(), None);
}
