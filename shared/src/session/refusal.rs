//! Why the ground refuses a session, as it tells the vehicle.

use crate::codec::DecodeError;
use crate::codec::predictive::FrameError;
use crate::message::{MessageError, Refusal, RefusalReason};
use crate::schema::InvalidSchema;

impl Refusal {
    /// A refusal with its text for people.
    pub fn new(reason: RefusalReason, message: impl Into<String>) -> Self {
        Refusal { reason, message: message.into() }
    }
}

impl From<FrameError> for Refusal {
    fn from(error: FrameError) -> Self {
        Refusal::new(RefusalReason::Malformed, error.to_string())
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Refusal::new(RefusalReason::Malformed, error.to_string())
    }
}

impl From<MessageError> for Refusal {
    fn from(error: MessageError) -> Self {
        let reason = match error {
            MessageError::TooLarge(_) => RefusalReason::TooLarge,
            MessageError::Malformed(_) | MessageError::Symbols(_) | MessageError::Trailing(_) => {
                RefusalReason::Malformed
            }
        };
        Refusal::new(reason, error.to_string())
    }
}

impl From<InvalidSchema> for Refusal {
    fn from(error: InvalidSchema) -> Self {
        let reason = match error {
            InvalidSchema::Dialect { .. } | InvalidSchema::LinkState { .. } => RefusalReason::Dialect,
            _ => RefusalReason::Malformed,
        };
        Refusal::new(reason, error.to_string())
    }
}
