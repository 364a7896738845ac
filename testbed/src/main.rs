//! `tern-testbed`: a satellite link in software, and what is shown and proved over it.

mod cli;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use cli::{Arguments, Command};
use tern_testbed::proxy::Proxy;
use tern_testbed::{codec, demo};

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
            Command::Demo(arguments) => demo::run(arguments.into_options()).await.map_err(Into::into),
            Command::Proxy(arguments) => relay(arguments).await,
            Command::Codec(arguments) => measure_codec(&arguments),
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

async fn relay(arguments: cli::ProxyArguments) -> Result<(), Box<dyn std::error::Error>> {
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
    Ok(())
}

fn measure_codec(arguments: &cli::CodecArguments) -> Result<(), Box<dyn std::error::Error>> {
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
        None => Ok(()),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "tern-testbed: {error}");
    ExitCode::FAILURE
}
