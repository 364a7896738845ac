//! Clocks that jump an hour either way: the sensor's, and the vehicle's own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::{binary, counter};
use crate::site::{Site, Watched};

/// Seconds that the clock is off in each part of a test: it goes back and forth by an hour and by two.
const OFFSETS: [i64; 5] = [0, 3600, 0, -3600, 3600];
const RECORDS_A_PART: u64 = 20;

#[tokio::test]
async fn a_sensor_whose_clock_jumps_keeps_its_order() {
    let site = Site::new();
    let ground = site.start_ground(&[]).await;
    let mut edge = site.start_edge(&["--spool-max-age-seconds", "1800"]).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let times: Vec<i64> = (0..200).map(|n| now + n + OFFSETS[n as usize % OFFSETS.len()]).collect();
    let lines: String = times
        .iter()
        .enumerate()
        .map(|(n, t)| format!("{{\"stream\":\"counter\",\"t\":{t},\"n\":{n}}}\n"))
        .collect();
    site.send(&lines).await;
    edge.accepted(200).await;
    assert_eq!(counter(&edge.settled().await["spool"], "evicted_records"), 0);
    edge.end().await;
    ground.end().await;
    let exported = site.exported_counter().await;
    let numbers: Vec<_> = exported.iter().map(|record| record["fields"]["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    let exported: Vec<_> = exported.iter().map(|record| record["t"].as_f64().unwrap() as i64).collect();
    assert_eq!(exported, times);
}

#[tokio::test]
async fn a_vehicle_whose_clock_jumps_loses_and_evicts_nothing() {
    let Some(library) = faketime_library() else {
        eprintln!(
            "SKIPPED an edge whose clock jumps: libfaketime (Debian package libfaketime) is not installed"
        );
        return;
    };
    let site = Site::new();
    let clock = site.path("clock");
    set_clock(&clock, 0);
    let mut edge = start_edge(&site, &library, &clock).await;
    // The first half while the link is down, so that the jumps happen to what is in the spool.
    let mut next = 0;
    for offset in OFFSETS {
        send_part(&site, &mut edge, &clock, offset, &mut next).await;
    }
    let ground = site.start_ground(&[]).await;
    edge.status_where("the session is open", |status| status["connected"] == true).await;
    for offset in OFFSETS {
        send_part(&site, &mut edge, &clock, offset, &mut next).await;
    }
    let status = edge.settled().await;
    assert_eq!(counter(&status["spool"], "evicted_records"), 0, "{status}");
    // A jump is no silence of the ground's.
    edge.never_said("connecting anew");
    edge.end().await;
    ground.end().await;

    let exported = site.exported_counter().await;
    let numbers: Vec<_> = exported.iter().map(|record| record["fields"]["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..next).collect::<Vec<_>>());
    let start = exported[0]["t"].as_f64().unwrap();
    let parts = exported.chunks(RECORDS_A_PART as usize).zip(OFFSETS.iter().chain(&OFFSETS));
    for (part, &offset) in parts {
        for record in part {
            let off = record["t"].as_f64().unwrap() - start - offset as f64;
            assert!((0.0..600.0).contains(&off), "the clock did not jump by {offset} s: {record}");
        }
    }
}

async fn send_part(site: &Site, edge: &mut Watched, clock: &Path, offset: i64, next: &mut u64) {
    set_clock(clock, offset);
    site.send_numbers(*next..*next + RECORDS_A_PART).await;
    *next += RECORDS_A_PART;
    // Stored before the clock jumps again, so that the jump happens to it.
    edge.status_where("it is spooled", |status| counter(status, "spooled_records") == *next).await;
}

/// An edge that asks the library for the time of day, and the system for everything else.
async fn start_edge(site: &Site, library: &Path, clock: &Path) -> Watched {
    let setting = |name: &str, value: &Path| {
        let mut setting = OsString::from(format!("{name}="));
        setting.push(value);
        setting
    };
    let mut arguments = vec![
        setting("LD_PRELOAD", library),
        setting("FAKETIME_TIMESTAMP_FILE", clock),
        "FAKETIME_NO_CACHE=1".into(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".into(),
        binary("tern-edge").into(),
    ];
    arguments.extend(site.edge_arguments(&["--spool-max-age-seconds", "1800"]));
    let mut edge = Watched::spawn("tern-edge", Path::new("env"), arguments);
    edge.line("source listening").await;
    edge
}

fn set_clock(file: &Path, offset_seconds: i64) {
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{offset_seconds:+}\n")).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn faketime_library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok).map(|entry| entry.path());
    folders.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|library| library.is_file())
}
