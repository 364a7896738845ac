//! What the codec promises, held against a whole flight.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::path::Path;
use std::time::Duration;

use tern_testbed::codec::{CodecOptions, LossPolicy, Streams, measure};

const QUARTER: Duration = Duration::from_millis(250);

fn bytes_per_sample(window: Duration, exact: bool, policy: LossPolicy, streams: Streams) -> (f64, f64) {
    let flight = Path::new(env!("CARGO_MANIFEST_DIR")).join("flights/sitl_mission_250hz.tlog");
    let report = measure(&flight, &CodecOptions { window, exact, policy, streams }).unwrap();
    assert_eq!(report.roundtrip, if exact { "exact" } else { "within-precision" });
    (report.bytes_per_sample, report.mavlink2_bytes_per_sample)
}

#[test]
fn a_whole_flight_is_a_tenth_of_its_mavlink() {
    let (bytes, mavlink) = bytes_per_sample(QUARTER, false, LossPolicy::Chain, Streams::All);
    assert!(bytes * 10.0 < mavlink, "{bytes} of {mavlink}");
}

#[test]
fn surviving_loss_costs_little() {
    let (chain, _) = bytes_per_sample(QUARTER, false, LossPolicy::Chain, Streams::Core);
    let (restart, _) = bytes_per_sample(QUARTER, false, LossPolicy::Restart4, Streams::Core);
    let (standalone, _) = bytes_per_sample(QUARTER, false, LossPolicy::Standalone, Streams::Core);
    assert!(chain < restart && restart < standalone && standalone < 16.0, "{chain} {restart} {standalone}");
}

#[test]
fn exact_floats_and_backlog_come_back() {
    bytes_per_sample(QUARTER, true, LossPolicy::Restart4, Streams::All);
    bytes_per_sample(Duration::from_secs(10), false, LossPolicy::Standalone, Streams::All);
}
