//! `tern-ground`: runs the ground, or exports from its history.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tern_ground::config::{Args, Command, Config, LogConfig, LogFormat};
use tern_ground::export::{self, ExportError, Summary};
use tern_ground::relay::Relay;
use tern_shared::environment::unknown_variables;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tern-ground: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode, Failure> {
    let config = Config::load(args.config.as_deref(), &args.run)?;
    if args.print_config {
        io::stdout().write_all(config.to_toml().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    match &args.command {
        Some(Command::Export(export)) => Ok(report(export::run(&config.history.path, export))?),
        None => {
            start_logging(&config.log);
            let variables = std::env::vars_os().map(|(name, _)| name);
            let command = Args::command();
            let is_known = |name: &OsStr| command.get_arguments().any(|arg| arg.get_env() == Some(name));
            for unknown in unknown_variables("tern-ground", variables, is_known) {
                warn!("{unknown}");
            }
            raise_file_limit();
            // One thread is enough: history, audit log and web clients have their own, and everything else waits for sockets.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(serve(config))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A client is an open file, and the soft limit is 1024 on most systems. Programs that cannot take more are what it is for.
fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        warn!(%error, ?current, "the limit of open files stays as it is");
    }
}

async fn serve(config: Config) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let relay = Relay::start(config).await?;
    tokio::select! {
        _ = terminate.recv() => info!(signal = "SIGTERM", "shutting down"),
        _ = interrupt.recv() => info!(signal = "SIGINT", "shutting down"),
    }
    relay.shutdown().await;
    Ok(())
}

/// Says on standard error what an export left out. Fails when a part of the history could not be read.
fn report(result: Result<Summary, ExportError>) -> Result<ExitCode, ExportError> {
    let summary = match result {
        // The reader (`head`) has seen enough.
        Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(ExitCode::SUCCESS);
        }
        result => result?,
    };
    eprintln!("tern-ground: {} records", summary.records);
    for (stream, count) in &summary.left_out {
        eprintln!("tern-ground: left out {count} records of {stream}: the format has no way to write them");
    }
    match summary.first_damage {
        Some(damage) => {
            let frames = summary.damaged_frames;
            eprintln!("tern-ground: {frames} frames of the history cannot be read; the first: {damage}");
            Ok(ExitCode::FAILURE)
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

fn start_logging(config: &LogConfig) {
    let filter = EnvFilter::new(&config.level);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match config.format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => builder.json().init(),
    }
}
