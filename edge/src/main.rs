//! See the crate description.

use std::process::ExitCode;

use clap::Parser;
use tern_edge::config::{Args, Config, LogConfig, LogFormat};
use tern_edge::relay;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tern-edge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::load(args)?;
    start_logging(&config.log);
    for doubt in config.doubts(std::env::vars_os().map(|(name, _)| name)) {
        tracing::warn!("{doubt}");
    }
    if args.print_config {
        tern_edge::status::print(config.to_toml().trim_end());
        return Ok(());
    }
    // One thread: a vehicle's computer has better uses for its cores, and the spool has a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async { relay::run(config, end_signal()?).await.map_err(Into::into) });
    // A read of standard input that waits for a line cannot be cancelled.
    runtime.shutdown_background();
    result
}

/// Done when the process is asked to end: SIGTERM from a service manager, SIGINT from a terminal.
fn end_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn start_logging(config: &LogConfig) {
    let filter = EnvFilter::new(&config.level);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => log.json().init(),
    }
}
