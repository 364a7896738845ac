//! Time to make a symbol and to recover a payload, beside what a packet takes on the narrowest links: milliseconds.
//!
//! `cargo bench -p tern-shared --bench coding`; a symbol of 24 payloads of 300 bytes shall take less than 20 us.

#![allow(missing_docs)] // Nobody calls a benchmark.

use divan::Bencher;
use tern_shared::datagram::coding::{CodingReceiver, CodingSender, units_of};

/// Window and payload bytes: usual ones, and about the most that four lost ones may have.
const SIZES: [(u8, usize); 3] = [(10, 60), (24, 300), (8, 900)];

fn main() {
    divan::main();
}

#[divan::bench(args = SIZES)]
fn symbol(bencher: Bencher, (window, bytes): (u8, usize)) {
    let sender = sender(window, bytes);
    bencher.bench(|| sender.symbols(window.into(), sender.units_of(window), 1));
}

/// One payload of the window is lost.
#[divan::bench(args = SIZES)]
fn recover_one(bencher: Bencher, (window, bytes): (u8, usize)) {
    recover(bencher, window, bytes, 1);
}

/// The four newest are lost, and as many symbols come as they have units: the last of them solves all.
#[divan::bench(args = SIZES)]
fn recover_four(bencher: Bencher, (window, bytes): (u8, usize)) {
    recover(bencher, window, bytes, 4);
}

fn recover(bencher: Bencher, window: u8, bytes: usize, lost: u8) {
    let sender = sender(window, bytes);
    let units = units_of(bytes) as u32;
    let packets: Vec<_> = (0..u32::from(lost))
        .map(|packet| (packet, sender.symbols(packet, sender.units_of(window), units as u8)))
        .collect();
    bencher
        .with_inputs(|| {
            let mut receiver = CodingReceiver::new();
            for number in 0..window - lost {
                receiver.handle_payload(u32::from(number) * units, &payload(number, bytes));
            }
            (receiver, packets.clone())
        })
        .bench_local_values(|(mut receiver, packets)| {
            let end = u32::from(window) * units;
            let handle = |(packet, symbols)| receiver.handle_symbols(packet, end, symbols).len();
            assert_eq!(packets.into_iter().map(handle).sum::<usize>(), usize::from(lost));
        });
}

fn sender(window: u8, bytes: usize) -> CodingSender {
    let mut sender = CodingSender::new();
    for number in 0..window {
        sender.push(&payload(number, bytes)).expect("the payload fits");
    }
    sender
}

fn payload(number: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 + usize::from(number) * 7) as u8).collect()
}
