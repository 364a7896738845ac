//! SIGTERM in the middle of traffic.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{self, counter};
use crate::site::{Site, Watched};

const FEED_INTERVAL: Duration = Duration::from_millis(1);
/// An edge gives the ground less than a second for its last acknowledgements; the rest is for the machine.
const END_LIMIT: Duration = Duration::from_secs(3);

#[tokio::test]
async fn an_edge_that_is_told_to_end_loses_nothing() {
    let site = Site::new();
    let ground = site.start_ground(&[]).await;
    let accepted = busy_life(&site, |status| counter(status, "acknowledged_records") > 0, |_| ()).await;
    continues(&site, accepted).await;
    ground.end().await;
    assert_contiguous(&site, accepted).await;
}

#[tokio::test]
async fn an_edge_ends_in_time_though_its_ground_is_frozen() {
    let site = Site::new();
    let mut ground = site.start_ground(&[]).await;
    let pid = Pid::from_raw(ground.id().unwrap().cast_signed()).unwrap();
    let freeze = |_: &Watched| kill_process(pid, Signal::STOP).unwrap();
    let accepted = busy_life(&site, |status| counter(status, "acknowledged_records") > 0, freeze).await;
    // It never reads what the edge sent it meanwhile.
    ground.kill().await.unwrap();
    let ground = site.start_ground(&[]).await;
    continues(&site, accepted).await;
    ground.end().await;
    assert_contiguous(&site, accepted).await;
}

#[tokio::test]
async fn an_edge_that_never_met_its_ground_ends_in_time() {
    let site = Site::new();
    let accepted = busy_life(&site, |_| true, |_| ()).await;
    let ground = site.start_ground(&[]).await;
    continues(&site, accepted).await;
    ground.end().await;
    assert_contiguous(&site, accepted).await;
}

/// An edge that is told to end while it takes telemetry in, after `before`. Returns how many records it had reported as
/// accepted by then.
async fn busy_life(
    site: &Site,
    ready: impl Fn(&serde_json::Value) -> bool,
    before: impl FnOnce(&Watched),
) -> u64 {
    // Commits so rare that what is stored at the end is stored because of the end.
    let mut edge = site.start_edge(&["--commit-interval-ms", "10000"]).await;
    let feeder = tokio::spawn(common::feed(site.source, Arc::new(AtomicU64::new(0)), FEED_INTERVAL));
    edge.accepted(500).await;
    edge.status_where("the edge is ready", ready).await;
    before(&edge);
    // Some more that the ground can say nothing about, where `before` saw to that.
    let accepted = counter(&edge.status(), "accepted_records");
    let accepted = counter(&edge.accepted(accepted + 200).await, "accepted_records");
    let start = Instant::now();
    edge.end().await;
    assert!(start.elapsed() < END_LIMIT, "it took {:?}", start.elapsed());
    feeder.abort();
    accepted
}

/// A second life on the same spool, which sends what the first one left.
async fn continues(site: &Site, accepted: u64) {
    let mut edge = site.start_edge(&[]).await;
    let first = accepted + 1_000_000;
    site.send_numbers(first..first + 10).await;
    edge.settled().await;
    edge.end().await;
}

/// The first life's records arrived once each, all up to some number that is not below what was reported as accepted.
async fn assert_contiguous(site: &Site, accepted: u64) {
    let mut numbers = site.exported_numbers().await;
    let second_life = numbers.split_off(numbers.len() - 10);
    assert_eq!(second_life[0], accepted + 1_000_000);
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    assert!(numbers.len() as u64 >= accepted, "{} of {accepted}", numbers.len());
}
