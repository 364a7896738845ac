//! Entries of a tlog: eight bytes of big-endian microseconds since the Unix epoch, then one MAVLink frame, repeated.
//!
//! An entry's length is its frame's, so a corrupt stretch is left byte by byte until an entry stands there again.

use tern_shared::mavlink::frame::{Candidate, Frame, conceals_frame, inspect, is_start_mark};
use tern_shared::time::Timestamp;

const STAMP_BYTES: usize = 8;

/// Finds entries in bytes that come in arbitrary pieces. Keeps what the entries do not use up: less than one entry,
/// once [`next_entry`](Self::next_entry) has returned `None`.
#[derive(Debug, Default)]
pub(super) struct Entries {
    bytes: Vec<u8>,
    at: usize,
    ended: bool,
    /// Whether the bytes before were no entry.
    lost: bool,
    /// Frames whose checksum is wrong, where an entry was expected.
    pub(super) bad_checksums: u64,
    /// Bytes that are part of no entry.
    pub(super) skipped_bytes: u64,
}

/// One entry.
#[derive(Debug, PartialEq)]
pub(super) struct Entry<'a> {
    /// When the frame was recorded.
    pub(super) time: Timestamp,
    pub(super) frame: Frame<'a>,
}

/// What stands at one place.
enum Place {
    /// Too few bytes to tell.
    Incomplete,
    /// An entry of this many bytes.
    Entry(usize),
    /// None; a frame with a bad checksum, or something else.
    Corrupt { is_frame: bool },
}

impl Entries {
    /// Takes bytes in.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Says that no more bytes will come.
    pub(super) fn finish(&mut self) {
        self.ended = true;
    }

    /// The next entry; `None` until more bytes come.
    pub(super) fn next_entry(&mut self) -> Option<Entry<'_>> {
        let start = loop {
            match self.look() {
                Place::Entry(length) => {
                    self.lost = false;
                    self.at += length;
                    break self.at - length;
                }
                Place::Incomplete if self.ended && self.at < self.bytes.len() => self.skip(),
                Place::Incomplete => return None,
                Place::Corrupt { is_frame } => {
                    self.bad_checksums += u64::from(is_frame && !self.lost);
                    self.skip();
                }
            }
        };
        let (stamp, frame) = self.bytes[start..self.at].split_first_chunk::<STAMP_BYTES>()?;
        let micros = u64::from_be_bytes(*stamp).try_into().unwrap_or(i64::MAX);
        match inspect(frame) {
            Candidate::Certain(frame) | Candidate::Plausible(frame) => {
                Some(Entry { time: Timestamp(micros), frame })
            }
            _ => None,
        }
    }

    fn look(&self) -> Place {
        let rest = &self.bytes[self.at..];
        let Some(after_stamp) = rest.get(STAMP_BYTES..) else { return Place::Incomplete };
        match inspect(after_stamp) {
            Candidate::Certain(frame) => Place::Entry(STAMP_BYTES + frame.raw.len()),
            // As in a stream, but that the next start mark stands behind the next time stamp.
            Candidate::Plausible(frame) => {
                let length = STAMP_BYTES + frame.raw.len();
                match rest.get(length + STAMP_BYTES) {
                    Some(&next) if !is_start_mark(next) => return Place::Corrupt { is_frame: true },
                    None if !self.ended => return Place::Incomplete,
                    _ if !self.lost => return Place::Entry(length),
                    _ => {}
                }
                match conceals_frame(after_stamp, frame.raw.len()) {
                    Some(true) => Place::Corrupt { is_frame: true },
                    None if !self.ended => Place::Incomplete,
                    _ => Place::Entry(length),
                }
            }
            Candidate::Incomplete => Place::Incomplete,
            Candidate::Corrupt(_) => Place::Corrupt { is_frame: true },
            Candidate::Garbage => Place::Corrupt { is_frame: false },
        }
    }

    fn skip(&mut self) {
        self.at += 1;
        self.skipped_bytes += 1;
        self.lost = true;
    }
}

#[cfg(test)]
mod tests {
    use tern_shared::mavlink::dialect;
    use tern_shared::mavlink::frame::encode_v2;

    use super::*;

    fn entry(micros: u64, payload: &[u8]) -> Vec<u8> {
        let layout = dialect::message_named("HEARTBEAT").unwrap();
        [micros.to_be_bytes().to_vec(), encode_v2(0, 1, 1, layout, payload)].concat()
    }

    fn read(bytes: &[u8], piece: usize) -> (Vec<i64>, Entries) {
        let mut entries = Entries::default();
        let mut times = Vec::new();
        for piece in bytes.chunks(piece) {
            entries.push(piece);
            while let Some(entry) = entries.next_entry() {
                times.push(entry.time.0);
            }
        }
        entries.finish();
        while let Some(entry) = entries.next_entry() {
            times.push(entry.time.0);
        }
        (times, entries)
    }

    #[test]
    fn entries_come_whole_however_the_bytes_are_cut() {
        let log = [entry(1, &[1]), entry(2, &[2, 3]), entry(u64::MAX, &[4])].concat();
        for piece in 1..log.len() {
            let (times, entries) = read(&log, piece);
            assert_eq!((times, entries.skipped_bytes), (vec![1, 2, i64::MAX], 0));
        }
    }

    #[test]
    fn a_corrupt_stretch_costs_only_the_entries_in_it() {
        let mut bad = entry(2, &[1, 2, 3]);
        bad[20] ^= 1;
        let cut = entry(4, &[1]);
        let log =
            [entry(1, &[1]), bad.clone(), entry(3, &[1]), vec![0xfe; 300], entry(5, &[1]), cut[..9].to_vec()];
        let (times, entries) = read(&log.concat(), 64);
        assert_eq!(times, [1, 3, 5]);
        assert_eq!((entries.bad_checksums, entries.skipped_bytes as usize), (2, bad.len() + 300 + 9));
    }
}
