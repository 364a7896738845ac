//! The folder of a run's files, gone with it. Its name holds the owner's process id, so that the next run can remove
//! what a killed one left.

use std::io;

use tempfile::TempDir;

use crate::namespace::is_gone;

const PREFIX: &str = "tern-run-";

pub(crate) fn make() -> io::Result<TempDir> {
    for entry in std::fs::read_dir(std::env::temp_dir())?.flatten() {
        if entry.file_name().to_str().and_then(owner).is_some_and(is_gone)
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(folder = %entry.path().display(), %error, "cannot remove what an earlier run left");
        }
    }
    tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir()
}

fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_processes_that_are_gone_are_removed() {
        // Above the kernel's highest process id.
        let left = std::env::temp_dir().join(format!("{PREFIX}4194305-x"));
        std::fs::create_dir_all(&left).unwrap();
        let own = make().unwrap();
        make().unwrap();
        assert!(own.path().exists() && !left.exists());
    }
}
