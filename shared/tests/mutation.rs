//! Damages golden messages and frames at random, always the same way: no input panics, none makes much of little.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod wire;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tern_shared::codec::{self, MAX_BODY_BYTES, MAX_FRAME_VALUES, SchemaTable};
use tern_shared::datagram::coding::{
    CodingReceiver, MAX_PAYLOAD_BYTES, MAX_SYMBOLS_PER_PACKET, MAX_WINDOW_UNITS, Symbols,
};
use tern_shared::message::{MAX_ACK_RANGES, Payload, ToGround, ToVehicle};
use tern_shared::record::{Record, Value};
use wire::{frames, hex, messages, symbols, unhex};

/// What every run of these tests damages alike.
const SEED: u64 = 0x7e51;

#[test]
fn a_damaged_message_is_refused_or_understood() {
    let mut rng = StdRng::seed_from_u64(SEED);
    let to_ground: Vec<Vec<u8>> = messages::to_ground().iter().map(|(_, bytes)| unhex(bytes)).collect();
    let to_vehicle: Vec<Vec<u8>> = messages::to_vehicle().iter().map(|(_, bytes)| unhex(bytes)).collect();
    for _ in 0..100_000 {
        let bytes = damaged(&mut rng, &to_ground);
        ToGround::hello_version(&bytes);
        if let Ok(ToGround::Schemas(announcements)) = ToGround::decode(&bytes) {
            for schema in announcements.iter().filter_map(|announcement| announcement.body.resolve().ok()) {
                assert_eq!(schema.validate(), Ok(()), "{}", hex(&bytes));
            }
        }
        let bytes = damaged(&mut rng, &to_vehicle);
        if let Ok(ToVehicle::Acknowledge(acknowledgement)) = ToVehicle::decode(&bytes) {
            let mut end = acknowledgement.floor;
            for (index, range) in acknowledgement.ranges().enumerate() {
                assert!(index < MAX_ACK_RANGES && end <= range.start && range.start <= range.end, "{range}");
                end = range.end;
            }
        }
    }
}

#[test]
fn a_damaged_frame_is_refused_or_bounded() {
    let mut rng = StdRng::seed_from_u64(SEED);
    let schemas = frames::schemas();
    let whole: Vec<Vec<u8>> = frames::frames().iter().map(|golden| unhex(golden.hex)).collect();
    for (frame, golden) in whole.iter().zip(frames::frames()) {
        let records = codec::decode(frame, &schemas).unwrap();
        assert_eq!(records.len(), golden.records.len(), "{}", golden.name);
    }
    for _ in 0..80_000 {
        decode(&damaged(&mut rng, &whole), &schemas);
    }
}

/// Damage inside a frame whose lengths are right again: it reaches the columns.
#[test]
fn a_damaged_body_is_refused_or_bounded() {
    let mut rng = StdRng::seed_from_u64(SEED);
    let schemas = frames::schemas();
    let bodies: Vec<Vec<u8>> = frames::frames().iter().map(|golden| body(&unhex(golden.hex))).collect();
    let mut understood = 0;
    for _ in 0..80_000 {
        let frame = postcard::to_stdvec(&(0u8, damaged(&mut rng, &bodies))).unwrap();
        understood += usize::from(decode(&frame, &schemas));
    }
    assert!(understood > 1000, "the damage never reached a column: {understood}");
}

#[test]
fn a_damaged_live_packet_is_refused_or_understood() {
    let mut rng = StdRng::seed_from_u64(SEED);
    let live = messages::to_ground().into_iter().filter(|(message, _)| matches!(message, ToGround::Live(_)));
    let live: Vec<Vec<u8>> = live.map(|(_, bytes)| unhex(bytes)).collect();
    let (mut with_symbols, mut payloads) = (0, 0);
    for _ in 0..100_000 {
        let bytes = damaged(&mut rng, &live);
        let Ok(ToGround::Live(packet)) = ToGround::decode(&bytes) else { continue };
        let symbols = &packet.symbols;
        assert!(packet.payload.len() + symbols.encoded_bytes() < bytes.len(), "{}", hex(&bytes));
        if !symbols.combinations.is_empty() {
            assert!((1..=MAX_WINDOW_UNITS).contains(&symbols.window), "{}", hex(&bytes));
            assert!(symbols.combinations.len() <= usize::from(MAX_SYMBOLS_PER_PACKET));
            with_symbols += 1;
        }
        if let Ok(payload) = Payload::decode(&packet.payload) {
            assert!(payload.frame.len() <= packet.payload.len());
            assert_eq!(Payload::decode(&payload.encode()), Ok(payload), "{}", hex(&bytes));
            payloads += 1;
        }
    }
    assert!(with_symbols > 1000 && payloads > 1000, "{with_symbols}, {payloads}");
}

#[test]
fn a_damaged_symbol_is_refused_or_recovers_payloads_within_bounds() {
    let mut rng = StdRng::seed_from_u64(SEED);
    let (mut recovered, mut inconsistent) = (0, 0);
    for _ in 0..25_000 {
        for golden in symbols::symbols() {
            let mut receiver = CodingReceiver::new();
            for (number, payload) in golden.numbered().into_iter().skip(1) {
                receiver.handle_payload(number, &payload);
            }
            let bytes = damaged(&mut rng, &[unhex(golden.hex)]);
            let Some(symbols) = Symbols::decode(&bytes) else { continue };
            let payloads = receiver.handle_symbols(golden.packet, golden.end, symbols);
            assert!(payloads.iter().all(|(_, payload)| payload.len() <= MAX_PAYLOAD_BYTES));
            recovered += payloads.len();
            inconsistent += receiver.stats().inconsistent;
        }
    }
    assert!(recovered > 1000 && inconsistent > 1000, "{recovered}, {inconsistent}");
}

/// Whether it decodes; panics when what came out is over the limits.
fn decode(frame: &[u8], schemas: &SchemaTable) -> bool {
    let Ok(records) = codec::decode(frame, schemas) else { return false };
    let values: usize = records.iter().map(|record| record.values.len() + 1).sum();
    let bytes: usize = records.iter().map(text_bytes).sum();
    assert!(values <= MAX_FRAME_VALUES && bytes <= MAX_BODY_BYTES, "{}", hex(frame));
    assert!(records.iter().all(|r| r.values.len() == schemas[&r.schema].fields.len()), "{}", hex(frame));
    true
}

fn text_bytes(record: &Record) -> usize {
    let bytes = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    record.values.iter().map(bytes).sum()
}

/// The body of a golden frame.
fn body(frame: &[u8]) -> Vec<u8> {
    if frame[0] == 0 {
        postcard::from_bytes::<(u8, Vec<u8>)>(frame).unwrap().1
    } else {
        let (_, body_bytes, block) = postcard::from_bytes::<(u8, u32, Vec<u8>)>(frame).unwrap();
        lz4_flex::block::decompress(&block, body_bytes as usize).unwrap()
    }
}

/// One of the samples with one to four bytes flipped, changed, put in, taken out, or its end cut off.
fn damaged(rng: &mut StdRng, samples: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = samples[rng.random_range(0..samples.len())].clone();
    for _ in 0..rng.random_range(1..=4) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..6) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random(),
            // The bounds of varints and lengths.
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.random_range(0..5)],
            3 => bytes.insert(at, rng.random()),
            4 => drop(bytes.remove(at)),
            _ => bytes.truncate(at),
        }
    }
    bytes
}
