//! Whole flights through edge, a link that is cut at random and down for a while, ground and export.
//!
//! What comes out is compared with the recording by an independent reader, pymavlink (`compare_tlog.py`): every
//! message exactly once, in order a stream, integers exact, floats within their resolution, opaque ones whole.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::Workdir;
use tern_testbed::link::{LinkProfile, Loss, Outage, OutageSchedule, PathProfile};
use tern_testbed::proxy::{Proxy, ProxyOptions};

/// How long a flight may take to arrive; debug builds on two busy cores need the most of it.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(120);
/// Early enough for the shortest flight to be on its way.
const OUTAGE_START: Duration = Duration::from_millis(400);
const OUTAGE_LENGTH: Duration = Duration::from_secs(4);

#[tokio::test]
async fn the_demo_flight_arrives_whole() {
    let flight = common::workspace().join("testbed/flights/sitl_mission_250hz.tlog");
    crosses_whole(&flight, 1).await;
}

#[tokio::test]
async fn a_simulated_mission_arrives_whole() {
    given_flight_crosses_whole("sitl_mission_250hz.tlog", 2).await;
}

#[tokio::test]
async fn a_flight_over_a_slow_radio_arrives_whole() {
    given_flight_crosses_whole("copter_radio_2hz.tlog", 3).await;
}

#[tokio::test]
async fn a_flight_that_ends_in_a_crash_arrives_whole() {
    given_flight_crosses_whole("copter_crash_50hz.tlog", 4).await;
}

#[tokio::test]
async fn a_px4_flight_arrives_whole() {
    given_flight_crosses_whole("px4_hop_28hz.tlog", 5).await;
}

/// For flights that the project may not carry: looks in `TERN_FLIGHTS`, else beside the workspace.
async fn given_flight_crosses_whole(name: &str, seed: u64) {
    let folder = std::env::var_os("TERN_FLIGHTS")
        .map_or_else(|| common::workspace().join("../shared/flights"), PathBuf::from);
    let flight = folder.join(name);
    if flight.is_file() {
        crosses_whole(&flight, seed).await;
    } else {
        eprintln!("SKIPPED {name}: not in {} (TERN_FLIGHTS names the folder)", folder.display());
    }
}

async fn crosses_whole(flight: &Path, seed: u64) {
    let workdir = Workdir::new();
    let history = workdir.path("history.sqlite");
    let ground_address = common::free_address();
    let ground = common::start_ground(ground_address, &history);

    let proxy = Proxy::bind(ProxyOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        forward_to: ground_address,
        profile: rough_link(),
        cut_every: Some(Duration::from_secs(2)),
        seed,
    })
    .unwrap();
    let proxy_address = proxy.local_addr().unwrap();
    let proxy_status = proxy.status();
    tokio::spawn(proxy.run());

    let start = Instant::now();
    let source = format!("replay:{}?speed=max", flight.display());
    let mut edge = common::start_edge(proxy_address, &source, &workdir.path("spool.sqlite"), 200);
    let status = common::wait_until_settled(&mut edge, Duration::from_secs(2), ARRIVAL_LIMIT).await;
    assert!(
        start.elapsed() > OUTAGE_START + OUTAGE_LENGTH,
        "all arrived before the outage, which proves nothing"
    );
    assert!(proxy_status.borrow().cut_connections > 0, "no connection was cut");
    assert_eq!(common::counter(&status, "lost_records"), 0, "{status}");
    common::stop(edge).await;
    common::stop(ground).await;

    let exported = workdir.path("exported.tlog");
    common::export(&history, "tlog", &exported).await;
    compare(flight, &exported).await;
}

/// Fast, so that a test does not take as long as a flight, but lossy, and down for a while.
fn rough_link() -> PathProfile {
    let direction = LinkProfile {
        loss: Loss::Random { percent: 1.0 },
        ..LinkProfile::ideal(4_000_000.try_into().unwrap(), Duration::from_millis(10))
    };
    let outage = Outage::once(OUTAGE_START, OUTAGE_LENGTH);
    PathProfile {
        name: "rough".to_owned(),
        to_ground: direction.clone(),
        to_vehicle: direction,
        outages: OutageSchedule::new(vec![outage]).unwrap(),
    }
}

async fn compare(original: &Path, exported: &Path) {
    let Some(python) = std::env::var_os("TERN_PYTHON") else {
        eprintln!(
            "SKIPPED comparison with pymavlink: TERN_PYTHON names no Python that has it (`make test` does)"
        );
        return;
    };
    let script = common::workspace().join("testbed/tests/compare_tlog.py");
    let result =
        tokio::process::Command::new(python).arg(script).args([original, exported]).output().await.unwrap();
    let said = String::from_utf8_lossy(&result.stdout);
    eprintln!("{said}");
    assert!(result.status.success(), "{said}{}", String::from_utf8_lossy(&result.stderr));
}
