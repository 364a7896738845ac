//! Real netem, in user-mode Linux. Without root or its packages these tests say that they were skipped.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod common;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Workdir;
use tern_testbed::guest;

/// How often a machine may be too busy to measure on, or netem, which draws its losses by itself, lose more than it should in a
/// minute: one minute in fifty then costs more bytes than the reference may.
const ATTEMPTS: u32 = 3;
/// How long booting and ending may take.
const DEADLINE: Duration = Duration::from_secs(60);

fn is_available() -> bool {
    match guest::check_available() {
        Ok(()) => true,
        Err(why) => {
            eprintln!("SKIPPED: {why}");
            false
        }
    }
}

fn testbed(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tern-testbed"));
    command.args(arguments).stdin(Stdio::null());
    command
}

#[test]
fn the_reference_keeps_its_bounds_over_real_netem() {
    if !is_available() {
        return;
    }
    common::binary("tern-edge");
    let workdir = Workdir::new();
    let results = workdir.path("it's a result.json");
    let mut costs_more = false;
    for _ in 0..ATTEMPTS {
        let mut command = testbed(&["run", "geo-bgan", "--seconds", "60", "--link", "uml", "--json"]);
        let _ = std::fs::remove_file(&results);
        let output = command.arg(&results).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        if complaint.contains("rejected") {
            eprintln!("{complaint}");
            continue;
        }
        assert!(said.starts_with("geo-bgan by quic over uml with seed 1\n"), "{said}{complaint}");
        let result: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&results).unwrap()).unwrap();
        assert_eq!((&result["link"], &result["samples"]), (&"uml".into(), &3000.into()), "{result}");
        assert_eq!((&result["lost"], &result["duplicates"]), (&0.into(), &0.into()), "{result}");
        let p50 = result["latency_ms"]["p50"].as_f64().unwrap();
        assert!(p50 > 300.0, "no link is faster than its delay: {result}");
        let bounds = result["bounds"].as_array().unwrap();
        let missed: Vec<_> = bounds.iter().filter(|bound| bound["met"] != true).collect();
        assert_eq!(output.status.code(), Some(i32::from(!missed.is_empty())), "{said}{complaint}");
        if missed.is_empty() {
            return;
        }
        let is_luck = missed.iter().all(|bound| bound["name"] == "uplink_bytes_per_sample");
        assert!(is_luck && !costs_more, "{said}{complaint}");
        costs_more = true;
        eprintln!("{said}");
    }
    panic!("the machine was too busy");
}

#[test]
fn nothing_of_a_guest_outlives_the_testbed() {
    if !is_available() {
        return;
    }
    for signal in ["INT", "TERM", "KILL"] {
        let mut testbed = start_guest();
        kill(signal, testbed.id());
        testbed.wait().unwrap();
        wait_until(|| guest_processes(testbed.id()).is_empty());
    }
}

#[test]
fn a_second_start_ends_what_a_killed_guest_left() {
    if !is_available() {
        return;
    }
    let mut testbed = start_guest();
    // The kernel first, so that nobody tells the others.
    let kernel = *guest_processes(testbed.id()).iter().min().unwrap();
    kill("KILL", kernel);
    kill("KILL", testbed.id());
    testbed.wait().unwrap();
    guest::remove_leftovers().unwrap();
    wait_until(|| guest_processes(testbed.id()).is_empty());
}

/// A testbed whose guest has booted as far as its own processes.
fn start_guest() -> Child {
    let mut command = testbed(&["check-link", "geo-clean", "--link", "uml"]);
    let testbed = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Its kernel has helpers before it has processes.
    wait_until(|| guest_processes(testbed.id()).len() > 4);
    testbed
}

/// Processes of the host that are a guest of this testbed.
fn guest_processes(testbed: u32) -> Vec<u32> {
    let mark = format!("/tern-run-{testbed}-");
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).into_owned();
        (command.contains("uml_dir=") && command.contains(&mark)).then_some(pid)
    });
    processes.collect()
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap().success());
}

fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited for {} s", DEADLINE.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    }
}
