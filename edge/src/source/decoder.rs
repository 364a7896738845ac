//! What every format does with bytes, free of I/O.

use tern_shared::time::Timestamp;

use super::Sample;

/// Turns the bytes of one connection into samples, and counts what it cannot.
pub(super) trait Decoder: Send {
    /// Takes bytes in, in pieces of any size, that came at `now`.
    fn push(&mut self, bytes: &[u8], now: Timestamp, samples: &mut Vec<Sample>);

    /// Says that nothing has come for a while.
    fn idle(&mut self, now: Timestamp, samples: &mut Vec<Sample>);

    /// Says that the datagram or the connection is over.
    fn finish(&mut self, now: Timestamp, samples: &mut Vec<Sample>);

    /// What to send to the peer, asked once a second: nothing, for formats that only listen.
    fn greet(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// Makes the decoder of a new connection.
pub(super) type NewDecoder = dyn Fn() -> Box<dyn Decoder> + Send + Sync;
