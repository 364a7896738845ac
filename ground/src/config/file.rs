//! The configuration file, and how file and flags become a [`Config`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tern_shared::id::{Token, VehicleId};
use tern_shared::pattern::Pattern;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::{
    Config, ConfigError, HistoryConfig, JwtConfig, LogConfig, LogFormat, QuicConfig, RunArgs, Synchronous,
    TlsConfig,
};
use crate::access::ClientToken;
use crate::page::TileServer;
use crate::publish::patterns;

/// The file as it is written: everything may be left out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileConfig {
    listen: Option<SocketAddr>,
    insecure: Option<bool>,
    max_vehicles: Option<u64>,
    max_clients: Option<u64>,
    max_clients_per_address: Option<u64>,
    client_threads: Option<u64>,
    origins: Option<Vec<String>>,
    idle_timeout_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "FileTls::is_empty")]
    tls: FileTls,
    #[serde(default, skip_serializing_if = "FileQuic::is_empty")]
    quic: FileQuic,
    #[serde(default)]
    history: FileHistory,
    #[serde(default, skip_serializing_if = "FileToken::is_empty")]
    viewer: FileToken,
    #[serde(default, skip_serializing_if = "FilePage::is_empty")]
    page: FilePage,
    #[serde(default, skip_serializing_if = "FileJwt::is_empty")]
    jwt: FileJwt,
    #[serde(default)]
    log: FileLog,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    clients: BTreeMap<String, FileClient>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    vehicles: BTreeMap<VehicleId, FileVehicle>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTls {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileQuic {
    listen: Option<SocketAddr>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileHistory {
    path: Option<PathBuf>,
    synchronous: Option<Synchronous>,
    commit_interval_ms: Option<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileToken {
    token: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePage {
    tiles: Option<String>,
    tiles_attribution: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLog {
    format: Option<LogFormat>,
    level: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileVehicle {
    token: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileJwt {
    keys: Option<PathBuf>,
    issuer: Option<String>,
    audience: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileClient {
    token: String,
    #[serde(default)]
    view: Vec<String>,
    #[serde(default)]
    command: Vec<String>,
}

impl FileJwt {
    fn is_empty(&self) -> bool {
        self.keys.is_none() && self.issuer.is_none() && self.audience.is_none()
    }
}

impl FileTls {
    fn is_empty(&self) -> bool {
        self.certificate.is_none() && self.key.is_none()
    }
}

impl FileQuic {
    fn is_empty(&self) -> bool {
        *self == FileQuic::default()
    }
}

impl FilePage {
    fn is_empty(&self) -> bool {
        self.tiles.is_none()
    }

    fn resolve(self) -> Result<Option<TileServer>, ConfigError> {
        let Some(url) = self.tiles else { return Ok(None) };
        TileServer::new(url.clone(), self.tiles_attribution.unwrap_or_default())
            .map(Some)
            .map_err(|expected| ConfigError::Value { key: "page.tiles", value: url, expected })
    }
}

impl FileToken {
    fn is_empty(&self) -> bool {
        self.token.is_none()
    }
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

pub(super) fn resolve(file: FileConfig, args: &RunArgs) -> Result<Config, ConfigError> {
    let default = Config::default();
    let certificate = args.tls_certificate.clone().or(file.tls.certificate);
    let key = args.tls_key.clone().or(file.tls.key);
    let tls = resolve_tls(["tls.certificate", "tls.key"], certificate, key)?;
    let quic = resolve_quic(file.quic, args, tls.as_ref())?;
    let mut vehicles = BTreeMap::new();
    for (vehicle, FileVehicle { token }) in file.vehicles {
        vehicles.insert(vehicle, checked_token("vehicles.NAME.token", token)?);
    }
    for pair in &args.vehicle {
        // The pair is not repeated in an error: half of it is a secret.
        let (name, token) = pair
            .split_once('=')
            .ok_or_else(|| ConfigError::Vehicle("expected NAME=TOKEN, there is no '='".to_owned()))?;
        let vehicle = name.parse::<VehicleId>().map_err(|error| ConfigError::Vehicle(error.to_string()))?;
        vehicles.insert(vehicle, checked_token("--vehicle NAME=TOKEN", token.to_owned())?);
    }
    let mut clients = BTreeMap::new();
    for (name, FileClient { token, view, command }) in file.clients {
        let roles = |texts: &[String]| {
            patterns(texts).map_err(|error| ConfigError::Client { name: name.clone(), error })
        };
        let (view, command) = (roles(&view)?, roles(&command)?);
        let token = checked_token("clients.NAME.token", token)?;
        clients.insert(name, ClientToken { token, view, command });
    }
    let issuer = args.jwt_issuer.clone().or(file.jwt.issuer);
    let audience = args.jwt_audience.clone().or(file.jwt.audience);
    let jwt = match args.jwt_keys.clone().or(file.jwt.keys) {
        Some(keys) => Some(JwtConfig { keys, issuer, audience }),
        None if issuer.is_some() || audience.is_some() => return Err(ConfigError::NoJwtKeys),
        None => None,
    };
    let origins = if args.origin.is_empty() { file.origins.unwrap_or_default() } else { args.origin.clone() };
    origins.iter().try_for_each(|origin| check_origin(origin))?;
    let max_clients_per_address = args.max_clients_per_address.or(file.max_clients_per_address);
    let viewer_token = args.viewer_token.clone().or(file.viewer.token);
    let max_vehicles = args.max_vehicles.or(file.max_vehicles);
    let max_clients = args.max_clients.or(file.max_clients);
    let client_threads = args.client_threads.or(file.client_threads);
    let idle_timeout_seconds = args.idle_timeout_seconds.or(file.idle_timeout_seconds);
    let commit_interval_ms = args.commit_interval_ms.or(file.history.commit_interval_ms);
    Ok(Config {
        listen: args.listen.or(file.listen).unwrap_or(default.listen),
        insecure: args.insecure.or(file.insecure).unwrap_or(default.insecure),
        max_vehicles: in_range("max_vehicles", max_vehicles, 1, 100_000, "a number from 1 to 100000")?
            .map_or(default.max_vehicles, |n| n as usize),
        max_clients: in_range("max_clients", max_clients, 1, 100_000, "a number from 1 to 100000")?
            .map_or(default.max_clients, |n| n as usize),
        client_threads: in_range("client_threads", client_threads, 0, 64, "a number from 0 to 64")?
            .map_or(default.client_threads, |n| n as usize),
        max_clients_per_address: in_range(
            "max_clients_per_address",
            max_clients_per_address,
            1,
            100_000,
            "a number from 1 to 100000",
        )?
        .map_or(default.max_clients_per_address, |n| n as usize),
        origins,
        idle_timeout: in_range(
            "idle_timeout_seconds",
            idle_timeout_seconds,
            10,
            86_400,
            "10 to 86400 seconds",
        )?
        .map_or(default.idle_timeout, Duration::from_secs),
        tls,
        quic,
        history: HistoryConfig {
            path: args.history.clone().or(file.history.path).unwrap_or(default.history.path),
            synchronous: args.synchronous.or(file.history.synchronous).unwrap_or_default(),
            commit_interval: in_range(
                "history.commit_interval_ms",
                commit_interval_ms,
                1,
                2000,
                "1 to 2000 milliseconds",
            )?
            .map_or(default.history.commit_interval, Duration::from_millis),
        },
        vehicles,
        viewer_token: viewer_token.map(|token| checked_token("viewer.token", token)).transpose()?,
        tiles: file.page.resolve()?,
        clients,
        jwt,
        log: LogConfig {
            format: args.log_format.or(file.log.format).unwrap_or_default(),
            level: checked_level(args.log_level.clone().or(file.log.level).unwrap_or(default.log.level))?,
        },
    })
}

fn resolve_tls(
    keys: [&'static str; 2],
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<TlsConfig>, ConfigError> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsConfig { certificate, key })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ConfigError::HalfTls { missing: keys[0] }),
        (Some(_), None) => Err(ConfigError::HalfTls { missing: keys[1] }),
    }
}

fn resolve_quic(
    file: FileQuic,
    args: &RunArgs,
    http: Option<&TlsConfig>,
) -> Result<Option<QuicConfig>, ConfigError> {
    let certificate = args.quic_certificate.clone().or(file.certificate);
    let key = args.quic_key.clone().or(file.key);
    let tls = resolve_tls(["quic.certificate", "quic.key"], certificate, key)?;
    let client_ca = args.quic_client_ca.clone().or(file.client_ca);
    match args.quic_listen.or(file.listen) {
        Some(listen) => {
            let tls = tls.or_else(|| http.cloned()).ok_or(ConfigError::QuicWithoutTls)?;
            Ok(Some(QuicConfig { listen, tls, client_ca }))
        }
        None if tls.is_some() || client_ca.is_some() => Err(ConfigError::QuicWithoutListen),
        None => Ok(None),
    }
}

pub(super) fn to_toml(config: &Config) -> String {
    let stars = || "***".to_owned();
    let file = FileConfig {
        listen: Some(config.listen),
        insecure: Some(config.insecure),
        max_vehicles: Some(config.max_vehicles as u64),
        max_clients: Some(config.max_clients as u64),
        max_clients_per_address: Some(config.max_clients_per_address as u64),
        client_threads: Some(config.client_threads as u64),
        origins: Some(config.origins.clone()),
        idle_timeout_seconds: Some(config.idle_timeout.as_secs()),
        tls: FileTls {
            certificate: config.tls.as_ref().map(|tls| tls.certificate.clone()),
            key: config.tls.as_ref().map(|tls| tls.key.clone()),
        },
        quic: config.quic.as_ref().map_or_else(FileQuic::default, |quic| FileQuic {
            listen: Some(quic.listen),
            certificate: Some(quic.tls.certificate.clone()),
            key: Some(quic.tls.key.clone()),
            client_ca: quic.client_ca.clone(),
        }),
        history: FileHistory {
            path: Some(config.history.path.clone()),
            synchronous: Some(config.history.synchronous),
            commit_interval_ms: Some(config.history.commit_interval.as_millis() as u64),
        },
        viewer: FileToken { token: config.viewer_token.as_ref().map(|_| stars()) },
        page: FilePage {
            tiles: config.tiles.as_ref().map(|tiles| tiles.url.clone()),
            tiles_attribution: config.tiles.as_ref().map(|tiles| tiles.attribution.clone()),
        },
        jwt: config.jwt.as_ref().map_or_else(FileJwt::default, |jwt| FileJwt {
            keys: Some(jwt.keys.clone()),
            issuer: jwt.issuer.clone(),
            audience: jwt.audience.clone(),
        }),
        clients: config.clients.iter().map(|(name, client)| (name.clone(), FileClient::of(client))).collect(),
        log: FileLog { format: Some(config.log.format), level: Some(config.log.level.clone()) },
        vehicles: config.vehicles.keys().map(|id| (id.clone(), FileVehicle { token: stars() })).collect(),
    };
    // Paths that are not UTF-8 are the one thing that TOML cannot say.
    toml::to_string(&file).unwrap_or_else(|error| format!("# cannot be printed: {error}\n"))
}

impl FileClient {
    fn of(client: &ClientToken) -> Self {
        let texts =
            |patterns: &[Pattern]| patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect();
        FileClient { token: "***".to_owned(), view: texts(&client.view), command: texts(&client.command) }
    }
}

/// As browsers send it: scheme and host, and the port unless it is the scheme's own.
fn check_origin(origin: &str) -> Result<(), ConfigError> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    if host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' '])) {
        return Ok(());
    }
    let expected = "an origin is a scheme and a host, https://ops.example, without a path";
    Err(ConfigError::Value { key: "origins", value: origin.to_owned(), expected })
}

fn checked_token(key: &'static str, token: String) -> Result<Token, ConfigError> {
    if token.is_empty() || token.len() > 256 {
        let value = if token.is_empty() { "\"\"" } else { "***" }.to_owned();
        return Err(ConfigError::Value { key, value, expected: "a token has 1 to 256 bytes" });
    }
    Ok(Token(token))
}

/// A word alone has to be a level: `tracing` takes any other for a part of the program, of which alone it then logs, so
/// that a misspelt level would log nothing.
fn checked_level(level: String) -> Result<String, ConfigError> {
    let is_plain = |part: &&str| !part.contains(['=', '[']);
    let words_are_levels = level.split(',').filter(is_plain).all(|word| word.parse::<LevelFilter>().is_ok());
    if words_are_levels && EnvFilter::try_new(&level).is_ok() {
        return Ok(level);
    }
    let expected =
        "expected error, warn, info, debug, trace, or a tracing filter such as tern_ground=debug,info";
    Err(ConfigError::Value { key: "log.level", value: level, expected })
}

fn in_range(
    key: &'static str,
    value: Option<u64>,
    min: u64,
    max: u64,
    expected: &'static str,
) -> Result<Option<u64>, ConfigError> {
    match value {
        Some(value) if !(min..=max).contains(&value) => {
            Err(ConfigError::Value { key, value: value.to_string(), expected })
        }
        value => Ok(value),
    }
}
