//! One vehicle and one ground in a folder of their own, and what a test waits for there.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut, Range};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use tern_testbed::process::Process;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::common::{self, Workdir, binary, counter};

/// Far longer than anything takes: a test that hangs fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// An edge that has accepted nothing for this long has what it was sent.
const QUIET: Duration = Duration::from_millis(500);

/// Where a test takes place.
pub(crate) struct Site {
    workdir: Workdir,
    /// Where the ground listens.
    pub(crate) ground: SocketAddr,
    /// Where the edge listens for telemetry.
    pub(crate) source: SocketAddr,
}

/// A process whose log is printed when the test fails.
pub(crate) struct Watched(Process);

impl Site {
    pub(crate) fn new() -> Self {
        Site { workdir: Workdir::new(), ground: common::free_address(), source: common::free_address() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.workdir.path(name)
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.path("spool.sqlite")
    }

    pub(crate) fn history(&self) -> PathBuf {
        self.path("history.sqlite")
    }

    /// A ground that listens.
    pub(crate) async fn start_ground(&self, more: &[&str]) -> Watched {
        let listen = self.ground.to_string();
        let mut arguments: Vec<OsString> = vec!["--listen".into(), listen.into()];
        arguments.extend(["--history".into(), self.history().into()]);
        arguments.extend(more.iter().map(Into::into));
        let mut ground = Watched::spawn("tern-ground", &binary("tern-ground"), arguments);
        ground.line("listening").await;
        ground
    }

    /// An edge that takes JSON lines on [`Site::source`].
    pub(crate) async fn start_edge(&self, more: &[&str]) -> Watched {
        let mut edge = Watched::spawn("tern-edge", &binary("tern-edge"), self.edge_arguments(more));
        edge.line("source listening").await;
        edge
    }

    /// What [`Site::start_edge`] starts an edge with.
    pub(crate) fn edge_arguments(&self, more: &[&str]) -> Vec<OsString> {
        self.edge_arguments_for(&format!("jsonl+tcpin:{}", self.source), &self.spool(), more)
    }

    /// An edge's arguments for another source or spool.
    pub(crate) fn edge_arguments_for(&self, source: &str, spool: &Path, more: &[&str]) -> Vec<OsString> {
        let ground = format!("ws://{}/vehicle", self.ground);
        let mut arguments = common::edge_arguments(&ground, source, spool, 50);
        arguments.extend(more.iter().map(Into::into));
        arguments
    }

    /// Sends numbered lines of the stream `counter` to an edge that listens.
    pub(crate) async fn send_numbers(&self, numbers: Range<u64>) {
        let lines: String = numbers.map(|n| format!("{{\"stream\":\"counter\",\"n\":{n}}}\n")).collect();
        self.send(&lines).await;
    }

    /// Sends text to an edge that listens.
    pub(crate) async fn send(&self, text: &str) {
        let mut socket = TcpStream::connect(self.source).await.unwrap();
        socket.write_all(text.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
    }

    /// The stream `counter` of the vehicle `test` as the ground has it.
    pub(crate) async fn exported_counter(&self) -> Vec<Value> {
        common::exported_counter(&self.history(), &self.path("exported.jsonl")).await
    }

    /// Only its numbers.
    pub(crate) async fn exported_numbers(&self) -> Vec<u64> {
        self.exported_counter().await.iter().map(|record| record["fields"]["n"].as_u64().unwrap()).collect()
    }
}

impl Watched {
    pub(crate) fn spawn(name: &'static str, program: &Path, arguments: Vec<OsString>) -> Self {
        Watched(Process::spawn(name, program, arguments).unwrap())
    }

    /// Waits for a line of the log.
    pub(crate) async fn line(&mut self, text: &str) -> String {
        let name = self.name();
        match tokio::time::timeout(LIMIT, self.wait_for_line(text)).await {
            Ok(Some(line)) => line,
            Ok(None) => panic!("{name} ended without saying {text:?}"),
            Err(_) => panic!("{name} does not say {text:?}"),
        }
    }

    /// Waits for a status line of which `is_so` holds.
    pub(crate) async fn status_where(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let name = self.name();
        let found = async {
            loop {
                match self.next_status().await {
                    Some(status) if is_so(&status) => return Some(status),
                    Some(_) => {}
                    None => return None,
                }
            }
        };
        match tokio::time::timeout(LIMIT, found).await {
            Ok(Some(status)) => status,
            Ok(None) => panic!("{name} ended before {what}"),
            Err(_) => panic!("not so: {what}; {}", self.status()),
        }
    }

    /// Waits until the edge has accepted so many records since its start.
    pub(crate) async fn accepted(&mut self, records: u64) -> Value {
        let is_so = |status: &Value| counter(status, "accepted_records") >= records;
        self.status_where(&format!("{records} records are accepted"), is_so).await
    }

    /// Waits until the ground has all that this edge accepted, and none of it is lost.
    pub(crate) async fn settled(&mut self) -> Value {
        let status = common::wait_until_settled(self, QUIET, LIMIT).await;
        assert_eq!(counter(&status, "lost_records"), 0, "{status}");
        status
    }

    /// Ends it with SIGTERM, and fails when it does not end well.
    pub(crate) async fn end(mut self) {
        let exit = self.stop(common::STOP_GRACE).await.unwrap();
        assert!(exit.success(), "{} ended with {exit}", self.name());
    }

    /// Fails when its log has such a line.
    pub(crate) fn never_said(&self, text: &str) {
        let line = self.last_lines().into_iter().find(|line| line.contains(text));
        assert_eq!(line, None, "{} said {text:?}", self.name());
    }
}

impl Deref for Watched {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl DerefMut for Watched {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the end of the log of {}:\n{}\n{}",
                self.name(),
                self.last_lines().join("\n"),
                self.status()
            );
        }
    }
}

/// Runs a binary that ends by itself.
pub(crate) async fn run(
    name: &str,
    arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>,
) -> Output {
    let output = tokio::process::Command::new(binary(name)).args(arguments).kill_on_drop(true).output();
    tokio::time::timeout(LIMIT, output).await.unwrap_or_else(|_| panic!("{name} does not end")).unwrap()
}

/// Runs a binary that has to fail, and returns what it says.
pub(crate) async fn run_in_vain(
    name: &str,
    arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>,
) -> String {
    let output = run(name, arguments).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{name} succeeded and said:\n{said}");
    // An error, not a bug: a panic is no message for people.
    assert!(!said.contains("panicked"), "{said}");
    said
}
