//! Lists of texts, as they are written.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// One text or several.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
pub(super) enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
}

impl Default for OneOrSeveral {
    fn default() -> Self {
        OneOrSeveral::Several(Vec::new())
    }
}

impl OneOrSeveral {
    pub(super) fn of(items: &[impl Display]) -> Self {
        match items {
            [one] => OneOrSeveral::One(one.to_string()),
            several => OneOrSeveral::Several(several.iter().map(ToString::to_string).collect()),
        }
    }

    pub(super) fn parse<T: FromStr<Err: Display>>(&self, key: &'static str) -> Result<Vec<T>, ConfigError> {
        let texts = match self {
            OneOrSeveral::One(text) => std::slice::from_ref(text),
            OneOrSeveral::Several(texts) => texts,
        };
        let invalid = |error: T::Err| ConfigError::Invalid { key, error: error.to_string() };
        texts.iter().map(|text| text.parse().map_err(invalid)).collect()
    }
}
