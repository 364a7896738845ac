//! Samples as MAVLink 2 frames: TUNNEL, the dialect's message for content of one's own.
//!
//! Its payload on the wire: type of the content (2 bytes), target system and component, length of the content, content.

use tern_shared::mavlink::dialect::message_named;
use tern_shared::mavlink::frame::{Candidate, encode_v2, inspect};

/// The content that fits one frame.
pub(super) const SAMPLE_BYTES_MAX: usize = 128;

const MESSAGE: &str = "TUNNEL";
/// The first type that the protocol leaves to everybody.
const CONTENT_TYPE: u16 = 32_768;
const HEADER_BYTES: usize = 5;
/// An autopilot's.
const SYSTEM: u8 = 1;
const COMPONENT: u8 = 1;

/// The frame of a sample of at most [`SAMPLE_BYTES_MAX`].
pub(super) fn frame(count: u8, sample: &[u8]) -> Vec<u8> {
    let layout = message_named(MESSAGE).expect("the dialect has the common messages");
    let mut payload = CONTENT_TYPE.to_le_bytes().to_vec();
    payload.extend([0, 0, sample.len() as u8]);
    payload.extend(sample);
    encode_v2(count, SYSTEM, COMPONENT, layout, &payload)
}

/// The sample of a frame; `None` of anything else.
pub(super) fn sample(datagram: &[u8]) -> Option<&[u8]> {
    match inspect(datagram) {
        Candidate::Certain(frame) if frame.layout.is_some_and(|layout| layout.name == MESSAGE) => {
            frame.payload.get(HEADER_BYTES..)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_comes_out_of_its_frame() {
        let content = b"00000042abcdefgh";
        let frame = frame(7, content);
        // Header 10, checksum 2.
        assert_eq!(frame.len(), 12 + HEADER_BYTES + content.len());
        assert_eq!(sample(&frame), Some(&content[..]));
        let mut broken = frame.clone();
        broken[20] ^= 1;
        assert_eq!((sample(&broken), sample(&frame[..10]), sample(b"")), (None, None, None));
    }
}
