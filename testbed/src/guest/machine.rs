//! The guest as a process of the host.
//!
//! The kernel is a process that traces one of the host for each of the guest's. Killed, it would set these free, on
//! the host and with the guest's code; so it is told to end (SIGTERM), which takes them along, and what has to be
//! killed is killed as a group. When this process is killed, the system tells the kernel, and a guard, a shell that
//! notices by the end of its input, kills what that leaves.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::process::{Child, ChildStdout, Command};

use super::GuestError;
use crate::emulator::give_realtime_priority;
use crate::folder;
use crate::namespace::is_gone;
use crate::process::command_in;

/// The guest's memory; the host gives what is touched.
const MEMORY: &str = "mem=512M";
/// Above what is not ours. The guest has one CPU and sleeps when it has nothing to do.
const PRIORITY: u8 = 30;
/// The kernel's argument for its own files, which tells a guest's processes.
const FOLDER_ARGUMENT: &str = "uml_dir=";
/// What the kernel says as a process of the host, in the guest's folder.
pub(super) const ERRORS: &str = "errors";
/// How long it may take to end when told to.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The guard: waits for the end of its input, gives the kernel as long as [`STOP_GRACE`], and kills its group.
const GUARD: &str = "\
read -r _
tenths=50
while kill -0 \"$0\" 2>/dev/null && [ $((tenths -= 1)) -gt 0 ]; do sleep 0.1; done
kill -s KILL -- \"-$0\"
";

/// A running guest; dropping it ends it.
#[derive(Debug)]
pub(super) struct Machine {
    child: Child,
    /// `None` once it has ended.
    group: Option<Pid>,
    /// As long as the group is ours.
    guard: Option<Child>,
}

impl Machine {
    /// Boots with the folder's `init` as the first process. It ends with this process, whatever ends that.
    pub(super) fn boot(folder: &Path) -> Result<Machine, GuestError> {
        let with_path = |key: &str, path: &Path| {
            let mut argument = OsString::from(key);
            argument.push(path);
            argument
        };
        let mut arguments =
            vec![with_path("init=", &folder.join("init")), with_path(FOLDER_ARGUMENT, folder)];
        let rest = [
            MEMORY,
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "rw",
            "quiet",
            "con=null",
            "con0=fd:0,fd:1",
            "umid=guest",
        ];
        arguments.extend(rest.map(OsString::from));
        let errors = File::create(folder.join(ERRORS))?;
        let mut command = command_in(None, Path::new("linux.uml"), arguments);
        let child = command.stderr(errors).spawn().map_err(GuestError::Boot)?;
        let group = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let mut machine = Machine { child, group, guard: None };
        machine.guard = group.map(guard).transpose().map_err(GuestError::Boot)?;
        Ok(machine)
    }

    /// Puts its processes, and with them those that they start, under SCHED_FIFO and on one CPU: each system call of the
    /// guest goes from one of them to another and back, and from CPU to CPU that takes several times as long. To be
    /// called when the first process has begun, as the others come from it; not earlier, as booting takes a whole CPU.
    pub(super) fn prioritise(&self) -> io::Result<()> {
        let cpu = last_cpu()?;
        let own = processes()?.filter(|&(_, owner)| owner == std::process::id());
        // In vain where it is not allowed, which is said once, and for one that has just ended.
        let _ = own.map(|(pid, _)| pid).all(|pid| {
            let _ = sched_setaffinity(Some(pid), &cpu);
            give_realtime_priority(pid, PRIORITY)
        });
        Ok(())
    }

    /// What it prints, once.
    pub(super) fn take_console(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("stdout is piped and taken once")
    }

    /// Waits for its end.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        (self.guard, self.group) = (None, None);
        status
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.guard = None;
        let Some(group) = self.group else { return };
        // Fails when it has ended by itself.
        let _ = kill_process(group, Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < STOP_GRACE && is_running(group) {
            std::thread::sleep(Duration::from_millis(20));
        }
        // Also what a kernel that ended has not taken along. It has not been waited for yet: the group is still its.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// The last CPU of those that this process may use: the first have the host's interrupts.
fn last_cpu() -> io::Result<CpuSet> {
    let allowed = sched_getaffinity(None)?;
    let mut last = CpuSet::new();
    (0..CpuSet::MAX_CPU).rev().find(|&cpu| allowed.is_set(cpu)).into_iter().for_each(|cpu| last.set(cpu));
    Ok(last)
}

/// Outlives this process, and is killed when it is dropped.
fn guard(group: Pid) -> io::Result<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", GUARD, &group.as_raw_nonzero().to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0).kill_on_drop(true).spawn()
}

/// Whether a child runs; leaves it to be waited for.
fn is_running(child: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(child), look), Ok(None))
}

/// Kills what is left of guests whose owners are gone.
pub fn remove_leftovers() -> io::Result<()> {
    for (pid, _) in processes()?.filter(|&(_, owner)| is_gone(owner)) {
        tracing::info!(
            pid = pid.as_raw_nonzero(),
            "killing what is left of the guest of a process that is gone"
        );
        // Fails when it has just ended.
        let _ = kill_process(pid, Signal::KILL);
    }
    Ok(())
}

/// Everything on this machine that is part of a guest, with the guest's owner.
fn processes() -> io::Result<impl Iterator<Item = (Pid, u32)>> {
    Ok(std::fs::read_dir("/proc")?.flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)?;
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        Some((pid, owner(&command)?))
    }))
}

/// The owner of the guest that a process with this command line is of.
fn owner(command: &[u8]) -> Option<u32> {
    let arguments =
        command.split(|&byte| byte == 0).filter_map(|argument| std::str::from_utf8(argument).ok());
    let folder = arguments.filter_map(|argument| argument.strip_prefix(FOLDER_ARGUMENT)).next()?;
    Path::new(folder).file_name()?.to_str().and_then(folder::owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_processes_tell_its_owner() {
        assert_eq!(owner(b"linux.uml\0mem=1G\0uml_dir=/tmp/tern-run-4711-x/\0umid=guest\0"), Some(4711));
        assert_eq!(owner(b"linux.uml\0uml_dir=/tmp/other-4711-x\0"), None);
        assert_eq!(owner(b"cat\0/tmp/tern-run-4711-x\0"), None);
    }
}
