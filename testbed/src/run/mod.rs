//! A run: real binaries over a path, a workload at the vehicle, a web client at the ground, and what came of it.

mod control;
mod evaluate;
mod folder;
mod matching;
mod record;
mod result;
mod system;
mod usage;
mod workload;

use std::future::Future;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use result::{BoundResult, LatencyMs, OutageResult, RunResult, UsageResult};
pub(crate) use usage::of as usage_of;

use crate::path::{LinkKind, Path, PathError};
use crate::process::SpawnError;
use crate::scenario::{Scenario, Transport, Workload};
use control::Control;
use record::Recording;
use system::System;
use workload::{Feed, Flight, FlightError};

/// A run whose control flow is slower than this at the 99th percentile says more about the machine than about us.
pub const CONTROL_P99_MAX: Duration = Duration::from_millis(5);
/// How often the link's counters are read.
const TRAFFIC_INTERVAL: Duration = Duration::from_millis(100);
/// The run ends when nothing has arrived for so long after the last sample was sent...
const SETTLED_AFTER: Duration = Duration::from_secs(20);
/// ... or in any case after this.
const SETTLE_LIMIT: Duration = Duration::from_secs(600);

/// How a scenario is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// What to run.
    pub scenario: Scenario,
    /// Over which link.
    pub link: LinkKind,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It measured.
    Measured(Box<RunResult>),
    /// The control flow was disturbed: what was measured means nothing.
    Rejected {
        /// Why, for people.
        reason: String,
    },
    /// It was told to stop.
    Stopped,
}

/// Why a run could not run.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum RunError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error(transparent)]
    Flight(#[from] FlightError),
    #[error("the proxy carries no UDP: run with --transport websocket, or as root over TUN devices")]
    NoUdp,
    #[error("no certificate for the ground: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("no {}: build it first (`make build`)", .0.display())]
    NoBinary(PathBuf),
    #[error("{name} ended early ({status}); its last lines:\n{last_lines}")]
    ChildEnded { name: &'static str, status: String, last_lines: String },
    #[error("{name} did not start within {seconds} s; its last lines:\n{last_lines}")]
    NotStarted { name: &'static str, seconds: u64, last_lines: String },
    #[error("the ground did not accept its web client, or closed its connection")]
    NoWebClient,
    #[error(
        "the scenario is down from {begin_s:.0} to {end_s:.0} s, and samples end after {length_s:.0} s: give more --seconds"
    )]
    OutageNotOver { begin_s: f64, end_s: f64, length_s: f64 },
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Runs a scenario until it is over or `stopped` completes. Everything that it makes is gone afterwards.
pub async fn run(options: &RunOptions, stopped: impl Future<Output = ()>) -> Result<Outcome, RunError> {
    tokio::select! {
        biased;
        () = stopped => Ok(Outcome::Stopped),
        outcome = measure(options) => outcome,
    }
}

async fn measure(options: &RunOptions) -> Result<Outcome, RunError> {
    let scenario = &options.scenario;
    let flight = match &scenario.workload {
        Workload::Flight(path) => Some(Flight::read(path)?),
        Workload::Synthetic(_) => None,
    };
    check_outages(scenario)?;
    let folder = folder::make()?;
    let mut path = Path::open(options.link, &scenario.link, scenario.seed)?;
    if path.kind() == LinkKind::Proxy && scenario.edge.transport == Transport::Quic {
        return Err(RunError::NoUdp);
    }
    let control = Control::start(&path)?;
    let socket = path.vehicle().udp_socket(Ipv4Addr::LOCALHOST.into())?;
    // Free a moment ago: the edge binds it anew.
    let source = path.vehicle().udp_socket(Ipv4Addr::LOCALHOST.into())?.local_addr()?;
    socket.connect(source)?;
    let kind = if flight.is_some() { "" } else { "jsonl+" };
    let mut system = System::start(&path, scenario, &format!("{kind}udpin:{source}"), folder.path()).await?;
    let feed = Feed::new(scenario, flight, socket);
    tracing::info!(
        scenario = scenario.name,
        link = path.kind().name(),
        transport = scenario.edge.transport.name(),
        seconds = scenario.length.as_secs(),
        "measuring"
    );

    let mut recording = Recording::default();
    record(&mut path, &mut system, feed, scenario.length, &mut recording).await?;
    let usage = system.usage();
    let control = control.finish();
    system.stop().await;
    if control.p99 > CONTROL_P99_MAX.as_secs_f64() * 1e3 {
        let reason = format!(
            "the control flow, which no link slows, took {:.1} ms at the 99th percentile ({} ms is the most): the \
             machine is too busy to measure on",
            control.p99,
            CONTROL_P99_MAX.as_millis()
        );
        return Ok(Outcome::Rejected { reason });
    }
    let link = evaluate::LinkFacts { kind: path.kind(), start: path.start_time() };
    Ok(Outcome::Measured(Box::new(evaluate::evaluate(scenario, link, &recording, control.p99, usage))))
}

/// Outages that are not over when the samples end have no results.
fn check_outages(scenario: &Scenario) -> Result<(), RunError> {
    let end = tern_shared::time::Instant(scenario.length);
    match scenario.link.outages.down_times(end).into_iter().find(|&(_, up)| up >= end) {
        None => Ok(()),
        Some((begin, up)) => Err(RunError::OutageNotOver {
            begin_s: begin.0.as_secs_f64(),
            end_s: up.0.as_secs_f64(),
            length_s: scenario.length.as_secs_f64(),
        }),
    }
}

/// Sends the workload and notes what arrives, until all has or nothing more does.
async fn record(
    path: &mut Path,
    system: &mut System,
    mut feed: Feed,
    length: Duration,
    recording: &mut Recording,
) -> Result<(), RunError> {
    let start = Instant::now();
    let mut checks = tokio::time::interval(TRAFFIC_INTERVAL);
    loop {
        let next_sample = feed.next_due().filter(|&due| due < length).map(|due| start + due);
        tokio::select! {
            biased;
            // Priority 1: an arrival has its time from the moment it is taken.
            arrival = system.next_arrival() => recording.arrived(arrival.ok_or(RunError::NoWebClient)?),
            // Priority 2: the next sample.
            () = sleep_until(next_sample), if next_sample.is_some() => recording.sent(feed.send()?),
            // Priority 3: the link's counters, and whether it is over.
            _ = checks.tick() => {
                system.check()?;
                recording.traffic(path.traffic()?);
                if next_sample.is_none() && is_over(recording) {
                    return Ok(());
                }
            }
        }
    }
}

fn is_over(recording: &Recording) -> bool {
    let Some(last_sent) = recording.samples().last().map(|sample| sample.at) else { return true };
    let last_arrival = recording.arrivals().last().map_or(last_sent, |arrival| arrival.at.max(last_sent));
    recording.all_arrived() || last_arrival.elapsed() > SETTLED_AFTER || last_sent.elapsed() > SETTLE_LIMIT
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
