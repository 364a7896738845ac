//! Tern's own binaries as child processes: started beside this one, watched, and stopped in order.
//!
//! A child dies with its parent, also when that is killed: `setpriv --pdeathsig` (util-linux) sees to it, as setting
//! the death signal between fork and exec from here would take unsafe code.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::namespace::Namespace;

/// How many of a child's last lines are kept.
const LAST_LINES: usize = 40;

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    last_lines: Arc<Mutex<VecDeque<String>>>,
    status: watch::Receiver<Value>,
    /// Changes with every line that is added to `last_lines`, ends with the output.
    news: watch::Receiver<()>,
    readers: [JoinHandle<()>; 2],
}

/// Why a child could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {}: {source} (it is started through `setpriv`, of the package util-linux)", program.display())]
pub struct SpawnError {
    program: PathBuf,
    source: std::io::Error,
}

impl Process {
    /// Starts `program`. Spawn from the main thread: the child is killed when the thread that started it ends.
    pub fn spawn<A: AsRef<OsStr>>(
        name: &'static str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Process, SpawnError> {
        Self::spawn_in(None, name, program, arguments)
    }

    /// As [`Process::spawn`], in a network namespace.
    pub fn spawn_in<A: AsRef<OsStr>>(
        namespace: Option<&Namespace>,
        name: &'static str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Process, SpawnError> {
        let mut command = command_in(namespace, program, arguments);
        let mut child = command
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| SpawnError { program: program.to_owned(), source })?;
        let last_lines = Arc::new(Mutex::new(VecDeque::new()));
        let (status_sender, status) = watch::channel(Value::Null);
        let (news_sender, news) = watch::channel(());
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let readers = [
            tokio::spawn(read_lines(
                stdout,
                Arc::clone(&last_lines),
                news_sender.clone(),
                Some(status_sender),
            )),
            tokio::spawn(read_lines(stderr, Arc::clone(&last_lines), news_sender, None)),
        ];
        Ok(Process { name, child, last_lines, status, news, readers })
    }

    /// What the caller named it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its process id, `None` once it has been waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The newest `"event":"status"` line of its standard output, `Null` before the first.
    pub fn status(&self) -> Value {
        self.status.borrow().clone()
    }

    /// Waits for the next status line; `None` when there will be none.
    pub async fn next_status(&mut self) -> Option<Value> {
        self.status.changed().await.ok()?;
        Some(self.status.borrow_and_update().clone())
    }

    /// Its exit status, when it has exited.
    pub fn exit_status(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// The last lines of its output and log, oldest first.
    pub fn last_lines(&self) -> Vec<String> {
        lock(&self.last_lines).iter().cloned().collect()
    }

    /// The first line of its output and log that contains `text`, of those that are kept and those to come; `None` when
    /// it ended its output without one.
    pub async fn wait_for_line(&mut self, text: &str) -> Option<String> {
        loop {
            self.news.mark_unchanged();
            if let Some(line) = lock(&self.last_lines).iter().find(|line| line.contains(text)) {
                return Some(line.clone());
            }
            self.news.changed().await.ok()?;
        }
    }

    /// SIGTERM, and SIGKILL when it has not exited after `grace`. Returns once all its output has been read.
    pub async fn stop(&mut self, grace: Duration) -> std::io::Result<ExitStatus> {
        if let Some(pid) = self.child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        match tokio::time::timeout(grace, self.child.wait()).await {
            Ok(exited) => {
                self.finish_reading().await;
                exited
            }
            Err(_) => {
                tracing::warn!(process = self.name, ?grace, "did not stop on SIGTERM, killing it");
                self.kill().await
            }
        }
    }

    /// SIGKILL. Returns once all its output has been read.
    pub async fn kill(&mut self) -> std::io::Result<ExitStatus> {
        self.child.start_kill()?;
        let exited = self.child.wait().await;
        self.finish_reading().await;
        exited
    }

    async fn finish_reading(&mut self) {
        for reader in &mut self.readers {
            if !reader.is_finished() {
                let _ = reader.await;
            }
        }
    }
}

/// The binary of this name beside this executable, as cargo puts it (also beside the `deps` folder of a test).
pub fn sibling(name: &str) -> std::io::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let mut folder = executable.parent().unwrap_or(Path::new("."));
    if folder.ends_with("deps") {
        folder = folder.parent().unwrap_or(folder);
    }
    Ok(folder.join(name))
}

/// A child that dies with its parent, is in a process group of its own, and whose output is piped.
pub(crate) fn command_in<A: AsRef<OsStr>>(
    namespace: Option<&Namespace>,
    program: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]);
    if let Some(namespace) = namespace {
        // Joins and then becomes the program: the process id stays the child's.
        let mut join = OsString::from("--net=");
        join.push(namespace.path());
        command.arg("nsenter").arg(join).arg("--");
    }
    command
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C reaches the whole foreground group, and stopping children in order is the parent's business.
        .process_group(0);
    command
}

async fn read_lines(
    pipe: impl AsyncRead + Unpin,
    last_lines: Arc<Mutex<VecDeque<String>>>,
    news: watch::Sender<()>,
    status: Option<watch::Sender<Value>>,
) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let value = status.as_ref().and_then(|_| serde_json::from_str::<Value>(&line).ok());
        match (value, &status) {
            (Some(value), Some(status)) if value["event"] == "status" => {
                status.send_replace(value);
            }
            _ => {
                let mut last = lock(&last_lines);
                if last.len() == LAST_LINES {
                    last.pop_front();
                }
                last.push_back(line);
                drop(last);
                news.send_replace(());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
