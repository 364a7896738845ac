//! How old samples are at the ground, in virtual time: real sessions, the scenarios' links and workloads.
//!
//! Much faster than real, and the same on every machine; what the kernel, the transport and the disk add is measured by
//! `tern-testbed run`. `cargo test -p tern-testbed --test freshness -- --ignored --nocapture` prints the table of all
//! scenarios; `TERN_SCENARIO=leo-certus` just the ones whose name begins so, `TERN_SECONDS` and `TERN_SEED` as said.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

#[path = "freshness/ages.rs"]
mod ages;
#[path = "freshness/flight.rs"]
mod flight;
#[path = "freshness/samples.rs"]
mod samples;

use std::time::Duration;

use ages::Ages;
use flight::Flight;
use samples::Samples;
use tern_testbed::scenario::Scenario;

const SITL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/flights/sitl_mission_250hz.tlog");

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn fly(name: &str, samples: Samples, seconds: u64, seed: u64) -> Ages {
    let mut scenario = Scenario::load(name).unwrap();
    scenario.length = Duration::from_secs(seconds);
    scenario.seed = seed;
    Flight::new(&scenario, samples).run()
}

fn synthetic(name: &str) -> Samples {
    Samples::synthetic(&Scenario::load(name).unwrap())
}

#[test]
#[ignore = "prints a table"]
fn every_scenario() {
    let wanted = std::env::var("TERN_SCENARIO").unwrap_or_default();
    let seconds = number("TERN_SECONDS").unwrap_or(600);
    let seed = number("TERN_SEED").unwrap_or(1);
    println!("{}", Ages::HEADING);
    for scenario in Scenario::builtin().into_iter().filter(|scenario| scenario.name.starts_with(&wanted) && (std::env::var("NOOUT").is_err() || !scenario.name.contains("outage"))) {
        let seconds = seconds.max(scenario.length.as_secs());
        let name = &scenario.name;
        println!("{}", fly(name, synthetic(name), seconds, seed).row(name, "synthetic"));
        println!("{}", fly(name, Samples::recorded(SITL), seconds, seed).row(name, "flight"));
    }
}
