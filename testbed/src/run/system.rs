//! Ground, web client and edge of a run.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use super::RunError;
use super::usage::{self, UsageResult};
use crate::client::{self, Arrival};
use crate::path::Path;
use crate::process::{Process, sibling};
use crate::scenario::{Scenario, Transport};

/// How long the ground may take to accept connections.
const GROUND_START: Duration = Duration::from_secs(10);
/// How long the edge may take to have its session; slow links need several round trips.
const EDGE_START: Duration = Duration::from_secs(60);
/// How long a child may take to stop on SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The ground's certificate in the folder of the run.
const CERTIFICATE: &str = "ground.pem";

/// What runs. Dropping it kills it.
pub(super) struct System {
    ground: Process,
    edge: Process,
    arrivals: mpsc::Receiver<Arrival>,
    client: tokio::task::JoinHandle<()>,
}

impl System {
    /// Starts everything and waits until the edge has its session with the ground. `source`: the edge's.
    pub(super) async fn start(
        path: &Path,
        scenario: &Scenario,
        source: &str,
        folder: &FilePath,
    ) -> Result<System, RunError> {
        for binary in ["tern-ground", "tern-edge"] {
            let file = sibling(binary)?;
            if !file.is_file() {
                return Err(RunError::NoBinary(file));
            }
        }
        let address = path.ground_address();
        let mut ground_arguments: Vec<OsString> = vec![
            "--listen".into(),
            address.to_string().into(),
            "--insecure".into(),
            "--history".into(),
            folder.join("history.sqlite").into(),
        ];
        if scenario.edge.transport == Transport::Quic {
            let [certificate, key] = certificate(address.ip(), folder)?;
            ground_arguments.extend(["--quic-listen".into(), address.to_string().into()]);
            ground_arguments.extend(["--quic-certificate".into(), certificate.into()]);
            ground_arguments.extend(["--quic-key".into(), key.into()]);
        }
        let ground = path.ground().spawn("tern-ground", ground_arguments)?;
        let Some(socket) = client::connect(path.ground(), address, GROUND_START).await else {
            return Err(not_started(&ground, GROUND_START));
        };
        // The client stops reading the socket while this is full.
        let (sender, arrivals) = mpsc::channel(1024);
        let client = tokio::spawn(client::run(socket, address, sender));
        let edge = path.vehicle().spawn("tern-edge", edge_arguments(path, scenario, source, folder))?;
        let mut system = System { ground, edge, arrivals, client };
        match tokio::time::timeout(EDGE_START, system.edge_is_connected()).await {
            Ok(result) => result?,
            Err(_) => return Err(not_started(&system.edge, EDGE_START)),
        }
        Ok(system)
    }

    /// The next record at the web client; `None` when its connection has ended.
    pub(super) async fn next_arrival(&mut self) -> Option<Arrival> {
        self.arrivals.recv().await
    }

    /// Fails when a child has ended.
    pub(super) fn check(&mut self) -> Result<(), RunError> {
        for child in [&mut self.ground, &mut self.edge] {
            if let Some(status) = child.exit_status()? {
                let last_lines = child.last_lines().join("\n");
                return Err(RunError::ChildEnded {
                    name: child.name(),
                    status: status.to_string(),
                    last_lines,
                });
            }
        }
        Ok(())
    }

    /// Of the edge and of the ground.
    pub(super) fn usage(&self) -> [UsageResult; 2] {
        [usage::of(&self.edge), usage::of(&self.ground)]
    }

    /// The edge first, so that it can say goodbye.
    pub(super) async fn stop(mut self) {
        for child in [&mut self.edge, &mut self.ground] {
            if let Err(error) = child.stop(STOP_GRACE).await {
                tracing::warn!(process = child.name(), %error, "cannot stop it");
            }
        }
    }

    async fn edge_is_connected(&mut self) -> Result<(), RunError> {
        self.edge.wait_for_line("source listening").await;
        while let Some(status) = self.edge.next_status().await {
            if status["connected"] == true {
                return Ok(());
            }
        }
        // Its output has ended, so it has.
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.check()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.client.abort();
    }
}

fn edge_arguments(path: &Path, scenario: &Scenario, source: &str, folder: &FilePath) -> Vec<OsString> {
    let address = path.address_across_link();
    let mut arguments: Vec<OsString> = match scenario.edge.transport {
        Transport::WebSocket => vec![format!("ws://{address}/vehicle").into(), "--insecure".into()],
        Transport::Quic => {
            vec![format!("quic://{address}").into(), "--certificates".into(), folder.join(CERTIFICATE).into()]
        }
    };
    arguments.insert(0, "--ground".into());
    arguments.extend([
        "--vehicle".into(),
        "test".into(),
        "--source".into(),
        source.into(),
        "--spool".into(),
        folder.join("spool.sqlite").into(),
        "--rate-bits-per-second".into(),
        scenario.edge.rate_bits_per_second.to_string().into(),
        "--status-interval-ms".into(),
        "1000".into(),
    ]);
    if let Some(window_ms) = scenario.edge.batch_window_ms {
        arguments.extend(["--batch-window-ms".into(), window_ms.to_string().into()]);
    }
    arguments
}

/// Makes a certificate for a ground at this address; where it and its key are.
fn certificate(address: IpAddr, folder: &FilePath) -> Result<[PathBuf; 2], RunError> {
    let made = rcgen::generate_simple_self_signed([address.to_string()])?;
    let files = [CERTIFICATE, "ground.key"].map(|name| folder.join(name));
    std::fs::write(&files[0], made.cert.pem())?;
    std::fs::write(&files[1], made.signing_key.serialize_pem())?;
    Ok(files)
}

fn not_started(process: &Process, limit: Duration) -> RunError {
    let last_lines = process.last_lines().join("\n");
    RunError::NotStarted { name: process.name(), seconds: limit.as_secs(), last_lines }
}
