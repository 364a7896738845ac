//! The link between network namespaces. Without root these tests say that they were skipped.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tern_testbed::check::{self, CheckOptions};
use tern_testbed::link::{Fate, Link, PathSeeds};
use tern_testbed::namespace;
use tern_testbed::path::LinkKind;
use tern_testbed::run::{self, Outcome, RunOptions};
use tern_testbed::scenario::Scenario;

mod common;

/// How often a machine may be too busy to measure on.
const ATTEMPTS: u32 = 3;

fn is_available() -> bool {
    match namespace::check_tun() {
        Ok(()) => true,
        Err(why) => {
            eprintln!("SKIPPED: {why}");
            false
        }
    }
}

#[tokio::test]
async fn the_reference_keeps_its_bounds_for_20_seconds() {
    if !is_available() {
        return;
    }
    common::binary("tern-edge");
    let mut scenario = Scenario::load("geo-bgan").unwrap();
    scenario.length = Duration::from_secs(20);
    let options = RunOptions { scenario, link: LinkKind::Tun };
    for _ in 0..ATTEMPTS {
        match run::run(&options, std::future::pending()).await.unwrap() {
            Outcome::Measured(result) => {
                assert!(result.is_within_bounds(), "{result:#?}");
                assert_eq!((result.samples, result.link.as_str()), (1000, "tun"));
                return;
            }
            outcome => eprintln!("{outcome:?}"),
        }
    }
    panic!("the machine was too busy {ATTEMPTS} times");
}

#[tokio::test]
async fn the_emulated_link_is_as_asked_and_loses_what_the_model_loses() {
    if !is_available() {
        return;
    }
    let (profile, seed) = (Scenario::load("geo-bgan-burst5").unwrap().link, 5);
    let options = CheckOptions { profile: profile.clone(), link: LinkKind::Tun, seed };
    let mut report = check::run(&options).await.unwrap();
    for _ in 1..ATTEMPTS {
        if report.is_as_asked() {
            break;
        }
        report = check::run(&options).await.unwrap();
    }
    assert!(report.is_as_asked(), "{report:#?}");

    let mut model = Link::new(profile.to_ground, profile.outages, PathSeeds::of(seed).to_ground);
    let probes = report.lost_to_ground.last().unwrap() + 1;
    let lost = (0..probes).filter(|&number| {
        let at = tern_shared::time::Instant(Duration::from_secs(number));
        matches!(model.send(at, vec![0; 100]), Fate::Lost(_))
    });
    assert_eq!(report.lost_to_ground, lost.collect::<Vec<_>>());
    assert!(report.lost_to_ground.len() > 5);
}

#[test]
fn what_a_killed_testbed_leaves_is_gone_at_the_next_start() {
    if !is_available() {
        return;
    }
    common::binary("tern-edge");
    for signal in ["KILL", "TERM", "INT"] {
        let mut testbed = Command::new(env!("CARGO_BIN_EXE_tern-testbed"))
            .args(["run", "geo-clean", "--link", "tun"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = testbed.id();
        wait_until(|| namespaces_of(pid) == 2);
        let killed = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
        assert!(killed.success());
        testbed.wait().unwrap();
        if signal == "KILL" {
            assert_eq!(namespaces_of(pid), 2);
            namespace::remove_leftovers().unwrap();
        }
        assert_eq!(namespaces_of(pid), 0, "after SIG{signal}");
    }
}

fn namespaces_of(pid: u32) -> usize {
    let names = Command::new("ip").args(["netns", "list"]).output().unwrap();
    let prefix = format!("tern-{pid}-");
    String::from_utf8(names.stdout).unwrap().lines().filter(|line| line.starts_with(&prefix)).count()
}

fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited for 20 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}
