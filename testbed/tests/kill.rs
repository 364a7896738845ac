//! `kill -9` at random moments: nothing that the edge reported as spooled is lost, nothing is stored twice.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::Workdir;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tern_testbed::process::Process;
use tokio::task::JoinHandle;

const ROUNDS: u32 = 50;
/// The time between two lines to an edge.
const FEED_INTERVAL: Duration = Duration::from_millis(1);
/// A round lasts this long at most, so that a kill meets starting, connected and busy processes.
const ROUND_MILLIS_MAX: u64 = 600;
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_was_spooled_survives_kills_of_either_process() {
    let seed = std::env::var("TERN_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    eprintln!("seed {seed} (set TERN_SEED for another)");
    let mut rng = StdRng::seed_from_u64(seed);
    let workdir = Workdir::new();
    let (history, spool) = (workdir.path("history.sqlite"), workdir.path("spool.sqlite"));
    let (ground_address, source_address) = (common::free_address(), common::free_address());
    let source = format!("jsonl+tcpin:{source_address}");
    let start_edge = || common::start_edge(ground_address, &source, &spool, 50);

    let next_number = Arc::new(AtomicU64::new(0));
    let mut promised = Vec::new();
    let mut ground = common::start_ground(ground_address, &history);
    let mut edge = Run::start(start_edge(), source_address, &next_number);
    for _ in 0..ROUNDS {
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..ROUND_MILLIS_MAX))).await;
        if rng.random() {
            ground.kill().await.unwrap();
            ground = common::start_ground(ground_address, &history);
        } else {
            edge.process.kill().await.unwrap();
            promised.push(edge.end().await);
            edge = Run::start(start_edge(), source_address, &next_number);
        }
    }
    // The last processes live: all that was taken has to get through.
    while common::counter(&edge.process.next_status().await.unwrap(), "accepted_records") == 0 {}
    edge.feeder.abort();
    common::wait_until_settled(&mut edge.process, Duration::from_secs(1), SETTLE_LIMIT).await;
    let Run { process, first_number, .. } = edge;
    promised.push(spooled_numbers(&process, first_number));
    common::stop(process).await;
    common::stop(ground).await;

    let mut stored = BTreeSet::new();
    for record in common::exported_counter(&history, &workdir.path("exported.jsonl")).await {
        let number = record["fields"]["n"].as_u64().unwrap();
        assert!(stored.insert(number), "{number} is stored twice (seed {seed})");
    }
    let promised: BTreeSet<u64> = promised.into_iter().flatten().collect();
    let missing: Vec<_> = promised.difference(&stored).take(10).collect();
    assert!(missing.is_empty(), "spooled but not stored: {missing:?} (seed {seed})");
    eprintln!(
        "{ROUNDS} kills: {} numbers sent, {} reported as spooled, {} stored",
        next_number.load(Ordering::Relaxed),
        promised.len(),
        stored.len()
    );
    assert!(promised.len() > 1000, "too little was fed to prove anything: {}", promised.len());
}

/// One life of an edge, and what it is fed.
struct Run {
    process: Process,
    feeder: JoinHandle<()>,
    first_number: u64,
}

impl Run {
    fn start(process: Process, source: SocketAddr, next_number: &Arc<AtomicU64>) -> Self {
        let first_number = next_number.load(Ordering::Relaxed);
        let feeder = tokio::spawn(common::feed(source, Arc::clone(next_number), FEED_INTERVAL));
        Run { process, feeder, first_number }
    }

    /// Which numbers the edge, which has been killed, reported as spooled.
    async fn end(self) -> std::ops::Range<u64> {
        self.feeder.abort();
        let _ = self.feeder.await;
        spooled_numbers(&self.process, self.first_number)
    }
}

/// The edge counts from its start, in the order in which it was fed.
fn spooled_numbers(process: &Process, first_number: u64) -> std::ops::Range<u64> {
    first_number..first_number + common::counter(&process.status(), "spooled_records")
}
