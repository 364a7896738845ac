//! MAVLink over UDP: floats that are no numbers, and garbage between the frames.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tern_shared::mavlink::dialect::{self, MessageLayout};
use tern_shared::mavlink::frame::{self, Candidate, inspect, is_start_mark};
use tern_shared::mavlink::payload;
use tern_shared::record::Value;
use tokio::net::UdpSocket;

use crate::client::Browser;
use crate::common::{self, binary, counter};
use crate::site::{Site, Watched};

const ATTITUDE: u32 = 30;

#[tokio::test]
async fn floats_that_are_no_numbers_arrive_bit_for_bit() {
    let site = Site::new();
    let ground = site.start_ground(&[]).await;
    let mut browser = Browser::connect(site.ground).await;
    let mut edge = start_edge(&site).await;
    let angles: [[f32; 3]; 4] = [
        [f32::NAN, f32::INFINITY, f32::NEG_INFINITY],
        // Not the NaN that computers make by themselves: negative, with a payload, and a signalling one.
        [f32::from_bits(0xffc0_0000), f32::from_bits(0x7fc1_2345), f32::from_bits(0x7f80_0001)],
        [0.25, f32::NAN, -0.5],
        [0.25, 0.5, -0.5],
    ];
    let frames: Vec<_> = (0u8..).zip(angles).map(|(n, angles)| attitude(n, angles)).collect();
    send(&site, &frames).await;

    let record = browser.record_where("ATTITUDE", |_| true).await;
    assert_eq!(record["stream"], "mavlink/1/1/ATTITUDE");
    let fields = &record["fields"];
    assert_eq!((&fields["roll"], &fields["pitch"]), (&"NaN".into(), &"Infinity".into()));
    assert_eq!((&fields["yaw"], &fields["time_boot_ms"]), (&"-Infinity".into(), &0.into()));

    edge.settled().await;
    edge.end().await;
    ground.end().await;
    assert_eq!(
        exported_payloads(&site).await,
        frames.iter().map(|frame| payload_of(frame)).collect::<Vec<_>>()
    );

    let exported = site.path("exported.jsonl");
    common::export(&site.history(), "jsonl", &exported).await;
    let text = std::fs::read_to_string(&exported).unwrap();
    let angles: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["fields"].take())
        .map(|fields| ["roll", "pitch", "yaw"].map(|name| fields[name].to_string()))
        .collect();
    let expected = [
        [r#""NaN""#, r#""Infinity""#, r#""-Infinity""#],
        [r#""NaN""#, r#""NaN""#, r#""NaN""#],
        ["0.25", r#""NaN""#, "-0.5"],
        ["0.25", "0.5", "-0.5"],
    ];
    assert_eq!(angles, expected);
}

#[tokio::test]
async fn garbage_between_frames_is_skipped_and_counted() {
    let site = Site::new();
    let ground = site.start_ground(&[]).await;
    let mut edge = start_edge(&site).await;
    let mut rng = StdRng::seed_from_u64(1);
    let (mut good, mut datagrams) = (Vec::new(), Vec::new());
    let (mut bad_checksums, mut skipped_bytes) = (0, 0);
    for round in 0..50u8 {
        let frames = [0, 1, 2].map(|n| attitude(3 * round + n, [0.25, f32::from(round) / 4.0, 0.5]));
        let noise: Vec<u8> = (0..rng.random_range(1..40)).map(|_| noise_byte(&mut rng)).collect();
        let corrupt = corrupted(&frames[1], &mut rng);
        let cut = &frames[1][..15];
        skipped_bytes += noise.len() + corrupt.len() + cut.len();
        bad_checksums += 1;
        datagrams.push([&noise, &frames[0][..]].concat());
        datagrams.push([&corrupt, &frames[1][..]].concat());
        // What a datagram leaves unfinished is not continued by the next one.
        datagrams.push(cut.to_vec());
        datagrams.push(frames[2].clone());
        good.extend(frames);
    }
    send(&site, &datagrams).await;

    edge.accepted(good.len() as u64).await;
    let status = edge.settled().await;
    let source = &status["sources"][0];
    assert_eq!(counter(source, "records"), good.len() as u64, "{status}");
    assert_eq!(counter(source, "bad_checksums"), bad_checksums, "{status}");
    assert_eq!(counter(source, "skipped_bytes"), skipped_bytes as u64, "{status}");
    edge.end().await;
    ground.end().await;
    assert_eq!(
        exported_payloads(&site).await,
        good.iter().map(|frame| payload_of(frame)).collect::<Vec<_>>()
    );
}

async fn start_edge(site: &Site) -> Watched {
    let source = format!("udpin:{}", site.source);
    let arguments = site.edge_arguments_for(&source, &site.spool(), &[]);
    let mut edge = Watched::spawn("tern-edge", &binary("tern-edge"), arguments);
    edge.line("source listening").await;
    edge
}

async fn send(site: &Site, datagrams: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in datagrams {
        socket.send_to(datagram, site.source).await.unwrap();
    }
}

fn layout() -> &'static MessageLayout {
    dialect::message(ATTITUDE).unwrap()
}

/// The count of frames, which the ground makes anew, is also in `time_boot_ms`.
fn attitude(sequence: u8, angles: [f32; 3]) -> Vec<u8> {
    let given = BTreeMap::from([("roll", angles[0]), ("pitch", angles[1]), ("yaw", angles[2])]);
    let values: Vec<Value> = layout()
        .fields
        .iter()
        .map(|field| match field.name {
            "time_boot_ms" => Value::Int(sequence.into()),
            name => Value::F32(given.get(name).copied().unwrap_or(0.125)),
        })
        .collect();
    frame::encode_v2(sequence, 1, 1, layout(), &payload::encode(layout(), &values))
}

fn payload_of(frame: &[u8]) -> Vec<u8> {
    match inspect(frame) {
        Candidate::Certain(found) if found.raw.len() == frame.len() => found.payload.to_vec(),
        other => panic!("no frame: {other:?}"),
    }
}

/// The payloads of the exported tlog, each entry of which is an 8-byte time and a frame.
async fn exported_payloads(site: &Site) -> Vec<Vec<u8>> {
    let exported = site.path("exported.tlog");
    common::export(&site.history(), "tlog", &exported).await;
    let bytes = std::fs::read(&exported).unwrap();
    let mut payloads = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let Candidate::Certain(frame) = inspect(&rest[8..]) else { panic!("no frame: {rest:02x?}") };
        payloads.push(frame.payload.to_vec());
        rest = &rest[8 + frame.raw.len()..];
    }
    payloads
}

/// No byte that a frame can begin with, so that what is skipped can be told beforehand.
fn noise_byte(rng: &mut StdRng) -> u8 {
    loop {
        let byte = rng.random();
        if !is_start_mark(byte) {
            return byte;
        }
    }
}

/// The frame with a byte of its payload changed so that no checksum fits, whatever the layout.
fn corrupted(frame: &[u8], rng: &mut StdRng) -> Vec<u8> {
    loop {
        let mut corrupt = frame.to_vec();
        let at = rng.random_range(10..frame.len() - 2);
        corrupt[at] = noise_byte(rng);
        let marks = corrupt[1..].iter().filter(|&&byte| is_start_mark(byte)).count();
        if marks == 0 && matches!(inspect(&corrupt), Candidate::Corrupt(_)) {
            return corrupt;
        }
    }
}
