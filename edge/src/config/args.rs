//! The command line; every flag is an environment variable, too.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Parser};
use tern_shared::id::VehicleId;
use tern_shared::intake::StreamRule;

use super::{ConfiguredRate, LogFormat, Precision};
use crate::link::GroundUrl;
use crate::source::SourceUrl;
use crate::spool::Synchronous;

/// Runs on the vehicle: takes telemetry in and sends it over a satellite link to tern-ground.
#[derive(Debug, Default, Parser)]
#[command(version, about)]
pub struct Args {
    /// Configuration file (TOML); environment and flags go over it
    #[arg(long, value_name = "FILE", env = "TERN_EDGE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print the resolved configuration, the token as ***, and exit
    #[arg(long)]
    pub print_config: bool,
    /// The vehicle's name
    #[arg(long, value_name = "NAME", env = "TERN_EDGE_VEHICLE")]
    pub vehicle: Option<VehicleId>,
    /// The vehicle's secret. Other users of this computer can see flags: prefer the file or the environment
    #[arg(long, value_name = "TOKEN", env = "TERN_EDGE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Where telemetry comes from (repeatable; the environment takes a space-separated list): udpin:0.0.0.0:14550,
    /// serial:/dev/ttyACM0:57600, jsonl+tcpin:127.0.0.1:7000, nmea+serial:/dev/ttyAMA0:9600, replay:FILE.tlog,
    /// simulated:, ...
    #[arg(long, value_name = "URL", env = "TERN_EDGE_SOURCES", value_delimiter = ' ')]
    pub source: Vec<SourceUrl>,
    /// How floats are kept [default: sensor]
    #[arg(long, env = "TERN_EDGE_PRECISION")]
    pub precision: Option<Precision>,
    /// Streams whose capture times cross the link in microseconds rather than milliseconds (repeatable; a
    /// space-separated list)
    #[arg(long, value_name = "STREAM", env = "TERN_EDGE_MICROSECONDS", value_delimiter = ' ')]
    pub microseconds: Vec<String>,
    /// Which streams are taken in and how often, by the first pattern that fits (repeatable; a space-separated list):
    /// mavlink/*/HEARTBEAT=0.5 (records a second), mavlink/*/STATUSTEXT=all, mavlink/*=0 (none) [default: all]
    #[arg(long, value_name = "PATTERN=RATE", env = "TERN_EDGE_STREAMS", value_delimiter = ' ')]
    pub streams: Vec<StreamRule>,
    /// Where the ground is: quic://HOST[:PORT], wss://HOST[:PORT]/vehicle, or ws:// on this computer. Repeatable, in
    /// order of preference; the environment takes a space-separated list
    #[arg(long, value_name = "URL", env = "TERN_EDGE_GROUND", value_delimiter = ' ')]
    pub ground: Vec<GroundUrl>,
    /// Let ws:// reach another computer, unencrypted
    #[arg(
        long, env = "TERN_EDGE_INSECURE", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_name = "BOOL"
    )]
    pub insecure: Option<bool>,
    /// PEM file with the certificates to trust instead of the system's
    #[arg(long, value_name = "FILE", env = "TERN_EDGE_CERTIFICATES")]
    pub certificates: Option<PathBuf>,
    /// PEM file with the vehicle's own certificate, for a ground that knows vehicles by certificates (quic:// only)
    #[arg(long, value_name = "FILE", env = "TERN_EDGE_CLIENT_CERTIFICATE")]
    pub client_certificate: Option<PathBuf>,
    /// PEM file with the private key of --client-certificate
    #[arg(long, value_name = "FILE", env = "TERN_EDGE_CLIENT_KEY")]
    pub client_key: Option<PathBuf>,
    /// The link's rate, headers counted; 0 for no limit, auto to find it out (QUIC only) [default: 64000]
    #[arg(long, value_name = "BITS", env = "TERN_EDGE_RATE_BITS_PER_SECOND")]
    pub rate_bits_per_second: Option<ConfiguredRate>,
    /// The most bytes a second, both directions, headers counted; 0 for no limit [default: 0]
    #[arg(long, value_name = "BYTES", env = "TERN_EDGE_BUDGET_BYTES_PER_SECOND")]
    pub budget_bytes_per_second: Option<u64>,
    /// The most bytes from this start to the end; 0 for no limit [default: 0]
    #[arg(long, value_name = "BYTES", env = "TERN_EDGE_BUDGET_FLIGHT_BYTES")]
    pub budget_flight_bytes: Option<u64>,
    /// The most bytes a calendar month (UTC); 0 for no limit [default: 0]
    #[arg(long, value_name = "BYTES", env = "TERN_EDGE_BUDGET_MONTH_BYTES")]
    pub budget_month_bytes: Option<u64>,
    /// Send the link's state as stream tern/edge this often; 0 for never [default: 5000]
    #[arg(long, value_name = "MS", env = "TERN_EDGE_LINK_STATE_INTERVAL_MS")]
    pub link_state_interval_ms: Option<u64>,
    /// What a packet costs beside our bytes [default: 80]
    #[arg(long, value_name = "BYTES", env = "TERN_EDGE_OVERHEAD_BYTES")]
    pub overhead_bytes: Option<u64>,
    /// How long the ground may be silent while it owes an acknowledgement [default: 5000]
    #[arg(long, value_name = "MS", env = "TERN_EDGE_SILENCE_LIMIT_MS")]
    pub silence_limit_ms: Option<u64>,
    /// How long a record waits for others to be sent with [default: 200]
    #[arg(long, value_name = "MS", env = "TERN_EDGE_BATCH_WINDOW_MS")]
    pub batch_window_ms: Option<u64>,
    /// The spool's SQLite file [default: tern-edge.sqlite]
    #[arg(long, value_name = "PATH", env = "TERN_EDGE_SPOOL")]
    pub spool: Option<PathBuf>,
    /// The most bytes that the spool keeps [default: 1073741824]
    #[arg(long, value_name = "BYTES", env = "TERN_EDGE_SPOOL_MAX_BYTES")]
    pub spool_max_bytes: Option<u64>,
    /// The longest that the spool keeps a record, in running time; 0 for no limit [default: 0]
    #[arg(long, value_name = "SECONDS", env = "TERN_EDGE_SPOOL_MAX_AGE_SECONDS")]
    pub spool_max_age_seconds: Option<u64>,
    /// What a power failure may cost [default: normal]
    #[arg(long, env = "TERN_EDGE_SYNCHRONOUS")]
    pub synchronous: Option<Synchronous>,
    /// How long a frame waits for others to be committed with [default: 50]
    #[arg(long, value_name = "MS", env = "TERN_EDGE_COMMIT_INTERVAL_MS")]
    pub commit_interval_ms: Option<u64>,
    /// Print a status line (JSON) on standard output this often; 0 for never [default: 0]
    #[arg(long, value_name = "MS", env = "TERN_EDGE_STATUS_INTERVAL_MS")]
    pub status_interval_ms: Option<u64>,
    /// Serve /metrics for Prometheus on this address, which has to be of this computer [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT", env = "TERN_EDGE_METRICS")]
    pub metrics: Option<SocketAddr>,
    /// What log lines look like [default: text]
    #[arg(long, env = "TERN_EDGE_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What to log: error, warn, info, debug, trace, or a tracing filter [default: info]
    #[arg(long, value_name = "FILTER", env = "TERN_EDGE_LOG_LEVEL")]
    pub log_level: Option<String>,
}
