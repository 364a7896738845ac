//! Freezes the wire: every message and every kind of column, byte by byte, as `docs/PROTOCOL.md` describes them.
//!
//! Postcard is positional, so a variant or field that moves breaks vehicles in the field without a word. A test that
//! fails here means a new `PROTOCOL_VERSION`, not a new golden value.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod wire;

use std::fmt::Debug;

use tern_shared::batch::Batch;
use tern_shared::codec;
use tern_shared::datagram::coding::{
    CodingReceiver, CodingSender, MAX_PAYLOAD_BYTES, MAX_WINDOW_UNITS, Symbols,
};
use tern_shared::message::{PROTOCOL_VERSION, SchemaBody, ToGround, ToVehicle};
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Class, InvalidSchema, Schema};
use wire::{frames, hex, messages, symbols, unhex};

#[test]
fn messages_to_the_ground_keep_their_bytes() {
    check(messages::to_ground(), ToGround::encode, |bytes| ToGround::decode(bytes).unwrap());
}

#[test]
fn messages_to_the_vehicle_keep_their_bytes() {
    check(messages::to_vehicle(), ToVehicle::encode, |bytes| ToVehicle::decode(bytes).unwrap());
}

#[test]
fn frames_keep_their_bytes() {
    let schemas = frames::schemas();
    for golden in frames::frames() {
        let bytes = unhex(golden.hex);
        let encoded = codec::encode(&Batch::new(golden.records.clone()), &schemas);
        let decoded = codec::decode(&bytes, &schemas).unwrap_or_else(|error| {
            panic!("{}: {error}, the code makes {}", golden.name, hex(&encoded));
        });
        assert_eq!(bits(&decoded), bits(&golden.records), "{}", golden.name);
        if bytes[0] == 0 {
            assert_eq!(hex(&encoded), hex(&bytes), "{}", golden.name);
        } else {
            // Another compressor may find a shorter block; what it stands for is frozen.
            assert_eq!(encoded[0], bytes[0], "{}", golden.name);
            assert_eq!(bits(&codec::decode(&encoded, &schemas).unwrap()), bits(&golden.records));
        }
    }
}

#[test]
fn symbols_keep_their_bytes() {
    for golden in symbols::symbols() {
        let bytes = unhex(golden.hex);
        let symbols = Symbols::decode(&bytes).unwrap();
        let (mut sender, payloads) = (CodingSender::new(), golden.numbered());
        while sender.next() != payloads[0].0 as u16 {
            sender.push(&[0; MAX_PAYLOAD_BYTES + 1]).unwrap_err();
        }
        for (_, payload) in &payloads {
            sender.push(payload).unwrap();
        }
        let made = sender.symbols(golden.packet, MAX_WINDOW_UNITS, symbols.combinations.len() as u8);
        let mut encoded = Vec::new();
        made.encode(&mut encoded);
        assert_eq!((hex(&encoded), &made), (hex(&bytes), &symbols));
        // They recover as many of their units, the newest.
        let is_lost =
            |(number, _): &&(u32, Vec<u8>)| golden.end - number <= symbols.combinations.len() as u32;
        let lost: Vec<_> = payloads.iter().filter(is_lost).cloned().collect();
        let mut receiver = CodingReceiver::new();
        for (number, payload) in &payloads[..payloads.len() - lost.len()] {
            receiver.handle_payload(*number, payload);
        }
        assert_eq!(receiver.handle_symbols(golden.packet, golden.end, symbols), lost);
    }
}

#[test]
fn a_hello_of_another_version_is_recognised() {
    let hello = messages::to_ground()[0].0.encode();
    assert_eq!(ToGround::hello_version(&hello), Some(PROTOCOL_VERSION));
    assert_eq!(ToGround::hello_version(&unhex("00 02")), Some(2));
    assert_eq!(ToGround::hello_version(&unhex("00 ac02 ffffffff")), Some(300));
    for other in ["", "00", "00 ffffff", "01 01"] {
        assert_eq!(ToGround::hello_version(&unhex(other)), None, "{other}");
    }
}

#[test]
fn the_short_form_of_a_dialect_schema_stands_for_the_full_one() {
    let schema = Schema::of_mavlink(messages::ATTITUDE).unwrap();
    let critical = Schema { class: Class::Critical, ..schema.clone() };
    for schema in [schema.clone(), schema.clone().exact(), critical] {
        let body = SchemaBody::compact(&schema);
        assert!(matches!(body, SchemaBody::Dialect { .. }), "{body:?}");
        assert_eq!(body.resolve().unwrap(), schema);
        assert_eq!(SchemaBody::Full(schema.clone()).resolve().unwrap(), schema);
    }
    let renamed = Schema { stream: "attitude".into(), ..schema };
    assert_eq!(SchemaBody::compact(&renamed), SchemaBody::Full(renamed));
}

#[test]
fn the_short_form_of_the_links_state_stands_for_what_the_document_lists() {
    let schema = Schema::of_link_state();
    let body = SchemaBody::compact(&schema);
    assert_eq!(body, SchemaBody::LinkState { layout: 1 });
    assert_eq!(body.resolve().unwrap(), schema);
    let other = SchemaBody::LinkState { layout: 2 }.resolve();
    assert_eq!(other, Err(InvalidSchema::LinkState { layout: 2 }));
    let rows = schema.fields.iter().map(|field| {
        let unit = if field.unit.is_empty() { String::new() } else { format!("{} ", field.unit) };
        let optional = if field.optional { "yes" } else { "no" };
        format!("| `{}` | {:?} | {unit}| {optional} |\n", field.name, field.kind)
    });
    let table = format!(
        "Layout 1 is:\n\n| Field | Kind | Unit | Optional |\n|---|---|---|---|\n{}\n",
        rows.collect::<String>()
    );
    assert!(include_str!("../../docs/PROTOCOL.md").contains(&table), "{table}");
}

/// Every example stands in the document whole, and then again in explained parts.
#[test]
fn the_document_shows_these_bytes() {
    let golden: Vec<String> = messages::to_ground()
        .iter()
        .map(|(_, hex)| *hex)
        .chain(messages::to_vehicle().iter().map(|(_, hex)| *hex))
        .chain(frames::frames().iter().map(|golden| golden.hex))
        .chain(symbols::symbols().iter().map(|golden| golden.hex))
        .map(str::to_owned)
        .collect();
    let mut shown = 0;
    for block in include_str!("../../docs/PROTOCOL.md").split("```text\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let Some((whole, parts)) = block.split_once("\n\n") else { continue };
        if !whole.chars().all(|c| c.is_ascii_hexdigit()) {
            continue;
        }
        let parts: String = parts.lines().map(|line| line.split("  ").next().unwrap()).collect();
        assert_eq!(hex(&unhex(&parts)), whole);
        assert!(golden.iter().any(|hex| hex == whole), "{whole}");
        shown += 1;
    }
    assert_eq!(shown, 6);
}

/// Each value has its bytes, and the bytes the value.
fn check<T: Debug + PartialEq>(
    golden: Vec<(T, &str)>,
    encode: impl Fn(&T) -> Vec<u8>,
    decode: impl Fn(&[u8]) -> T,
) {
    for (message, expected) in golden {
        let expected = unhex(expected);
        assert_eq!(hex(&encode(&message)), hex(&expected), "{message:?}");
        assert_eq!(decode(&expected), message);
    }
}

/// The records as text in which floats are their bits, since no NaN equals itself.
fn bits(records: &[Record]) -> Vec<String> {
    let value = |value: &Value| match value {
        Value::F32(float) => format!("F32({:08x})", float.to_bits()),
        Value::F64(float) => format!("F64({:016x})", float.to_bits()),
        other => format!("{other:?}"),
    };
    let record = |record: &Record| {
        let values: Vec<String> = record.values.iter().map(value).collect();
        format!("{} {:?} {values:?}", record.schema, record.time)
    };
    records.iter().map(record).collect()
}
