//! `tern-testbed`: a satellite link in software, and what is shown and proved over it.

mod cli;
mod output;
mod print;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use cli::{Arguments, Command, DeviceKind};
use output::Output;
use tern_testbed::path::LinkKind;
use tern_testbed::peers::PeerOutcome;
use tern_testbed::proxy::Proxy;
use tern_testbed::run::{Outcome, RunResult};
use tern_testbed::scenario::Scenario;
use tern_testbed::{check, codec, compare, demo, device, guest, load, peers, progress, report, run};

/// Exit statuses beside success.
const BOUND_MISSED: u8 = 1;
const COULD_NOT_RUN: u8 = 2;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(progress::is_terminal())
        .init();
    let command = Arguments::parse().command;
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(async {
        if command.link() == Some(LinkKind::Uml) && !guest::is_inside() {
            let status = guest::run(std::env::args_os().skip(1), demo::stop_signal()?).await?;
            return Ok(status.unwrap_or(COULD_NOT_RUN).into());
        }
        match command {
            Command::Demo(arguments) => {
                demo::run(arguments.into_options()).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Run(arguments) => measure(arguments).await,
            Command::Peers(arguments) => compare_peers(arguments).await,
            Command::Compare(arguments) => {
                print::comparisons(&compare::compare(&arguments.before, &arguments.after)?)?;
                Ok(ExitCode::SUCCESS)
            }
            Command::List => print::scenarios(&Scenario::builtin()),
            Command::CheckLink(arguments) => check_link(arguments).await,
            Command::Proxy(arguments) => relay(arguments).await,
            Command::Codec(arguments) => measure_codec(&arguments),
            Command::Device(arguments) => serve_device(&arguments).await,
            Command::Fanout(arguments) => {
                let options = arguments.into_options();
                let file = options.json.as_deref().map(Output::open).transpose()?;
                tell(&load::fanout::run(&options).await?, file)
            }
            Command::Fleet(arguments) => {
                let options = arguments.into_options();
                let file = options.json.as_deref().map(Output::open).transpose()?;
                tell(&load::fleet::run(&options).await?, file)
            }
            Command::Bare { clients, publisher } => {
                load::bare::serve(clients, publisher)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    });
    result.unwrap_or_else(|error: Failure| fail(&*error))
}

/// Every scenario, one after the other; the worst of their exit statuses.
async fn measure(arguments: cli::RunArguments) -> Result<ExitCode, Failure> {
    let options = arguments.to_options()?;
    let json = prepare(arguments.json.as_deref(), arguments.report.as_deref())?;
    let mut results = Vec::new();
    let mut worst = 0;
    for options in options {
        let outcome = run::run(&options, demo::stop_signal()?).await?;
        if let Outcome::Measured(result) = &outcome {
            print::result(result)?;
        }
        let is_stopped = matches!(outcome, Outcome::Stopped);
        worst = worst.max(judge(&options.scenario.name, outcome, &mut results));
        if is_stopped {
            break;
        }
    }
    keep(&results, json, arguments.report.as_deref())?;
    Ok(worst.into())
}

/// All systems; the worst of their exit statuses.
async fn compare_peers(arguments: cli::PeersArguments) -> Result<ExitCode, Failure> {
    let options = arguments.to_options()?;
    let json = prepare(arguments.json.as_deref(), arguments.report.as_deref())?;
    let Some(outcomes) = peers::run(&options, demo::stop_signal()?).await? else {
        return Ok(COULD_NOT_RUN.into());
    };
    if outcomes.iter().any(|peer| matches!(peer.outcome, Ok(Outcome::Rejected { .. }))) {
        tracing::error!(
            "what is rejected can be measured with fewer side by side (--at-once), or on a quieter machine"
        );
    }
    let mut results = Vec::new();
    let mut worst = 0;
    for PeerOutcome { peer, outcome } in outcomes {
        let status = match outcome {
            Ok(outcome) => judge(peer.name(), outcome, &mut results),
            Err(error) => {
                tracing::error!(system = peer.name(), "{error}");
                COULD_NOT_RUN
            }
        };
        worst = worst.max(status);
    }
    print::peers(&results)?;
    keep(&results, json, arguments.report.as_deref())?;
    Ok(worst.into())
}

/// Keeps a result; the exit status that an outcome comes to.
fn judge(what: &str, outcome: Outcome, results: &mut Vec<RunResult>) -> u8 {
    match outcome {
        Outcome::Measured(result) => {
            let status = if result.is_within_bounds() { 0 } else { BOUND_MISSED };
            results.push(*result);
            status
        }
        Outcome::Rejected { reason } => {
            tracing::error!(what, "rejected: {reason}");
            COULD_NOT_RUN
        }
        Outcome::Stopped => COULD_NOT_RUN,
    }
}

/// Sees before anything is measured that [`keep`] will be able to keep it.
fn prepare(json: Option<&Path>, folder: Option<&Path>) -> Result<Option<Output>, Failure> {
    folder.map(report::prepare).transpose()?;
    Ok(json.map(Output::open).transpose()?)
}

/// As JSON, an object a line, and as a report.
fn keep(results: &[RunResult], json: Option<Output>, folder: Option<&Path>) -> Result<(), Failure> {
    if let Some(file) = json {
        let mut lines = String::new();
        for result in results {
            lines += &serde_json::to_string(result)?;
            lines.push('\n');
        }
        file.write(&lines)?;
    }
    if let Some(folder) = folder {
        let arguments = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        report::write(folder, &format!("tern-testbed {arguments}"), results)?;
    }
    Ok(())
}

async fn check_link(arguments: cli::CheckArguments) -> Result<ExitCode, Failure> {
    let options = arguments.into_options()?;
    let stopped = demo::stop_signal()?;
    tokio::select! {
        biased;
        () = stopped => Ok(COULD_NOT_RUN.into()),
        report = check::run(&options) => {
            let report = report?;
            print::check(&report)?;
            Ok(if report.is_as_asked() { ExitCode::SUCCESS } else { BOUND_MISSED.into() })
        }
    }
}

async fn relay(arguments: cli::ProxyArguments) -> Result<ExitCode, Failure> {
    let datagrams_to = arguments.datagrams_to();
    let options = arguments.into_options()?;
    let (to, profile) = (options.forward_to, options.profile.name.clone());
    let proxy = Proxy::bind(options)?.with_datagrams_to(datagrams_to);
    let status = proxy.status();
    let stopped = demo::stop_signal()?;
    tracing::info!(listen = %proxy.local_addr()?, %to, %datagrams_to, profile, "relaying");
    tokio::select! {
        () = proxy.run() => {}
        () = stopped => {}
    }
    let status = *status.borrow();
    tracing::info!(connections = status.connections, flows = status.flows, to_ground = ?status.to_ground, to_vehicle = ?status.to_vehicle, "stopped");
    Ok(ExitCode::SUCCESS)
}

async fn serve_device(arguments: &cli::DeviceArguments) -> Result<ExitCode, Failure> {
    let stopped = demo::stop_signal()?;
    tokio::select! {
        served = async {
            match arguments.kind {
                DeviceKind::Lamp => device::serve(arguments.listen, device::Lamp::default()).await,
                DeviceKind::Rover => device::serve(arguments.listen, device::Rover::default()).await,
            }
        } => served?,
        () = stopped => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn measure_codec(arguments: &cli::CodecArguments) -> Result<ExitCode, Failure> {
    let options = arguments.options();
    let to_stdout = arguments.json.as_ref().is_some_and(|path| path.as_os_str() == "-");
    let file = arguments.json.as_deref().filter(|_| !to_stdout).map(Output::open).transpose()?;
    let reports =
        arguments.files.iter().map(|file| codec::measure(file, &options)).collect::<Result<Vec<_>, _>>()?;
    let json = serde_json::to_string_pretty(&reports)?;
    let mut out = std::io::stdout().lock();
    if to_stdout {
        writeln!(out, "{json}")?;
    } else {
        write!(out, "{}", codec::Table(&reports))?;
    }
    file.map(|file| file.write(&json)).transpose()?;
    match reports.iter().find(|report| report.roundtrip == "FAILED") {
        Some(report) => Err(format!("{}: the round trip failed", report.file.display()).into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// A result as JSON, on standard output and in a file.
fn tell(result: &impl serde::Serialize, file: Option<Output>) -> Result<ExitCode, Failure> {
    let json = serde_json::to_string(result)?;
    writeln!(std::io::stdout(), "{json}")?;
    if let Some(file) = file {
        file.write(&(json + "\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "tern-testbed: {error}");
    COULD_NOT_RUN.into()
}
