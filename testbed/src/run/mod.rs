//! A run: real binaries over a path, a workload at the vehicle, a web client at the ground, and what came of it.

mod control;
mod evaluate;
mod matching;
mod measurement;
mod record;
mod result;
mod system;
mod trace;
mod usage;
mod workload;

use std::future::Future;
use std::net::Ipv4Addr;
use std::path::{Path as FilePath, PathBuf};
use std::time::{Duration, Instant};

pub use result::{BoundResult, LatencyMs, OutageResult, RunResult, UsageResult};
pub use trace::{Trace, TracedSample};
pub(crate) use usage::of as usage_of;

use crate::certificate::CertificateError;
use crate::folder;
use crate::path::{LinkKind, Path, PathError};
use crate::process::SpawnError;
use crate::progress;
use crate::scenario::{Scenario, Workload};
pub(crate) use measurement::Measurement;
use record::Recording;
pub(crate) use system::{ARRIVALS_WAITING_MAX, Role, System, not_started};
pub(crate) use workload::{Feed, NUMBER_BYTES, Sink};
use workload::{Flight, FlightError};

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
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("no {}: build it first (`make build`)", .0.display())]
    NoBinary(PathBuf),
    #[error("{name} ended early ({status}); its last lines:\n{last_lines}")]
    ChildEnded { name: &'static str, status: String, last_lines: String },
    #[error("{name} did not start within {seconds} s; its last lines:\n{last_lines}")]
    NotStarted { name: &'static str, seconds: u64, last_lines: String },
    #[error("nothing can arrive any more: the client on the ground has no connection")]
    NoClient,
    #[error(
        "the outage begins at {begin_s} s and lasts {lasts_s} s, and samples end after {length_s} s: run at least {least_s} s \
         (--seconds)"
    )]
    OutageNotOver { begin_s: f64, lasts_s: f64, length_s: f64, least_s: u64 },
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
    let path = Path::open(options.link, &scenario.link, scenario.seed)?;
    let (system, feed) = start(&path, scenario, flight, folder.path()).await?;
    let mut measurement = Measurement::new(scenario.clone(), folder, path, system, feed)?;
    tracing::info!(
        scenario = scenario.name,
        link = measurement.link().name(),
        transport = scenario.edge.transport.name(),
        seconds = scenario.length.as_secs(),
        "measuring"
    );
    let what = format!("{} over {}", scenario.name, measurement.link().name());
    progress::show(what, scenario.length, measurement.record()).await?;
    Ok(measurement.finish().await)
}

/// Starts Tern on a path, with its files in `folder`.
pub(crate) async fn start(
    path: &Path,
    scenario: &Scenario,
    flight: Option<Flight>,
    folder: &FilePath,
) -> Result<(System, Feed), RunError> {
    let socket = path.vehicle().udp_socket(Ipv4Addr::LOCALHOST.into())?;
    // Free a moment ago: the edge binds it anew.
    let source = path.vehicle().udp_socket(Ipv4Addr::LOCALHOST.into())?.local_addr()?;
    socket.connect(source)?;
    let kind = if flight.is_some() { "" } else { "jsonl+" };
    let system = System::start(path, scenario, &format!("{kind}udpin:{source}"), folder).await?;
    Ok((system, Feed::new(scenario, flight, Sink::Edge(socket))))
}

/// Outages that are not over when the samples end have no results, nor have those that have not begun.
pub(crate) fn check_outages(scenario: &Scenario) -> Result<(), RunError> {
    let end = tern_shared::time::Instant(scenario.length);
    match scenario.link.outages.first_not_over(end) {
        None => Ok(()),
        Some((begin, up)) => Err(RunError::OutageNotOver {
            begin_s: begin.0.as_secs_f64(),
            lasts_s: up.since(begin).as_secs_f64(),
            length_s: scenario.length.as_secs_f64(),
            least_s: up.0.as_secs() + 1,
        }),
    }
}

/// Sends the workload and notes what arrives, until all has or nothing more does.
async fn record(
    path: &mut Path,
    system: &mut System,
    feed: &mut Feed,
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
            arrival = system.next_arrival() => recording.arrived(arrival.ok_or(RunError::NoClient)?),
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
