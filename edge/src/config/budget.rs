//! What the link carries and may cost, as it is written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tern_shared::session::Budgets;

use super::{Args, ConfigError};

/// Less than this a month or flight is not worth a handshake.
const BYTES_MIN: u64 = 10_000;
/// With less than this a second, the hello waits for what a handshake of some 6 kB owes for longer than the ground waits.
const BYTES_PER_SECOND_MIN: u64 = 200;

/// The link's rate as it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfiguredRate {
    /// Bits a second, 0 for no limit.
    Fixed(u64),
    /// `auto`: found out.
    Auto,
}

/// A rate that is neither a number nor `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected bits a second, 0 for no limit, or auto")]
pub struct InvalidRate;

impl FromStr for ConfiguredRate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        match text {
            "auto" => Ok(ConfiguredRate::Auto),
            number => number.parse().map(ConfiguredRate::Fixed).map_err(|_| InvalidRate),
        }
    }
}

impl fmt::Display for ConfiguredRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfiguredRate::Fixed(rate) => rate.fmt(f),
            ConfiguredRate::Auto => f.write_str("auto"),
        }
    }
}

impl Serialize for ConfiguredRate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ConfiguredRate::Fixed(rate) => serializer.serialize_u64(*rate),
            ConfiguredRate::Auto => serializer.serialize_str("auto"),
        }
    }
}

impl<'de> Deserialize<'de> for ConfiguredRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected bits a second, 0 for no limit, or \"auto\"")]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(rate) => Ok(ConfiguredRate::Fixed(rate)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// The file's section about what the link may cost; 0 for no limit.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileBudget {
    bytes_per_second: Option<u64>,
    flight_bytes: Option<u64>,
    month_bytes: Option<u64>,
}

impl FileBudget {
    pub(super) fn of(budgets: &Budgets) -> Self {
        FileBudget {
            bytes_per_second: Some(budgets.bytes_per_second.unwrap_or(0)),
            flight_bytes: Some(budgets.flight_bytes.unwrap_or(0)),
            month_bytes: Some(budgets.month_bytes.unwrap_or(0)),
        }
    }

    pub(super) fn resolve(self, args: &Args) -> Result<Budgets, ConfigError> {
        let bytes = |key, flag: Option<u64>, written: Option<u64>, least, expected| {
            let value = flag.or(written).filter(|&value| value != 0);
            match value {
                Some(value) if value < least => {
                    Err(ConfigError::Value { key, value: value.to_string(), expected })
                }
                value => Ok(value),
            }
        };
        let second = "at least 200 (with less, what a handshake owes holds up the session for longer than the ground \
                      waits), or 0 for no limit";
        let total = "at least 10000, or 0 for no limit";
        let Args { budget_bytes_per_second, budget_flight_bytes, budget_month_bytes, .. } = args;
        Ok(Budgets {
            bytes_per_second: bytes(
                "budget.bytes_per_second",
                *budget_bytes_per_second,
                self.bytes_per_second,
                BYTES_PER_SECOND_MIN,
                second,
            )?,
            flight_bytes: bytes(
                "budget.flight_bytes",
                *budget_flight_bytes,
                self.flight_bytes,
                BYTES_MIN,
                total,
            )?,
            month_bytes: bytes(
                "budget.month_bytes",
                *budget_month_bytes,
                self.month_bytes,
                BYTES_MIN,
                total,
            )?,
        })
    }
}
