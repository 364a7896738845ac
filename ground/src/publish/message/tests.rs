use std::sync::Arc;

use serde_json::{Value as Json, json};
use tern_shared::id::{Epoch, SchemaId};
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Field, FieldKind, Origin};
use tern_shared::time::Timestamp;

use super::super::cursor::{HistoryTag, Position};
use super::super::encode::{Encoding, json as text};
use super::*;

fn published() -> PublishedRecord {
    let schema = Schema {
        stream: "humidity".to_owned(),
        origin: Origin::Sensor,
        class: Class::Live,
        fields: vec![Field::new("percent", FieldKind::F32).with_unit("%"), Field::new("n", FieldKind::U8)],
    };
    PublishedRecord {
        vehicle: "alpha".into(),
        epoch: Epoch(10),
        sequence: 7,
        position: Position(0x37),
        received: Timestamp(2_000_000),
        lane: Lane::Backlog,
        clock: Some(ClockEstimate { offset_micros: 12_500, uncertainty_micros: 300_000 }),
        schema: Arc::new(schema),
        record: Record {
            schema: SchemaId(0),
            time: Timestamp(1_500_000),
            values: vec![Value::F32(41.3), Value::Int(1)],
        },
    }
}

fn cursor() -> Cursor {
    Cursor::new(HistoryTag(0x5e1f), Position(0x37))
}

#[test]
fn messages_are_what_the_documentation_says() {
    let published = published();
    let record =
        |sub, phase, selection: &Selection| text(&record(cursor(), sub, phase, &published, selection));
    assert_eq!(
        record("", None, &Selection::All),
        r#"{"type":"record","cursor":"5e1f-37","vehicle":"alpha","stream":"humidity","t":1.5,"received":2.0,"clock_offset_ms":12.5,"clock_uncertainty_ms":300.0,"lane":"backlog","seq":7,"epoch":"000000000000000a","fields":{"percent":41.3,"n":1}}"#
    );
    let some = Selection::Some([false, true].into());
    let filled = record("map", Some(Phase::Fill), &some);
    assert!(filled.starts_with(r#"{"type":"record","sub":"map","phase":"fill","cursor":"#), "{filled}");
    assert!(filled.ends_with(r#""fields":{"n":1}}"#), "{filled}");
    let about = StreamAbout::new(&published.schema);
    assert_eq!(
        text(&ToClient::Stream { sub: "", cursor: cursor(), vehicle: "alpha", about }),
        r#"{"type":"stream","cursor":"5e1f-37","vehicle":"alpha","stream":"humidity","class":"live","units":{"percent":"%"}}"#
    );
    let status = VehicleStatus { connected: true, records: 3, ..VehicleStatus::default() };
    let vehicle = text(&ToClient::Vehicle { sub: "", cursor: cursor(), vehicle: "alpha", status: &status });
    assert!(vehicle.contains(r#""vehicle":"alpha","connected":true,"since":null,"#), "{vehicle}");
    let problem = Problem::new(ErrorCode::NotAuthorized, "m");
    assert_eq!(
        text(&ToClient::Error { problem: problem.clone(), id: None }),
        r#"{"type":"error","code":"not-authorized","message":"m"}"#
    );
    let end = ToClient::HistoryEnd { id: "h", records: 1, next: None, error: Some(problem) };
    assert_eq!(
        text(&end),
        r#"{"type":"history-end","id":"h","records":1,"next":null,"error":{"code":"not-authorized","message":"m"}}"#
    );
}

#[test]
fn message_pack_holds_what_json_holds() {
    let published = published();
    let message = record(cursor(), "map", None, &published, &Selection::All);
    let axum::extract::ws::Message::Binary(bytes) = Encoding::MessagePack.encode(&message) else { panic!() };
    let unpacked: Json = rmp_serde::from_slice(&bytes).unwrap();
    let mut expected: Json = serde_json::from_str(&text(&message)).unwrap();
    // A 32-bit float stays one.
    expected["fields"]["percent"] = json!(41.3_f32);
    assert_eq!(unpacked, expected);
    assert!(bytes.len() < text(&message).len());
}
