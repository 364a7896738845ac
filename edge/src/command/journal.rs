//! The ids of commands that were begun, on disk before they are: one SQLite file, one thread.
//!
//! Every commit is synced (`synchronous = FULL`): a command is a rare thing, and one that runs twice is worse than the
//! wear. A file that is damaged or not ours is left alone, and no command runs until people have looked at it: to begin
//! a new one would be to forget what has run.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tern_shared::command::CommandId;
use tern_shared::command::vehicle::Entry;
use tokio::sync::mpsc;

use super::Happened;

/// What waits for the disk. A command finds no room only when the disk hangs, and is rejected then.
const QUEUE: usize = 64;
/// Marks the file as ours: "TerC".
const APPLICATION_ID: i64 = 0x5465_7243;
const VERSION: i64 = 1;

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path}: {reason}", path = path.display())]
pub struct JournalError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// The journal's thread.
#[derive(Debug)]
pub(super) struct Journal {
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Request {
    Store(Entry),
    Forget(CommandId),
}

impl Journal {
    /// Opens the file, or creates it, and returns what is in it. Each entry's fate comes by `happened`.
    pub(super) fn open(
        path: &Path,
        happened: mpsc::Sender<Happened>,
    ) -> Result<(Journal, Vec<Entry>), JournalError> {
        let failed = |reason: String| JournalError { path: path.to_owned(), reason };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        }
        let db = Connection::open(path).map_err(|error| failed(error.to_string()))?;
        prepare(&db).map_err(|error| failed(error.to_string()))?.map_err(failed)?;
        let entries = list(&db).map_err(|error| failed(error.to_string()))?;
        let (requests, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("commands".to_owned())
            .spawn(move || serve(&db, queue, &happened))
            .map_err(|error| failed(error.to_string()))?;
        Ok((Journal { requests: Some(requests), thread: Some(thread) }, entries))
    }

    /// Stores an entry; says why when the disk does not keep up.
    pub(super) fn store(&self, entry: Entry) -> Result<(), String> {
        self.request(Request::Store(entry))
    }

    /// Removes an entry. One that stays is harmless.
    pub(super) fn forget(&self, id: CommandId) {
        let _ = self.request(Request::Forget(id));
    }

    fn request(&self, request: Request) -> Result<(), String> {
        let requests = self.requests.as_ref().ok_or("the journal is closed")?;
        requests.try_send(request).map_err(|_| "the disk does not keep up".to_owned())
    }
}

impl Drop for Journal {
    /// Waits for what was handed over.
    fn drop(&mut self) {
        self.requests.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn prepare(db: &Connection) -> rusqlite::Result<Result<(), String>> {
    db.busy_timeout(std::time::Duration::ZERO)?;
    // Two edges with one journal would each think that it alone decides what runs.
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version) {
        (0, 0) if tables == 0 => {
            db.pragma_update(None, "journal_mode", "WAL")?;
            db.pragma_update(None, "synchronous", "FULL")?;
            let change = db.unchecked_transaction()?;
            change.execute_batch(include_str!("sql/version_1.sql"))?;
            change.pragma_update(None, "application_id", APPLICATION_ID)?;
            change.pragma_update(None, "user_version", VERSION)?;
            change.commit()?;
        }
        (APPLICATION_ID, VERSION) => db.pragma_update(None, "synchronous", "FULL")?,
        (APPLICATION_ID, newer) => return Ok(Err(format!("its format {newer} is newer than this release"))),
        _ => return Ok(Err("it is a database of another program".to_owned())),
    }
    Ok(Ok(()))
}

fn list(db: &Connection) -> rusqlite::Result<Vec<Entry>> {
    let mut statement = db.prepare(include_str!("sql/list.sql"))?;
    let entries = statement.query_map([], |row| {
        postcard::from_bytes(row.get_ref(0)?.as_blob()?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, Box::new(error))
        })
    })?;
    entries.collect()
}

fn serve(db: &Connection, mut queue: mpsc::Receiver<Request>, happened: &mpsc::Sender<Happened>) {
    while let Some(request) = queue.blocking_recv() {
        match request {
            Request::Store(entry) => {
                let id = entry.id;
                let result =
                    put(db, &entry).map_err(|error| format!("the command's id cannot be stored: {error}"));
                if let Err(error) = &result {
                    tracing::error!(%id, error);
                }
                // Nobody is left to be told when the process ends.
                let _ = happened.blocking_send(Happened::Stored { id, result });
            }
            Request::Forget(id) => {
                if let Err(error) = db.execute(include_str!("sql/delete.sql"), [id.0 as i64]) {
                    tracing::warn!(%id, %error, "an old command's id stays");
                }
            }
        }
    }
}

fn put(db: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    let blob = postcard::to_stdvec(entry)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    db.prepare_cached(include_str!("sql/put.sql"))?.execute((entry.id.0 as i64, blob)).map(drop)
}

#[cfg(test)]
mod tests {
    use tern_shared::time::Timestamp;

    use super::*;

    fn entry(id: u64) -> Entry {
        let time = Timestamp(1);
        Entry { id: CommandId(id), issued: time, expires: time, key: None, steps: Vec::new() }
    }

    #[tokio::test]
    async fn what_was_stored_is_there_at_the_next_start_and_only_one_process_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge-commands.sqlite");
        let (sender, mut happened) = mpsc::channel(8);
        let (journal, entries) = Journal::open(&path, sender.clone()).unwrap();
        assert_eq!(entries, []);
        for id in [u64::MAX, 3, 4] {
            journal.store(entry(id)).unwrap();
            assert!(matches!(happened.recv().await, Some(Happened::Stored { result: Ok(()), .. })));
        }
        journal.forget(CommandId(4));
        Journal::open(&path, sender.clone()).unwrap_err();
        drop(journal);
        let (_journal, entries) = Journal::open(&path, sender).unwrap();
        assert_eq!(entries, [entry(u64::MAX), entry(3)]);
    }

    #[test]
    fn a_file_that_is_not_a_journal_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.sqlite");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        let error = Journal::open(&path, mpsc::channel(1).0).unwrap_err().to_string();
        assert!(error.contains("another program"), "{error}");
        std::fs::write(&path, [7; 5000]).unwrap();
        Journal::open(&path, mpsc::channel(1).0).unwrap_err();
        assert_eq!(std::fs::read(&path).unwrap(), [7; 5000]);
    }
}
