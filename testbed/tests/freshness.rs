//! How old samples are at the ground, in virtual time: real sessions, the scenarios' links and workloads.
//!
//! Much faster than real, and the same on every machine; what the kernel, the transport and the disk add is measured by
//! `tern-testbed run`. `cargo test -p tern-testbed --test freshness -- --ignored --nocapture` prints the table of all
//! scenarios; `TERN_SCENARIO=leo-certus` that one, or all whose names begin so, `TERN_SECONDS`, `TERN_SEED` and
//! `TERN_FLIGHT=FILE.tlog` as said.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

#[path = "freshness/ages.rs"]
mod ages;
#[path = "freshness/flight.rs"]
mod flight;
#[path = "freshness/ideal.rs"]
mod ideal;
#[path = "freshness/samples.rs"]
mod samples;

use std::time::Duration;

use ages::Ages;
use flight::Flight;
use ideal::Sender;
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

/// Age in milliseconds at most at p50, p99 and p99.9, and the share that may be over a second.
fn assert_fresh(name: &str, samples: Samples, bounds: [f64; 3], late_share: f64) {
    for seed in 1..=2 {
        let ages = fly(name, samples.clone(), 600, seed);
        let row = format!("seed {seed}\n{}\n{}", Ages::HEADING, ages.row(name, ""));
        for (share, bound) in [0.5, 0.99, 0.999].into_iter().zip(bounds) {
            assert!(ages.quantile(share) <= bound, "p{} is over {bound} ms: {row}", share * 100.0);
        }
        assert!(ages.late_share() <= late_share, "more than {late_share} are late: {row}");
        assert_eq!(ages.lost(), 0, "{row}");
    }
}

#[test]
fn a_link_without_loss_adds_little_to_its_delay() {
    assert_fresh("geo-clean", synthetic("geo-clean"), [350.0, 420.0, 450.0], 0.0);
    assert_fresh("geo-clean", Samples::recorded(SITL), [350.0, 420.0, 450.0], 0.0);
}

#[test]
fn what_single_losses_take_comes_back_within_the_second() {
    assert_fresh("geo-bgan", synthetic("geo-bgan"), [400.0, 520.0, 650.0], 0.0);
    assert_fresh("geo-bgan", Samples::recorded(SITL), [400.0, 520.0, 650.0], 0.0);
    assert_fresh("geo-bgan-loss5", synthetic("geo-bgan-loss5"), [410.0, 600.0, 750.0], 0.0);
    assert_fresh("geo-bgan-loss5", Samples::recorded(SITL), [410.0, 600.0, 750.0], 0.0);
}

#[test]
fn handovers_of_a_low_orbit_are_bridged() {
    assert_fresh("leo-starlink", synthetic("leo-starlink"), [110.0, 180.0, 300.0], 0.0);
    assert_fresh("leo-starlink", Samples::recorded(SITL), [110.0, 180.0, 300.0], 0.0);
}

/// Long bursts exceed what any code brings back in time: see the table in `docs/EXPERIMENTS.md`.
#[test]
fn most_of_what_bursts_take_comes_back_within_the_second() {
    assert_fresh("geo-bgan-burst5", synthetic("geo-bgan-burst5"), [430.0, 780.0, 1500.0], 0.005);
    assert_fresh("geo-bgan-burst5", Samples::recorded(SITL), [430.0, 700.0, f64::MAX], 0.005);
    assert_fresh("leo-certus", synthetic("leo-certus"), [200.0, f64::MAX, f64::MAX], 0.02);
    assert_fresh("leo-certus", Samples::recorded(SITL), [200.0, f64::MAX, f64::MAX], 0.02);
}

/// All messages of the flight that [`SITL`] is a part of, which the project may not carry: in `TERN_FLIGHTS`, else beside
/// the workspace.
fn whole_flight() -> Option<Samples> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/flights");
    let folder = std::env::var("TERN_FLIGHTS").unwrap_or_else(|_| beside.to_owned());
    let path = format!("{folder}/sitl_mission_250hz.tlog");
    if std::path::Path::new(&path).is_file() {
        return Some(Samples::recorded(&path));
    }
    eprintln!("SKIPPED the whole flight: no {path} (TERN_FLIGHTS names the folder)");
    None
}

#[test]
fn a_flight_at_full_rate_leaves_much_of_the_link_to_others() {
    let Some(samples) = whole_flight() else { return };
    assert_fresh("geo-bgan", samples.clone(), [400.0, 520.0, 650.0], 0.0);
    let ages = fly("geo-bgan", samples, 300, 1);
    let up = ages.up_bytes as f64 / ages.seconds;
    assert!(up <= 3000.0, "{up} B/s");
}

#[test]
fn after_an_outage_fresh_data_comes_first_and_is_not_held_up_by_the_backlog() {
    let name = "geo-bgan-outage30";
    let parts = [(synthetic(name), 1), (Samples::recorded(SITL), 1), (Samples::recorded(SITL), 2)];
    let whole = whole_flight().into_iter().flat_map(|samples| [(samples.clone(), 1), (samples, 2)]);
    for (samples, seed) in parts.into_iter().chain(whole) {
        let ages = fly(name, samples, 120, seed);
        let (_, up) = ages.outages[0];
        let (first, view, worst, _) = ages.after_outage(up);
        let row = ages.row(name, "");
        assert!(first <= 500.0 && view <= 600.0 && worst <= 900.0, "{}\n{row}", Ages::HEADING);
        assert_eq!(ages.lost(), 0, "{row}");
    }
}

#[test]
#[ignore = "prints a table"]
fn every_scenario() {
    let wanted = std::env::var("TERN_SCENARIO").unwrap_or_default();
    let seconds = number("TERN_SECONDS").unwrap_or(600);
    let seed = number("TERN_SEED").unwrap_or(1);
    let flight = std::env::var("TERN_FLIGHT").unwrap_or_else(|_| SITL.to_owned());
    println!("{}", Ages::HEADING);
    let all = Scenario::builtin();
    let is_name = all.iter().any(|scenario| scenario.name == wanted);
    let is_wanted = |name: &str| if is_name { name == wanted } else { name.starts_with(&wanted) };
    for scenario in all.iter().filter(|scenario| is_wanted(&scenario.name)) {
        let seconds = seconds.max(scenario.length.as_secs());
        let name = &scenario.name;
        println!("{}", fly(name, synthetic(name), seconds, seed).row(name, "synthetic"));
        println!("{}", fly(name, Samples::recorded(&flight), seconds, seed).row(name, "flight"));
    }
}

/// What the table of [`every_scenario`] is to be measured by, where no sender keeps the bounds that were asked for.
#[test]
#[ignore = "prints a table"]
fn the_limits_of_links_with_bursts() {
    println!("{}", Ages::HEADING);
    // Bytes a second, as they leave: samples of 41 bytes, a flight's frames. IP, UDP and QUIC at the least; with the numbers and
    // the time that packets tell.
    let (least, told) = (54.0, 62.0);
    let loads = [
        ("geo-bgan-burst5", "synthetic", 50.0 * 41.0, least, 1.0),
        ("geo-bgan-burst5", "told", 50.0 * 41.0, told, 1.0),
        ("geo-bgan-burst5", "told, 98 %", 50.0 * 41.0, told, 0.98),
        ("geo-bgan-burst5", "flight", 700.0, least, 1.0),
        ("leo-certus", "synthetic", 10.0 * 41.0, least, 1.0),
        ("leo-certus", "told, 96 %", 10.0 * 41.0, told, 0.96),
        ("leo-certus", "flight", 700.0, least, 1.0),
    ];
    for (name, load, payload, overhead_bytes, fill) in loads {
        let sender = Sender { payload, overhead_bytes, fill };
        let mut scenario = Scenario::load(name).unwrap();
        scenario.length = Duration::from_secs(number("TERN_SECONDS").unwrap_or(6_000));
        scenario.seed = number("TERN_SEED").unwrap_or(1);
        for millis in [15, 20, 25, 30, 35, 40, 50, 60, 80, 100] {
            if let Some(ages) = ideal::fly(&scenario, sender, Duration::from_millis(millis)) {
                println!("{}", ages.row(name, &format!("{load} {millis}")));
            }
        }
    }
}
