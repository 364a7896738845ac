//! The link of a scenario's file: the name of a built-in profile, or a whole one.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::link::{PathProfile, builtin_profile};

/// By its type, so that what is wrong with a whole profile is told with its line.
pub(super) fn profile<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathProfile, D::Error> {
    deserializer.deserialize_any(NameOrTable)
}

struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = PathProfile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a link profile, or a table [link]")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<PathProfile, E> {
        builtin_profile(name).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<PathProfile, A::Error> {
        PathProfile::deserialize(MapAccessDeserializer::new(table))
    }
}
