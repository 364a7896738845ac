//! What a process takes from the machine, by `/proc`.

use crate::process::Process;

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct UsageResult {
    /// CPU time since its start, seconds.
    pub cpu_s: f64,
    /// The most memory that it held, megabytes.
    pub rss_mb: f64,
}

/// Of a child that still runs; zeros when it does not.
pub(crate) fn of(process: &Process) -> UsageResult {
    process.id().and_then(read).unwrap_or_default()
}

fn read(pid: u32) -> Option<UsageResult> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    Some(UsageResult {
        cpu_s: cpu_ticks(&stat)? as f64 / ticks_per_second,
        rss_mb: peak_kb(&status)? as f64 / 1e3,
    })
}

/// The name, in brackets, may hold spaces; user and system time are fields 14 and 15 of the whole line.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11);
    Some(times.next()?.parse::<u64>().ok()? + times.next()?.parse::<u64>().ok()?)
}

fn peak_kb(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_understood() {
        assert_eq!(cpu_ticks("7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0"), Some(42));
        assert_eq!(peak_kb("Name:\tx\nVmHWM:\t   12345 kB\n"), Some(12_345));
        assert!(read(std::process::id()).unwrap().rss_mb > 0.1);
    }
}
