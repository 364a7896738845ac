//! What the edge is told to do: TOML file < environment < flags, resolved once into plain values.
//!
//! `tern-edge.toml` beside this package documents every key; a test holds it against the defaults.

mod args;
mod budget;
mod commands;
mod doubts;
mod file;
mod list;
mod log;
mod protection;
mod spool;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tern_shared::id::{Token, VehicleId};
use tern_shared::intake::StreamRules;
use tern_shared::session::{Budgets, Pins};

pub use args::Args;
pub use budget::ConfiguredRate;

use crate::command::config::CommandConfig;
use crate::link::GroundUrl;
use crate::source::SourceUrl;
use crate::spool::SpoolConfig;

/// Everything that can be configured, resolved.
#[derive(Clone, Debug)]
pub struct Config {
    /// The vehicle's name.
    pub vehicle: VehicleId,
    /// The vehicle's secret; empty for none.
    pub token: Token,
    /// Where telemetry comes from.
    pub sources: Vec<SourceUrl>,
    /// How floats are kept.
    pub precision: Precision,
    /// Streams whose capture times cross the link in microseconds; those of others in milliseconds.
    pub microseconds: BTreeSet<String>,
    /// Which streams are taken in, and how often.
    pub streams: StreamRules,
    /// The link to the ground.
    pub link: LinkConfig,
    /// What the link may cost.
    pub budgets: Budgets,
    /// Time between records of the link's state; `None` for none.
    pub link_state_interval: Option<Duration>,
    /// How long a record waits for company; `None` for what suits the transport, the rate and the loss.
    pub batch_window: Option<Duration>,
    /// What of the protection against loss does not follow the measured loss.
    pub pins: Pins,
    /// What commands may reach.
    pub commands: CommandConfig,
    /// Where frames are kept while the link is down.
    pub spool: SpoolConfig,
    /// Time between status lines on standard output; `None` for no such lines.
    pub status_interval: Option<Duration>,
    /// Where `/metrics` is served; `None` for nowhere.
    pub metrics: Option<SocketAddr>,
    /// Logging.
    pub log: LogConfig,
}

/// How floats are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// MAVLink floats on a decimal grid a unit, at the resolution of the sensors that fill them.
    #[default]
    Sensor,
    /// Bit for bit. Costs about twice the bytes.
    Exact,
}

/// The link to the ground.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Where the ground is, or grounds are: in order of preference, at least one.
    pub grounds: Vec<GroundUrl>,
    /// PEM file with the certificates to trust instead of the system's.
    pub certificates: Option<PathBuf>,
    /// What the vehicle shows of itself to a ground by QUIC; `None` for its token only.
    pub own_certificate: Option<OwnCertificate>,
    /// The rate to keep to, bits a second on the wire; `None` for no limit.
    pub rate_bits_per_second: Option<u64>,
    /// Whether the rate is found out instead.
    pub auto_rate: bool,
    /// What a packet costs on the wire beside our bytes; `None` for what the transport's headers are.
    pub overhead_bytes: Option<usize>,
    /// How long the ground may be silent while it owes an acknowledgement, before the connection is made anew.
    pub silence_limit: Duration,
}

/// The vehicle's own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCertificate {
    /// PEM file with the certificate chain, the vehicle's own first.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// How the process logs, to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Text for people or JSON for programs.
    pub format: LogFormat,
    /// A `tracing` filter: `info`, `tern_edge=debug,info`.
    pub level: String,
}

/// What log lines look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why there is no configuration to start with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {path}: {error}", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// The file is not TOML, or has a key that does not exist or a value of the wrong type.
    #[error("configuration file {path}, line {line}: {message}", path = path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What is wrong. Does not quote the line: it may hold the token, and this goes to logs.
        message: String,
    },
    /// Something without a default is not given anywhere.
    #[error("{key} is missing: give it in the file, as {variable} or as {flag}")]
    Missing {
        /// The key in the file.
        key: &'static str,
        /// The environment variable.
        variable: &'static str,
        /// The flag.
        flag: &'static str,
    },
    /// A value is out of its range.
    #[error("{key} = {value}: expected {expected}")]
    Value {
        /// The key in the file.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A value cannot be understood.
    #[error("{key}: {error}")]
    Invalid {
        /// The key in the file.
        key: &'static str,
        /// What is wrong with it.
        error: String,
    },
    /// Only one of the vehicle's certificate and key is given.
    #[error("link.client_certificate and link.client_key go together: {missing} is missing")]
    HalfCertificate {
        /// The key that is missing.
        missing: &'static str,
    },
    /// Plain WebSocket to another computer.
    #[error(
        "link.ground = {ground} is not encrypted and not on this computer: everybody on the way could read the token \
         and the telemetry. Use quic:// or wss://, or --insecure if you mean it"
    )]
    Insecure {
        /// The address.
        ground: GroundUrl,
    },
}

impl Config {
    /// The configuration of this command line, the environment, and the file that they name.
    pub fn load(args: &Args) -> Result<Config, ConfigError> {
        let file = args.config.as_deref().map(file::FileConfig::read).transpose()?;
        file::resolve(file.unwrap_or_default(), args)
    }

    /// The configuration as a file would say it, without the token.
    pub fn to_toml(&self) -> String {
        file::to_toml(self)
    }
}
