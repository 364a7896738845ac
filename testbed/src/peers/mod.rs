//! What a user would take instead of Tern, each with the same samples over the same link, side by side with it.
//!
//! Every system has a path of its own: namespaces, link, control flow. Links have the same seed, so the same packets
//! are lost by their number; which samples are in them is up to the system. Samples are the scenario's synthetic ones,
//! one a message, their number in digits and then text.

pub(crate) mod broker;
mod jetstream;
mod leaf;
mod mavlink;
pub(crate) mod mqtt;
pub(crate) mod nats;
mod plan;
mod quic;
mod seat;
mod stream;
pub(crate) mod tool;
mod udp;

use std::future::Future;
use std::io;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::mpsc;

use crate::folder;
use crate::path::{LinkKind, Path, PathError};
use crate::process::SpawnError;
use crate::progress;
use crate::run::{self, ARRIVALS_WAITING_MAX, Feed, Measurement, Outcome, RunError, Sink, System};
use crate::scenario::Scenario;
use seat::{Arrivals, Seat};
use tool::Tool;

/// A system that carries samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Peer {
    /// Tern itself, for comparison.
    Tern,
    /// A datagram a sample, nothing added.
    Udp,
    /// A MAVLink 2 frame (TUNNEL) a sample, a datagram a frame.
    Mavlink,
    /// One connection, samples one after the other, without Nagle's algorithm.
    Tcp,
    /// A binary message a sample.
    Websocket,
    /// One stream of one connection (quinn, cubic).
    Quic,
    /// A mosquitto bridge with QoS 1 from a broker on the vehicle to one on the ground.
    Mqtt,
    /// A NATS leaf node on the vehicle, core NATS.
    NatsLeaf,
    /// A JetStream on the vehicle, which is the source of one on the ground.
    NatsJetstream,
}

/// What to compare.
#[derive(Clone, Debug)]
pub struct PeersOptions {
    /// What to run; its name is that of the results, followed by `/` and the system's.
    pub scenario: Scenario,
    /// Over which link.
    pub link: LinkKind,
    /// Which systems; none for all.
    pub only: Vec<Peer>,
    /// How many at the same time, 1 or more.
    pub at_once: usize,
}

/// What came of one system.
#[derive(Debug)]
pub struct PeerOutcome {
    /// The system.
    pub peer: Peer,
    /// What came of it; a failure of one does not end the others.
    pub outcome: Result<Outcome, RunError>,
}

/// Why a comparison could not run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum PeersError {
    #[error("no `{program}`: install the package {package}, or leave {peer} out (--only)")]
    NoTool { program: &'static str, package: &'static str, peer: &'static str },
    #[error(
        "a flight is no workload for a comparison: what carries its samples has no numbers to tell them by"
    )]
    Flight,
    #[error(
        "a MAVLink frame carries samples of up to {max} bytes, not of {sample_bytes}: leave mavlink out (--only)"
    )]
    TooLarge { sample_bytes: usize, max: usize },
    #[error("{peer} does not start: {message}")]
    NotStarted { peer: &'static str, message: String },
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Peer {
    /// All, in the order of results.
    pub const ALL: [Peer; 9] = [
        Peer::Tern,
        Peer::Udp,
        Peer::Mavlink,
        Peer::Tcp,
        Peer::Websocket,
        Peer::Quic,
        Peer::Mqtt,
        Peer::NatsLeaf,
        Peer::NatsJetstream,
    ];

    /// Its name on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Tern => "tern",
            Peer::Udp => "udp",
            Peer::Mavlink => "mavlink",
            Peer::Tcp => "tcp",
            Peer::Websocket => "websocket",
            Peer::Quic => "quic",
            Peer::Mqtt => "mqtt",
            Peer::NatsLeaf => "nats-leaf",
            Peer::NatsJetstream => "nats-jetstream",
        }
    }

    /// What has to be installed for it: programs and the packages that have them.
    fn tool(self) -> Option<Tool> {
        match self {
            Peer::Mqtt => Some(tool::MOSQUITTO),
            Peer::NatsLeaf | Peer::NatsJetstream => Some(tool::NATS_SERVER),
            _ => None,
        }
    }
}

/// Runs a scenario through every system until all are over or `stopped` completes; `None` when that came first.
pub async fn run(
    options: &PeersOptions,
    stopped: impl Future<Output = ()>,
) -> Result<Option<Vec<PeerOutcome>>, PeersError> {
    tokio::select! {
        biased;
        () = stopped => Ok(None),
        outcomes = compare(options) => outcomes.map(Some),
    }
}

async fn compare(options: &PeersOptions) -> Result<Vec<PeerOutcome>, PeersError> {
    let options = &PeersOptions { link: options.link.resolve(), ..options.clone() };
    let groups = plan::groups(options)?;
    let mut outcomes = Vec::new();
    for (group, number) in groups.iter().zip(1..) {
        let names: Vec<_> = group.iter().map(|peer| peer.name()).collect();
        tracing::info!(
            scenario = options.scenario.name,
            link = options.link.name(),
            seconds = options.scenario.length.as_secs(),
            group = format!("{number} of {}", groups.len()),
            systems = names.join(" "),
            "measuring"
        );
        outcomes.extend(measure(group, options).await?);
    }
    Ok(outcomes)
}

/// Side by side: all are started before the first sample, and stopped after the last.
async fn measure(group: &[Peer], options: &PeersOptions) -> Result<Vec<PeerOutcome>, PeersError> {
    let mut measurements = try_join_all(group.iter().map(|&peer| prepare(peer, options))).await?;
    let names: Vec<_> = group.iter().map(|peer| peer.name()).collect();
    let what = format!("{} over {}: {}", options.scenario.name, options.link.name(), names.join(" "));
    let recorded = join_all(measurements.iter_mut().map(Measurement::record));
    let recorded = progress::show(what, options.scenario.length, recorded).await;
    let mut outcomes = Vec::new();
    for ((&peer, measurement), recorded) in group.iter().zip(measurements).zip(recorded) {
        let mut outcome = measurement.finish().await;
        // How the edge reaches the ground says nothing of the others.
        if let (false, Outcome::Measured(result)) = (peer == Peer::Tern, &mut outcome) {
            result.transport = None;
        }
        outcomes.push(PeerOutcome { peer, outcome: recorded.map(|()| outcome) });
    }
    Ok(outcomes)
}

async fn prepare(peer: Peer, options: &PeersOptions) -> Result<Measurement, PeersError> {
    let mut scenario = options.scenario.clone();
    scenario.name = format!("{}/{}", scenario.name, peer.name());
    if peer != Peer::Tern {
        // They are about Tern.
        scenario.bounds = Default::default();
    }
    // The others carry every sample.
    scenario.edge.streams = Default::default();
    let folder = folder::make()?;
    let path = Path::open(options.link, &scenario.link, scenario.seed)?;
    let (system, feed) = start(peer, &path, &scenario, folder.path()).await?;
    Ok(Measurement::new(scenario, folder, path, system, feed)?)
}

async fn start(
    peer: Peer,
    path: &Path,
    scenario: &Scenario,
    folder: &std::path::Path,
) -> Result<(System, Feed), PeersError> {
    let synthetic = plan::synthetic(scenario)?;
    let (sample_sender, samples) = mpsc::channel(plan::samples_max(scenario, synthetic));
    let (arrival_sender, arrivals) = mpsc::channel(ARRIVALS_WAITING_MAX);
    let seat = Seat {
        peer,
        path,
        folder,
        sample_bytes: synthetic.sample_bytes as usize,
        samples,
        arrivals: Arrivals::new(arrival_sender),
    };
    let parts = match peer {
        Peer::Tern => return Ok(run::start(path, scenario, None, folder).await?),
        Peer::Udp => udp::start(seat, udp::Format::Plain)?,
        Peer::Mavlink => udp::start(seat, udp::Format::Mavlink)?,
        Peer::Tcp => stream::start_tcp(seat).await?,
        Peer::Websocket => stream::start_websocket(seat).await?,
        Peer::Quic => quic::start(seat).await?,
        Peer::Mqtt => mqtt::start(seat).await?,
        Peer::NatsLeaf => leaf::start(seat).await?,
        Peer::NatsJetstream => jetstream::start(seat).await?,
    };
    let system = System::new(parts.children, arrivals, parts.tasks);
    Ok((system, Feed::new(scenario, None, Sink::Plain(sample_sender))))
}
