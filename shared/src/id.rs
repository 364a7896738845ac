//! Who a record is from and which one it is: (vehicle, epoch, sequence).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A vehicle's name: 1 to 64 of `a-z A-Z 0-9 . _ -`, so that it can stand in paths, URLs and file names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VehicleId(String);

/// Why a text is no [`VehicleId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no vehicle id: it takes 1 to 64 of a-z A-Z 0-9 . _ - and starts with a letter or digit")]
pub struct InvalidVehicleId {
    /// The text that was given, cut to 80 characters.
    pub text: String,
}

impl VehicleId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VehicleId {
    type Error = InvalidVehicleId;

    fn try_from(text: String) -> Result<Self, InvalidVehicleId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let starts_well = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if starts_well && text.len() <= 64 && text.chars().all(allowed) {
            Ok(VehicleId(text))
        } else {
            Err(InvalidVehicleId { text: text.chars().take(80).collect() })
        }
    }
}

impl FromStr for VehicleId {
    type Err = InvalidVehicleId;

    fn from_str(text: &str) -> Result<Self, InvalidVehicleId> {
        text.to_owned().try_into()
    }
}

impl From<VehicleId> for String {
    fn from(id: VehicleId) -> String {
        id.0
    }
}

impl fmt::Display for VehicleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One history of sequence numbers: a random number that lives with the vehicle's spool.
///
/// A restart of the edge continues its epoch; a new spool (the first start, a spool that was lost) is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Names a [`Schema`](crate::schema::Schema) within an epoch. A schema never changes: a stream that gains a field
/// gets a new schema, with a higher id and the same stream name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SchemaId(pub u32);

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A secret that never reaches a log: its `Debug` shows nothing.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
