//! The live lane at the ground: payloads that came or were recovered, decoded in the order in which each continues
//! another.

use std::collections::BTreeMap;
use std::time::Duration;

use super::queues::QueueFill;
use crate::codec::predictive::{Decoder, FrameError};
use crate::codec::{DecodeError, SchemaTable};
use crate::datagram::coding::{CodingReceiver, Symbol};
use crate::message::{Payload, Wanted};
use crate::record::Record;
use crate::time::Instant;

/// Payloads that wait for the one that they continue, or for a schema.
const MAX_WAITING: usize = 64;
/// How long they do: longer than coded symbols take to recover one. The vehicle sends their records again.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// A decoded payload.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) offset: i64,
    /// The batches of the frame, as the vehicle numbered them.
    pub(super) parts: Vec<Vec<Record>>,
}

/// The chain of a connection.
#[derive(Debug)]
pub(super) struct Chain {
    coding: CodingReceiver,
    decoder: Decoder,
    /// By number.
    waiting: BTreeMap<u32, (Instant, Payload)>,
    key_frame_wanted: bool,
}

impl Chain {
    pub(super) fn new() -> Self {
        Chain {
            coding: CodingReceiver::new(),
            decoder: Decoder::new(),
            waiting: BTreeMap::new(),
            key_frame_wanted: false,
        }
    }

    /// A payload (empty in a packet of symbols only) and symbols came. [`poll`](Self::poll) has what can be decoded then.
    ///
    /// # Errors
    ///
    /// A payload that is none, or one over the limits.
    pub(super) fn handle_packet(
        &mut self,
        now: Instant,
        number: u32,
        payload: &[u8],
        symbols: Vec<Symbol>,
    ) -> Result<(), DecodeError> {
        let mut new = Vec::new();
        if !payload.is_empty() {
            new = self.coding.handle_payload(number, payload);
        }
        for symbol in symbols {
            new.extend(self.coding.handle_symbol(number, symbol));
        }
        for (number, payload) in new {
            let payload = Payload::decode(&payload).map_err(|_| DecodeError::Malformed("no payload"))?;
            self.waiting.insert(number, (now, payload));
        }
        while self.waiting.len() > MAX_WAITING {
            self.waiting.pop_first();
            self.key_frame_wanted = true;
        }
        Ok(())
    }

    /// The next payload that can be decoded: call again until there is none.
    ///
    /// # Errors
    ///
    /// Bytes that are no frame, or one over the limits.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        schemas: &SchemaTable,
        base: u64,
    ) -> Result<Option<Decoded>, DecodeError> {
        while let Some(entry) = self.waiting.first_entry()
            && now.since(entry.get().0) > MAX_WAIT
        {
            entry.remove();
            self.key_frame_wanted = true;
        }
        let numbers: Vec<u32> = self.waiting.keys().copied().collect();
        for number in numbers {
            let Some((came, payload)) = self.waiting.remove(&number) else { continue };
            let first = base.wrapping_add_signed(payload.offset);
            match self.decoder.decode(&payload.frame, schemas, first) {
                Ok(parts) => {
                    self.key_frame_wanted = false;
                    return Ok(Some(Decoded { offset: payload.offset, parts }));
                }
                Err(FrameError::NoBase { .. } | FrameError::Frame(DecodeError::UnknownSchema(_))) => {
                    self.waiting.insert(number, (came, payload));
                }
                Err(FrameError::Desync { .. }) => self.key_frame_wanted = true,
                Err(FrameError::Frame(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    pub(super) fn queue(&self) -> QueueFill {
        QueueFill::new("payloads that wait for another", self.waiting.len(), MAX_WAITING)
    }

    /// Coded symbols that would recover all payloads that are lost.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        self.coding.missing().map(|(symbols, window)| Wanted { symbols, window })
    }

    /// Whether a payload waits for one that was lost.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the vehicle should begin the chain anew.
    pub(super) fn key_frame_wanted(&self) -> bool {
        self.key_frame_wanted
    }
}
