//! Time to make a symbol and to recover a payload, beside what a packet takes on the narrowest links: milliseconds.
//!
//! `cargo bench -p tern-shared --bench coding`; a symbol of 24 payloads of 300 bytes shall take less than 20 us.

#![allow(missing_docs)] // Nobody calls a benchmark.

use divan::Bencher;
use tern_shared::datagram::coding::{CodingReceiver, CodingSender, MAX_PAYLOAD_BYTES};

/// Window and payload bytes: usual ones, and the largest.
const SIZES: [(u8, usize); 3] = [(10, 60), (24, 300), (64, MAX_PAYLOAD_BYTES)];

fn main() {
    divan::main();
}

#[divan::bench(args = SIZES)]
fn symbol(bencher: Bencher, (window, bytes): (u8, usize)) {
    let sender = sender(window, bytes);
    bencher.bench(|| sender.symbols(window.into(), window, 1));
}

/// One payload of the window is lost.
#[divan::bench(args = SIZES)]
fn recover_one(bencher: Bencher, (window, bytes): (u8, usize)) {
    recover(bencher, window, bytes, 1);
}

/// The four newest are lost, and four symbols come: the last of them solves all.
#[divan::bench(args = SIZES)]
fn recover_four(bencher: Bencher, (window, bytes): (u8, usize)) {
    recover(bencher, window, bytes, 4);
}

fn recover(bencher: Bencher, window: u8, bytes: usize, lost: u8) {
    let sender = sender(window, bytes);
    let symbols = sender.symbols(window.into(), window, lost);
    bencher
        .with_inputs(|| {
            let mut receiver = CodingReceiver::new();
            for number in 0..window - lost {
                receiver.handle_payload(number.into(), &payload(number, bytes));
            }
            (receiver, symbols.clone())
        })
        .bench_local_values(|(mut receiver, symbols)| {
            let recovered = receiver.handle_symbols(window.into(), window.into(), symbols);
            assert_eq!(recovered.len(), usize::from(lost));
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
