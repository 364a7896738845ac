//! Network namespaces: made through `ip` (package iproute2), gone when they are dropped.
//!
//! A name holds the process id of its owner. What a killed owner left behind is removed by the next one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// What all names begin with.
const PREFIX: &str = "tern-";
/// Where `ip netns` keeps namespaces.
const FOLDER: &str = "/run/netns";

/// What Linux has by default.
const CONGESTION_CONTROL: &str = "cubic";

/// A network namespace of this process.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

/// Why something about a namespace failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum NamespaceError {
    #[error("network namespaces take root: run as root, or use --link proxy")]
    NotRoot,
    #[error("no `{program}`: install the package {package}")]
    NoTool { program: &'static str, package: &'static str },
    #[error("no {0}: the kernel has no TUN devices (module tun)")]
    NoTun(&'static str),
    #[error("`{command}` failed: {message}")]
    Command { command: String, message: String },
    #[error("network namespace {name}: {source}")]
    Io { name: String, source: io::Error },
}

impl Namespace {
    /// A namespace of its own with its loopback up and without IPv6, which would put packets on a link that nobody
    /// asked for.
    pub fn create(role: &str) -> Result<Namespace, NamespaceError> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{role}", std::process::id());
        ip(&["netns", "add", &name])?;
        let namespace = Namespace { name };
        namespace.enter(|| {
            // A kernel without IPv6 has neither file.
            std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").or_else(ignore_missing)?;
            std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").or_else(ignore_missing)
        })?;
        namespace.use_cubic()?;
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Its name for `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file, which joins it.
    pub fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }

    /// Runs `ip` in it.
    pub fn ip(&self, arguments: &[&str]) -> Result<(), NamespaceError> {
        ip(&[&["-netns", &self.name], arguments].concat())
    }

    /// Runs `tc` in it.
    pub fn tc(&self, arguments: &[&str]) -> Result<(), NamespaceError> {
        output("tc", &[&["-netns", &self.name], arguments].concat()).map(|_| ())
    }

    /// Runs `work` in it, on a thread of its own: what is opened there (sockets, devices, files of `/proc/net`) stays
    /// in the namespace wherever it is used.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> Result<T, NamespaceError> {
        let joined = || {
            let file = File::open(self.path())?;
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network))?;
            work()
        };
        std::thread::scope(|scope| {
            scope.spawn(joined).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .map_err(|source| NamespaceError::Io { name: self.name.clone(), source })
    }
}

impl Namespace {
    /// Results must not depend on the host's congestion control, which a new namespace inherits.
    fn use_cubic(&self) -> Result<(), NamespaceError> {
        const ALLOWED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";
        let set =
            || self.enter(|| std::fs::write("/proc/sys/net/ipv4/tcp_congestion_control", CONGESTION_CONTROL));
        if set().is_ok() {
            return Ok(());
        }
        // Namespaces may only have what the host allows to everybody: it does for this moment, one process at a time.
        let host = |source| NamespaceError::Io { name: "of the host".to_owned(), source };
        let turn = File::open(FOLDER).map_err(host)?;
        turn.lock().map_err(host)?;
        let allowed = std::fs::read_to_string(ALLOWED).map_err(host)?;
        std::fs::write(ALLOWED, format!("{} {CONGESTION_CONTROL}", allowed.trim())).map_err(host)?;
        let result = set();
        std::fs::write(ALLOWED, allowed.trim()).map_err(host)?;
        result
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "delete", &self.name]) {
            tracing::warn!(%error, "cannot remove a network namespace");
        }
    }
}

/// Whether this process can make namespaces with TUN devices; else what is missing.
pub fn check_tun() -> Result<(), NamespaceError> {
    const TUN: &str = "/dev/net/tun";
    check_available()?;
    if Path::new(TUN).exists() { Ok(()) } else { Err(NamespaceError::NoTun(TUN)) }
}

/// Whether this process can make namespaces; else what is missing.
pub fn check_available() -> Result<(), NamespaceError> {
    if !rustix::process::geteuid().is_root() {
        return Err(NamespaceError::NotRoot);
    }
    ["ip", "tc", "nsenter", "setpriv"].into_iter().try_for_each(check_tool)
}

/// Whether `program` is installed.
pub(crate) fn check_tool(program: &'static str) -> Result<(), NamespaceError> {
    let mut command = Command::new(program);
    match command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(_) => Ok(()),
        Err(_) => Err(NamespaceError::NoTool { program, package: package(program) }),
    }
}

/// The Debian package that has a program.
fn package(program: &str) -> &'static str {
    match program {
        "ip" | "tc" => "iproute2",
        "insmod" => "kmod",
        "linux.uml" => "user-mode-linux",
        "mount" => "mount",
        _ => "util-linux",
    }
}

/// Removes the namespaces of owners that are gone, and ends what still runs in them.
pub fn remove_leftovers() -> Result<(), NamespaceError> {
    let Ok(entries) = std::fs::read_dir(FOLDER) else { return Ok(()) };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        if owner(&name).is_some_and(is_gone) {
            tracing::info!(name, "removing the network namespace of a process that is gone");
            end_processes_in(&name)?;
            ip(&["netns", "delete", &name])?;
        }
    }
    Ok(())
}

/// Whether no process has this id.
pub(crate) fn is_gone(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}

fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn end_processes_in(name: &str) -> Result<(), NamespaceError> {
    for pid in output("ip", &["netns", "pids", name])?.lines() {
        if let Some(pid) = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw) {
            // Fails when it has ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<(), NamespaceError> {
    output("ip", arguments).map(|_| ())
}

fn output(program: &'static str, arguments: &[&str]) -> Result<String, NamespaceError> {
    let result = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = result.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => NamespaceError::NoTool { program, package: package(program) },
        _ => NamespaceError::Command { command: program.to_owned(), message: error.to_string() },
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(NamespaceError::Command { command: format!("{program} {}", arguments.join(" ")), message })
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_owner() {
        assert_eq!(owner("tern-4711-0-vehicle"), Some(4711));
        assert_eq!((owner("tern-x-0"), owner("other-4711-0")), (None, None));
    }
}
