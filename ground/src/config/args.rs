//! The command line; every flag of [`RunArgs`] is an environment variable, too.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use tern_shared::id::VehicleId;

use super::{LogFormat, Synchronous};
use crate::query::CaptureTime;

/// Receives vehicles' telemetry, keeps it and publishes it to web clients.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Args {
    /// Configuration file (TOML); environment and flags go over it
    #[arg(long, value_name = "FILE", env = "TERN_GROUND_CONFIG", global = true)]
    pub config: Option<PathBuf>,
    /// Print the resolved configuration, tokens as ***, and exit
    #[arg(long)]
    pub print_config: bool,
    /// What can be configured.
    #[command(flatten)]
    pub run: RunArgs,
    /// What to do; to run the ground when there is none.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of running the ground.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a vehicle's history to a file; works while the ground is running, too
    Export(ExportArgs),
}

/// Configuration by environment and flags.
#[derive(Clone, Debug, Default, Parser)]
pub struct RunArgs {
    /// Where vehicles and web clients connect [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT", env = "TERN_GROUND_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Serve a non-loopback address without TLS or tokens
    #[arg(
        long, env = "TERN_GROUND_INSECURE", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_name = "BOOL"
    )]
    pub insecure: Option<bool>,
    /// The most vehicles [default: 1000]
    #[arg(long, value_name = "N", env = "TERN_GROUND_MAX_VEHICLES")]
    pub max_vehicles: Option<u64>,
    /// The most web clients at a time [default: 16384]
    #[arg(long, value_name = "N", env = "TERN_GROUND_MAX_CLIENTS")]
    pub max_clients: Option<u64>,
    /// The most web clients of one address, loopback apart [default: 256]
    #[arg(long, value_name = "N", env = "TERN_GROUND_MAX_CLIENTS_PER_ADDRESS")]
    pub max_clients_per_address: Option<u64>,
    /// Threads that serve web clients; 0 serves them on the one of the vehicles [default: 2]
    #[arg(long, value_name = "N", env = "TERN_GROUND_CLIENT_THREADS")]
    pub client_threads: Option<u64>,
    /// A web origin whose pages may use the API (repeatable; the environment takes a comma-separated list)
    #[arg(long, value_name = "ORIGIN", env = "TERN_GROUND_ORIGINS", value_delimiter = ',')]
    pub origin: Vec<String>,
    /// JWK set file: web clients' JSON Web Tokens are checked with its keys
    #[arg(long, value_name = "FILE", env = "TERN_GROUND_JWT_KEYS")]
    pub jwt_keys: Option<PathBuf>,
    /// What the tokens' iss has to be
    #[arg(long, value_name = "TEXT", env = "TERN_GROUND_JWT_ISSUER")]
    pub jwt_issuer: Option<String>,
    /// What the tokens' aud has to have
    #[arg(long, value_name = "TEXT", env = "TERN_GROUND_JWT_AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// End a vehicle's connection after this long without a message [default: 7200]
    #[arg(long, value_name = "SECONDS", env = "TERN_GROUND_IDLE_TIMEOUT_SECONDS")]
    pub idle_timeout_seconds: Option<u64>,
    /// PEM file with the certificate chain
    #[arg(long, value_name = "FILE", env = "TERN_GROUND_TLS_CERTIFICATE")]
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with the private key
    #[arg(long, value_name = "FILE", env = "TERN_GROUND_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Where vehicles connect by QUIC (UDP); needs a certificate
    #[arg(long, value_name = "ADDRESS:PORT", env = "TERN_GROUND_QUIC_LISTEN")]
    pub quic_listen: Option<SocketAddr>,
    /// PEM file with the certificate chain for QUIC [default: that of --tls-certificate]
    #[arg(long, value_name = "FILE", env = "TERN_GROUND_QUIC_CERTIFICATE")]
    pub quic_certificate: Option<PathBuf>,
    /// PEM file with the private key for QUIC [default: that of --tls-key]
    #[arg(long, value_name = "FILE", env = "TERN_GROUND_QUIC_KEY")]
    pub quic_key: Option<PathBuf>,
    /// PEM file with the certificates by which vehicles' own certificates are verified (QUIC)
    #[arg(long, value_name = "FILE", env = "TERN_GROUND_QUIC_CLIENT_CA")]
    pub quic_client_ca: Option<PathBuf>,
    /// The history's SQLite file [default: tern-ground.sqlite]
    #[arg(long, value_name = "PATH", env = "TERN_GROUND_HISTORY", global = true)]
    pub history: Option<PathBuf>,
    /// What a commit waits for before it is acknowledged [default: full]
    #[arg(long, env = "TERN_GROUND_SYNCHRONOUS")]
    pub synchronous: Option<Synchronous>,
    /// The longest a record waits for its commit [default: 200]
    #[arg(long, value_name = "MS", env = "TERN_GROUND_COMMIT_INTERVAL_MS")]
    pub commit_interval_ms: Option<u64>,
    /// A vehicle that may connect (repeatable; the environment takes a comma-separated list). Other users of this
    /// computer can see flags: prefer the file or the environment
    #[arg(
        long,
        value_name = "NAME=TOKEN",
        env = "TERN_GROUND_VEHICLES",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub vehicle: Vec<String>,
    /// What web clients must know to see telemetry
    #[arg(long, value_name = "TOKEN", env = "TERN_GROUND_VIEWER_TOKEN", hide_env_values = true)]
    pub viewer_token: Option<String>,
    /// What log lines look like [default: text]
    #[arg(long, env = "TERN_GROUND_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What to log: error, warn, info, debug, trace, or a tracing filter [default: info]
    #[arg(long, value_name = "FILTER", env = "TERN_GROUND_LOG_LEVEL")]
    pub log_level: Option<String>,
}

/// What to export.
#[derive(Clone, Debug, Parser)]
pub struct ExportArgs {
    /// Whose history
    #[arg(long)]
    pub vehicle: VehicleId,
    /// tlog: MAVLink frames behind 8-byte times; jsonl: an object a record; csv: one stream, a column a field
    #[arg(long)]
    pub format: ExportFormat,
    /// Only streams that match, * stands for any characters
    #[arg(long, value_name = "GLOB", default_value = "*")]
    pub stream: String,
    /// Only records captured at or after this time: RFC 3339, or seconds since the Unix epoch
    #[arg(long, value_name = "TIME")]
    pub from: Option<CaptureTime>,
    /// Only records captured before this time: RFC 3339, or seconds since the Unix epoch
    #[arg(long, value_name = "TIME")]
    pub to: Option<CaptureTime>,
    /// Write here instead of to standard output
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The formats that history can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// MAVLink frames, each behind its capture time (8 bytes, big-endian, microseconds since the Unix epoch).
    Tlog,
    /// JSON lines.
    Jsonl,
    /// Comma-separated values (RFC 4180).
    Csv,
}
