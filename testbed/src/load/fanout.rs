//! Many web clients of one vehicle.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::client::{Client, Seen};
use super::ground::Ground;
use super::vehicle::Vehicle;
use super::{LoadError, allow_files};
use crate::latency::Percentiles;
use crate::run::UsageResult;

/// How long all clients together may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// How long the last messages may take.
const SETTLE: Duration = Duration::from_secs(3);
/// Clients that connect at a time.
const CONNECTING: usize = 100;

/// What is asked of the ground.
#[derive(Clone, Debug)]
pub struct FanoutOptions {
    /// Clients that read.
    pub clients: usize,
    /// Clients that subscribe and never read.
    pub stalled: usize,
    /// Records a second.
    pub rate: f64,
    /// For so long.
    pub length: Duration,
    /// Where the result goes.
    pub json: Option<PathBuf>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct FanoutResult {
    /// Clients that read.
    pub clients: usize,
    /// Clients that did not.
    pub stalled: usize,
    /// Records a second.
    pub rate: f64,
    /// Messages that came.
    pub delivered: u64,
    /// Messages that did not.
    pub lost: u64,
    /// From the vehicle's sending to the client's reading.
    pub latency_ms: Percentiles,
    /// What the ground took.
    pub ground: UsageResult,
}

/// Measures.
pub async fn run(options: &FanoutOptions) -> Result<FanoutResult, LoadError> {
    LocalSet::new().run_until(measure(options)).await
}

async fn measure(options: &FanoutOptions) -> Result<FanoutResult, LoadError> {
    let all = options.clients + options.stalled;
    allow_files(all)?;
    let ground = Ground::start(&["--max-clients", &all.to_string()]).await?;
    let name = "load".parse().expect("a vehicle's name");
    let mut vehicle = Vehicle::connect(ground.address, name).await?;
    let seen = Rc::new(RefCell::new(Seen::default()));
    let mut stalled = Vec::new();
    for _ in 0..options.stalled {
        stalled.push(Client::connect(ground.address).await?.stall());
    }
    let mut left = options.clients;
    while left > 0 {
        let wave = (0..left.min(CONNECTING)).map(|_| Client::connect(ground.address));
        for client in futures_util::future::join_all(wave).await {
            tokio::task::spawn_local(client?.watch(seen.clone()));
            left -= 1;
        }
    }
    let start = Instant::now();
    while seen.borrow().ready < options.clients {
        if start.elapsed() > READY_LIMIT {
            return Err(ground.late("a snapshot for everybody"));
        }
        sleep(Duration::from_millis(50)).await;
    }

    let mut ticks = interval(Duration::from_secs_f64(1.0 / options.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let start = Instant::now();
    while start.elapsed() < options.length {
        ticks.tick().await;
        vehicle.send(1).await?;
        // Acknowledgements that wait.
        while timeout(Duration::ZERO, vehicle.receive()).await.is_ok_and(|received| received.is_ok()) {}
    }
    sleep(SETTLE).await;
    let ground_usage = crate::run::usage_of(&ground.process);
    let expected = vehicle.sent() * options.clients as u64;
    let seen = seen.borrow();
    let delivered = seen.latencies_ms.len() as u64;
    let latency_ms = Percentiles::of(seen.latencies_ms.clone()).ok_or(LoadError::Nothing)?;
    Ok(FanoutResult {
        clients: options.clients,
        stalled: options.stalled,
        rate: options.rate,
        delivered,
        lost: expected.saturating_sub(delivered),
        latency_ms,
        ground: ground_usage,
    })
}
