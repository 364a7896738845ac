//! What can be wrong with a spool.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why a spool could not be opened. Nothing was changed on disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the file.
    #[error("spool {path}: another process is using it; stop that one, or give each edge a spool of its own", path = path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A later release wrote the file.
    #[error("spool {path} has format {found}, this release knows formats up to {known}: run the newer release, or move the file away", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this release knows.
        known: i64,
    },
    /// The file cannot be read or written: the folder, its permissions, a full disk, a failing disk.
    #[error("spool {path} cannot be used: {reason}; check the folder, its permissions and the space on its disk", path = path.display())]
    Unavailable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// Why the spool could not do what it was asked while running.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no room for more. What is stored stays, and storing goes on as soon as there is.
    #[error("the disk is full")]
    Full,
    /// What is in the file makes no sense. The next start looks at it closely and moves it aside.
    #[error("the spool file is damaged: {0}")]
    Damaged(String),
    /// The system failed to read or write.
    #[error("the spool cannot be read or written: {0}")]
    Io(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, QueryReturnedNoRows,
        };
        match (error.sqlite_error_code(), &error) {
            (Some(ErrorCode::DiskFull), _) => StoreError::Full,
            (Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase), _)
            | (None, FromSqlConversionFailure(..) | IntegralValueOutOfRange(..))
            | (None, InvalidColumnType(..) | QueryReturnedNoRows) => StoreError::Damaged(error.to_string()),
            _ => StoreError::Io(error.to_string()),
        }
    }
}
