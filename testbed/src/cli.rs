//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tern_testbed::check::CheckOptions;
use tern_testbed::codec::{CodecOptions, LossPolicy, Streams};
use tern_testbed::demo::DemoOptions;
use tern_testbed::link::{Outage, OutageSchedule, PathProfile, builtin_profile, parse_duration};
use tern_testbed::load::fanout::{self, FanoutOptions};
use tern_testbed::load::fleet::FleetOptions;
use tern_testbed::path::LinkKind;
use tern_testbed::peers::{Peer, PeersOptions};
use tern_testbed::proxy::ProxyOptions;
use tern_testbed::run::RunOptions;
use tern_testbed::scenario::{Scenario, ScenarioError, Transport, Workload};

#[derive(Debug, Parser)]
#[command(name = "tern-testbed", version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs ground, simulated satellite link and edge on this machine, and shows what arrives.
    Demo(DemoArguments),
    /// Sends scenarios' samples through real binaries over a link, and measures. Exit status: 0 all bounds met, 1 a
    /// bound missed, 2 it could not run or the machine was too busy.
    Run(RunArguments),
    /// Sends a scenario's samples through what a user would take instead of Tern, and through Tern, side by side. Exit
    /// status as of `run`; the bounds are for Tern only.
    Peers(PeersArguments),
    /// Shows what changed between two files of results, and whether it is beyond the noise of the seeds.
    Compare(CompareArguments),
    /// Shows the scenarios.
    List,
    /// Measures a scenario's link itself, beside what was asked for. Exit status as of `run`.
    CheckLink(CheckArguments),
    /// Puts a simulated satellite link between TCP and UDP clients and their server, without root.
    Proxy(ProxyArguments),
    /// Measures what the codec makes of recorded flights.
    Codec(CodecArguments),
    /// Is a device that can be commanded: lines of JSON on TCP.
    Device(DeviceArguments),
    /// Measures a ground with many web clients of one vehicle, and brokers with as many of theirs.
    Fanout(FanoutArguments),
    /// Measures a ground with many vehicles.
    Fleet(FleetArguments),
    /// Is the peer `bare` of `fanout`.
    #[command(hide = true)]
    Bare { clients: SocketAddr, publisher: SocketAddr },
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Ends by itself after this many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// The flight that the vehicle flies, again and again.
    #[arg(long, default_value = "testbed/flights/sitl_mission_250hz.tlog")]
    flight: PathBuf,
    /// The port of the ground's page. Default: 8080, or a free one when that is taken.
    #[arg(long)]
    port: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct DeviceArguments {
    /// Which.
    #[arg(value_enum)]
    pub(crate) kind: DeviceKind,
    /// Where it listens.
    #[arg(long)]
    pub(crate) listen: SocketAddr,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DeviceKind {
    /// Can be switched.
    Lamp,
    /// Can be steered.
    Rover,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Built-in scenarios (`list` shows them) or TOML files.
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// What makes the link.
    #[arg(long, value_enum, default_value_t = LinkKind::Auto)]
    link: LinkKind,
    /// Let the edge reach the ground this way instead of the scenario's.
    #[arg(long, value_enum)]
    transport: Option<Transport>,
    /// Fly this recording instead of the scenario's workload.
    #[arg(long, value_name = "FILE.tlog")]
    flight: Option<PathBuf>,
    /// Send samples for so many seconds.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Draw loss and jitter from this.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write the results here, a JSON object a line and scenario.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a page with plots and tables here (`report.html`), and the same as Markdown.
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PeersArguments {
    /// A built-in scenario (`list` shows them) or a TOML file, with synthetic samples.
    scenario: String,
    /// What makes each link.
    #[arg(long, value_enum, default_value_t = LinkKind::Auto)]
    link: LinkKind,
    /// Send samples for so many seconds.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Draw loss and jitter of each link from this.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Compare these only. Default: all.
    #[arg(long, value_name = "NAME,...", value_enum, value_delimiter = ',')]
    only: Vec<Peer>,
    /// How many run at the same time. Fewer take longer and disturb each other less.
    #[arg(long, value_name = "N", default_value_t = Peer::ALL.len() as u8, value_parser = clap::value_parser!(u8).range(1..))]
    at_once: u8,
    /// Write the results here, a JSON object a line and system.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a page with plots and tables here (`report.html`), and the same as Markdown.
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    /// What `--json` wrote before; for the noise, of several seeds (files of several runs can be put together).
    #[arg(value_name = "A.json")]
    pub(crate) before: PathBuf,
    /// What it wrote after.
    #[arg(value_name = "B.json")]
    pub(crate) after: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// A built-in scenario (`list` shows them) or a TOML file.
    scenario: String,
    /// What makes the link.
    #[arg(long, value_enum, default_value_t = LinkKind::Auto)]
    link: LinkKind,
    /// Draw loss and jitter from this.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct ProxyArguments {
    /// Where to listen, by TCP and UDP; port 0 takes a free one.
    #[arg(long)]
    listen: SocketAddr,
    /// Where to forward to.
    #[arg(long)]
    to: SocketAddr,
    /// Where to forward UDP to, when it is another address.
    #[arg(long, value_name = "ADDRESS")]
    udp_to: Option<SocketAddr>,
    /// A built-in profile's name, or a TOML file with one.
    #[arg(long, default_value = "geo-bgan")]
    profile: String,
    /// When the link is down: `every=60s,for=10s` or `start=30s,for=300s`. May be given more than once.
    #[arg(long)]
    outage: Vec<Outage>,
    /// Cuts all connections at random, on average this often.
    #[arg(long, value_parser = duration)]
    cut_every: Option<Duration>,
    /// Draws loss, jitter and cuts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct CodecArguments {
    /// Recorded flights: `.tlog` files.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// How long a frame gathers records.
    #[arg(long, default_value = "250ms", value_parser = duration)]
    window: Duration,
    /// `sensor`: floats on the grids of their units. `exact`: bit for bit. Times are kept to 1 ms by both.
    #[arg(long, value_enum, default_value_t = Precision::Sensor)]
    precision: Precision,
    /// Which frames a frame continues. `restart4`: every fourth continues the newest that was acknowledged, a second
    /// ago or more.
    #[arg(long, value_enum, default_value_t = Policy::Chain)]
    loss_policy: Policy,
    /// `core`: ATTITUDE, GLOBAL_POSITION_INT, GPS_RAW_INT, VFR_HUD, SYS_STATUS, SCALED_PRESSURE, RAW_IMU, HEARTBEAT and
    /// LOCAL_POSITION_NED, as far as the file has them. `all`: every message of the file.
    #[arg(long, value_enum, default_value_t = Selection::Core)]
    streams: Selection,
    /// Where to write the figures as a JSON array, one object a file; `-` for standard output.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FanoutArguments {
    /// Web clients that subscribe to everything.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Further web clients that subscribe and then read nothing.
    #[arg(long, default_value_t = 0)]
    stalled: usize,
    /// Messages a second.
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// For so many seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Give clients and servers real-time priority, for machines that do other things, too. Takes root.
    #[arg(long)]
    realtime: bool,
    /// Then measure these the same way.
    #[arg(long, value_name = "NAME,...", value_enum, value_delimiter = ',')]
    peers: Vec<fanout::Peer>,
    /// Where to write the result, a JSON object.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FleetArguments {
    /// Vehicles.
    #[arg(long, default_value_t = 1000)]
    vehicles: usize,
    /// Samples a second of each.
    #[arg(long, default_value_t = 20)]
    rate: u64,
    /// For so many seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Where to write the result, a JSON object.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Precision {
    Sensor,
    Exact,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    Chain,
    Restart4,
    Standalone,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Selection {
    Core,
    All,
}

impl Command {
    /// What makes the link, where there is one to be chosen.
    pub(crate) fn link(&self) -> Option<LinkKind> {
        match self {
            Command::Run(arguments) => Some(arguments.link),
            Command::Peers(arguments) => Some(arguments.link),
            Command::CheckLink(arguments) => Some(arguments.link),
            Command::Demo(_)
            | Command::Compare(_)
            | Command::List
            | Command::Proxy(_)
            | Command::Codec(_)
            | Command::Device(_)
            | Command::Fanout(_)
            | Command::Fleet(_)
            | Command::Bare { .. } => None,
        }
    }
}

impl FanoutArguments {
    pub(crate) fn into_options(self) -> FanoutOptions {
        let FanoutArguments { clients, stalled, rate, seconds, realtime, peers, json } = self;
        let length = Duration::from_secs(seconds);
        FanoutOptions { clients, stalled, rate, length, realtime, peers, json }
    }
}

impl FleetArguments {
    pub(crate) fn into_options(self) -> FleetOptions {
        let FleetArguments { vehicles, rate, seconds, json } = self;
        FleetOptions { vehicles, rate, length: Duration::from_secs(seconds), json }
    }
}

impl CodecArguments {
    pub(crate) fn options(&self) -> CodecOptions {
        CodecOptions {
            window: self.window,
            exact: matches!(self.precision, Precision::Exact),
            policy: match self.loss_policy {
                Policy::Chain => LossPolicy::Chain,
                Policy::Restart4 => LossPolicy::Restart4,
                Policy::Standalone => LossPolicy::Standalone,
            },
            streams: match self.streams {
                Selection::Core => Streams::Core,
                Selection::All => Streams::All,
            },
        }
    }
}

impl DemoArguments {
    pub(crate) fn into_options(self) -> DemoOptions {
        DemoOptions { length: self.seconds.map(Duration::from_secs), flight: self.flight, port: self.port }
    }
}

impl RunArguments {
    /// One for each scenario.
    pub(crate) fn to_options(&self) -> Result<Vec<RunOptions>, ScenarioError> {
        let options = self.scenarios.iter().map(|name| {
            let mut scenario = Scenario::load(name)?;
            scenario.seed = self.seed.unwrap_or(scenario.seed);
            set_length(&mut scenario, self.seconds);
            scenario.edge.transport = self.transport.unwrap_or(scenario.edge.transport);
            if let Some(flight) = &self.flight {
                scenario.workload = Workload::Flight(flight.clone());
            }
            Ok(RunOptions { scenario, link: self.link })
        });
        options.collect()
    }
}

impl PeersArguments {
    pub(crate) fn to_options(&self) -> Result<PeersOptions, ScenarioError> {
        let mut scenario = Scenario::load(&self.scenario)?;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        set_length(&mut scenario, self.seconds);
        Ok(PeersOptions { scenario, link: self.link, only: self.only.clone(), at_once: self.at_once.into() })
    }
}

impl CheckArguments {
    pub(crate) fn into_options(self) -> Result<CheckOptions, ScenarioError> {
        let scenario = Scenario::load(&self.scenario)?;
        let seed = self.seed.unwrap_or(scenario.seed);
        Ok(CheckOptions { profile: scenario.link, link: self.link, seed })
    }
}

impl ProxyArguments {
    pub(crate) fn datagrams_to(&self) -> SocketAddr {
        self.udp_to.unwrap_or(self.to)
    }

    pub(crate) fn into_options(self) -> Result<ProxyOptions, Box<dyn std::error::Error>> {
        let profile = if self.profile.ends_with(".toml") {
            let text =
                std::fs::read_to_string(&self.profile).map_err(|e| format!("{}: {e}", self.profile))?;
            toml::from_str::<PathProfile>(&text).map_err(|e| format!("{}: {e}", self.profile))?
        } else {
            builtin_profile(&self.profile)?
        };
        let profile = profile.with_outages(OutageSchedule::new(self.outage)?);
        let (listen, forward_to, cut_every, seed) = (self.listen, self.to, self.cut_every, self.seed);
        Ok(ProxyOptions { listen, forward_to, profile, cut_every, seed })
    }
}

fn set_length(scenario: &mut Scenario, seconds: Option<u64>) {
    let Some(length) = seconds.map(Duration::from_secs) else { return };
    if length < scenario.length && scenario.bounds.iter().next().is_some() {
        let (scenario, own) = (&scenario.name, scenario.length.as_secs());
        tracing::warn!(scenario, "its bounds are those of a run of {own} s: a shorter one may miss them");
    }
    scenario.length = length;
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("{text:?} is no duration: write 500ms, 5s, 1.5m or 1h"))
}
