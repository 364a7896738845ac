//! The ground under load.

use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::LoadError;
use super::client::{Dialect, Seen, number};
use super::service::{Service, connect, free_address};
use super::vehicle::Vehicle;
use crate::process::{Process, sibling};

pub(super) struct Ground {
    pub(super) address: SocketAddr,
    pub(super) process: Process,
    _folder: TempDir,
}

/// A ground with one vehicle.
pub(super) struct GroundAndVehicle {
    ground: Ground,
    vehicle: Vehicle,
}

/// docs/API.md.
#[derive(Debug, Default)]
pub(super) struct Tern;

impl Ground {
    /// With these flags beside those that every ground needs.
    pub(super) async fn start(flags: &[&str]) -> Result<Ground, LoadError> {
        let program = sibling("tern-ground")?;
        if !program.is_file() {
            return Err(LoadError::NoBinary(program));
        }
        let folder = tempfile::tempdir()?;
        let address = free_address()?;
        let mut arguments = vec!["--listen".to_owned(), address.to_string()];
        arguments
            .extend(["--history".to_owned(), folder.path().join("history.sqlite").display().to_string()]);
        arguments.extend(["--log-level".to_owned(), "warn".to_owned()]);
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let process = Process::spawn("tern-ground", &program, &arguments)?;
        connect(address, &process).await?;
        Ok(Ground { address, process, _folder: folder })
    }

    /// What `/metrics` says.
    pub(super) async fn metrics(&self) -> Result<String, LoadError> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

impl Service for GroundAndVehicle {
    const NAME: &'static str = "tern";
    type Dialect = Tern;

    async fn start(clients: usize) -> Result<Self, LoadError> {
        let ground = Ground::start(&["--max-clients", &clients.to_string()]).await?;
        let name = "load".parse().expect("a vehicle's name");
        let vehicle = Vehicle::connect(ground.address, name).await?;
        Ok(GroundAndVehicle { ground, vehicle })
    }

    fn address(&self) -> SocketAddr {
        self.ground.address
    }

    fn process(&self) -> &Process {
        &self.ground.process
    }

    async fn publish(&mut self) -> Result<(), LoadError> {
        self.vehicle.send(1).await?;
        // Acknowledgements that wait.
        while let Ok(received) = timeout(Duration::ZERO, self.vehicle.receive()).await {
            received?;
        }
        Ok(())
    }
}

impl Dialect for Tern {
    const SUBPROTOCOL: Option<&str> = None;
    const PATH: &str = "/ws";

    fn opening(&self) -> Vec<Message> {
        vec![Message::text(r#"{"type":"subscribe"}"#)]
    }

    fn take(&mut self, message: &Message, seen: &mut Seen) -> Option<Message> {
        let Message::Text(text) = message else { return None };
        if text.starts_with(r#"{"type":"record","cursor""#) {
            seen.note(text.as_bytes());
        } else if text.starts_with(r#"{"type":"ready""#) {
            seen.ready += 1;
        } else if text.starts_with(r#"{"type":"missed""#) {
            seen.missed += number(text.as_bytes(), "\"count\":").unwrap_or_default() as u64;
        }
        None
    }
}
