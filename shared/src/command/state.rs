//! What can become of a command.

use serde::{Deserialize, Serialize};

use super::MAX_DETAIL_BYTES;
use crate::time::Timestamp;

/// What became of a command: `queued -> sent -> at vehicle -> accepted -> done`, and where that ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The ground has it.
    Queued,
    /// The ground handed it to the link.
    Sent,
    /// The edge has it.
    AtVehicle,
    /// The target said that it will do it, or is doing it.
    Accepted,
    /// The edge or the target will not do it. Final.
    Rejected,
    /// It was begun and failed, or it is unknown how it ended: the reason tells. Final.
    Failed,
    /// The target said that it has done it. Final.
    Done,
    /// It was not begun within its time to live, and never will be. Final.
    Expired,
    /// It was taken back before it began, and never will. Final.
    Cancelled,
}

/// Why a step was taken, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The edge's allow-list does not have it.
    NotAllowed,
    /// The edge has no such target.
    UnknownTarget,
    /// It made no sense to the edge or the target.
    Malformed,
    /// The edge has too many commands waiting.
    Busy,
    /// The edge cannot make sure that it would not run twice: its disk fails.
    Unavailable,
    /// The target refused it.
    Denied,
    /// The target refused it for now.
    TemporarilyDenied,
    /// The target does not know it.
    Unsupported,
    /// The target said that it failed.
    TargetFailed,
    /// The target did not answer. It may have done it.
    NoAnswer,
    /// The target accepted it and did not say how it ended.
    NoResult,
    /// The target cannot be reached. It was not told.
    Unreachable,
    /// The edge was restarted while it ran. It may have been done.
    Interrupted,
    /// It reached the vehicle too late.
    TooLate,
    /// It did not reach the vehicle in time.
    NotDelivered,
    /// A newer one with the same key took its place.
    Superseded,
    /// Somebody took it back.
    Asked,
    /// Set-points ceased: the dead-man's switch.
    Ceased,
}

/// One change of a command's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// To what.
    pub state: State,
    /// When, by the clock of whose word it is.
    pub at: Timestamp,
    /// How much of it is done, percent, where the target says it.
    pub progress: Option<u8>,
    /// Why, where there is more to say.
    pub reason: Option<Reason>,
    /// In words of the edge or the target, for people; may be empty.
    pub detail: String,
}

impl State {
    /// Whether nothing follows it.
    pub fn is_final(self) -> bool {
        matches!(self, State::Rejected | State::Failed | State::Done | State::Expired | State::Cancelled)
    }
}

impl Step {
    /// A step that needs no words.
    pub fn new(state: State, at: Timestamp) -> Self {
        Step { state, at, progress: None, reason: None, detail: String::new() }
    }

    /// With a reason.
    pub fn because(self, reason: Reason) -> Self {
        Step { reason: Some(reason), ..self }
    }

    /// With words, cut to [`MAX_DETAIL_BYTES`].
    pub fn saying(self, detail: &str) -> Self {
        let end = detail.floor_char_boundary(MAX_DETAIL_BYTES);
        Step { detail: detail[..end].to_owned(), ..self }
    }
}
