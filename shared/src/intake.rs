//! Which streams the edge takes in and how often, for links that cannot carry them all.
//!
//! Rules are `PATTERN=RATE`, and the first whose pattern fits a stream's name decides about its records:
//!
//! ```text
//! mavlink/*/HEARTBEAT=0.5      at most one every two seconds
//! mavlink/*/STATUSTEXT=all     every one
//! mavlink/*=0                  none
//! ```
//!
//! A stream that no rule fits is taken whole. Critical records are never thinned: a rate above 0 takes them all.
//!
//! What is taken goes in step, so that it shares packets, whose headers cost a narrow link more than records do: turns lie
//! on a grid from the first record on. Streams of one interval have theirs on different seconds, so that packets are about
//! as large.
//!
//! Turns go by when records come, on a monotonic clock: no clock that jumps, on this computer or in a sensor, holds a
//! stream up or lets it through. The other side of that: a recording that is replayed faster than it was made is thinned
//! by the time that the replay takes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pattern::{Pattern, PatternTooLong};
use crate::schema::{Class, MAX_NAME_BYTES, MAX_SCHEMAS};
use crate::time::Instant;

/// The most rules: each costs a comparison a record.
pub const MAX_RULES: usize = 64;
/// How much earlier than its turn a record is taken at most.
const EARLY: Duration = Duration::from_millis(50);
/// How far apart the turns of streams with the same interval are.
const APART: Duration = Duration::from_secs(1);

/// How many of a stream's records are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rate {
    /// All of them.
    All,
    /// None.
    None,
    /// At most so many thousandths of a record a second, 1 to 1 000 000.
    AtMost(u32),
}

/// What is done with the streams that a pattern fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRule {
    pattern: Pattern,
    rate: Rate,
}

/// Rules in their order; none takes everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct StreamRules(Vec<StreamRule>);

/// Why rules are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// Nothing says how often.
    #[error("{0:?} has no rate: expected PATTERN=RATE, such as \"mavlink/*/HEARTBEAT=0.5\"")]
    NoRate(String),
    /// Nothing says what.
    #[error("{0:?} names no stream: expected PATTERN=RATE, such as \"mavlink/*/HEARTBEAT=0.5\"")]
    NoPattern(String),
    /// No rate that a stream could have.
    #[error(
        "{rule:?}: {rate:?} is no rate: expected records a second, 0.001 to 1000, or 0 for none, or all for all"
    )]
    Rate {
        /// The rule.
        rule: String,
        /// What stands for its rate.
        rate: String,
    },
    /// The pattern is longer than any name.
    #[error("{rule:?}: {error}")]
    TooLong {
        /// The rule, cut to 80 characters.
        rule: String,
        /// How long.
        error: PatternTooLong,
    },
    /// More rules than are compared with every record.
    #[error("{0} rules, more than {MAX_RULES}: let one pattern fit several streams with *")]
    TooMany(usize),
}

/// Decides about every record that comes.
#[derive(Clone, Debug)]
pub struct Intake {
    rules: StreamRules,
    /// When the first record of a stream with turns was taken.
    origin: Option<Instant>,
    /// By stream. At most [`MAX_SCHEMAS`], and so many streams there may be.
    turns: BTreeMap<String, Turns>,
}

/// When a stream's records are taken: evenly, without drift.
///
/// A turn goes to the first record from shortly before it on, so that a source as fast as its rate loses nothing by its
/// jitter, but to none within half an interval of the one before. Turns without a record are not made up for.
#[derive(Clone, Copy, Debug)]
struct Turns {
    interval: Duration,
    /// The turn that comes next.
    next: Instant,
    /// From when on a record is taken.
    due: Instant,
}

impl FromStr for StreamRule {
    type Err = InvalidRule;

    fn from_str(rule: &str) -> Result<Self, InvalidRule> {
        let shown = || rule.chars().take(80).collect::<String>();
        let (pattern, rate) = rule.rsplit_once('=').ok_or_else(|| InvalidRule::NoRate(shown()))?;
        if pattern.is_empty() {
            return Err(InvalidRule::NoPattern(shown()));
        }
        let pattern = Pattern::new(pattern).map_err(|error| InvalidRule::TooLong { rule: shown(), error })?;
        let rate = match (rate, rate.parse::<f64>()) {
            ("all", _) => Rate::All,
            (_, Ok(0.0)) => Rate::None,
            (_, Ok(per_second)) if (0.001..=1000.0).contains(&per_second) => {
                Rate::AtMost((per_second * 1000.0).round() as u32)
            }
            _ => {
                let rate = rate.chars().take(80).collect();
                return Err(InvalidRule::Rate { rule: shown(), rate });
            }
        };
        Ok(StreamRule { pattern, rate })
    }
}

impl fmt::Display for StreamRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.pattern.as_str())?;
        match self.rate {
            Rate::All => f.write_str("all"),
            Rate::None => f.write_str("0"),
            Rate::AtMost(thousandths) => write!(f, "{}", f64::from(thousandths) / 1000.0),
        }
    }
}

impl StreamRules {
    /// At most [`MAX_RULES`] rules.
    pub fn new(rules: Vec<StreamRule>) -> Result<Self, InvalidRule> {
        if rules.len() > MAX_RULES {
            return Err(InvalidRule::TooMany(rules.len()));
        }
        Ok(StreamRules(rules))
    }

    /// What the first rule that fits says of a stream's records of this class.
    fn rate(&self, stream: &str, class: Class) -> Rate {
        // No stream is called so: its records are refused, without comparing what a hostile source made of the name.
        if stream.len() > MAX_NAME_BYTES {
            return Rate::All;
        }
        match self.0.iter().find(|rule| rule.pattern.matches(stream)).map_or(Rate::All, |rule| rule.rate) {
            Rate::AtMost(_) if class == Class::Critical => Rate::All,
            rate => rate,
        }
    }
}

impl TryFrom<Vec<String>> for StreamRules {
    type Error = InvalidRule;

    fn try_from(rules: Vec<String>) -> Result<Self, InvalidRule> {
        StreamRules::new(rules.iter().map(|rule| rule.parse()).collect::<Result<_, _>>()?)
    }
}

impl From<StreamRules> for Vec<String> {
    fn from(rules: StreamRules) -> Vec<String> {
        rules.0.iter().map(ToString::to_string).collect()
    }
}

impl Turns {
    /// Turns at `first` and every `interval` from there. The first record is taken whenever it comes.
    fn new(interval: Duration, first: Instant) -> Turns {
        Turns { interval, next: first, due: Instant::default() }
    }

    fn take(&mut self, now: Instant) {
        let early = EARLY.min(self.interval / 4);
        let is_first = self.due == Instant::default();
        if !is_first || self.next <= now + early {
            self.next = self.next + self.interval;
        }
        if self.next <= now {
            let missed = now.since(self.next).as_nanos() % self.interval.as_nanos();
            self.next = now + (self.interval - Duration::from_nanos(missed as u64));
        }
        self.due = Instant(self.next.0.saturating_sub(early)).max(now + self.interval / 2);
    }
}

impl Intake {
    /// An intake by these rules.
    pub fn new(rules: StreamRules) -> Intake {
        Intake { rules, origin: None, turns: BTreeMap::new() }
    }

    /// From when on a record of this stream is taken; `None` for never.
    pub fn due(&self, stream: &str, class: Class) -> Option<Instant> {
        match self.rules.rate(stream, class) {
            Rate::All => Some(Instant::default()),
            Rate::None => None,
            Rate::AtMost(_) => match self.turns.get(stream) {
                Some(turns) => Some(turns.due),
                None => (self.turns.len() < MAX_SCHEMAS as usize).then_some(Instant::default()),
            },
        }
    }

    /// A record of this stream that came at `now` is taken; one that is not due yet takes the turn that comes next.
    pub fn take(&mut self, now: Instant, stream: &str, class: Class) {
        let Rate::AtMost(thousandths) = self.rules.rate(stream, class) else { return };
        if !self.turns.contains_key(stream) {
            let interval = Duration::from_secs(1000) / thousandths;
            let alike = self.turns.values().filter(|turns| turns.interval == interval).count() as u32;
            let apart = (APART * alike).as_nanos() % interval.as_nanos();
            let origin = *self.origin.get_or_insert(now);
            let turns = Turns::new(interval, origin + Duration::from_nanos(apart as u64));
            self.turns.insert(stream.to_owned(), turns);
        }
        if let Some(turns) = self.turns.get_mut(stream) {
            turns.take(now);
        }
    }

    /// Whether the record of this stream that comes `now` is taken; it is then.
    pub fn takes(&mut self, now: Instant, stream: &str, class: Class) -> bool {
        let is_due = self.due(stream, class).is_some_and(|due| due <= now);
        if is_due {
            self.take(now, stream, class);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &[&str]) -> StreamRules {
        Vec::from_iter(rules.iter().map(|&rule| rule.to_owned())).try_into().unwrap()
    }

    fn at(millis: u64) -> Instant {
        Instant(Duration::from_millis(millis))
    }

    /// When records of a stream at these milliseconds are taken at a rate.
    fn taken(rate: &str, millis: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut intake = Intake::new(rules(&[&format!("s={rate}")]));
        millis.into_iter().filter(|&millis| intake.takes(at(millis), "s", Class::Live)).collect()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules =
            rules(&["mavlink/1/*/HEARTBEAT=0.5", "mavlink/*/STATUSTEXT=all", "*/GPS=2", "mavlink/*=0"]);
        for (stream, rate) in [
            ("mavlink/1/1/HEARTBEAT", Rate::AtMost(500)),
            ("mavlink/2/1/HEARTBEAT", Rate::None),
            ("mavlink/1/1/STATUSTEXT", Rate::All),
            ("mavlink/1/1/GPS", Rate::AtMost(2000)),
            ("weather", Rate::All),
        ] {
            assert_eq!(rules.rate(stream, Class::Live), rate, "{stream}");
        }
        assert_eq!(StreamRules::default().rate("anything", Class::Live), Rate::All);
    }

    #[test]
    fn critical_records_are_taken_whole_or_not_at_all() {
        let rules = rules(&["a=0.1", "b=0"]);
        assert_eq!(rules.rate("a", Class::Critical), Rate::All);
        assert_eq!(rules.rate("b", Class::Critical), Rate::None);
        let mut intake = Intake::new(rules);
        assert!((0..100).all(|n| intake.takes(at(n), "a", Class::Critical)));
        assert!(!intake.takes(at(0), "b", Class::Critical));
        assert_eq!((intake.due("b", Class::Critical), intake.due("a", Class::Live)), (None, Some(at(0))));
    }

    #[test]
    fn records_are_taken_evenly_and_without_drift() {
        // 50 a second, whose times waver by 3 ms, for 10 minutes.
        let millis: Vec<u64> = (0..30_000).map(|n| n * 20 + n * 7 % 4).collect();
        let taken = taken("1", millis);
        assert_eq!(taken.len(), 601);
        let gaps: Vec<u64> = taken.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (950..=1030).contains(gap)), "{gaps:?}");
        assert!((599_950..=599_980).contains(taken.last().unwrap()));
    }

    #[test]
    fn a_source_as_fast_as_its_rate_loses_nothing_by_jitter() {
        for offset in (0..1000).step_by(50) {
            let mut intake = Intake::new(rules(&["*=1"]));
            assert!(intake.takes(at(0), "another", Class::Live));
            let millis = (0..600).map(|n| offset + n * 1000 + n * 37 % 50);
            let taken = millis.filter(|&millis| intake.takes(at(millis), "s", Class::Live)).count();
            assert_eq!(taken, 600, "{offset}");
        }
        assert_eq!(taken("1000", 0..500), Vec::from_iter(0..500));
    }

    #[test]
    fn a_source_slower_than_its_rate_is_taken_whole() {
        let millis: Vec<u64> = (0..600).map(|n| n * 1100 + n * 37 % 50).collect();
        assert_eq!(taken("1", millis.clone()), millis);
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let pause = (0..3000).chain(60_300..62_000);
        assert_eq!(taken("1", pause), [0, 950, 1950, 2950, 60_300, 60_950, 61_950]);
    }

    #[test]
    fn streams_share_seconds_and_those_of_one_interval_take_turns() {
        let mut intake = Intake::new(rules(&["a=1", "*=0.5"]));
        let mut taken = BTreeMap::from([("a", Vec::new()), ("b", Vec::new()), ("c", Vec::new())]);
        for tenth in 0..70 {
            for (stream, taken) in &mut taken {
                if intake.takes(at(100 * tenth), stream, Class::Live) {
                    taken.push(tenth);
                }
            }
        }
        assert_eq!(taken["a"], [0, 10, 20, 30, 40, 50, 60]);
        assert_eq!(taken["b"], [0, 20, 40, 60]);
        assert_eq!(taken["c"], [0, 10, 30, 50]);
    }

    #[test]
    fn ever_new_streams_take_no_more_room_than_there_may_be_streams() {
        let mut intake = Intake::new(rules(&["*=1"]));
        let taken = (0..10_000).filter(|n| intake.takes(at(0), &format!("s{n}"), Class::Live)).count();
        assert_eq!((taken, intake.turns.len()), (MAX_SCHEMAS as usize, MAX_SCHEMAS as usize));
        assert!(intake.takes(at(1000), "s7", Class::Live));
        let long = "x".repeat(1 << 20);
        assert!(intake.takes(at(0), &long, Class::Live), "it is for the registry to refuse");
        assert_eq!(intake.turns.len(), MAX_SCHEMAS as usize);
    }

    #[test]
    fn the_end_of_time_is_no_turn() {
        let mut intake = Intake::new(rules(&["s=0.001"]));
        assert!(intake.takes(Instant(Duration::MAX), "s", Class::Live));
        assert!(!intake.takes(at(0), "s", Class::Live));
    }

    #[test]
    fn rules_are_written_as_they_are_read() {
        for rule in ["mavlink/*/HEARTBEAT=0.5", "a=b=all", "engine room=1000", "*=0", "x=0.001", "x=1.25"] {
            assert_eq!(rule.parse::<StreamRule>().unwrap().to_string(), rule);
        }
        assert_eq!("x=0.3333".parse::<StreamRule>().unwrap().to_string(), "x=0.333");
    }

    #[test]
    fn a_wrong_rule_says_what_is_wrong() {
        let error = |rule: &str| rule.parse::<StreamRule>().unwrap_err().to_string();
        assert!(error("mavlink/*").contains("\"mavlink/*\" has no rate: expected PATTERN=RATE"));
        assert!(error("=1").contains("names no stream"));
        for rate in ["", "fast", "-1", "0.0001", "1001", "NaN", "inf", "1/s"] {
            assert!(error(&format!("a={rate}")).contains("0.001 to 1000"), "{rate}");
        }
        assert!(error(&format!("{}=1", "x".repeat(129))).contains("129 bytes, more than 128"));
        let many = vec!["a=1".to_owned(); 65];
        assert!(StreamRules::try_from(many).unwrap_err().to_string().contains("65 rules, more than 64"));
    }
}
