//! What carries a run's samples: its processes, its tasks, and what arrives; Tern's own among them.

use std::ffi::OsString;
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::RunError;
use super::usage::{self, UsageResult};
use crate::certificate;
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

/// How many arrivals wait to be noted. Whoever reports them waits while there are so many.
pub(crate) const ARRIVALS_WAITING_MAX: usize = 1024;

/// What runs. Dropping it kills it.
pub(crate) struct System {
    /// In the order in which they are stopped.
    children: Vec<(Role, Process)>,
    arrivals: mpsc::Receiver<Arrival>,
    tasks: Vec<JoinHandle<()>>,
}

/// Whose CPU time and memory a child's are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// On the vehicle.
    Edge,
    /// On the ground.
    Ground,
}

impl System {
    /// Of parts that run. Children are stopped in their order, tasks are aborted.
    pub(crate) fn new(
        children: Vec<(Role, Process)>,
        arrivals: mpsc::Receiver<Arrival>,
        tasks: Vec<JoinHandle<()>>,
    ) -> System {
        System { children, arrivals, tasks }
    }

    /// Starts Tern and waits until its edge has its session with its ground. `source`: the edge's.
    pub(crate) async fn start(
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
        let mut ground_certificate = None;
        if scenario.edge.transport == Transport::Quic {
            let files = certificate::self_made(address.ip(), folder)?;
            ground_arguments.extend(["--quic-listen".into(), address.to_string().into()]);
            ground_arguments.extend(["--quic-certificate".into(), files.certificate.clone().into()]);
            ground_arguments.extend(["--quic-key".into(), files.key.into()]);
            ground_certificate = Some(files.certificate);
        }
        let ground = path.ground().spawn("tern-ground", ground_arguments)?;
        let Some(socket) = client::connect(path.ground(), address, GROUND_START).await else {
            return Err(not_started(&ground, GROUND_START));
        };
        let (sender, arrivals) = mpsc::channel(ARRIVALS_WAITING_MAX);
        let client = tokio::spawn(client::run(socket, address, sender));
        let arguments = edge_arguments(path, scenario, source, folder, ground_certificate);
        let mut edge = path.vehicle().spawn("tern-edge", arguments)?;
        let connected = tokio::time::timeout(EDGE_START, is_connected(&mut edge)).await;
        // The edge is stopped first, so that it can say goodbye.
        let mut system =
            System::new(vec![(Role::Edge, edge), (Role::Ground, ground)], arrivals, vec![client]);
        match connected {
            Ok(true) => Ok(system),
            Ok(false) => {
                // Its output has ended, so it has.
                tokio::time::sleep(Duration::from_millis(100)).await;
                system.check()?;
                Err(not_started(&system.children[0].1, EDGE_START))
            }
            Err(_) => Err(not_started(&system.children[0].1, EDGE_START)),
        }
    }

    /// The next sample that arrived; `None` when the connection on which they come has ended.
    pub(crate) async fn next_arrival(&mut self) -> Option<Arrival> {
        self.arrivals.recv().await
    }

    /// Fails when a child has ended.
    pub(crate) fn check(&mut self) -> Result<(), RunError> {
        for (_, child) in &mut self.children {
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

    /// Of the edge and of the ground; zeros of what is no process of its own.
    pub(crate) fn usage(&self) -> [UsageResult; 2] {
        [Role::Edge, Role::Ground].map(|role| {
            let child = self.children.iter().find(|(of, _)| *of == role);
            child.map_or_else(UsageResult::default, |(_, child)| usage::of(child))
        })
    }

    /// The tasks, then one child after the other.
    pub(crate) async fn stop(mut self) {
        self.abort_tasks();
        for task in &mut self.tasks {
            // It was told to end.
            let _ = task.await;
        }
        for (_, child) in &mut self.children {
            if let Err(error) = child.stop(STOP_GRACE).await {
                tracing::warn!(process = child.name(), %error, "cannot stop it");
            }
        }
    }

    fn abort_tasks(&self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.abort_tasks();
    }
}

/// Whether the edge got its session before its output ended.
async fn is_connected(edge: &mut Process) -> bool {
    edge.wait_for_line("source listening").await;
    while let Some(status) = edge.next_status().await {
        if status["connected"] == true {
            return true;
        }
    }
    false
}

/// `certificate`: the ground's, by QUIC.
fn edge_arguments(
    path: &Path,
    scenario: &Scenario,
    source: &str,
    folder: &FilePath,
    certificate: Option<PathBuf>,
) -> Vec<OsString> {
    let address = path.address_across_link();
    let mut arguments: Vec<OsString> = match certificate {
        None => vec![format!("ws://{address}/vehicle").into(), "--insecure".into()],
        Some(file) => vec![format!("quic://{address}").into(), "--certificates".into(), file.into()],
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
    for rule in Vec::<String>::from(scenario.edge.streams.clone()) {
        arguments.extend(["--streams".into(), rule.into()]);
    }
    if let Some(window_ms) = scenario.edge.batch_window_ms {
        arguments.extend(["--batch-window-ms".into(), window_ms.to_string().into()]);
    }
    arguments
}

pub(crate) fn not_started(process: &Process, limit: Duration) -> RunError {
    let last_lines = process.last_lines().join("\n");
    RunError::NotStarted { name: process.name(), seconds: limit.as_secs(), last_lines }
}
