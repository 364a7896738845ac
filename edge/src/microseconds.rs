//! Which streams' capture times cross the link in microseconds, and whether there are such streams.

use std::collections::BTreeSet;
use std::time::Duration;

use tern_shared::time::Instant;

/// How long after the start every stream should have come. One that comes later is served all the same.
const KNOWN_AFTER: Duration = Duration::from_secs(60);

/// The streams that were named.
#[derive(Debug)]
pub struct Microseconds {
    wanted: BTreeSet<String>,
    /// Those that have not come since the start; empty once they were told of.
    unseen: BTreeSet<String>,
}

impl Microseconds {
    /// The streams of these names.
    pub fn new(wanted: BTreeSet<String>) -> Self {
        Microseconds { unseen: wanted.clone(), wanted }
    }

    /// Whether this stream was named.
    pub fn are_wanted_of(&self, stream: &str) -> bool {
        self.wanted.contains(stream)
    }

    /// A record of this stream came.
    pub fn handle_stream(&mut self, stream: &str) {
        if !self.unseen.is_empty() {
            self.unseen.remove(stream);
        }
    }

    /// The streams that were named and have not come, once, a minute after the start: tell people.
    pub fn unknown(&mut self, now: Instant) -> BTreeSet<String> {
        if now.since(Instant::default()) < KNOWN_AFTER {
            return BTreeSet::new();
        }
        std::mem::take(&mut self.unseen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_does_not_come_is_told_of_once() {
        let names = ["weather", "wether"].map(str::to_owned);
        let mut microseconds = Microseconds::new(names.into_iter().collect());
        microseconds.handle_stream("weather");
        microseconds.handle_stream("battery");
        assert!(microseconds.are_wanted_of("wether") && !microseconds.are_wanted_of("battery"));
        let at = |seconds| Instant(Duration::from_secs(seconds));
        assert!(microseconds.unknown(at(59)).is_empty());
        assert_eq!(microseconds.unknown(at(60)), BTreeSet::from(["wether".to_owned()]));
        assert!(microseconds.unknown(at(61)).is_empty());
        assert!(microseconds.are_wanted_of("wether"), "it may come later");
    }
}
