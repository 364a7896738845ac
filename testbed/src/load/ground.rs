//! The ground under load.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::LoadError;
use crate::process::{Process, sibling};

/// How long a ground may take to listen.
const START_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Ground {
    pub(super) address: SocketAddr,
    pub(super) process: Process,
    _folder: TempDir,
}

impl Ground {
    /// With these flags beside those that every ground needs.
    pub(super) async fn start(flags: &[&str]) -> Result<Ground, LoadError> {
        let program = sibling("tern-ground")?;
        if !program.is_file() {
            return Err(LoadError::NoBinary(program));
        }
        let folder = tempfile::tempdir()?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut arguments = vec!["--listen".to_owned(), address.to_string()];
        arguments
            .extend(["--history".to_owned(), folder.path().join("history.sqlite").display().to_string()]);
        arguments.extend(["--log-level".to_owned(), "warn".to_owned()]);
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let process = Process::spawn("tern-ground", &program, &arguments)?;
        let ground = Ground { address, process, _folder: folder };
        let start = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if start.elapsed() > START_LIMIT {
                return Err(ground.late("an address that listens"));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(ground)
    }

    /// What `/metrics` says.
    pub(super) async fn metrics(&self) -> Result<String, LoadError> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    pub(super) fn late(&self, what: &'static str) -> LoadError {
        LoadError::Late(what, self.process.last_lines().join("\n"))
    }
}
