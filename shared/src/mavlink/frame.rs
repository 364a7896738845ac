//! MAVLink frames in a stream of bytes.
//!
//! A frame is `FE len seq sys comp msg payload crc` (MAVLink 1) or
//! `FD len incompat compat seq sys comp msg*3 payload crc [signature*13]` (MAVLink 2), the checksum CRC-16/MCRF4XX over
//! all but the start mark, then CRC_EXTRA of the message.
//!
//! CRC_EXTRA stands for the sender's layout of the message. Where it is the dialect's, all 16 bits of the checksum
//! have been checked and the frame is certain. Where it is another (a message that the dialect does not know, or knows
//! by another layout) it can be computed back from the checksum: one of 256 values fits a whole frame, none fits
//! 255 of 256 corrupted ones. That is too little to believe a start mark inside garbage, which would swallow the frames
//! behind it, so such a frame passes only where another start mark, or the end of what was sent as one, follows it, and
//! between garbage and the next certain frame only where no certain frame begins inside it. (Behind a certain frame one
//! may: messages that carry other links' frames exist.)

use super::dialect::{self, MessageLayout};

/// The longest frame, bytes: MAVLink 2, signed, with 255 bytes of payload.
pub const MAX_FRAME_BYTES: usize = V2_HEADER_BYTES + 255 + CHECKSUM_BYTES + SIGNATURE_BYTES;

const V1_START: u8 = 0xfe;
const V2_START: u8 = 0xfd;
const V1_HEADER_BYTES: usize = 6;
const V2_HEADER_BYTES: usize = 10;
const CHECKSUM_BYTES: usize = 2;
const SIGNATURE_BYTES: usize = 13;
/// The only incompatibility flag that the protocol defines. A frame with another one may mean anything.
const SIGNED: u8 = 0x01;

/// One frame, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Every byte, from the start mark to the checksum or signature.
    pub raw: &'a [u8],
    /// The sender's count of frames, wrapping.
    pub sequence: u8,
    /// System id of the sender.
    pub system: u8,
    /// Component id of the sender.
    pub component: u8,
    /// Message id, 24 bits.
    pub message: u32,
    /// The payload as sent: without trailing zeros in MAVLink 2.
    pub payload: &'a [u8],
    /// How to type the payload; `None` for a frame that can only pass whole.
    pub layout: Option<&'static MessageLayout>,
}

/// What a [`Parser`] has met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames passed on, opaque ones included.
    pub frames: u64,
    /// Frames passed on that the dialect cannot type.
    pub opaque: u64,
    /// Frames dropped because their checksum is wrong whatever the layout.
    pub bad_checksums: u64,
    /// Bytes dropped: garbage, frames cut short, frames with a bad checksum.
    pub skipped_bytes: u64,
}

/// What stands at a start mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate<'a> {
    /// Too few bytes to tell.
    Incomplete,
    /// A frame whose checksum is right for the dialect's layout.
    Certain(Frame<'a>),
    /// A frame whose checksum is right for a layout that the dialect does not have: see the module's documentation.
    Plausible(Frame<'a>),
    /// A frame of this many bytes whose checksum is wrong, or no frame.
    Corrupt(usize),
    /// No start mark.
    Garbage,
}

/// Finds frames in bytes that come in arbitrary pieces.
///
/// Keeps at most one incomplete frame between calls.
#[derive(Debug)]
pub struct Parser {
    pending: Vec<u8>,
    /// Whether no certain frame has come since the last garbage: what looks like a frame may not be one.
    lost: bool,
    counts: Counts,
}

/// A MAVLink 2 frame, unsigned, of a payload as [`payload::encode`](super::payload::encode) makes it (at most 255 bytes).
pub fn encode_v2(sequence: u8, system: u8, component: u8, layout: &MessageLayout, payload: &[u8]) -> Vec<u8> {
    let length = payload.len().min(255);
    let mut frame = Vec::with_capacity(V2_HEADER_BYTES + length + CHECKSUM_BYTES);
    frame.extend([V2_START, length as u8, 0, 0, sequence, system, component]);
    frame.extend(&layout.id.to_le_bytes()[..3]);
    frame.extend(&payload[..length]);
    let crc = crc_accumulate(crc16_mcrf4xx(&frame[1..]), layout.crc_extra);
    frame.extend(crc.to_le_bytes());
    frame
}

/// Judges the bytes from a start mark on.
pub fn inspect(bytes: &[u8]) -> Candidate<'_> {
    let (header, signature) = match bytes {
        [V1_START, ..] => (V1_HEADER_BYTES, 0),
        [V2_START, _, flags, ..] if flags & SIGNED != 0 => (V2_HEADER_BYTES, SIGNATURE_BYTES),
        [V2_START, ..] => (V2_HEADER_BYTES, 0),
        [] => return Candidate::Incomplete,
        _ => return Candidate::Garbage,
    };
    if bytes.len() < header {
        return Candidate::Incomplete;
    }
    let checksum_at = header + usize::from(bytes[1]);
    let length = checksum_at + CHECKSUM_BYTES + signature;
    let Some(raw) = bytes.get(..length) else { return Candidate::Incomplete };

    let payload = &raw[header..checksum_at];
    let v1 = header == V1_HEADER_BYTES;
    let [sequence, system, component] = if v1 { [raw[2], raw[3], raw[4]] } else { [raw[4], raw[5], raw[6]] };
    let message = if v1 { raw[5].into() } else { u32::from_le_bytes([raw[7], raw[8], raw[9], 0]) };
    let mut frame = Frame { raw, sequence, system, component, message, payload, layout: None };

    let checksum = u16::from_le_bytes([raw[checksum_at], raw[checksum_at + 1]]);
    let crc = crc16_mcrf4xx(&raw[1..checksum_at]);
    let fits = |crc_extra: u8| crc_accumulate(crc, crc_extra) == checksum;
    match dialect::message(message).filter(|layout| fits(layout.crc_extra)) {
        Some(layout) => {
            let known_length =
                if v1 { payload.len() == layout.base_bytes } else { payload.len() <= layout.full_bytes };
            let known_flags = v1 || raw[2] & !SIGNED == 0;
            frame.layout = (known_length && known_flags).then_some(layout);
            Candidate::Certain(frame)
        }
        None if (0..=u8::MAX).any(fits) => Candidate::Plausible(frame),
        None => Candidate::Corrupt(length),
    }
}

/// Whether a certain frame begins inside the first `length` of these bytes, and not at their start; `None` when that
/// takes more bytes to tell.
pub fn conceals_frame(bytes: &[u8], length: usize) -> Option<bool> {
    let mut told = Some(false);
    for at in 1..length.min(bytes.len()) {
        match inspect(&bytes[at..]) {
            Candidate::Certain(_) => return Some(true),
            Candidate::Incomplete => told = None,
            _ => {}
        }
    }
    told
}

/// Whether a frame can begin with this byte.
pub fn is_start_mark(byte: u8) -> bool {
    matches!(byte, V1_START | V2_START)
}

impl Parser {
    /// A parser that has seen nothing: what comes first may be the rest of a frame.
    pub fn new() -> Self {
        Parser { pending: Vec::new(), lost: true, counts: Counts::default() }
    }

    /// Takes bytes in and hands every frame that they complete to `on_frame`.
    pub fn push(&mut self, bytes: &[u8], mut on_frame: impl FnMut(Frame<'_>)) {
        // In pieces, so that what is kept does not follow what one call brings.
        for piece in bytes.chunks(4096) {
            self.pending.extend_from_slice(piece);
            self.parse(End::Open, &mut on_frame);
        }
    }

    /// Says that nothing has come for a while: a whole frame that waits for the start mark behind it is passed on. An
    /// incomplete one is kept, for its rest may be late.
    pub fn idle(&mut self, mut on_frame: impl FnMut(Frame<'_>)) {
        self.parse(End::Idle, &mut on_frame);
    }

    /// Says that the datagram or the stream is over: what follows has nothing to do with what came.
    pub fn finish(&mut self, mut on_frame: impl FnMut(Frame<'_>)) {
        self.parse(End::Over, &mut on_frame);
        self.lost = false;
    }

    /// What it has met since it was made.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn parse(&mut self, end: End, on_frame: &mut impl FnMut(Frame<'_>)) {
        let mut at = 0;
        while at < self.pending.len() {
            let rest = &self.pending[at..];
            let (frame, certain) = match inspect(rest) {
                Candidate::Certain(frame) => (frame, true),
                Candidate::Plausible(frame) => match self.passes(rest, frame.raw.len(), end) {
                    Some(true) => (frame, false),
                    Some(false) => {
                        at += self.skip();
                        continue;
                    }
                    None => break,
                },
                Candidate::Incomplete if end != End::Over => break,
                Candidate::Corrupt(length) => {
                    let delimited = rest.get(length).is_some_and(|&next| is_start_mark(next));
                    self.counts.bad_checksums += u64::from(delimited || !self.lost);
                    at += self.skip();
                    continue;
                }
                Candidate::Incomplete | Candidate::Garbage => {
                    at += self.skip();
                    continue;
                }
            };
            let length = frame.raw.len();
            self.counts.frames += 1;
            self.counts.opaque += u64::from(frame.layout.is_none());
            self.lost &= !certain;
            on_frame(frame);
            at += length;
        }
        self.pending.drain(..at);
    }

    /// Whether the plausible frame in the first `length` bytes is to be believed; `None` when it takes more bytes to
    /// tell.
    fn passes(&self, bytes: &[u8], length: usize, end: End) -> Option<bool> {
        match bytes.get(length) {
            Some(&next) if !is_start_mark(next) => return Some(false),
            None if end == End::Open => return None,
            _ => {}
        }
        if !self.lost {
            return Some(true);
        }
        match conceals_frame(bytes, length) {
            None if end == End::Open => None,
            conceals => Some(!conceals.unwrap_or(false)),
        }
    }

    /// Gives up one byte, and with it nothing that may follow inside what it claimed to begin.
    fn skip(&mut self) -> usize {
        self.counts.skipped_bytes += 1;
        self.lost = true;
        1
    }
}

impl Default for Parser {
    fn default() -> Self {
        Parser::new()
    }
}

/// What is known about the bytes behind those at hand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// More may come at once.
    Open,
    /// Nothing has come for a while.
    Idle,
    /// Nothing will come.
    Over,
}

/// CRC-16/MCRF4XX, as the MAVLink developer guide ("Serialization", section "Checksum") specifies it.
fn crc16_mcrf4xx(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, &byte| crc_accumulate(crc, byte))
}

fn crc_accumulate(crc: u16, byte: u8) -> u16 {
    let low = byte ^ crc as u8;
    let mixed = u16::from(low ^ (low << 4));
    (crc >> 8) ^ (mixed << 8) ^ (mixed << 3) ^ (mixed >> 4)
}

#[cfg(test)]
mod tests;
