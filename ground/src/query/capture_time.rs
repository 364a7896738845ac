//! A time in the words of people and programs.

use std::borrow::Cow;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use tern_shared::time::Timestamp;

/// A capture time, written as RFC 3339 or as seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureTime(pub Timestamp);

/// Why a text is no [`CaptureTime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is RFC 3339 (2026-03-01T12:00:00Z) or seconds since the Unix epoch (1772366400.5)")]
pub struct InvalidTime;

impl CaptureTime {
    /// The time of so many seconds since the Unix epoch; `None` when they are no number.
    pub fn of_seconds(seconds: f64) -> Option<Self> {
        // The cast saturates.
        seconds.is_finite().then(|| CaptureTime(Timestamp((seconds * 1e6).round() as i64)))
    }
}

impl FromStr for CaptureTime {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let seconds = text.parse().ok().and_then(CaptureTime::of_seconds);
        let date = || text.parse::<DateTime<Utc>>().ok();
        seconds
            .or_else(|| date().map(|date| CaptureTime(Timestamp(date.timestamp_micros()))))
            .ok_or(InvalidTime)
    }
}

impl<'de> Deserialize<'de> for CaptureTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_seconds_are_the_same_times() {
        let noon = Ok(CaptureTime(Timestamp(1_772_366_400_500_000)));
        for text in ["1772366400.5", "2026-03-01T12:00:00.5Z", "2026-03-01T14:00:00.5+02:00"] {
            assert_eq!(text.parse(), noon, "{text}");
        }
        assert_eq!("-1".parse(), Ok(CaptureTime(Timestamp(-1_000_000))));
        for text in ["", "noon", "2026-03-01", "inf", "NaN"] {
            assert_eq!(text.parse::<CaptureTime>(), Err(InvalidTime), "{text}");
        }
    }
}
