//! Messages on a stream: each behind its length.

use crate::message::MAX_MESSAGE_BYTES;

/// A varint of the longest length: seven bits a byte.
const MAX_LENGTH_BYTES: usize = 3;

/// The message behind its length, as it goes on a stream.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(MAX_LENGTH_BYTES + message.len());
    let mut length = message.len();
    while length >= 0x80 {
        framed.push(length as u8 | 0x80);
        length >>= 7;
    }
    framed.push(length as u8);
    framed.extend_from_slice(message);
    framed
}

/// Takes a stream apart into messages. Keeps one message and what came with its end at most.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: Vec<u8>,
    /// Bytes at the front of `buffer` that were given out.
    taken: usize,
}

/// A message on the stream is longer than [`MAX_MESSAGE_BYTES`], or its length makes no sense: the stream cannot be
/// read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message on the stream is over the limit of {MAX_MESSAGE_BYTES} bytes")]
pub struct TooLong;

impl Deframer {
    /// Adds what came next on the stream. Call [`next_message`](Self::next_message) until it has none before more is
    /// added.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete message, if there is one.
    ///
    /// # Errors
    ///
    /// The length of a message over the limit: the stream cannot be read any further.
    pub fn next_message(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let rest = &self.buffer[self.taken..];
        let Some((length, prefix)) = length(rest)? else { return Ok(None) };
        let Some(message) = rest.get(prefix..prefix + length) else { return Ok(None) };
        let message = message.to_vec();
        self.taken += prefix + length;
        Ok(Some(message))
    }
}

/// The length at the front and how many bytes it takes.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, TooLong> {
    let mut value = 0usize;
    for (index, &byte) in bytes.iter().enumerate() {
        if index == MAX_LENGTH_BYTES {
            return Err(TooLong);
        }
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return if value > MAX_MESSAGE_BYTES { Err(TooLong) } else { Ok(Some((value, index + 1))) };
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(deframer: &mut Deframer) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| deframer.next_message().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_the_stream_is_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            cut in 1usize..40,
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
            let mut deframer = Deframer::default();
            let mut out = Vec::new();
            for piece in stream.chunks(cut) {
                deframer.extend(piece);
                out.extend(all(&mut deframer));
            }
            prop_assert_eq!(out, messages);
        }
    }

    #[test]
    fn the_longest_message_passes_and_a_longer_one_does_not() {
        let mut deframer = Deframer::default();
        deframer.extend(&frame(&vec![7; MAX_MESSAGE_BYTES]));
        assert_eq!(all(&mut deframer)[0].len(), MAX_MESSAGE_BYTES);
        deframer.extend(&frame(&vec![7; MAX_MESSAGE_BYTES + 1])[..3]);
        assert_eq!(deframer.next_message(), Err(TooLong));
        let mut endless = Deframer::default();
        endless.extend(&[0x80; 3]);
        assert_eq!(endless.next_message(), Ok(None));
        endless.extend(&[0x80]);
        assert_eq!(endless.next_message(), Err(TooLong));
    }

    #[test]
    fn lengths_are_varints() {
        assert_eq!(frame(b""), [0]);
        assert_eq!(frame(b"ab"), [2, b'a', b'b']);
        assert_eq!(frame(&[9; 300])[..3], [0xac, 0x02, 9]);
    }
}
