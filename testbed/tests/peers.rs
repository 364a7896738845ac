//! What a user would take instead, over the link between network namespaces. Without root or
//! `nats-server` this says that it was skipped.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::time::Duration;

use tern_testbed::namespace;
use tern_testbed::path::LinkKind;
use tern_testbed::peers::{self, Peer, PeersError, PeersOptions};
use tern_testbed::run::{Outcome, RunResult};
use tern_testbed::scenario::Scenario;

/// How often a machine may be too busy to measure on.
const ATTEMPTS: u32 = 3;

#[tokio::test]
async fn a_broker_and_plain_datagrams_carry_the_same_samples_side_by_side() {
    if let Err(why) = namespace::check_available() {
        eprintln!("SKIPPED: {why}");
        return;
    }
    let mut scenario = Scenario::load("geo-clean").unwrap();
    scenario.length = Duration::from_secs(5);
    let only = vec![Peer::NatsLeaf, Peer::Udp];
    let options = PeersOptions { scenario, link: LinkKind::Tun, only, at_once: 2 };
    for _ in 0..ATTEMPTS {
        let outcomes = match peers::run(&options, std::future::pending()).await {
            Err(why @ PeersError::NoTool { .. }) => {
                eprintln!("SKIPPED: {why}");
                return;
            }
            outcomes => outcomes.unwrap().unwrap(),
        };
        let measured = outcomes.into_iter().map(|peer| match peer.outcome.unwrap() {
            Outcome::Measured(result) => Some(*result),
            outcome => {
                eprintln!("{outcome:?}");
                None
            }
        });
        if let Some(results) = measured.collect::<Option<Vec<RunResult>>>() {
            return check(&results);
        }
    }
    panic!("the machine was too busy {ATTEMPTS} times");
}

fn check(results: &[RunResult]) {
    // In the order of results, whatever was asked for.
    let [udp, leaf] = results else { panic!("{results:#?}") };
    assert_eq!((&udp.scenario[..], &leaf.scenario[..]), ("geo-clean/udp", "geo-clean/nats-leaf"));
    for result in results {
        assert_eq!((result.samples, result.lost, result.duplicates), (250, 0, 0));
        assert!(result.latency_ms.unwrap().p50 >= result.one_way_ms);
        assert!(result.bounds.is_empty(), "bounds are Tern's");
    }
    // 60 bytes with the headers of UDP and IP, and nothing back.
    assert_eq!((udp.uplink.bytes, udp.uplink.packets, udp.downlink.bytes), (250 * 88, 250, 0));
    assert!(leaf.uplink.bytes > 250 * 100 && leaf.downlink.bytes > 0);
}
