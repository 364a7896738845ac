//! Places in the order in which the ground publishes records, and what a client says it has of them.
//!
//! Every record gets the next position when it is published; the history keeps its frame's. Positions of a later run of
//! the ground are higher. A cursor as text: `HISTORY-UPTO[+AFTER.UPTO]...[~AFTER]`, all in hexadecimal: everything up to the first
//! position, and everything in each of the spans behind it; while a fill is going on, live records began after the last.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The most spans behind a cursor's first position: so many fills of a client may have been interrupted in a row.
const MAX_SPANS: usize = 16;
/// Bits of a position that number the records of one run of the ground: enough for 1.6 years of 20,000 a second.
const RECORD_BITS: u32 = 40;

/// A record's place in the order of publication. Starts at 1, below 2^63.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// Which history positions belong to: another file has other positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryTag(pub u32);

/// The positions that a client has: up to one, and in some spans behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The history that they belong to.
    pub history: HistoryTag,
    /// Everything up to and with this one.
    pub up_to: Position,
    /// And everything after the first up to and with the second of each, ascending and disjoint.
    pub spans: Vec<(Position, Position)>,
    /// Where the live records began that come beside a fill: what the client has of them it says itself.
    pub live_after: Option<Position>,
}

/// Why a text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor: give one back as it came in a message")]
pub struct InvalidCursor;

impl Position {
    /// Before every record.
    pub const START: Position = Position(0);

    /// What comes before the first record of a run of the ground.
    pub fn before_run(run: u32) -> Position {
        Position(u64::from(run & 0x7f_ffff) << RECORD_BITS)
    }

    /// The run of the ground that published it.
    pub fn run(self) -> u32 {
        (self.0 >> RECORD_BITS) as u32
    }

    /// The position so many records further on.
    pub fn plus(self, records: u64) -> Position {
        Position(self.0.saturating_add(records))
    }
}

impl Cursor {
    /// Everything up to a position.
    pub fn new(history: HistoryTag, up_to: Position) -> Cursor {
        Cursor { history, up_to, spans: Vec::new(), live_after: None }
    }

    /// Whether the client has a record.
    pub fn has(&self, position: Position) -> bool {
        position <= self.up_to || self.spans.iter().any(|span| span.0 < position && position <= span.1)
    }

    /// Says that the client has everything in a span, too. Where there are too many spans, the first is forgotten: its
    /// records come a second time rather than not at all.
    pub fn add(&mut self, after: Position, up_to: Position) {
        if up_to <= after {
            return;
        }
        self.spans.push((after, up_to));
        self.spans.sort_unstable();
        let mut merged: Vec<(Position, Position)> = Vec::with_capacity(self.spans.len());
        for &(after, up_to) in &self.spans {
            match merged.last_mut() {
                Some(last) if after <= last.1 => last.1 = last.1.max(up_to),
                _ => merged.push((after, up_to)),
            }
        }
        self.spans = merged;
        if self.spans.len() > MAX_SPANS {
            self.spans.remove(0);
        }
        self.settle();
    }

    /// Says that the client has everything up to a position.
    pub fn advance(&mut self, up_to: Position) {
        self.up_to = self.up_to.max(up_to);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(&(after, up_to)) = self.spans.first()
            && after <= self.up_to
        {
            self.up_to = self.up_to.max(up_to);
            self.spans.remove(0);
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.history.0, self.up_to.0)?;
        self.spans.iter().try_for_each(|(after, up_to)| write!(f, "+{:x}.{:x}", after.0, up_to.0))?;
        self.live_after.iter().try_for_each(|after| write!(f, "~{:x}", after.0))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (history, rest) = text.split_once('-').ok_or(InvalidCursor)?;
        let (rest, live_after) = match rest.split_once('~') {
            Some((rest, after)) => (rest, Some(Position(number(after)?))),
            None => (rest, None),
        };
        let mut parts = rest.split('+');
        let history = HistoryTag(u32::try_from(number(history)?).map_err(|_| InvalidCursor)?);
        let mut cursor = Cursor::new(history, Position(number(parts.next().ok_or(InvalidCursor)?)?));
        for (count, part) in parts.enumerate() {
            let (after, up_to) = part.split_once('.').ok_or(InvalidCursor)?;
            if count >= MAX_SPANS {
                return Err(InvalidCursor);
            }
            cursor.add(Position(number(after)?), Position(number(up_to)?));
        }
        cursor.live_after = live_after;
        Ok(cursor)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn number(text: &str) -> Result<u64, InvalidCursor> {
    // `from_str_radix` takes a sign.
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = plain.then(|| u64::from_str_radix(text, 16).ok()).flatten().ok_or(InvalidCursor)?;
    if number > i64::MAX as u64 { Err(InvalidCursor) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_that_is_no_cursor_is_refused() {
        for text in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "1-+1",
            "1-g",
            "1-1+",
            "1-1+2",
            "1-1+.",
            "1-1~",
            "100000000-1",
            "1-8000000000000000",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
        assert!(("1-1".to_owned() + &"+2.3".repeat(17)).parse::<Cursor>().is_err());
    }

    #[test]
    fn spans_join_as_the_fill_reaches_them() {
        let mut cursor: Cursor = "a1-5+10.20+30.40".parse().unwrap();
        assert!(cursor.has(Position(0x20)) && !cursor.has(Position(0x10)) && !cursor.has(Position(0x21)));
        cursor.add(Position(0x18), Position(0x28));
        assert_eq!(cursor.to_string(), "a1-5+10.28+30.40");
        cursor.advance(Position(0x12));
        assert_eq!(cursor.to_string(), "a1-28+30.40");
        cursor.live_after = Some(Position(0x50));
        assert_eq!(cursor.to_string(), "a1-28+30.40~50");
        assert_eq!("a1-28+30.40~50".parse(), Ok(cursor));
    }

    proptest! {
        #[test]
        fn a_cursor_survives_as_text_and_has_what_was_added(
            up_to in 0u64..50,
            spans in prop::collection::vec((0u64..100, 0u64..20), 0..12),
        ) {
            let mut cursor = Cursor::new(HistoryTag(7), Position(up_to));
            for &(after, len) in &spans {
                cursor.add(Position(after), Position(after + len));
            }
            prop_assert_eq!(&cursor.to_string().parse::<Cursor>().unwrap(), &cursor);
            for n in 0..130 {
                let added = n <= up_to || spans.iter().any(|&(after, len)| after < n && n <= after + len);
                prop_assert_eq!(cursor.has(Position(n)), added);
            }
        }
    }
}
