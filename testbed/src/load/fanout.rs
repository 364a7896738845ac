//! Many web clients of one vehicle, and as many of brokers that fan out to WebSockets, one server after the other.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::bare::Bare;
use super::client::Clients;
use super::ground::GroundAndVehicle;
use super::mosquitto::Mosquitto;
use super::nats::Nats;
use super::service::Service;
use super::{LoadError, allow_files, priority};
use crate::latency::Percentiles;
use crate::provenance::Provenance;
use crate::run::UsageResult;

/// How long all clients together may take to be subscribed.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// How long the last messages may take.
const SETTLE: Duration = Duration::from_secs(3);

/// What is asked of the servers.
#[derive(Clone, Debug)]
pub struct FanoutOptions {
    /// Clients that read.
    pub clients: usize,
    /// Clients that subscribe and never read.
    pub stalled: usize,
    /// Messages a second.
    pub rate: f64,
    /// For so long.
    pub length: Duration,
    /// Whether clients and servers have real-time priority, clients the higher one.
    pub realtime: bool,
    /// What is measured after the ground.
    pub peers: Vec<Peer>,
    /// Where the result goes.
    pub json: Option<PathBuf>,
}

/// What else fans out to WebSockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Peer {
    /// One write a client and message, which is what this machine takes for it at least.
    Bare,
    /// nats-server, core NATS.
    Nats,
    /// mosquitto, MQTT 3.1.1 with QoS 0.
    Mosquitto,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct FanoutResult {
    /// What made it, when and on what.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// Clients that read.
    pub clients: usize,
    /// Clients that did not.
    pub stalled: usize,
    /// Messages a second.
    pub rate: f64,
    /// Messages that came from the ground.
    pub delivered: u64,
    /// Messages that did not.
    pub lost: u64,
    /// From the vehicle's sending to the client's reading.
    pub latency_ms: Percentiles,
    /// What the ground took.
    pub ground: UsageResult,
    /// The others.
    pub peers: Vec<PeerResult>,
}

/// What came of another.
#[derive(Clone, Debug, Serialize)]
pub struct PeerResult {
    /// Which.
    pub name: &'static str,
    /// Clients that read.
    pub clients: usize,
    /// Messages a second.
    pub rate: f64,
    /// Messages that came.
    pub delivered: u64,
    /// Messages that did not.
    pub lost: u64,
    /// From the publisher's sending to the client's reading.
    pub latency_ms: Percentiles,
    /// What the server took.
    pub server: UsageResult,
}

/// Measures.
pub async fn run(options: &FanoutOptions) -> Result<FanoutResult, LoadError> {
    let provenance = Provenance::now();
    allow_files(options.clients + options.stalled)?;
    if options.realtime {
        priority::set(std::process::id(), priority::CLIENTS).await?;
    }
    let ground = measure::<GroundAndVehicle>(options).await?;
    let mut peers = Vec::new();
    for peer in &options.peers {
        peers.push(match peer {
            Peer::Bare => measure::<Bare>(options).await?,
            Peer::Nats => measure::<Nats>(options).await?,
            Peer::Mosquitto => measure::<Mosquitto>(options).await?,
        });
    }
    Ok(FanoutResult {
        provenance,
        clients: options.clients,
        stalled: options.stalled,
        rate: options.rate,
        delivered: ground.delivered,
        lost: ground.lost,
        latency_ms: ground.latency_ms,
        ground: ground.server,
        peers,
    })
}

async fn measure<S: Service>(options: &FanoutOptions) -> Result<PeerResult, LoadError> {
    tracing::info!(server = S::NAME, clients = options.clients, stalled = options.stalled, "measuring");
    let mut service = S::start(options.clients + options.stalled).await?;
    if let Some(process) = service.process().id().filter(|_| options.realtime) {
        priority::set(process, priority::SERVERS).await?;
    }
    let clients = Clients::connect::<S::Dialect>(service.address(), options.clients, options.stalled).await?;
    let start = Instant::now();
    while clients.ready() < options.clients {
        if start.elapsed() > READY_LIMIT {
            return Err(LoadError::late("a subscription for everybody", service.process()));
        }
        sleep(Duration::from_millis(50)).await;
    }

    let mut ticks = interval(Duration::from_secs_f64(1.0 / options.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let start = Instant::now();
    let mut published = 0;
    while start.elapsed() < options.length {
        ticks.tick().await;
        service.publish().await?;
        published += 1;
    }
    sleep(SETTLE).await;
    let seen = clients.into_seen();
    if seen.gone > 0 {
        tracing::warn!(server = S::NAME, clients = seen.gone, "clients lost their connection");
    }
    let delivered = seen.latencies_ms.len() as u64;
    Ok(PeerResult {
        name: S::NAME,
        clients: options.clients,
        rate: options.rate,
        delivered,
        lost: (published * options.clients as u64).saturating_sub(delivered),
        latency_ms: Percentiles::of(seen.latencies_ms).ok_or(LoadError::Nothing)?,
        server: crate::run::usage_of(service.process()),
    })
}
