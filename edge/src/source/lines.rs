//! Lines in a stream of bytes.

/// The longest line, bytes. A longer one is skipped to its end.
pub(super) const MAX_LINE_BYTES: usize = 64 * 1024;

/// Cuts bytes that come in arbitrary pieces into lines. Keeps at most [`MAX_LINE_BYTES`] between calls.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pending: Vec<u8>,
    /// Bytes of the current line that were dropped because it is too long.
    overlong: usize,
}

/// What stands in one line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Its bytes, without white space around them; never empty.
    Whole(&'a [u8]),
    /// It was longer than [`MAX_LINE_BYTES`]: this many bytes were dropped.
    TooLong(usize),
}

impl Lines {
    /// Takes bytes in and hands every line that they complete to `on_line`.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut on_line: impl FnMut(Line<'_>)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.keep(&bytes[..end]);
            self.finish(&mut on_line);
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// Says that the current line is over.
    pub(super) fn finish(&mut self, mut on_line: impl FnMut(Line<'_>)) {
        if self.overlong > 0 {
            on_line(Line::TooLong(self.overlong));
        } else {
            let line = self.pending.trim_ascii();
            if !line.is_empty() {
                on_line(Line::Whole(line));
            }
        }
        self.pending.clear();
        self.overlong = 0;
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.overlong > 0 || self.pending.len() + bytes.len() > MAX_LINE_BYTES {
            self.overlong += self.pending.len() + bytes.len();
            self.pending.clear();
        } else {
            self.pending.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        let mut on_line = |line: Line<'_>| {
            seen.push(match line {
                Line::Whole(bytes) => String::from_utf8(bytes.to_owned()).unwrap(),
                Line::TooLong(bytes) => format!("too long: {bytes}"),
            });
        };
        for piece in pieces {
            lines.push(piece, &mut on_line);
            assert!(lines.pending.len() <= MAX_LINE_BYTES);
        }
        lines.finish(&mut on_line);
        seen
    }

    #[test]
    fn lines_come_whole_however_the_bytes_are_cut() {
        assert_eq!(collect(&[b"a", b"b\r", b"\n\n  \nc", b"\nd"]), ["ab", "c", "d"]);
    }

    #[test]
    fn an_overlong_line_is_skipped_to_its_end() {
        let long = vec![b'x'; MAX_LINE_BYTES];
        assert_eq!(collect(&[&long, b"\nb"])[1], "b");
        assert_eq!(collect(&[b"a\n", &long, b"y", &long, b"\nb"]), ["a", "too long: 131073", "b"]);
    }
}
