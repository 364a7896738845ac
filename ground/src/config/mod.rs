//! What the ground is told to do: TOML file < environment < flags, resolved once into plain values.
//!
//! `tern-ground.toml` beside this package documents every key; a test holds it against [`Config::default`].

mod args;
mod file;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tern_shared::id::{Token, VehicleId};
use tern_shared::quic::IDLE_TIMEOUT;

use crate::access::ClientToken;
use crate::page::TileServer;
use crate::publish::InvalidFilter;

pub use args::{Args, Command, ExportArgs, ExportFormat, RunArgs};

/// Everything that can be configured, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where vehicles and web clients connect.
    pub listen: SocketAddr,
    /// Whether to serve a non-loopback address without TLS or tokens.
    pub insecure: bool,
    /// The most vehicles that one process serves.
    pub max_vehicles: usize,
    /// The most web clients at a time.
    pub max_clients: usize,
    /// The most of them from one address.
    pub max_clients_per_address: usize,
    /// Threads that serve web clients; 0 serves them where everything else is served.
    pub client_threads: usize,
    /// Web origins whose pages may use the API, beside the ground's own.
    pub origins: Vec<String>,
    /// After how long without a message a vehicle's connection is ended.
    pub idle_timeout: Duration,
    /// Certificate and key; `None` serves plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Vehicles by QUIC; `None` for WebSocket only.
    pub quic: Option<QuicConfig>,
    /// The history.
    pub history: HistoryConfig,
    /// Vehicles that may connect, with their tokens. Empty: any vehicle, without a token.
    pub vehicles: BTreeMap<VehicleId, Token>,
    /// A token that shows all vehicles' telemetry to web clients.
    pub viewer_token: Option<Token>,
    /// Where the page may load map tiles from; `None` draws outlines only.
    pub tiles: Option<TileServer>,
    /// Tokens of web clients, and what each gives.
    pub clients: BTreeMap<String, ClientToken>,
    /// Web clients' JSON Web Tokens. Without any of the three, web clients need no token.
    pub jwt: Option<JwtConfig>,
    /// Logging.
    pub log: LogConfig,
}

/// Where the server's certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file with the certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// How vehicles connect by QUIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuicConfig {
    /// The UDP address.
    pub listen: SocketAddr,
    /// Certificate and key; those of HTTP unless it has its own.
    pub tls: TlsConfig,
    /// PEM file with the certificates by which vehicles' certificates are verified. A vehicle with a certificate that
    /// names it needs no token. `None`: vehicles have tokens only.
    pub client_ca: Option<PathBuf>,
}

/// How JSON Web Tokens are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtConfig {
    /// A file with a JWK set.
    pub keys: PathBuf,
    /// What `iss` has to be; `None` for anything.
    pub issuer: Option<String>,
    /// What `aud` has to have; `None` for anything.
    pub audience: Option<String>,
}

/// How the history is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryConfig {
    /// The SQLite file.
    pub path: PathBuf,
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// The longest a record waits for its commit.
    pub commit_interval: Duration,
}

/// How the process logs, to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Text for people or JSON for programs.
    pub format: LogFormat,
    /// A `tracing` filter: `info`, `tern_ground=debug,info`.
    pub level: String,
}

/// What a commit waits for before the vehicle is told that it may forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// The disk: an acknowledged record survives a power cut.
    #[default]
    Full,
    /// The operating system: a power cut may take what was acknowledged since the last checkpoint of the
    /// write-ahead log (about 4 MB of frames). A crash of the process takes nothing.
    Normal,
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
    #[error("cannot read the configuration file {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no TOML, or has a key or value that it may not have; the text names key and line.
    #[error("configuration file {}, line {line}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, counted from 1.
        line: usize,
        /// What is wrong. Does not quote the line: it may hold a token, and this goes to logs.
        message: String,
    },
    /// A value is out of range.
    #[error("{key} = {value}: {expected}")]
    Value {
        /// The key, as in the file.
        key: &'static str,
        /// What was given.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// A vehicle's name cannot be one.
    #[error("--vehicle (TERN_GROUND_VEHICLES): {0}")]
    Vehicle(String),
    /// A list of vehicle patterns cannot be one.
    #[error("clients.{name}: {error}")]
    Client {
        /// Whose.
        name: String,
        /// Why not.
        error: InvalidFilter,
    },
    /// `jwt.issuer` or `jwt.audience` without keys.
    #[error("jwt.issuer and jwt.audience go with jwt.keys, which is missing")]
    NoJwtKeys,
    /// Only one of certificate and key is given.
    #[error("a certificate and its key go together: {missing} is missing")]
    HalfTls {
        /// The key that is missing.
        missing: &'static str,
    },
    /// QUIC is always encrypted.
    #[error("quic.listen needs a certificate and its key: [tls] or [quic] certificate and key")]
    QuicWithoutTls,
    /// There is something to serve QUIC with, but no address.
    #[error("quic.listen is missing: where should vehicles connect by QUIC?")]
    QuicWithoutListen,
    /// A non-loopback address without what makes it safe.
    #[error(
        "{key} = {listen} is reachable from other computers, but {missing} not configured. \
         Configure that, listen on 127.0.0.1, or accept the risk with --insecure"
    )]
    Unprotected {
        /// The key, as in the file.
        key: &'static str,
        /// The address.
        listen: SocketAddr,
        /// What is not there.
        missing: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            insecure: false,
            max_vehicles: 1000,
            max_clients: 16_384,
            max_clients_per_address: 256,
            client_threads: 2,
            origins: Vec::new(),
            idle_timeout: IDLE_TIMEOUT,
            tls: None,
            quic: None,
            history: HistoryConfig {
                path: PathBuf::from("tern-ground.sqlite"),
                synchronous: Synchronous::Full,
                commit_interval: Duration::from_millis(200),
            },
            vehicles: BTreeMap::new(),
            viewer_token: None,
            tiles: None,
            clients: BTreeMap::new(),
            jwt: None,
            log: LogConfig { format: LogFormat::Text, level: "info".to_owned() },
        }
    }
}

impl HistoryConfig {
    /// Where commands are logged: beside the history, `ground.sqlite` -> `ground-commands.sqlite`.
    pub fn audit_path(&self) -> PathBuf {
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        name.push("-commands.sqlite");
        self.path.with_file_name(name)
    }
}

impl Config {
    /// Reads the file, if there is one, and puts environment and flags (both in `args`) over it.
    pub fn load(file: Option<&Path>, args: &RunArgs) -> Result<Config, ConfigError> {
        let file = file.map(file::FileConfig::read).transpose()?.unwrap_or_default();
        file::resolve(file, args)
    }

    /// Whether it is safe to start: a non-loopback address needs TLS and tokens, or `insecure`.
    pub fn check_exposure(&self) -> Result<(), ConfigError> {
        if self.insecure {
            return Ok(());
        }
        let has_client_ca = self.quic.as_ref().is_some_and(|quic| quic.client_ca.is_some());
        let vehicles_are_known = !self.vehicles.is_empty() || has_client_ca;
        let vehicles = (vehicles_are_known, "vehicle tokens ([vehicles.NAME] token)");
        let tls = (self.tls.is_some(), "TLS ([tls] certificate and key)");
        let clients_are_known = self.viewer_token.is_some() || !self.clients.is_empty() || self.jwt.is_some();
        let viewer = (clients_are_known, "a token for web clients ([viewer] token, [clients.NAME] or [jwt])");
        check_address("listen", self.listen, &[tls, vehicles, viewer])?;
        self.quic.as_ref().map_or(Ok(()), |quic| check_address("quic.listen", quic.listen, &[vehicles]))
    }

    /// The configuration as a file would say it, tokens as `***`.
    pub fn to_toml(&self) -> String {
        file::to_toml(self)
    }
}

/// Whether an address that others can reach has all that protects it.
fn check_address(
    key: &'static str,
    listen: SocketAddr,
    protections: &[(bool, &'static str)],
) -> Result<(), ConfigError> {
    if listen.ip().is_loopback() {
        return Ok(());
    }
    let missing: Vec<&str> = protections.iter().filter(|(there, _)| !there).map(|&(_, what)| what).collect();
    let missing = match missing.as_slice() {
        [] => return Ok(()),
        [one] => format!("{one} is"),
        several => format!("{} are", several.join(" and ")),
    };
    Err(ConfigError::Unprotected { key, listen, missing })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use clap::Parser as _;

    use super::*;

    fn load(text: &str, args: &[&str]) -> Result<Config, ConfigError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Config::load(Some(file.path()), &run_args(args))
    }

    fn run_args(args: &[&str]) -> RunArgs {
        Args::parse_from(["tern-ground"].iter().chain(args)).run
    }

    #[test]
    fn the_sample_file_shows_the_defaults() {
        assert_eq!(load(include_str!("../../tern-ground.toml"), &[]).unwrap(), Config::default());
    }

    #[test]
    fn the_sample_file_documents_every_key() {
        let sample = include_str!("../../tern-ground.toml");
        let everything = Config {
            tls: Some(TlsConfig { certificate: "c".into(), key: "k".into() }),
            quic: Some(QuicConfig {
                listen: SocketAddr::from(([127, 0, 0, 1], 443)),
                tls: TlsConfig { certificate: "d".into(), key: "l".into() },
                client_ca: Some("ca".into()),
            }),
            vehicles: BTreeMap::from([("alpha".parse().unwrap(), Token("t".to_owned()))]),
            viewer_token: Some(Token("v".to_owned())),
            tiles: Some(TileServer::new("https://a/{z}/{x}/{y}".to_owned(), "b".to_owned()).unwrap()),
            origins: vec!["https://ops.example".to_owned()],
            clients: BTreeMap::from([(
                "ops".to_owned(),
                ClientToken { token: Token("o".to_owned()), view: Vec::new(), command: Vec::new() },
            )]),
            jwt: Some(JwtConfig {
                keys: "k".into(),
                issuer: Some("i".to_owned()),
                audience: Some("a".to_owned()),
            }),
            ..Config::default()
        };
        for line in everything.to_toml().lines() {
            let key = line.split(" = ").next().unwrap();
            assert!(
                sample.lines().any(|l| l.trim_start_matches("# ").starts_with(key)),
                "{key:?} is not in the sample file"
            );
        }
    }

    #[test]
    fn flags_go_over_the_file() {
        let file = "listen = \"127.0.0.1:1\"\nmax_vehicles = 5\n[history]\npath = \"a.sqlite\"";
        let config = load(file, &["--listen", "127.0.0.1:2", "--vehicle", "alpha=x=y"]).unwrap();
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.max_vehicles, 5);
        assert_eq!(config.history.path, PathBuf::from("a.sqlite"));
        assert_eq!(config.vehicles[&"alpha".parse().unwrap()].0, "x=y");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error =
            load("listen = \"127.0.0.1:1\"\n\n[history]\npaht = \"x\"\n", &[]).unwrap_err().to_string();
        assert!(error.contains("paht") && error.contains("line 4") && error.contains(".tmp"), "{error}");
    }

    #[test]
    fn an_error_in_the_file_does_not_print_the_secrets_beside_it() {
        for text in
            ["[viewer]\ntoken = \"s3cret\n", "[viewer]\ntoken = s3cret\n", "[viewer]\n\ntokn = \"s3cret\"\n"]
        {
            let error = load(text, &[]).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("s3cret") && shown.contains("line "), "{shown}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::load(Some(Path::new("no/such.toml")), &run_args(&[])).unwrap_err().to_string();
        assert!(error.contains("no/such.toml"), "{error}");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for (text, key) in [
            ("max_vehicles = 0", "max_vehicles"),
            ("[history]\ncommit_interval_ms = 100000", "history.commit_interval_ms"),
            ("[vehicles.alpha]\ntoken = \"\"", "token"),
            ("[tls]\nkey = \"k\"", "tls.certificate"),
            ("[page]\ntiles = \"https://a/b.png\"", "page.tiles"),
            ("[jwt]\nissuer = \"i\"", "jwt.keys"),
            ("[log]\nlevel = \"loud\"", "log.level = loud: expected error, warn"),
            ("[log]\nlevel = \"info,tern_ground\"", "log.level"),
            ("[log]\nlevel = \"tern_ground=loud\"", "log.level"),
            ("[clients.ops]\ntoken = \"\"", "token"),
            ("origins = [\"ops.example\"]", "origins"),
            ("origins = [\"https://ops.example/\"]", "origins"),
        ] {
            let error = load(text, &[]).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        assert!(load("[log]\nlevel = \"tern_ground=debug,INFO\"", &[]).is_ok());
        assert!(load("[vehicles.\"a b\"]\ntoken = \"x\"", &[]).is_err());
    }

    #[test]
    fn a_reachable_address_needs_tls_and_tokens() {
        let exposed = load("listen = \"0.0.0.0:8080\"", &[]).unwrap();
        let error = exposed.check_exposure().unwrap_err().to_string();
        assert!(
            error.contains("TLS") && error.contains("vehicles") && error.contains("--insecure"),
            "{error}"
        );
        load("listen = \"0.0.0.0:8080\"", &["--insecure"]).unwrap().check_exposure().unwrap();
        let safe = "listen = \"0.0.0.0:8080\"\n[tls]\ncertificate = \"c\"\nkey = \"k\"\n\
                    [vehicles.alpha]\ntoken = \"x\"\n[viewer]\ntoken = \"y\"";
        load(safe, &[]).unwrap().check_exposure().unwrap();
        Config::default().check_exposure().unwrap();
    }

    #[test]
    fn quic_takes_the_certificate_of_http_unless_it_has_its_own() {
        let listen = "[quic]\nlisten = \"0.0.0.0:443\"\n";
        let tls = "[tls]\ncertificate = \"c\"\nkey = \"k\"\n";
        let error = |text: &str| load(text, &[]).unwrap_err().to_string();
        assert!(error(listen).contains("certificate"));
        assert!(error("[quic]\nclient_ca = \"ca\"").contains("quic.listen"));
        assert!(error(&format!("{listen}key = \"q\"\n")).contains("quic.certificate"));
        let config = load(&format!("{listen}{tls}"), &[]).unwrap();
        assert_eq!(config.quic.as_ref().unwrap().tls, config.tls.clone().unwrap());
        let exposed = config.check_exposure().unwrap_err().to_string();
        assert!(exposed.contains("quic.listen") && exposed.contains("vehicles"), "{exposed}");
        let args = ["--quic-certificate", "q", "--quic-key", "r", "--quic-client-ca", "ca"];
        let own = load(&format!("{listen}{tls}"), &args).unwrap();
        assert_eq!(own.quic.as_ref().unwrap().tls.certificate, PathBuf::from("q"));
        own.check_exposure().unwrap();
        assert_eq!(load(&own.to_toml(), &[]).unwrap(), own);
    }

    #[test]
    fn tokens_are_printed_as_stars() {
        let config =
            load("[vehicles.alpha]\ntoken = \"secret1\"\n[viewer]\ntoken = \"secret2\"\n[clients.ops]\ntoken = \"secret3\"", &[])
                .unwrap();
        let printed = config.to_toml();
        assert!(!printed.contains("secret") && printed.contains("token = \"***\""), "{printed}");
        assert!(!format!("{config:?}").contains("secret"));
        assert_eq!(load(&Config::default().to_toml(), &[]).unwrap(), Config::default());
    }
}
