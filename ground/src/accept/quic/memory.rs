//! What a ground remembers of its QUIC connections across restarts, in a file beside the history.
//!
//! - The reset key. A ground that has forgotten a vehicle's connection answers its packets with a stateless reset, which
//!   the vehicle believes only when it is signed with the key that the connection began under. Whoever has the key can
//!   end vehicles' connections, nothing more.
//! - Tickets, by which vehicles come back without a round trip (0-RTT): taken out when they are used, so that each is good
//!   once, whoever sends it. Whoever has them can read what vehicles send with their first packets.
//!
//! The file survives the end of the process, but is not synced: after a power failure vehicles notice the restart by
//! silence, and shake hands in full. A file that cannot be read is begun anew.

use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use rusqlite::{Connection, OptionalExtension as _, params};
use rustls::server::StoresServerSessions;
use tracing::{debug, warn};

const KEY_BYTES: usize = 64;
/// The newest tickets that are kept. A vehicle gets two a connection, of about 200 bytes, or 1 kB with a certificate.
const MAX_TICKETS: i64 = 4096;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}, which keeps the reset key of QUIC: {reason}", path.display())]
pub struct MemoryError {
    path: PathBuf,
    reason: String,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Memory {
    database: Mutex<Connection>,
}

impl Memory {
    /// Opens the file beside this history, and makes it when there is none.
    pub(super) fn open(history: &Path) -> Result<(Memory, hmac::Key), MemoryError> {
        let mut name = history.as_os_str().to_owned();
        name.push("-quic");
        let path = PathBuf::from(name);
        let opened = open(&path).or_else(|reason| {
            warn!(path = %path.display(), reason, "beginning the file anew");
            std::fs::remove_file(&path).map_err(|error| error.to_string())?;
            open(&path)
        });
        match opened {
            Ok((database, key)) => {
                Ok((Memory { database: Mutex::new(database) }, hmac::Key::new(hmac::HMAC_SHA256, &key)))
            }
            Err(reason) => Err(MemoryError { path, reason }),
        }
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        // SQLite undoes what a panic left half done.
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, key: &[u8], session: &[u8]) -> rusqlite::Result<()> {
        let database = self.database();
        let mut insert =
            database.prepare_cached("INSERT OR REPLACE INTO ticket (key, session) VALUES (?, ?)")?;
        insert.execute(params![key, session])?;
        let oldest = database.last_insert_rowid() - MAX_TICKETS;
        database.prepare_cached("DELETE FROM ticket WHERE rowid <= ?")?.execute([oldest])?;
        Ok(())
    }

    fn query(&self, sql: &str, key: &[u8]) -> Option<Vec<u8>> {
        let database = self.database();
        let found = database
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional());
        found.unwrap_or_else(|error| {
            debug!(%error, "tickets cannot be read");
            None
        })
    }
}

/// To rustls, tickets are sessions. Without them, vehicles shake hands in full.
impl StoresServerSessions for Memory {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let stored = self.insert(&key, &value);
        if let Err(error) = &stored {
            debug!(%error, "a ticket cannot be stored");
        }
        stored.is_ok()
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.query("SELECT session FROM ticket WHERE key = ?", key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.query("DELETE FROM ticket WHERE key = ? RETURNING session", key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

fn open(path: &Path) -> Result<(Connection, [u8; KEY_BYTES]), String> {
    // Made here, as SQLite would let others read it.
    let mut options = std::fs::OpenOptions::new();
    let made = options.write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map_err(|error: io::Error| error.to_string())?;
    open_database(path).map_err(|error| error.to_string())
}

fn open_database(path: &Path) -> rusqlite::Result<(Connection, [u8; KEY_BYTES])> {
    let database = Connection::open(path)?;
    database.pragma_update(None, "journal_mode", "TRUNCATE")?;
    database.pragma_update(None, "synchronous", "OFF")?;
    database.execute_batch(include_str!("memory.sql"))?;
    let known = database.query_row("SELECT bytes FROM reset_key", [], |row| row.get(0)).optional()?;
    let key = match known {
        Some(key) => key,
        None => {
            let mut key = [0; KEY_BYTES];
            SystemRandom::new().fill(&mut key).map_err(|_| rusqlite::Error::InvalidQuery)?;
            database.execute("INSERT INTO reset_key (bytes) VALUES (?)", [key])?;
            key
        }
    };
    Ok((database, key))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn sign(key: &hmac::Key) -> Vec<u8> {
        hmac::sign(key, b"id").as_ref().to_vec()
    }

    #[test]
    fn key_and_tickets_survive_a_restart_and_a_ticket_is_good_once() {
        let folder = tempfile::tempdir().unwrap();
        let history = folder.path().join("history");
        let (memory, first) = Memory::open(&history).unwrap();
        assert!(memory.put(b"a".to_vec(), b"session a".to_vec()));
        drop(memory);
        let (memory, second) = Memory::open(&history).unwrap();
        assert_eq!(sign(&first), sign(&second));
        assert_eq!(memory.get(b"a").unwrap(), b"session a");
        assert_eq!(memory.take(b"a").unwrap(), b"session a");
        assert_eq!(memory.take(b"a"), None);
        let mode = std::fs::metadata(folder.path().join("history-quic")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_oldest_tickets_give_way() {
        let folder = tempfile::tempdir().unwrap();
        let (memory, _) = Memory::open(&folder.path().join("history")).unwrap();
        for n in 0..MAX_TICKETS + 10 {
            assert!(memory.put(n.to_be_bytes().to_vec(), vec![1]));
        }
        assert_eq!(memory.get(&9i64.to_be_bytes()), None);
        assert!(memory.get(&10i64.to_be_bytes()).is_some());
    }

    #[test]
    fn a_damaged_file_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let history = folder.path().join("history");
        let (_, first) = Memory::open(&history).unwrap();
        std::fs::write(folder.path().join("history-quic"), vec![7; 5000]).unwrap();
        let (memory, second) = Memory::open(&history).unwrap();
        assert!(sign(&first) != sign(&second) && memory.put(vec![1], vec![2]));
    }
}
