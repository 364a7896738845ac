//! Real edges and grounds for tests.

#![allow(clippy::unwrap_used, dead_code)] // Helpers of tests fail as tests do, and not each test uses all.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tern_testbed::process::{Process, sibling};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How long a binary may take to stop on SIGTERM.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(20);

/// A folder for one test's files, which stays when the test fails.
pub(crate) struct Workdir {
    folder: Option<tempfile::TempDir>,
}

impl Workdir {
    pub(crate) fn new() -> Self {
        Workdir { folder: Some(tempfile::Builder::new().prefix("tern-test-").tempdir().unwrap()) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.as_ref().unwrap().path().join(name)
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("the files of the failed test are kept in {}", folder.keep().display());
        }
    }
}

/// The binary of another package, built beforehand, as cargo names paths of a test's own package only.
pub(crate) fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let path = sibling(name).unwrap();
    BUILT.get_or_init(|| {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "tern-edge", "-p", "tern-ground"]);
        if path.parent().unwrap().ends_with("release") {
            cargo.arg("--release");
        }
        // Names of this package, which the build of `ring` takes for its own and so would run anew each time.
        for (name, _) in std::env::vars_os() {
            if name
                .to_str()
                .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
            {
                cargo.env_remove(name);
            }
        }
        let status = cargo.current_dir(workspace()).status().unwrap();
        assert!(status.success(), "cargo build: {status}");
    });
    assert!(path.is_file(), "no {}", path.display());
    path
}

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// An address that was free a moment ago. Its port is below those that the system gives to outgoing connections: such
/// a connection could otherwise take it while its server is being restarted, or connect to itself.
pub(crate) fn free_address() -> SocketAddr {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 100) as u16 * 100;
    loop {
        let port = first + TRIED.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return (Ipv4Addr::LOCALHOST, port).into();
        }
    }
}

pub(crate) fn start_ground(listen: SocketAddr, history: &Path) -> Process {
    let arguments: [OsString; 4] =
        ["--listen".into(), listen.to_string().into(), "--history".into(), history.into()];
    Process::spawn("tern-ground", &binary("tern-ground"), arguments).unwrap()
}

/// An edge for the vehicle `test` on a link so fast that it is no limit.
pub(crate) fn start_edge(ground: SocketAddr, source: &str, spool: &Path, status_interval_ms: u32) -> Process {
    let arguments = edge_arguments(&format!("ws://{ground}/vehicle"), source, spool, status_interval_ms);
    Process::spawn("tern-edge", &binary("tern-edge"), arguments).unwrap()
}

/// What [`start_edge`] starts an edge with.
pub(crate) fn edge_arguments(
    ground: &str,
    source: &str,
    spool: &Path,
    status_interval_ms: u32,
) -> Vec<OsString> {
    vec![
        "--vehicle".into(),
        "test".into(),
        "--ground".into(),
        ground.into(),
        "--source".into(),
        source.into(),
        "--spool".into(),
        spool.into(),
        "--rate-bits-per-second".into(),
        "0".into(),
        // Records are counted.
        "--link-state-interval-ms".into(),
        "0".into(),
        "--status-interval-ms".into(),
        status_interval_ms.to_string().into(),
    ]
}

/// Sends JSON lines of the stream `counter`, one every `interval`, numbered in `n`: one connection to one life of an
/// edge, so that what arrives there is what was sent from the first number on.
pub(crate) async fn feed(source: SocketAddr, next_number: Arc<AtomicU64>, interval: Duration) {
    let mut socket = loop {
        match TcpStream::connect(source).await {
            Ok(socket) => break socket,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        let number = next_number.fetch_add(1, Ordering::Relaxed);
        let line = format!("{{\"stream\":\"counter\",\"n\":{number}}}\n");
        if socket.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A counter of the edge's status line.
pub(crate) fn counter(status: &Value, key: &str) -> u64 {
    status[key].as_u64().unwrap_or(0)
}

/// Waits until the ground has acknowledged all that the edge accepted, and nothing more was accepted for `quiet`.
/// Panics with the log of the edge after `limit`.
pub(crate) async fn wait_until_settled(edge: &mut Process, quiet: Duration, limit: Duration) -> Value {
    let start = Instant::now();
    let mut accepted = (0, start);
    loop {
        let status = tokio::time::timeout(Duration::from_secs(10), edge.next_status()).await;
        let last_lines = || edge.last_lines().join("\n");
        let Ok(Some(status)) = status else {
            panic!("the edge reports no status; its log:\n{}", last_lines())
        };
        let now = Instant::now();
        if counter(&status, "accepted_records") != accepted.0 {
            accepted = (counter(&status, "accepted_records"), now);
        }
        let open = counter(&status, "backlog_records") + counter(&status, "in_flight_records");
        if accepted.0 > 0 && open == 0 && now - accepted.1 >= quiet {
            return status;
        }
        assert!(start.elapsed() < limit, "not settled after {limit:?}: {status}; its log:\n{}", last_lines());
    }
}

/// Stops a process, and fails when it does not end well.
pub(crate) async fn stop(mut process: Process) {
    let status = process.stop(STOP_GRACE).await.unwrap();
    let last_lines = process.last_lines().join("\n");
    assert!(status.success(), "{} ended with {status}; its log:\n{last_lines}", process.name());
}

/// The records of the stream `counter` in the history of the vehicle `test`, as `export` orders them. `scratch` is a
/// file to export to.
pub(crate) async fn exported_counter(history: &Path, scratch: &Path) -> Vec<Value> {
    export(history, "jsonl", scratch).await;
    let lines = std::fs::read_to_string(scratch).unwrap();
    let records = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["stream"] == "counter").collect()
}

/// `tern-ground export` of the vehicle `test`.
pub(crate) async fn export(history: &Path, format: &str, output: &Path) {
    let result = tokio::process::Command::new(binary("tern-ground"))
        .arg("--history")
        .arg(history)
        .args(["export", "--vehicle", "test", "--format", format, "--output"])
        .arg(output)
        .output()
        .await
        .unwrap();
    assert!(result.status.success(), "export: {}", String::from_utf8_lossy(&result.stderr));
}
