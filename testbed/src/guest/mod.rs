//! A machine for this machine's testbed whose kernel has netem: Debian's user-mode Linux.
//!
//! The guest is a process that boots in 4 s. Its root file system is the host's, so it runs this very executable with
//! the same arguments, beside the same binaries, and its results are files of the host. It has one CPU, a network of
//! its own without a way out, and its own temporary folder. Starting a process there takes 60 ms, so it is good for a
//! few flows; its clock is the host's.

mod machine;
mod script;

use std::ffi::OsString;
use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::folder;
use crate::namespace::{self, NamespaceError};
use machine::Machine;
pub use machine::remove_leftovers;
use script::{MARK, OUTPUT, STATUS};

/// Where Debian puts the modules of user-mode Linux.
const MODULES: &str = "/usr/lib/uml/modules";
/// The flag of /proc/cpuinfo of a processor with 8 kB more registers than Linux 6.1 for user mode saves: its first process
/// would end with "ptrace set fp regs failed".
const TOO_MANY_REGISTERS: &str = "amx_tile";
/// How long booting may take.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// How much of the kernel's last words is kept.
const LAST_WORDS_BYTES: usize = 4096;

/// Why nothing ran in a guest.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum GuestError {
    #[error("--link uml: {0}")]
    Unavailable(#[from] NamespaceError),
    #[error("--link uml: no {MODULES}: install the package user-mode-linux")]
    NoModules,
    #[error("--link uml: user-mode Linux does not run on processors with AMX, as this one: take --link tun")]
    Processor,
    #[error("cannot start user-mode Linux: {0}")]
    Boot(io::Error),
    #[error("user-mode Linux did not boot within {} s; its last words:\n{last_words}", BOOT_LIMIT.as_secs())]
    NotBooted { last_words: String },
    #[error("user-mode Linux ended early; its last words:\n{last_words}")]
    Ended { last_words: String },
    #[error("files of the guest: {0}")]
    Io(#[from] io::Error),
}

/// Whether this process runs in user-mode Linux.
pub fn is_inside() -> bool {
    processor().contains("User Mode Linux")
}

fn processor() -> String {
    std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()
}

/// Whether this process can boot a guest; else what is missing.
pub fn check_available() -> Result<(), GuestError> {
    namespace::check_available()?;
    ["linux.uml", "insmod", "mount"].into_iter().try_for_each(namespace::check_tool)?;
    if !Path::new(MODULES).is_dir() {
        return Err(GuestError::NoModules);
    }
    if processor().split_whitespace().any(|flag| flag == TOO_MANY_REGISTERS) {
        return Err(GuestError::Processor);
    }
    Ok(())
}

/// Runs this executable in a guest with these arguments, its output as if it were this one's. The exit status; `None`
/// when `stopped` completed first. Nothing of the guest is left afterwards.
pub async fn run(
    arguments: impl IntoIterator<Item = OsString>,
    stopped: impl Future<Output = ()>,
) -> Result<Option<u8>, GuestError> {
    check_available()?;
    remove_leftovers()?;
    let folder = folder::make()?;
    write_script(folder.path(), arguments)?;
    tracing::info!("booting user-mode Linux");
    let mut machine = Machine::boot(folder.path())?;
    tokio::select! {
        biased;
        () = stopped => return Ok(None),
        result = attend(&mut machine, folder.path()) => result?,
    }
    let status = std::fs::read_to_string(folder.path().join(STATUS))?;
    let status = status.trim().parse().map_err(|_| GuestError::Ended { last_words: status })?;
    io::stdout().write_all(&std::fs::read(folder.path().join(OUTPUT))?)?;
    Ok(Some(status))
}

fn write_script(folder: &Path, arguments: impl IntoIterator<Item = OsString>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let terminal = if io::stderr().is_terminal() { std::env::var_os("TERM") } else { Some("dumb".into()) };
    let variables =
        [("PATH", std::env::var_os("PATH")), ("RUST_LOG", std::env::var_os("RUST_LOG")), ("TERM", terminal)];
    let environment: Vec<_> =
        variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let command: Vec<OsString> =
        std::iter::once(std::env::current_exe()?.into_os_string()).chain(arguments).collect();
    let init = folder.join("init");
    std::fs::write(&init, script::script(folder, &std::env::current_dir()?, &environment, &command))?;
    std::fs::set_permissions(init, PermissionsExt::from_mode(0o700))
}

/// Passes the command's standard error on until the guest has ended.
async fn attend(machine: &mut Machine, folder: &Path) -> Result<(), GuestError> {
    let mut console = Console { source: machine.take_console(), marks: 0, last_words: Vec::new() };
    match tokio::time::timeout(BOOT_LIMIT, console.read(1)).await {
        Ok(result) => result?,
        Err(_) => return Err(GuestError::NotBooted { last_words: console.last_words(folder) }),
    }
    machine.prioritise()?;
    console.read(u32::MAX).await?;
    machine.wait().await?;
    // What is not there was not written: the guest ended before its command did.
    if folder.join(STATUS).exists() {
        Ok(())
    } else {
        Err(GuestError::Ended { last_words: console.last_words(folder) })
    }
}

/// What the guest prints.
struct Console<R> {
    source: R,
    /// How many marks have come.
    marks: u32,
    /// The newest of what is not the command's.
    last_words: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Console<R> {
    /// Reads until so many marks have come, or to the end.
    async fn read(&mut self, marks: u32) -> io::Result<()> {
        let mut buffer = [0; 4096];
        while self.marks < marks {
            let bytes = self.source.read(&mut buffer).await?;
            if bytes == 0 {
                break;
            }
            for part in buffer[..bytes].split_inclusive(|&byte| byte == MARK) {
                let text = part.strip_suffix(&[MARK]).unwrap_or(part);
                if self.marks == 1 {
                    io::stderr().write_all(text)?;
                } else {
                    self.last_words.extend_from_slice(text);
                    let excess = self.last_words.len().saturating_sub(LAST_WORDS_BYTES);
                    self.last_words.drain(..excess);
                }
                self.marks += u32::from(text.len() < part.len());
            }
        }
        Ok(())
    }

    fn last_words(&self, folder: &Path) -> String {
        let errors = std::fs::read_to_string(folder.join(machine::ERRORS)).unwrap_or_default();
        errors + &String::from_utf8_lossy(&self.last_words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn last_words_are_what_stands_outside_the_marks() {
        let source: &[u8] = b"booting\n\x1ethe command\n\x1ehalted\n";
        let mut console = Console { source, marks: 0, last_words: Vec::new() };
        console.read(1).await.unwrap();
        console.read(u32::MAX).await.unwrap();
        assert_eq!((console.marks, &*console.last_words), (2, &b"booting\nhalted\n"[..]));
    }
}
