//! One JSON line as a stream name, a time and flat fields.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::{Map, Number, Value as Json};
use tern_shared::schema::{MAX_FIELDS, MAX_FIELDS_BYTES, MAX_NAME_BYTES};
use tern_shared::time::Timestamp;

use crate::source::lines::MAX_LINE_BYTES;

/// The longest stream name, bytes.
const MAX_STREAM_BYTES: usize = 64;
/// How deep objects and arrays may lie in each other.
const MAX_DEPTH: usize = 8;

/// A line that was understood.
#[derive(Debug, PartialEq)]
pub(super) enum Parsed {
    Sample(ParsedLine),
    /// A device's answer to a command.
    Answer(Json),
}

/// A sample as a line has it.
#[derive(Debug, PartialEq)]
pub(super) struct ParsedLine {
    pub(super) stream: String,
    /// The sensor's own time, where it sends one.
    pub(super) time: Option<Timestamp>,
    /// The fields that are there, by their flat names: `gps.lat`, `accel[0]`.
    pub(super) fields: BTreeMap<String, Scalar>,
}

/// The value of one field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// Why a line was skipped.
#[derive(Debug, thiserror::Error)]
pub(super) enum MalformedLine {
    #[error("a line of {bytes} bytes is longer than {MAX_LINE_BYTES}")]
    TooLong { bytes: usize },
    #[error("a line is no JSON object: {0}")]
    Json(#[from] serde_json::Error),
    #[error(
        "\"stream\" is missing or no name: 1 to {MAX_STREAM_BYTES} bytes without '/' and control characters"
    )]
    Stream,
    #[error("\"t\" is neither seconds since 1970 nor RFC 3339: {0}")]
    Time(Json),
    #[error("stream {stream:?}: no field has a value")]
    NoFields { stream: String },
    #[error("stream {stream:?}: field {field:?} lies deeper than {MAX_DEPTH}")]
    TooDeep { stream: String, field: String },
    #[error(
        "stream {stream:?}: field name {field:?} is empty, there twice, or longer than {MAX_NAME_BYTES} bytes"
    )]
    FieldName { stream: String, field: String },
    #[error(
        "stream {stream:?} would have more than {MAX_FIELDS} fields, or names of {MAX_FIELDS_BYTES} bytes"
    )]
    TooManyFields { stream: String },
    #[error("stream {stream:?} would be one change of streams and fields too many for this source")]
    TooManySchemas { stream: String },
}

/// Understands a line.
pub(super) fn parse(line: &[u8]) -> Result<Parsed, MalformedLine> {
    let mut object: Map<String, Json> = serde_json::from_slice(line)?;
    let stream = match object.remove("stream") {
        Some(Json::String(name)) if is_stream_name(&name) => name,
        None if object.contains_key("id") => return Ok(Parsed::Answer(Json::Object(object))),
        _ => return Err(MalformedLine::Stream),
    };
    let time = match object.remove("t") {
        None | Some(Json::Null) => None,
        Some(time) => Some(parse_time(&time).ok_or(MalformedLine::Time(time))?),
    };
    let mut fields = Flat { stream, fields: BTreeMap::new() };
    fields.add_object("", members(object), 0)?;
    let Flat { stream, fields } = fields;
    if fields.is_empty() {
        return Err(MalformedLine::NoFields { stream });
    }
    Ok(Parsed::Sample(ParsedLine { stream, time, fields }))
}

/// What of a line is fields: all of it, or, in a line of the ground's export, what its `fields` holds.
fn members(mut object: Map<String, Json>) -> Map<String, Json> {
    let is_exports = |(key, value): (&String, &Json)| match key.as_str() {
        "fields" => value.is_object(),
        "vehicle" => value.is_string(),
        _ => false,
    };
    if object.iter().all(is_exports)
        && let Some(Json::Object(fields)) = object.remove("fields")
    {
        return fields;
    }
    object
}

/// Streams of other sources have a '/' in their names (`mavlink/1/1/ATTITUDE`), which a sensor must not take.
fn is_stream_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_STREAM_BYTES && !name.contains(|c: char| c == '/' || c.is_control())
}

fn parse_time(time: &Json) -> Option<Timestamp> {
    match time {
        Json::String(text) => Some(Timestamp(DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros())),
        Json::Number(seconds) => match seconds.as_i64() {
            Some(seconds) => seconds.checked_mul(1_000_000).map(Timestamp),
            None => {
                let micros = (seconds.as_f64()? * 1e6).round();
                // Beyond 2^53 a float no longer tells microseconds apart.
                (micros.abs() < 9e15).then_some(Timestamp(micros as i64))
            }
        },
        _ => None,
    }
}

struct Flat {
    stream: String,
    fields: BTreeMap<String, Scalar>,
}

impl Flat {
    fn add_object(
        &mut self,
        prefix: &str,
        object: Map<String, Json>,
        depth: usize,
    ) -> Result<(), MalformedLine> {
        for (key, value) in object {
            if key.is_empty() {
                return Err(MalformedLine::FieldName {
                    stream: self.stream.clone(),
                    field: format!("{prefix}."),
                });
            }
            let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
            self.add(name, value, depth)?;
        }
        Ok(())
    }

    fn add(&mut self, name: String, value: Json, depth: usize) -> Result<(), MalformedLine> {
        if depth >= MAX_DEPTH {
            return Err(MalformedLine::TooDeep { stream: self.stream.clone(), field: cut(&name) });
        }
        let scalar = match value {
            Json::Null => return Ok(()),
            Json::Object(object) => return self.add_object(&name, object, depth + 1),
            Json::Array(elements) => {
                for (i, element) in elements.into_iter().enumerate() {
                    self.add(format!("{name}[{i}]"), element, depth + 1)?;
                }
                return Ok(());
            }
            Json::Bool(truth) => Scalar::Bool(truth),
            Json::Number(number) => scalar_of(&number),
            Json::String(text) => Scalar::Text(text),
        };
        if self.fields.len() >= MAX_FIELDS {
            return Err(MalformedLine::TooManyFields { stream: self.stream.clone() });
        }
        if name.len() > MAX_NAME_BYTES || self.fields.contains_key(&name) {
            return Err(MalformedLine::FieldName { stream: self.stream.clone(), field: cut(&name) });
        }
        self.fields.insert(name, scalar);
        Ok(())
    }
}

/// A whole number that neither an i64 nor a float holds exactly is text.
fn scalar_of(number: &Number) -> Scalar {
    if let Some(int) = number.as_i64() {
        return Scalar::Int(int);
    }
    match number.as_f64() {
        Some(float) if number.as_u64().is_none_or(|int| float as u128 == u128::from(int)) => {
            Scalar::Float(float)
        }
        _ => Scalar::Text(number.to_string()),
    }
}

fn cut(name: &str) -> String {
    name.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(line: &str) -> ParsedLine {
        match parse(line.as_bytes()).unwrap() {
            Parsed::Sample(sample) => sample,
            Parsed::Answer(answer) => panic!("an answer: {answer}"),
        }
    }

    fn fields(line: &str) -> Vec<(String, Scalar)> {
        sample(line).fields.into_iter().collect()
    }

    fn time(t: &str) -> Option<i64> {
        sample(&format!("{{\"stream\":\"s\",\"t\":{t},\"x\":1}}")).time.map(|time| time.0)
    }

    fn error(line: &str) -> String {
        parse(line.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn nested_values_become_flat_fields() {
        let seen = fields(
            r#"{"stream":"s","gps":{"lat":47.1,"fix":true},"accel":[1,null,-2.5],"name":"x","no":null}"#,
        );
        let expected = [
            ("accel[0]", Scalar::Int(1)),
            ("accel[2]", Scalar::Float(-2.5)),
            ("gps.fix", Scalar::Bool(true)),
            ("gps.lat", Scalar::Float(47.1)),
            ("name", Scalar::Text("x".into())),
        ];
        assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn a_line_of_the_grounds_export_is_the_sample_that_it_was() {
        let expected = [("a.b[0]", Scalar::Int(1)), ("n", Scalar::Float(0.5))];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        for vehicle in ["", "\"vehicle\":\"alpha\","] {
            let line =
                format!("{{{vehicle}\"stream\":\"s\",\"t\":1.5,\"fields\":{{\"n\":0.5,\"a.b[0]\":1}}}}");
            assert_eq!(fields(&line), expected);
            assert_eq!(sample(&line).time, Some(Timestamp(1_500_000)));
        }
        let names = |line: &str| Vec::from_iter(sample(line).fields.into_keys());
        assert_eq!(names(r#"{"stream":"s","fields":{"n":1},"x":2}"#), ["fields.n", "x"]);
        assert_eq!(names(r#"{"stream":"s","fields":1}"#), ["fields"]);
        assert_eq!(names(r#"{"stream":"s","vehicle":"alpha"}"#), ["vehicle"]);
        assert!(error(r#"{"stream":"s","fields":{}}"#).contains("no field"));
    }

    #[test]
    fn time_is_seconds_or_text_or_absent() {
        assert_eq!(time("1763800000"), Some(1_763_800_000_000_000));
        assert_eq!(time("1763800000.000001"), Some(1_763_800_000_000_001));
        assert_eq!(time("\"2025-11-22T08:26:40.5Z\""), Some(1_763_800_000_500_000));
        assert_eq!(time("\"2025-11-22T09:26:40+01:00\""), Some(1_763_800_000_000_000));
        assert_eq!(time("null"), None);
        for wrong in ["\"noon\"", "true", "1e300", "9223372036854775807"] {
            assert!(
                error(&format!("{{\"stream\":\"s\",\"t\":{wrong},\"x\":1}}")).contains("RFC 3339"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn whole_numbers_stay_exact() {
        let seen = fields(
            r#"{"stream":"s","a":-9223372036854775808,"b":18446744073709551615,"c":9223372036854775808}"#,
        );
        assert_eq!(seen[0].1, Scalar::Int(i64::MIN));
        assert_eq!(seen[1].1, Scalar::Text("18446744073709551615".into()));
        assert_eq!(seen[2].1, Scalar::Float(9_223_372_036_854_775_808.0));
    }

    #[test]
    fn what_is_no_sample_says_why() {
        let long = "s".repeat(65);
        for name in ["\"\"", "\"a/b\"", "\"a\\u0007\"", "3", &format!("{long:?}")] {
            assert!(error(&format!("{{\"stream\":{name},\"x\":1}}")).contains("\"stream\""), "{name}");
        }
        assert!(error(r#"{"x":1}"#).contains("\"stream\""));
        assert!(error("[1]").contains("no JSON object"));
        assert!(error("{").contains("no JSON object"));
        assert!(error(r#"{"stream":"s","x":null}"#).contains("no field"));
        assert!(error(r#"{"stream":"s","a.b":1,"a":{"b":2}}"#).contains("a.b"));
        assert!(error(r#"{"stream":"s","":1}"#).contains("field name"));
        assert!(
            error(&format!(r#"{{"stream":"s","x":{}1{}}}"#, "[".repeat(9), "]".repeat(9))).contains("deeper")
        );
        assert!(error(&format!(r#"{{"stream":"s","x":[{}1]}}"#, "1,".repeat(512))).contains("512 fields"));
        assert!(error(&format!(r#"{{"stream":"s","{}":1}}"#, "x".repeat(129))).contains("128 bytes"));
    }

    proptest! {
        #[test]
        fn floats_are_exact(bits: u64) {
            let float = f64::from_bits(bits);
            prop_assume!(float.is_finite());
            let line = format!("{{\"stream\":\"s\",\"x\":{float:?}}}");
            let Scalar::Float(seen) = fields(&line)[0].1 else { panic!("no float") };
            prop_assert_eq!(seen.to_bits(), bits);
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
