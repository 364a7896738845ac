//! Readers of the history's file, as many as may work at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::unavailable;
use crate::history::{HistoryError, HistoryReader};
use crate::publish::message::{ErrorCode, Problem};

/// Readers at a time. More would compete with the thread that commits for the disk, and with each other.
const MAX_READERS: usize = 2;
/// How long a step waits for a reader.
const WAIT_LIMIT: Duration = Duration::from_secs(10);

/// The history, for reading. Clones share its readers.
#[derive(Clone, Debug)]
pub struct Archive(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<HistoryReader>>,
    places: Semaphore,
}

impl Archive {
    /// The history at a path.
    pub fn new(path: PathBuf) -> Self {
        let places = Semaphore::new(MAX_READERS);
        Archive(Arc::new(Shared { path, idle: Mutex::default(), places }))
    }

    /// Does work that reads the history, in a thread that may block.
    pub async fn work<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Archive) -> T + Send + 'static,
    {
        let busy = || Problem::new(ErrorCode::Busy, "all readers of the history are taken, ask again");
        let place = timeout(WAIT_LIMIT, self.0.places.acquire()).await.map_err(|_| busy())?;
        let _place = place.map_err(|_| busy())?;
        let archive = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&archive)).await;
        done.map_err(|_| Problem::new(ErrorCode::Unavailable, "reading the history failed"))
    }

    /// Reads.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&HistoryReader) -> Result<T, HistoryError>,
    ) -> Result<T, Problem> {
        let idle = || self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = match { idle() }.pop() {
            Some(reader) => reader,
            None => HistoryReader::open(&self.0.path).map_err(|error| unavailable(&error))?,
        };
        // A reader that failed is not kept.
        let read = read(&reader).map_err(|error| unavailable(&error))?;
        idle().push(reader);
        Ok(read)
    }
}
