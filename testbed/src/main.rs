//! `tern-testbed`: a satellite link in software, and what is shown and proved over it.

mod cli;
mod print;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use cli::{Arguments, Command, DeviceKind};
use tern_testbed::proxy::Proxy;
use tern_testbed::run::Outcome;
use tern_testbed::scenario::Scenario;
use tern_testbed::{check, codec, demo, device, load, run};

/// Exit statuses beside success.
const BOUND_MISSED: u8 = 1;
const COULD_NOT_RUN: u8 = 2;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal)
        .init();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(async {
        match Arguments::parse().command {
            Command::Demo(arguments) => {
                demo::run(arguments.into_options()).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Run(arguments) => measure(arguments).await,
            Command::List => print::scenarios(&Scenario::builtin()),
            Command::CheckLink(arguments) => check_link(arguments).await,
            Command::Proxy(arguments) => relay(arguments).await,
            Command::Codec(arguments) => measure_codec(&arguments),
            Command::Device(arguments) => serve_device(&arguments).await,
            Command::Fanout(arguments) => {
                let options = arguments.into_options();
                tell(&load::fanout::run(&options).await?, options.json.as_deref())
            }
            Command::Fleet(arguments) => {
                let options = arguments.into_options();
                tell(&load::fleet::run(&options).await?, options.json.as_deref())
            }
        }
    });
    result.unwrap_or_else(|error: Failure| fail(&*error))
}

/// Every scenario, one after the other; the worst of their exit statuses.
async fn measure(arguments: cli::RunArguments) -> Result<ExitCode, Failure> {
    let mut lines = String::new();
    let mut worst = 0;
    for options in arguments.to_options()? {
        match run::run(&options, demo::stop_signal()?).await? {
            Outcome::Measured(result) => {
                print::result(&result)?;
                worst = worst.max(if result.is_within_bounds() { 0 } else { BOUND_MISSED });
                lines += &serde_json::to_string(&result)?;
                lines.push('\n');
            }
            Outcome::Rejected { reason } => {
                tracing::error!(scenario = options.scenario.name, "rejected: {reason}");
                worst = COULD_NOT_RUN;
            }
            Outcome::Stopped => {
                worst = COULD_NOT_RUN;
                break;
            }
        }
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, lines).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(worst.into())
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
    let options = arguments.into_options()?;
    let (to, profile) = (options.forward_to, options.profile.name.clone());
    let proxy = Proxy::bind(options)?;
    let status = proxy.status();
    let stopped = demo::stop_signal()?;
    tracing::info!(listen = %proxy.local_addr()?, %to, profile, "relaying");
    tokio::select! {
        () = proxy.run() => {}
        () = stopped => {}
    }
    let status = *status.borrow();
    tracing::info!(connections = status.connections, to_ground = ?status.to_ground, to_vehicle = ?status.to_vehicle, "stopped");
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
    let reports =
        arguments.files.iter().map(|file| codec::measure(file, &options)).collect::<Result<Vec<_>, _>>()?;
    let mut out = std::io::stdout().lock();
    match &arguments.json {
        Some(path) if path.as_os_str() == "-" => {
            writeln!(out, "{}", serde_json::to_string_pretty(&reports)?)?;
        }
        Some(path) => std::fs::write(path, serde_json::to_string_pretty(&reports)?)?,
        None => {}
    }
    if arguments.json.as_ref().is_none_or(|path| path.as_os_str() != "-") {
        write!(out, "{}", codec::Table(&reports))?;
    }
    match reports.iter().find(|report| report.roundtrip == "FAILED") {
        Some(report) => Err(format!("{}: the round trip failed", report.file.display()).into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// A result as JSON, on standard output and in a file.
fn tell(result: &impl serde::Serialize, file: Option<&Path>) -> Result<ExitCode, Failure> {
    let json = serde_json::to_string(result)?;
    writeln!(std::io::stdout(), "{json}")?;
    if let Some(file) = file {
        std::fs::write(file, json + "\n")
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "tern-testbed: {error}");
    COULD_NOT_RUN.into()
}
