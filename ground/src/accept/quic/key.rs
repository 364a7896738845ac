//! The key by which a restarted ground is recognised.
//!
//! A ground that has forgotten a vehicle's connection answers its packets with a stateless reset, which the vehicle
//! believes only when it is signed with the key that the connection began under. So the key outlives the process, in a
//! file beside the history. Whoever has it can end vehicles' connections, nothing more.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

const KEY_BYTES: usize = 64;

/// The key cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[error("the QUIC reset key {}: {error}; without it, vehicles would not notice a restart of this ground", path.display())]
pub struct KeyError {
    path: PathBuf,
    error: io::Error,
}

/// The key of the ground with this history; made when there is none yet.
pub(super) fn load(history: &Path) -> Result<hmac::Key, KeyError> {
    let mut name = history.as_os_str().to_owned();
    name.push("-quic-key");
    let path = PathBuf::from(name);
    match read_or_make(&path) {
        Ok(bytes) => Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)),
        Err(error) => Err(KeyError { path, error }),
    }
}

fn read_or_make(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut bytes = [0; KEY_BYTES];
    match std::fs::File::open(path) {
        Ok(mut file) => match file.read_exact(&mut bytes) {
            Ok(()) => return Ok(bytes),
            // Cut short by a power failure, as it was made.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_stays_the_same_and_is_nobody_elses_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let first = read_or_make(&path).unwrap();
        assert_eq!(read_or_make(&path).unwrap(), first);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, b"short").unwrap();
        let another = read_or_make(&path).unwrap();
        assert_ne!(another, first);
        assert_eq!(read_or_make(&path).unwrap(), another);
    }
}
