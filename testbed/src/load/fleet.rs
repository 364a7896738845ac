//! Many vehicles into one ground.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::client::Clients;
use super::ground::{Ground, Tern};
use super::vehicle::Vehicle;
use super::{LoadError, allow_files};
use crate::latency::Percentiles;
use crate::provenance::Provenance;
use crate::run::UsageResult;

/// How often a vehicle sends: what an edge's batch window is.
const WINDOW: Duration = Duration::from_millis(200);
/// How long the last acknowledgements may take.
const COMMIT_LIMIT: Duration = Duration::from_secs(20);

/// What is asked of the ground.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// Vehicles.
    pub vehicles: usize,
    /// Samples a second of each.
    pub rate: u64,
    /// For so long.
    pub length: Duration,
    /// Where the result goes.
    pub json: Option<PathBuf>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct FleetResult {
    /// What made it, when and on what.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// Vehicles.
    pub vehicles: usize,
    /// Samples a second of each.
    pub rate: u64,
    /// Samples sent.
    pub sent: u64,
    /// Samples that the ground said are committed.
    pub committed: u64,
    /// Samples that reached a web client that wants everything.
    pub delivered: u64,
    /// From the vehicle's sending to that client's reading.
    pub latency_ms: Percentiles,
    /// The share of frames that were published within 50 ms of their arrival at the ground, by its own count.
    pub published_within_50_ms: f64,
    /// What the ground took.
    pub ground: UsageResult,
}

/// Measures.
pub async fn run(options: &FleetOptions) -> Result<FleetResult, LoadError> {
    LocalSet::new().run_until(measure(options)).await
}

async fn measure(options: &FleetOptions) -> Result<FleetResult, LoadError> {
    allow_files(options.vehicles)?;
    let ground = Ground::start(&["--max-vehicles", &options.vehicles.to_string()]).await?;
    let clients = Clients::connect::<Tern>(ground.address, 1, 0).await?;
    let mut vehicles = Vec::with_capacity(options.vehicles);
    for number in 0..options.vehicles {
        let name = format!("v{number}").parse().expect("a vehicle's name");
        vehicles.push(Vehicle::connect(ground.address, name).await?);
    }
    let begin = Instant::now() + Duration::from_secs(2);
    let provenance = Provenance::now();
    let end = begin + options.length;
    let count = vehicles.len() as u32;
    let flying = (0..).zip(vehicles).map(|(number, vehicle)| {
        // Evenly spread over the window, as vehicles that know nothing of each other are.
        let begin = begin + WINDOW * number / count;
        tokio::task::spawn_local(fly(vehicle, begin, end, options.rate))
    });
    let (mut sent, mut committed) = (0, 0);
    for flown in futures_util::future::join_all(flying.collect::<Vec<_>>()).await {
        let vehicle = flown.map_err(|_| LoadError::Nothing)??;
        sent += vehicle.sent();
        committed += vehicle.acknowledged;
    }
    sleep(WINDOW).await;
    let metrics = ground.metrics().await?;
    let count = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse::<f64>().ok()).ok_or(LoadError::Nothing)
    };
    let within = count("tern_ground_publish_seconds_bucket{le=\"0.05\"}")?;
    let all = count("tern_ground_publish_seconds_count")?;
    let latencies_ms = clients.into_seen().latencies_ms;
    let delivered = latencies_ms.len() as u64;
    let latency_ms = Percentiles::of(latencies_ms).ok_or(LoadError::Nothing)?;
    Ok(FleetResult {
        provenance,
        vehicles: options.vehicles,
        rate: options.rate,
        sent,
        committed,
        delivered,
        latency_ms,
        published_within_50_ms: within / all,
        ground: crate::run::usage_of(&ground.process),
    })
}

async fn fly(mut vehicle: Vehicle, begin: Instant, end: Instant, rate: u64) -> Result<Vehicle, LoadError> {
    let mut ticks = interval_at(begin, WINDOW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let records = (rate as f64 * WINDOW.as_secs_f64()).round().max(1.0) as u64;
    while Instant::now() < end {
        tokio::select! {
            _ = ticks.tick() => vehicle.send(records).await?,
            received = vehicle.receive() => received?,
        }
    }
    let all = async {
        while vehicle.acknowledged < vehicle.sent() {
            vehicle.receive().await?;
        }
        Ok::<_, LoadError>(())
    };
    // What is not committed by then counts as such.
    if let Ok(received) = timeout(COMMIT_LIMIT, all).await {
        received?;
    }
    Ok(vehicle)
}
