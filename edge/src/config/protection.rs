//! What of the protection against loss is fixed, as it is written.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tern_shared::datagram::coding::MAX_WINDOW;
use tern_shared::session::Pins;

use super::ConfigError;

const TICK_MS: RangeInclusive<u64> = 20..=500;
const WINDOW: RangeInclusive<u64> = 8..=MAX_WINDOW as u64;
const SYMBOLS_PERCENT: RangeInclusive<u64> = 0..=300;

/// The file's section about protection on QUIC; what is left out follows the link.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileProtection {
    tick_ms: Option<u64>,
    window: Option<u64>,
    symbols_percent: Option<u64>,
}

impl FileProtection {
    pub(super) fn of(pins: &Pins) -> Self {
        FileProtection {
            tick_ms: pins.tick.map(|tick| tick.as_millis() as u64),
            window: pins.window.map(u64::from),
            symbols_percent: pins.symbols_percent.map(u64::from),
        }
    }

    pub(super) fn resolve(self) -> Result<Pins, ConfigError> {
        let tick_ms = checked("protection.tick_ms", self.tick_ms, TICK_MS, "20 to 500 ms")?;
        let window = checked("protection.window", self.window, WINDOW, "8 to 64 packets")?;
        let symbols_percent = checked(
            "protection.symbols_percent",
            self.symbols_percent,
            SYMBOLS_PERCENT,
            "0 to 300: for how many of 100 packets symbols leave",
        )?;
        Ok(Pins {
            tick: tick_ms.map(Duration::from_millis),
            window: window.map(|window| window as u8),
            symbols_percent: symbols_percent.map(|percent| percent as u16),
        })
    }
}

fn checked(
    key: &'static str,
    value: Option<u64>,
    range: RangeInclusive<u64>,
    expected: &'static str,
) -> Result<Option<u64>, ConfigError> {
    match value {
        Some(value) if !range.contains(&value) => {
            Err(ConfigError::Value { key, value: value.to_string(), expected })
        }
        value => Ok(value),
    }
}
