//! Session messages that a ground must refuse: with a reason on both sides, nothing stored, and nobody else disturbed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tern_shared::batch::Batch;
use tern_shared::codec::{self, DecodeError, SchemaTable};
use tern_shared::id::SchemaId;
use tern_shared::message::{
    FrameMessage, Gap, GapReason, Hello, Lane, MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, Object, PROTOCOL_VERSION,
    Probe, RefusalReason, SchemaAnnouncement, SchemaBody, ToGround,
};
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Class, Field, FieldKind, Origin, Schema};
use tern_shared::time::Timestamp;

use crate::client::{Vehicle, hello};
use crate::common::{self, counter};
use crate::site::{Site, Watched, run};

const FEED_INTERVAL: Duration = Duration::from_millis(5);

#[tokio::test]
async fn truncated_messages_are_refused_and_others_are_served_meanwhile() {
    let whole = [ToGround::Hello(hello("bad", "")), schema(), frame(), gap(), probe()];
    let cut = whole.into_iter().flat_map(|message| {
        let bytes = message.encode();
        (0..bytes.len()).map(move |length| bytes[..length].to_vec()).collect::<Vec<_>>()
    });
    are_refused_beside_a_good_vehicle(cut.collect()).await;
}

#[tokio::test]
async fn bit_flipped_frames_are_refused_and_others_are_served_meanwhile() {
    let bytes = frame().encode();
    let flipped = (0..bytes.len() * 8).map(|bit| {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    // The others are other values, sequence numbers or schemas: to keep those out is the transport's part.
    let senseless: Vec<_> = flipped.filter(|bytes| makes_no_sense(bytes)).collect();
    assert!(senseless.len() > 40, "{} of {} flips", senseless.len(), bytes.len() * 8);
    are_refused_beside_a_good_vehicle(senseless).await;
}

#[tokio::test]
async fn messages_over_the_size_limit_are_refused() {
    let site = Site::new();
    let mut ground = site.start_ground(&[]).await;
    let frame = FrameMessage {
        lane: Lane::Live,
        object: Object { offset: 0, skips: Vec::new(), frame: vec![0; MAX_FRAME_BYTES + 1] },
    };
    for (message, reason, part) in [
        (ToGround::Frame(frame).encode(), RefusalReason::Malformed, "over its limits"),
        (vec![2; MAX_MESSAGE_BYTES + 1], RefusalReason::TooLarge, "over the limit of"),
        // So large that it is not even read.
        (vec![2; 5 * MAX_MESSAGE_BYTES], RefusalReason::Malformed, "too long"),
    ] {
        let mut vehicle = Vehicle::open(site.ground, &hello("bad", "")).await;
        vehicle.send(message).await;
        let refusal = vehicle.refused().await;
        assert_eq!(refusal.reason, reason, "{}", refusal.message);
        assert!(refusal.message.contains(part), "{}", refusal.message);
        ground.line(&refusal.message).await;
    }
    ground.end().await;
}

#[tokio::test]
async fn another_protocol_version_is_refused_by_number() {
    let site = Site::new();
    let mut ground = site.start_ground(&[]).await;
    let mut vehicle = Vehicle::connect(site.ground).await;
    vehicle
        .send(ToGround::Hello(Hello { protocol: PROTOCOL_VERSION + 1, ..hello("test", "") }).encode())
        .await;
    let refusal = vehicle.refused().await;
    assert_eq!(refusal.reason, RefusalReason::ProtocolVersion);
    let said = format!("protocol {}, this ground {PROTOCOL_VERSION}", PROTOCOL_VERSION + 1);
    assert!(refusal.message.contains(&said), "{}", refusal.message);
    ground.line(&refusal.message).await;
    ground.end().await;
}

#[tokio::test]
async fn an_edge_with_a_wrong_token_is_told_and_keeps_everything_until_it_has_the_right_one() {
    let site = Site::new();
    let mut ground = site.start_ground(&["--vehicle", "test=right-secret"]).await;
    let mut edge = site.start_edge(&["--token", "wrong-secret"]).await;
    site.send_numbers(0..100).await;
    let line = edge.line("refused this vehicle").await;
    assert!(line.contains("ERROR") && line.contains("[vehicles.test]"), "{line}");
    ground.line("session refused").await;
    edge.status_where("all is spooled", |status| counter(status, "spooled_records") == 100).await;
    for process in [&edge, &ground] {
        process.never_said("-secret");
    }
    edge.end().await;

    let unknown = Vehicle::connect(site.ground).await;
    assert_eq!(said_hello(unknown, "stranger", "right-secret").await, RefusalReason::NotAuthorized);

    let mut edge = site.start_edge(&["--token", "right-secret"]).await;
    site.send_numbers(100..110).await;
    edge.settled().await;
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..110).collect::<Vec<_>>());
}

async fn said_hello(mut vehicle: Vehicle, name: &str, token: &str) -> RefusalReason {
    vehicle.send(ToGround::Hello(hello(name, token)).encode()).await;
    vehicle.refused().await.reason
}

/// Sends each of these messages in a session of its own, while another vehicle is served.
async fn are_refused_beside_a_good_vehicle(messages: Vec<Vec<u8>>) {
    let site = Site::new();
    let mut ground = site.start_ground(&[]).await;
    let mut edge = site.start_edge(&[]).await;
    let feeder = tokio::spawn(common::feed(site.source, Arc::new(AtomicU64::new(0)), FEED_INTERVAL));
    edge.status_where("it is served", |status| counter(status, "acknowledged_records") > 0).await;

    for message in messages {
        is_refused(&mut ground, site.ground, message).await;
    }

    let before = counter(&edge.status(), "acknowledged_records");
    let goes_on = |status: &serde_json::Value| counter(status, "acknowledged_records") > before;
    edge.status_where("the good vehicle is served still", goes_on).await;
    edge.never_said("connection closed");
    feeder.abort();
    let accepted = counter(&edge.settled().await, "accepted_records");
    edge.end().await;
    ground.end().await;
    assert_eq!(site.exported_numbers().await, (0..accepted).collect::<Vec<_>>());

    let history = site.history();
    let export = ["--history", history.to_str().unwrap(), "export", "--vehicle", "bad", "--format", "jsonl"];
    let stored = run("tern-ground", export).await;
    assert!(stored.status.success(), "{}", String::from_utf8_lossy(&stored.stderr));
    assert_eq!(String::from_utf8_lossy(&stored.stdout), "", "nothing of the bad messages is stored");
}

async fn is_refused(ground: &mut Watched, address: SocketAddr, message: Vec<u8>) {
    let first = hello("bad", "");
    // A hello cut short stands for one; everything else follows one.
    let mut vehicle = if ToGround::Hello(first.clone()).encode().starts_with(&message) {
        Vehicle::connect(address).await
    } else {
        let mut vehicle = Vehicle::open(address, &first).await;
        vehicle.send(schema().encode()).await;
        vehicle
    };
    vehicle.send(message.clone()).await;
    let refusal = vehicle.refused().await;
    assert_eq!(refusal.reason, RefusalReason::Malformed, "{}: {message:02x?}", refusal.message);
    ground.line(&refusal.message).await;
}

fn makes_no_sense(bytes: &[u8]) -> bool {
    match ToGround::decode(bytes) {
        Ok(ToGround::Frame(FrameMessage { object: Object { frame, .. }, .. })) => {
            matches!(codec::decode(&frame, &schemas()), Err(DecodeError::Malformed(_)))
        }
        Ok(_) => false,
        Err(_) => true,
    }
}

fn schemas() -> SchemaTable {
    let fields =
        vec![Field::new("note", FieldKind::Text), Field::new("percent", FieldKind::F32).with_decimals(2)];
    let schema = Schema { stream: "humidity".to_owned(), origin: Origin::Sensor, class: Class::Live, fields };
    SchemaTable::from([(SchemaId(0), Arc::new(schema))])
}

fn schema() -> ToGround {
    let body = SchemaBody::Full(Schema::clone(&schemas()[&SchemaId(0)]));
    ToGround::Schemas(vec![SchemaAnnouncement { id: SchemaId(0), body }])
}

fn frame() -> ToGround {
    let records = (0..3).map(|n| Record {
        schema: SchemaId(0),
        time: Timestamp::from_millis(1_800_000_000_000 + n),
        values: vec![Value::Text("wet".to_owned()), Value::F32(f32::NAN)],
    });
    let frame = codec::encode(&Batch::new(records.collect()), &schemas());
    ToGround::Frame(FrameMessage { lane: Lane::Live, object: Object { offset: 0, skips: Vec::new(), frame } })
}

fn gap() -> ToGround {
    ToGround::Gap(Gap { offset: 0, count: 1000, reason: GapReason::Evicted })
}

fn probe() -> ToGround {
    ToGround::Probe(Probe { sent: Timestamp::from_millis(1_800_000_000_000), estimate: None })
}
