//! Readers of the history's file, as many as may work at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::unavailable;
use crate::history::{HistoryError, HistoryReader};
use crate::publish::message::{ErrorCode, Problem};

/// Readers at a time. More would compete with the thread that commits for the disk, and with each other.
const MAX_READERS: usize = 2;
/// Exports at a time; each goes as fast as its client takes it.
const MAX_EXPORTS: usize = 4;
/// How long a step waits for a reader.
const WAIT_LIMIT: Duration = Duration::from_secs(10);

/// The history, for reading. Clones share its readers.
#[derive(Clone, Debug)]
pub struct Archive(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<HistoryReader>>,
    places: Arc<Semaphore>,
    exports: Arc<Semaphore>,
}

/// The right to read, one of few.
#[derive(Debug)]
pub struct ReadingPlace {
    archive: Archive,
    _place: OwnedSemaphorePermit,
}

impl ReadingPlace {
    /// Does work that reads the history, in a thread that may block. `None` when it panicked.
    pub async fn work<T, F>(self, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&Archive) -> T + Send + 'static,
    {
        tokio::task::spawn_blocking(move || work(&self.archive)).await.ok()
    }
}

impl Archive {
    /// The history at a path.
    pub fn new(path: PathBuf) -> Self {
        let places = Arc::new(Semaphore::new(MAX_READERS));
        let exports = Arc::new(Semaphore::new(MAX_EXPORTS));
        Archive(Arc::new(Shared { path, idle: Mutex::default(), places, exports }))
    }

    /// A place to read from, when one is free.
    pub async fn place(&self) -> Result<ReadingPlace, Problem> {
        let busy = || Problem::new(ErrorCode::Busy, "all readers of the history are taken, ask again");
        let place = timeout(WAIT_LIMIT, self.0.places.clone().acquire_owned()).await.map_err(|_| busy())?;
        Ok(ReadingPlace { archive: self.clone(), _place: place.map_err(|_| busy())? })
    }

    /// A place to export from, as long as that takes.
    pub fn export_place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let busy = |_| Problem::new(ErrorCode::Busy, "too many exports at a time, try again later");
        self.0.exports.clone().try_acquire_owned().map_err(busy)
    }

    /// Reads; blocks.
    pub(crate) fn read<T>(
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
