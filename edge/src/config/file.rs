//! The configuration file, and how file and flags become a [`Config`].

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tern_shared::id::{Token, VehicleId};
use tern_shared::intake::StreamRules;
use tern_shared::schema::MAX_NAME_BYTES;

use super::budget::{ConfiguredRate, FileBudget};
use super::commands::FileCommands;
use super::list::OneOrSeveral;
use super::log::FileLog;
use super::protection::FileProtection;
use super::spool::FileSpool;
use super::{Args, Config, ConfigError, LinkConfig, OwnCertificate, Precision};
use crate::link::GroundUrl;

/// The most links: each is a handshake now and then.
const MAX_GROUNDS: usize = 8;
/// From the narrowest link there is, Iridium's: on a narrower one, a QUIC handshake alone takes longer than either end
/// waits.
const RATE_BITS_PER_SECOND: RangeInclusive<u64> = 2_400..=1_000_000_000;

/// The file as it is written: everything may be left out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileConfig {
    vehicle: Option<VehicleId>,
    token: Option<String>,
    #[serde(default)]
    sources: OneOrSeveral,
    precision: Option<Precision>,
    #[serde(default)]
    microseconds: Vec<String>,
    #[serde(default)]
    streams: StreamRules,
    status_interval_ms: Option<u64>,
    metrics: Option<SocketAddr>,
    link_state_interval_ms: Option<u64>,
    #[serde(default)]
    link: FileLink,
    #[serde(default)]
    budget: FileBudget,
    #[serde(default)]
    batch: FileBatch,
    #[serde(default)]
    protection: FileProtection,
    #[serde(default)]
    commands: FileCommands,
    #[serde(default)]
    spool: FileSpool,
    #[serde(default)]
    log: FileLog,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLink {
    #[serde(default)]
    ground: OneOrSeveral,
    insecure: Option<bool>,
    certificates: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_key: Option<PathBuf>,
    rate_bits_per_second: Option<ConfiguredRate>,
    overhead_bytes: Option<u64>,
    silence_limit_ms: Option<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileBatch {
    window_ms: Option<u64>,
}

impl FileConfig {
    pub(super) fn read(path: &Path) -> Result<FileConfig, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            ConfigError::Parse { path: path.to_owned(), line, message: error.message().to_owned() }
        })
    }
}

pub(super) fn resolve(file: FileConfig, args: &Args) -> Result<Config, ConfigError> {
    let vehicle = args.vehicle.clone().or(file.vehicle).ok_or(ConfigError::Missing {
        key: "vehicle",
        variable: "TERN_EDGE_VEHICLE",
        flag: "--vehicle",
    })?;
    let token = args.token.clone().or(file.token).unwrap_or_default();
    if token.len() > 256 {
        let value = "***".to_owned();
        return Err(ConfigError::Value { key: "token", value, expected: "at most 256 bytes" });
    }
    let mut sources = match args.source.as_slice() {
        [] => file.sources.parse("sources")?,
        given => given.to_vec(),
    };
    if sources.is_empty() {
        return Err(ConfigError::Missing { key: "sources", variable: "TERN_EDGE_SOURCES", flag: "--source" });
    }
    let status_interval_ms = args.status_interval_ms.or(file.status_interval_ms).unwrap_or(0);
    let window_ms = args.batch_window_ms.or(file.batch.window_ms);
    let batch_window = window_ms
        .map(|window| millis("batch.window_ms", Some(window), Duration::ZERO, 10..=10_000, "10 to 10000 ms"))
        .transpose()?;
    let insecure = args.insecure.or(file.link.insecure).unwrap_or(false);
    let spool = file.spool.resolve(args)?;
    let commands = file.commands.resolve(&mut sources, &spool.path)?;
    Ok(Config {
        vehicle,
        token: Token(token),
        sources,
        precision: args.precision.or(file.precision).unwrap_or_default(),
        microseconds: stream_names(if args.microseconds.is_empty() {
            file.microseconds
        } else {
            args.microseconds.clone()
        })?,
        streams: if args.streams.is_empty() { file.streams } else { stream_rules(args)? },
        link: resolve_link(file.link, args, insecure)?,
        budgets: file.budget.resolve(args)?,
        link_state_interval: link_state_interval(args, file.link_state_interval_ms)?,
        batch_window,
        pins: file.protection.resolve()?,
        commands,
        spool,
        metrics: loopback(args.metrics.or(file.metrics))?,
        status_interval: (status_interval_ms > 0).then(|| Duration::from_millis(status_interval_ms)),
        log: file.log.resolve(args)?,
    })
}

/// Nothing protects it, so only this computer may read it.
fn loopback(address: Option<SocketAddr>) -> Result<Option<SocketAddr>, ConfigError> {
    match address {
        Some(address) if !address.ip().is_loopback() => Err(ConfigError::Value {
            key: "metrics",
            value: address.to_string(),
            expected: "an address of this computer, 127.0.0.1:9464",
        }),
        address => Ok(address),
    }
}

fn resolve_link(file: FileLink, args: &Args, insecure: bool) -> Result<LinkConfig, ConfigError> {
    let grounds = match args.ground.as_slice() {
        [] => file.ground.parse("link.ground")?,
        given => given.to_vec(),
    };
    if grounds.is_empty() {
        return Err(ConfigError::Missing {
            key: "link.ground",
            variable: "TERN_EDGE_GROUND",
            flag: "--ground",
        });
    }
    if grounds.len() > MAX_GROUNDS {
        let value = format!("{} addresses", grounds.len());
        return Err(ConfigError::Value { key: "link.ground", value, expected: "1 to 8 addresses" });
    }
    let is_safe = |ground: &GroundUrl| ground.is_encrypted() || ground.is_loopback() || insecure;
    if let Some(ground) = grounds.iter().find(|ground| !is_safe(ground)) {
        return Err(ConfigError::Insecure { ground: ground.clone() });
    }
    let certificate = args.client_certificate.clone().or(file.client_certificate);
    let key = args.client_key.clone().or(file.client_key);
    let own_certificate = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(OwnCertificate { certificate, key }),
        (None, None) => None,
        (Some(_), None) => return Err(ConfigError::HalfCertificate { missing: "link.client_key" }),
        (None, Some(_)) => return Err(ConfigError::HalfCertificate { missing: "link.client_certificate" }),
    };
    let rate = args.rate_bits_per_second.or(file.rate_bits_per_second);
    let (rate, auto_rate) = match rate.unwrap_or(ConfiguredRate::Fixed(64_000)) {
        ConfiguredRate::Fixed(rate) => (rate, false),
        ConfiguredRate::Auto => (0, true),
    };
    if rate != 0 && !RATE_BITS_PER_SECOND.contains(&rate) {
        let expected = "2400 bit/s (below it, connecting takes longer than either end waits) to 1 Gbit/s, or 0 for no \
                        limit";
        return Err(ConfigError::Value {
            key: "link.rate_bits_per_second",
            value: rate.to_string(),
            expected,
        });
    }
    let overhead = args.overhead_bytes.or(file.overhead_bytes);
    if let Some(overhead) = overhead.filter(|&overhead| overhead > 1000) {
        let expected = "0 to 1000 bytes";
        return Err(ConfigError::Value { key: "link.overhead_bytes", value: overhead.to_string(), expected });
    }
    let silence = args.silence_limit_ms.or(file.silence_limit_ms);
    Ok(LinkConfig {
        grounds,
        own_certificate,
        certificates: args.certificates.clone().or(file.certificates),
        rate_bits_per_second: (rate != 0).then_some(rate),
        auto_rate,
        overhead_bytes: overhead.map(|overhead| overhead as usize),
        silence_limit: millis(
            "link.silence_limit_ms",
            silence,
            Duration::from_secs(5),
            2_000..=600_000,
            "2000 to 600000 ms",
        )?,
    })
}

fn link_state_interval(args: &Args, written: Option<u64>) -> Result<Option<Duration>, ConfigError> {
    let interval = args.link_state_interval_ms.or(written).unwrap_or(5000);
    if interval != 0 && !(1000..=3_600_000).contains(&interval) {
        let expected = "1000 to 3600000 ms, or 0 for never";
        return Err(ConfigError::Value {
            key: "link_state_interval_ms",
            value: interval.to_string(),
            expected,
        });
    }
    Ok((interval != 0).then(|| Duration::from_millis(interval)))
}

fn stream_names(names: Vec<String>) -> Result<BTreeSet<String>, ConfigError> {
    let is_name =
        |name: &str| !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.contains(char::is_control);
    match names.iter().find(|name| !is_name(name)) {
        Some(wrong) => Err(ConfigError::Value {
            key: "microseconds",
            value: format!("{wrong:?}"),
            expected: "names of streams, at most 128 bytes each: \"mavlink/1/1/RAW_IMU\"",
        }),
        None => Ok(names.into_iter().collect()),
    }
}

fn stream_rules(args: &Args) -> Result<StreamRules, ConfigError> {
    StreamRules::new(args.streams.clone())
        .map_err(|error| ConfigError::Invalid { key: "streams", error: error.to_string() })
}

pub(super) fn millis(
    key: &'static str,
    value: Option<u64>,
    default: Duration,
    range: RangeInclusive<u64>,
    expected: &'static str,
) -> Result<Duration, ConfigError> {
    match value {
        None => Ok(default),
        Some(value) if range.contains(&value) => Ok(Duration::from_millis(value)),
        Some(value) => Err(ConfigError::Value { key, value: value.to_string(), expected }),
    }
}

pub(super) fn to_toml(config: &Config) -> String {
    let Config {
        vehicle,
        token,
        sources,
        precision,
        microseconds,
        streams,
        link,
        batch_window,
        pins,
        commands,
        spool,
        status_interval,
        metrics,
        budgets,
        link_state_interval,
        log,
    } = config;
    let file = FileConfig {
        vehicle: Some(vehicle.clone()),
        token: (!token.0.is_empty()).then(|| "***".to_owned()),
        sources: OneOrSeveral::of(sources),
        precision: Some(*precision),
        microseconds: microseconds.iter().cloned().collect(),
        streams: streams.clone(),
        metrics: *metrics,
        link_state_interval_ms: Some(link_state_interval.map_or(0, |interval| interval.as_millis() as u64)),
        budget: FileBudget::of(budgets),
        status_interval_ms: Some(status_interval.map_or(0, |interval| interval.as_millis() as u64)),
        link: FileLink {
            ground: OneOrSeveral::of(&link.grounds),
            insecure: Some(link.grounds.iter().any(|ground| !ground.is_encrypted() && !ground.is_loopback())),
            client_certificate: link.own_certificate.as_ref().map(|own| own.certificate.clone()),
            client_key: link.own_certificate.as_ref().map(|own| own.key.clone()),
            certificates: link.certificates.clone(),
            rate_bits_per_second: Some(match link.auto_rate {
                true => ConfiguredRate::Auto,
                false => ConfiguredRate::Fixed(link.rate_bits_per_second.unwrap_or(0)),
            }),
            overhead_bytes: link.overhead_bytes.map(|overhead| overhead as u64),
            silence_limit_ms: Some(link.silence_limit.as_millis() as u64),
        },
        batch: FileBatch { window_ms: batch_window.map(|window| window.as_millis() as u64) },
        protection: FileProtection::of(pins),
        commands: FileCommands::print(commands),
        spool: FileSpool::of(spool),
        log: FileLog::of(log),
    };
    // Paths that are not UTF-8 are the one thing that TOML cannot say.
    toml::to_string(&file).unwrap_or_else(|error| format!("# cannot be printed: {error}\n"))
}
