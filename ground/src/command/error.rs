//! Why something was refused.

use std::fmt::Display;

use serde::Serialize;

/// Why a command, a cancellation or a set-point was refused: a code for programs and a text for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// For programs.
    pub kind: ErrorKind,
    /// For people: what was wrong and what to do.
    pub message: String,
}

/// Why something was refused, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The caller has not the role `command` for the vehicle.
    Forbidden,
    /// It makes no sense, or is over a size limit.
    Malformed,
    /// Too many, or too fast.
    Limit,
    /// There was a command with this id.
    Duplicate,
    /// There is no command with this id that has not ended.
    UnknownCommand,
    /// The vehicle has no session, so that a set-point has nowhere to go.
    NotConnected,
    /// Somebody else steers.
    Taken,
    /// The audit log cannot be written, so nothing is sent.
    Unavailable,
}

impl CommandError {
    /// An error and its text.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        CommandError { kind, message: message.into() }
    }

    pub(super) fn malformed(error: impl Display) -> Self {
        CommandError::new(ErrorKind::Malformed, error.to_string())
    }

    pub(super) fn unavailable(error: impl Display) -> Self {
        CommandError::new(ErrorKind::Unavailable, error.to_string())
    }
}
