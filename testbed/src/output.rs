//! Where results go.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file of results, opened before they are measured: one that cannot be written costs no run.
pub(crate) struct Output {
    path: PathBuf,
    file: File,
}

/// A file of results cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {error}", path.display())]
pub(crate) struct OutputError {
    path: PathBuf,
    error: io::Error,
}

impl Output {
    /// Opens the file, or makes it. What is in it stays until there are results.
    pub(crate) fn open(path: &Path) -> Result<Output, OutputError> {
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let failed = |error| OutputError { path: path.to_owned(), error };
        Ok(Output { path: path.to_owned(), file: opened.map_err(failed)? })
    }

    /// Writes the results in place of what was there.
    pub(crate) fn write(self, text: &str) -> Result<(), OutputError> {
        let Output { path, mut file } = self;
        let mut replace = || {
            // Pipes and terminals have no length.
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            file.write_all(text.as_bytes())
        };
        replace().map_err(|error| OutputError { path, error })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_there_stays_until_there_are_results() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        fs::write(&path, "what an earlier run found").unwrap();
        let output = Output::open(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "what an earlier run found");
        output.write("{}\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n");
        let error = Output::open(&folder.path().join("none/results.json")).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("none/results.json"), "{error}");
    }
}
