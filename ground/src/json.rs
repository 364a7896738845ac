//! Records as JSON, for web clients and exports alike.
//!
//! Numbers keep every digit (a 32-bit float prints as the shortest text that reads back as itself); NaN and infinities
//! are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`, as protobuf's JSON mapping has them; bytes are lower-case
//! hexadecimal.

use std::fmt::Write as _;

use serde::ser::{Serialize, SerializeMap, Serializer};
use tern_shared::record::Value;
use tern_shared::schema::{Field, Schema};
use tern_shared::time::Timestamp;

/// A record's fields as an object, in the schema's order.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// Names the values.
    pub schema: &'a Schema,
    /// One a field.
    pub values: &'a [Value],
    /// Which of them to write; `None` for all.
    pub wanted: Option<&'a [bool]>,
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = self.schema.fields.iter().zip(self.values);
        match self.wanted {
            None => write(serializer, all),
            Some(wanted) => {
                write(serializer, all.zip(wanted).filter(|(_, wanted)| **wanted).map(|(all, _)| all))
            }
        }
    }
}

fn write<'a, S: Serializer>(
    serializer: S,
    fields: impl Iterator<Item = (&'a Field, &'a Value)> + Clone,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(fields.clone().count()))?;
    for (field, value) in fields {
        map.serialize_entry(&field.name, &JsonValue(value))?;
    }
    map.end()
}

struct JsonValue<'a>(&'a Value);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::UInt(value) => serializer.serialize_u64(*value),
            Value::F32(value) if value.is_finite() => serializer.serialize_f32(*value),
            Value::F32(value) => serializer.serialize_str(non_finite_text(f64::from(*value))),
            Value::F64(value) if value.is_finite() => serializer.serialize_f64(*value),
            Value::F64(value) => serializer.serialize_str(non_finite_text(*value)),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => serializer.serialize_str(&hex(bytes)),
        }
    }
}

/// What NaN and infinities are called.
pub fn non_finite_text(value: f64) -> &'static str {
    match value {
        value if value.is_nan() => "NaN",
        value if value > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// Bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Seconds since the Unix epoch. Microseconds survive as decimals for times within a century of the epoch.
pub fn epoch_seconds(time: Timestamp) -> f64 {
    time.0 as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use tern_shared::schema::{Class, FieldKind, Origin};

    use super::*;

    #[test]
    fn every_kind_of_value_has_its_json() {
        let values = [
            Value::Null,
            Value::Bool(true),
            Value::Int(-5),
            Value::UInt(u64::MAX),
            Value::F32(0.1),
            Value::F64(0.1),
            Value::F32(f32::NAN),
            Value::F64(f64::INFINITY),
            Value::F32(f32::NEG_INFINITY),
            Value::Text("a\"\n".to_owned()),
            Value::Bytes(vec![0, 255]),
        ];
        let fields = (0..values.len()).map(|i| Field::new(format!("f{i}"), FieldKind::F64)).collect();
        let schema = Schema { stream: "s".to_owned(), origin: Origin::Sensor, class: Class::Live, fields };
        let json = serde_json::to_string(&Fields { schema: &schema, values: &values, wanted: None }).unwrap();
        assert_eq!(
            json,
            r#"{"f0":null,"f1":true,"f2":-5,"f3":18446744073709551615,"f4":0.1,"f5":0.1,"f6":"NaN","f7":"Infinity","f8":"-Infinity","f9":"a\"\n","f10":"00ff"}"#
        );
    }

    #[test]
    fn times_keep_their_microseconds() {
        let text = serde_json::to_string(&epoch_seconds(Timestamp(1_795_362_999_123_457))).unwrap();
        assert_eq!(text, "1795362999.123457");
    }
}
