//! How much one ground carries: many web clients of one vehicle ([`fanout`]), many vehicles into one ground ([`fleet`]).
//!
//! Vehicles and clients are this process, on a thread each, over loopback; the ground is its real binary beside them, and
//! so are the brokers that it is compared with. Times are by this process's clock at both ends.

pub mod bare;
mod client;
pub mod fanout;
pub mod fleet;
mod ground;
mod mosquitto;
mod nats;
mod priority;
mod sample;
mod service;
mod vehicle;

use std::path::PathBuf;

use crate::peers::tool::NotInstalled;
use crate::process::{Process, SpawnError};

/// Why a load could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The ground cannot be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// There is no binary of the ground beside this one.
    #[error("there is no {}: build it with cargo build --release -p tern-ground", .0.display())]
    NoBinary(PathBuf),
    /// A broker is not there.
    #[error("{0}, or measure the ground alone (no --peers)")]
    NoBroker(#[from] NotInstalled),
    /// A file or a socket failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A WebSocket failed.
    #[error("WebSocket: {0}")]
    Socket(Box<tokio_tungstenite::tungstenite::Error>),
    /// The limit of open files is too low.
    #[error("{needed} connections need more open files than {limit}: raise `ulimit -n`")]
    Files {
        /// Connections.
        needed: usize,
        /// The limit.
        limit: u64,
    },
    /// Real-time priorities are for root.
    #[error("`chrt` may not give real-time priority: --realtime takes root")]
    Priority,
    /// A server did not do its part in time.
    #[error("{what} did not come in time; the last lines of {server}:\n{lines}")]
    Late {
        /// What it should have done.
        what: &'static str,
        /// Which.
        server: &'static str,
        /// What it said.
        lines: String,
    },
    /// Nothing was measured.
    #[error("no message arrived")]
    Nothing,
}

impl From<tokio_tungstenite::tungstenite::Error> for LoadError {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        LoadError::Socket(Box::new(error))
    }
}

impl LoadError {
    fn late(what: &'static str, server: &Process) -> Self {
        LoadError::Late { what, server: server.name(), lines: server.last_lines().join("\n") }
    }
}

/// Lets this process have so many connections, where it may.
fn allow_files(connections: usize) -> Result<(), LoadError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = connections + 100;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|limit| limit >= needed as u64) {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .ok()
        .filter(|()| maximum.is_none_or(|limit| limit >= needed as u64))
        .ok_or(LoadError::Files { needed, limit: maximum.unwrap_or(0) })
}
