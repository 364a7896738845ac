//! A measurement on a machine that does other things, too: clients and servers go before all of that, and clients before
//! servers, so that what is measured is the servers.

use tokio::process::Command;

use super::LoadError;

/// `SCHED_RR` priorities.
pub(super) const CLIENTS: u8 = 20;
pub(super) const SERVERS: u8 = 10;

/// Schedules all threads of a process, and those that they start, in real time.
pub(super) async fn set(process: u32, priority: u8) -> Result<(), LoadError> {
    let (process, priority) = (process.to_string(), priority.to_string());
    let status =
        Command::new("chrt").args(["--all-tasks", "--rr", "--pid", &priority, &process]).status().await?;
    if status.success() { Ok(()) } else { Err(LoadError::Priority) }
}
