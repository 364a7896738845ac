use std::io::Write;
use std::sync::Arc;

use tern_shared::mavlink::dialect;
use tern_shared::mavlink::frame::encode_v2;
use tokio::sync::mpsc;

use super::*;
use crate::source::{Counters, Sample, SourceUrl};

/// A tlog of heartbeats at these microseconds.
fn recording(micros: &[u64]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let layout = dialect::message_named("HEARTBEAT").unwrap();
    for &stamp in micros {
        file.write_all(&stamp.to_be_bytes()).unwrap();
        file.write_all(&encode_v2(0, 1, 1, layout, &[1])).unwrap();
    }
    file
}

/// Name, frames, opaque frames, hash of all frames, bytes that are part of no entry (an entry cut short at the end).
///
/// The opaque ones are a ground station's, of a message whose id another dialect uses for RESOURCE_REQUEST: whole, all
/// with the same CRC_EXTRA (113), which is not the dialect's (72). pymavlink calls them BAD_DATA.
const FLIGHTS: [(&str, u64, u64, u64, u64); 4] = [
    ("copter_radio_2hz.tlog", 76_791, 1_314, 0xd4c7_1977_6e00_d3e5, 19),
    ("copter_crash_50hz.tlog", 23_342, 0, 0x37e1_cb65_b077_1551, 0),
    ("px4_hop_28hz.tlog", 2_368, 0, 0xe10d_9b84_463a_3577, 0),
    ("sitl_mission_250hz.tlog", 59_121, 0, 0xaa0b_5be4_2063_b234, 0),
];

async fn play(url: String, count: usize) -> (Vec<(Sample, Duration)>, Result<(), SourceError>) {
    let (sender, mut receiver) = mpsc::channel(1);
    let url: SourceUrl = url.parse().unwrap();
    let started = Instant::now();
    let source = tokio::spawn(async move {
        crate::source::run(&url, sender, Arc::default(), crate::source::Port::new()).await
    });
    let mut seen = Vec::new();
    while seen.len() < count
        && let Some(sample) = receiver.recv().await
    {
        seen.push((sample, started.elapsed()));
    }
    drop(receiver);
    (seen, source.await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_recording_keeps_its_timing_and_its_speed() {
    let file =
        recording(&[1_000_000, 2_000_000, 1_500_000, 5_500_000, 90_000_000_000_000, 90_000_001_000_000]);
    let path = file.path().display();
    let (seen, ended) = play(format!("replay:{path}?speed=2&clock=recorded"), 100).await;
    assert!(ended.is_ok());
    let times: Vec<i64> = seen.iter().map(|(sample, _)| sample.time.0).collect();
    assert_eq!(times, [1_000_000, 2_000_000, 1_500_000, 5_500_000, 90_000_000_000_000, 90_000_001_000_000]);
    let played: Vec<u64> = seen.iter().map(|(_, after)| after.as_millis() as u64 / 100 * 100).collect();
    assert_eq!(played, [0, 500, 500, 2500, 2500, 3000]);
}

#[tokio::test(start_paused = true)]
async fn a_looped_recording_plays_until_nobody_listens() {
    let file = recording(&[1_000_000, 2_000_000]);
    let (seen, ended) = play(format!("replay:{}?loop=true&speed=max", file.path().display()), 7).await;
    assert_eq!(seen.len(), 7);
    assert!(ended.is_ok());
    assert!(seen.iter().all(|(sample, _)| sample.time > Timestamp(1_700_000_000_000_000)));
}

#[tokio::test]
async fn a_missing_or_wrong_file_is_an_error() {
    let (_, ended) = play("replay:no/such.tlog".into(), 1).await;
    assert!(ended.unwrap_err().to_string().starts_with("cannot read no/such.tlog: "));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"this is no recording").unwrap();
    let (_, ended) = play(format!("replay:{}?loop=true", file.path().display()), 1).await;
    assert!(matches!(ended, Err(SourceError::NoFrames { .. })));
}

/// Every frame of the recorded flights comes out, typed or opaque. Counts and hashes were computed with pymavlink:
/// FNV-1a, 64 bits, over system, component, message id (little-endian, 3 bytes) and payload of each frame in order.
#[tokio::test]
async fn recorded_flights_are_read_as_an_independent_reader_does() {
    let folder = std::env::var("TERN_FLIGHTS")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/flights").to_owned());
    if !Path::new(&folder).is_dir() {
        println!("SKIPPED: no recorded flights in {folder}; name their folder in TERN_FLIGHTS");
        return;
    }
    for (name, frames, opaque, hash, skipped_bytes) in FLIGHTS {
        let bytes = std::fs::read(Path::new(&folder).join(name)).unwrap();
        let mut entries = Entries::default();
        let (mut seen, mut seen_opaque, mut seen_hash) = (0, 0, 0xcbf2_9ce4_8422_2325_u64);
        entries.push(&bytes);
        entries.finish();
        while let Some(entry) = entries.next_entry() {
            let frame = entry.frame;
            seen += 1;
            seen_opaque += u64::from(frame.layout.is_none());
            let head =
                [frame.system, frame.component].into_iter().chain(frame.message.to_le_bytes()[..3].to_vec());
            for byte in head.chain(frame.payload.iter().copied()) {
                seen_hash = (seen_hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        assert_eq!((seen, seen_opaque, seen_hash), (frames, opaque, hash), "{name}");
        assert_eq!((entries.bad_checksums, entries.skipped_bytes), (0, skipped_bytes), "{name}");

        let (sender, mut receiver) = mpsc::channel(1000);
        let url: SourceUrl = format!("replay:{folder}/{name}?speed=max").parse().unwrap();
        let counters = Arc::new(Counters::default());
        let source = tokio::spawn({
            let counters = counters.clone();
            async move { crate::source::run(&url, sender, counters, crate::source::Port::new()).await }
        });
        while receiver.recv().await.is_some() {}
        source.await.unwrap().unwrap();
        assert_eq!(counters.snapshot().records, frames, "{name}");
    }
}
