//! Two sessions over a bad link, in virtual time.
//!
//! One seed makes one world: a link profile, outages, loss, duplication, reordering, restarts of either end, cut
//! connections, an edge that runs out of disk, a ground that loses its history. Each world ends with the faults over,
//! and then both ends must agree: every record that the edge kept is stored once, everything else is accounted for.
//!
//! `TERN_SEEDS=100000` runs more of them, `TERN_SEED=42` just that one.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::World;

fn run(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        if catch_unwind(AssertUnwindSafe(|| World::new(seed).run())).is_err() {
            panic!(
                "seed {seed} failed: reproduce it with TERN_SEED={seed} cargo test -p tern-testbed --test simulation"
            );
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn both_ends_agree_whatever_happened_in_between() {
    match number("TERN_SEED") {
        Some(seed) => run(seed..=seed),
        None => {
            let seeds = number("TERN_SEEDS").unwrap_or(4_000);
            let half = seeds / 2;
            std::thread::scope(|scope| {
                scope.spawn(|| run(0..half));
                run(half..seeds);
            });
        }
    }
}

/// Feedback was lost, the link was taken to be dark, and nothing was live: only a probe every 30 s went out.
#[test]
fn a_link_that_loses_much_is_found_up_again_where_nothing_is_live() {
    run(1481..=1481);
}
