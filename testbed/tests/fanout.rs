//! What one ground carries, small: that all of it is counted. Figures are for release builds (docs/EXPERIMENTS.md).

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod common;

use std::process::Command;

use common::Workdir;
use serde_json::Value;

#[test]
fn every_client_gets_every_message_beside_one_that_stopped_reading() {
    common::binary("tern-ground");
    let work = Workdir::new();
    let file = work.path("fanout.json");
    let mut testbed = Command::new(env!("CARGO_BIN_EXE_tern-testbed"));
    testbed.args(["fanout", "--clients", "50", "--stalled", "1", "--rate", "5", "--seconds", "1"]);
    assert!(testbed.args(["--peers", "bare", "--json"]).arg(&file).status().unwrap().success());
    let result: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let keys: Vec<&String> = result.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "clients",
            "cpus",
            "delivered",
            "ground",
            "kernel",
            "latency_ms",
            "lost",
            "peers",
            "rate",
            "stalled",
            "started",
            "version"
        ],
        "{result}"
    );
    let count = |key: &str| result[key].as_u64().unwrap();
    let bare = &result["peers"][0];
    assert!(bare["name"] == "bare" && bare["lost"] == 0, "{result}");
    assert_eq!((count("clients"), count("stalled"), count("lost")), (50, 1, 0), "{result}");
    // A machine that stood still sent fewer.
    let delivered = count("delivered");
    assert!(delivered > 0 && delivered.is_multiple_of(50), "{result}");
    assert!(
        result["latency_ms"]["p999"].as_f64().unwrap() > 0.0 && result["ground"]["rss_mb"] != 0.0,
        "{result}"
    );
}
