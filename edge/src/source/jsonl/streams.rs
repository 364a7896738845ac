//! The schemas of JSON streams, inferred.
//!
//! A schema only ever grows: a field is added, becomes optional, or widens (whole number to float to text, truth value
//! to text), and every change is a new schema of the same stream. So a stream settles after a few samples. Floats have as
//! many decimals as one of them has shown; those that no grid of decimals holds exactly have none, which keeps every bit.

use std::collections::BTreeMap;
use std::sync::Arc;

use tern_shared::codec::decimals_of;
use tern_shared::record::Value;
use tern_shared::schema::{
    Class, Field, FieldKind, MAX_FIELDS, MAX_FIELDS_BYTES, Origin, Schema, fields_bytes,
};
use tern_shared::time::Timestamp;

use super::line::{MalformedLine, ParsedLine, Scalar};
use crate::source::Sample;

/// The most schemas of one source, changed ones included: a quarter of what an epoch may have, so that one babbling
/// sensor leaves room for the others.
const MAX_SCHEMAS: usize = 1024;

/// How often a stream's floats may show more decimals than before. Those of one that does more often are kept bit for
/// bit, so that they do not use up the schemas.
const MAX_FINER: usize = 12;

/// The newest schema of every stream.
#[derive(Debug, Default)]
pub(super) struct Streams {
    known: BTreeMap<String, Known>,
    /// Schemas made so far.
    made: usize,
}

#[derive(Debug)]
struct Known {
    schema: Arc<Schema>,
    /// How often its floats showed more decimals.
    finer: usize,
}

impl Streams {
    /// The sample of a line that came at `now`; its stream's schema grows as needed.
    pub(super) fn sample(&mut self, line: ParsedLine, now: Timestamp) -> Result<Sample, MalformedLine> {
        let ParsedLine { stream, time, mut fields } = line;
        let schema = self.schema(stream, &fields)?;
        let values = schema
            .fields
            .iter()
            .map(|field| {
                fields.remove(&field.name).map_or(Value::Null, |scalar| value_of(scalar, field.kind))
            })
            .collect();
        Ok(Sample { time: time.unwrap_or(now), schema, values })
    }

    fn schema(
        &mut self,
        stream: String,
        fields: &BTreeMap<String, Scalar>,
    ) -> Result<Arc<Schema>, MalformedLine> {
        let (grown, finer) = match self.known.get(&stream) {
            Some(Known { schema, finer }) => {
                let mut grown = grow(&schema.fields, fields, true);
                if grown == schema.fields {
                    return Ok(schema.clone());
                }
                let finer = finer + usize::from(is_finer(&grown, &schema.fields));
                if finer > MAX_FINER {
                    grown.iter_mut().for_each(|field| field.decimals = None);
                }
                (grown, finer)
            }
            None => (grow(&[], fields, false), 0),
        };
        if grown.len() > MAX_FIELDS || fields_bytes(&grown) > MAX_FIELDS_BYTES {
            return Err(MalformedLine::TooManyFields { stream });
        }
        if self.made >= MAX_SCHEMAS {
            return Err(MalformedLine::TooManySchemas { stream });
        }
        self.made += 1;
        let schema = Arc::new(Schema {
            stream: stream.clone(),
            origin: Origin::Sensor,
            class: Class::Live,
            fields: grown,
        });
        self.known.insert(stream, Known { schema: schema.clone(), finer });
        Ok(schema)
    }
}

/// The fields that hold what `known` holds and this sample. `had_samples`: earlier samples lacked the fields that are
/// new.
fn grow(known: &[Field], sample: &BTreeMap<String, Scalar>, had_samples: bool) -> Vec<Field> {
    let mut grown = known.to_vec();
    let mut new: BTreeMap<&String, &Scalar> = sample.iter().collect();
    for field in &mut grown {
        match new.remove(&field.name) {
            Some(scalar) => {
                let kind = widen(field.kind, scalar);
                field.decimals = decimals(field, kind, scalar);
                field.kind = kind;
            }
            None => field.optional = true,
        }
    }
    grown.extend(new.into_iter().map(|(name, scalar)| Field {
        optional: had_samples,
        decimals: match scalar {
            Scalar::Float(float) => decimals_of(*float, 0),
            _ => None,
        },
        ..Field::new(name.clone(), kind_of(scalar))
    }));
    grown
}

/// Of a field that becomes one of `kind`, as this value is in it.
fn decimals(field: &Field, kind: FieldKind, scalar: &Scalar) -> Option<u8> {
    match (field.kind, kind, scalar) {
        (FieldKind::F64, FieldKind::F64, Scalar::Float(float)) => {
            field.decimals.and_then(|decimals| decimals_of(*float, decimals))
        }
        (_, FieldKind::F64, Scalar::Float(float)) => decimals_of(*float, 0),
        // A whole number beyond the grid is an exception there, and exact.
        (FieldKind::F64, FieldKind::F64, _) => field.decimals,
        _ => None,
    }
}

/// Whether a float that was one before has other decimals.
fn is_finer(grown: &[Field], before: &[Field]) -> bool {
    let is_finer = |(new, old): (&Field, &Field)| old.kind == FieldKind::F64 && new.decimals != old.decimals;
    grown.iter().zip(before).any(is_finer)
}

fn kind_of(scalar: &Scalar) -> FieldKind {
    match scalar {
        Scalar::Bool(_) => FieldKind::Bool,
        Scalar::Int(_) => FieldKind::I64,
        Scalar::Float(_) => FieldKind::F64,
        Scalar::Text(_) => FieldKind::Text,
    }
}

/// The narrowest type that holds what `kind` holds and this value exactly.
fn widen(kind: FieldKind, scalar: &Scalar) -> FieldKind {
    match (kind, scalar) {
        (FieldKind::I64, Scalar::Float(_)) => FieldKind::F64,
        (FieldKind::F64, Scalar::Int(int)) if as_float(*int).is_some() => FieldKind::F64,
        _ if kind == kind_of(scalar) => kind,
        _ => FieldKind::Text,
    }
}

/// A value as the field's type holds it; [`widen`] made sure that it does.
fn value_of(scalar: Scalar, kind: FieldKind) -> Value {
    match (scalar, kind) {
        (Scalar::Bool(truth), FieldKind::Bool) => Value::Bool(truth),
        (Scalar::Int(int), FieldKind::I64) => Value::Int(int),
        (Scalar::Int(int), FieldKind::F64) => Value::F64(int as f64),
        (Scalar::Float(float), FieldKind::F64) => Value::F64(float),
        (Scalar::Text(text), _) => Value::Text(text),
        (Scalar::Bool(truth), _) => Value::Text(truth.to_string()),
        (Scalar::Int(int), _) => Value::Text(int.to_string()),
        (Scalar::Float(float), _) => Value::Text(float.to_string()),
    }
}

/// A whole number as a float, where that is exact.
fn as_float(int: i64) -> Option<f64> {
    let float = int as f64;
    (float as i128 == i128::from(int)).then_some(float)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::jsonl::line::{Parsed, parse};

    fn take(streams: &mut Streams, line: &str) -> Result<Sample, MalformedLine> {
        let Parsed::Sample(line) = parse(line.as_bytes()).unwrap() else { panic!("no sample: {line}") };
        streams.sample(line, Timestamp(1))
    }

    fn summary(sample: &Sample) -> Vec<(&str, FieldKind, bool)> {
        sample.schema.fields.iter().map(|f| (f.name.as_str(), f.kind, f.optional)).collect()
    }

    #[test]
    fn samples_of_one_kind_share_their_schema() {
        let mut streams = Streams::default();
        let first = take(&mut streams, r#"{"stream":"humidity","percent":41.5}"#).unwrap();
        let second = take(&mut streams, r#"{"stream":"humidity","percent":42,"t":2}"#).unwrap();
        assert!(Arc::ptr_eq(&first.schema, &second.schema));
        assert_eq!((second.time, second.values), (Timestamp(2_000_000), vec![Value::F64(42.0)]));
        assert_eq!(summary(&first), [("percent", FieldKind::F64, false)]);
    }

    #[test]
    fn a_schema_grows_and_never_shrinks() {
        let mut streams = Streams::default();
        let mut line = |text: &str| take(&mut streams, text).unwrap();
        line(r#"{"stream":"s","a":1,"b":true}"#);
        let added = line(r#"{"stream":"s","a":1,"b":true,"c":2}"#);
        assert_eq!(summary(&added)[2], ("c", FieldKind::I64, true));
        let absent = line(r#"{"stream":"s","a":1.5}"#);
        let expected =
            [("a", FieldKind::F64, false), ("b", FieldKind::Bool, true), ("c", FieldKind::I64, true)];
        assert_eq!(summary(&absent), expected);
        assert_eq!(absent.values, [Value::F64(1.5), Value::Null, Value::Null]);
        let text = line(r#"{"stream":"s","a":"high","b":7}"#);
        assert_eq!(summary(&text)[..2], [("a", FieldKind::Text, false), ("b", FieldKind::Text, true)]);
        let settled = line(r#"{"stream":"s","a":1,"b":false}"#);
        assert!(Arc::ptr_eq(&text.schema, &settled.schema));
        assert_eq!(settled.values[..2], [Value::Text("1".into()), Value::Text("false".into())]);
    }

    #[test]
    fn floats_have_as_many_decimals_as_one_of_them_showed() {
        let mut streams = Streams::default();
        let mut decimals = |value: &str| {
            let sample = take(&mut streams, &format!("{{\"stream\":\"s\",\"a\":{value}}}")).unwrap();
            sample.schema.fields[0].decimals
        };
        assert_eq!(["41", "41.5", "41"].map(&mut decimals), [None, Some(1), Some(1)]);
        assert_eq!(["41.25", "41.5"].map(&mut decimals), [Some(2); 2]);
        assert_eq!(["1e-7", "4503599627370497", "0.1"].map(&mut decimals), [Some(7); 3]);
        assert_eq!(["0.30000000000000004", "0.1"].map(&mut decimals), [None; 2]);
    }

    #[test]
    fn floats_that_show_ever_more_decimals_are_kept_bit_for_bit() {
        let mut streams = Streams::default();
        let fields = (0..100).map(|i| format!("\"f{i:02}\":0.5")).collect::<Vec<_>>().join(",");
        take(&mut streams, &format!("{{\"stream\":\"s\",{fields}}}")).unwrap();
        for i in 0..100 {
            let finer = fields.replace(&format!("f{i:02}\":0.5"), &format!("f{i:02}\":0.25"));
            take(&mut streams, &format!("{{\"stream\":\"s\",{finer}}}")).unwrap();
        }
        assert_eq!(streams.made, 2 + MAX_FINER);
    }

    #[test]
    fn a_whole_number_that_a_float_cannot_hold_becomes_text() {
        let mut streams = Streams::default();
        take(&mut streams, r#"{"stream":"s","a":1.5}"#).unwrap();
        let sample = take(&mut streams, r#"{"stream":"s","a":9007199254740993}"#).unwrap();
        assert_eq!(sample.values, [Value::Text("9007199254740993".into())]);
    }

    #[test]
    fn ever_new_streams_and_fields_reach_a_bound() {
        let mut streams = Streams::default();
        for i in 0..MAX_SCHEMAS {
            take(&mut streams, &format!(r#"{{"stream":"s{i}","a":1}}"#)).unwrap();
        }
        assert!(matches!(
            take(&mut streams, r#"{"stream":"new","a":1}"#),
            Err(MalformedLine::TooManySchemas { .. })
        ));
        assert!(take(&mut streams, r#"{"stream":"s0","a":2}"#).is_ok());

        let mut streams = Streams::default();
        for i in 0..MAX_FIELDS {
            take(&mut streams, &format!(r#"{{"stream":"s","f{i}":1}}"#)).unwrap();
        }
        assert!(matches!(
            take(&mut streams, r#"{"stream":"s","x":1}"#),
            Err(MalformedLine::TooManyFields { .. })
        ));

        let mut streams = Streams::default();
        let taken = (0..MAX_FIELDS)
            .take_while(|i| take(&mut streams, &format!(r#"{{"stream":"s","{i:0>128}":1}}"#)).is_ok());
        assert_eq!(taken.count(), MAX_FIELDS_BYTES / 128);
    }

    proptest! {
        #[test]
        fn every_value_fits_its_field(lines in prop::collection::vec(prop::collection::btree_map("[ab]", scalar(), 1..3), 1..20)) {
            let mut streams = Streams::default();
            for fields in lines {
                let line = ParsedLine { stream: "s".into(), time: None, fields };
                let sample = streams.sample(line, Timestamp(0)).unwrap();
                prop_assert_eq!(sample.values.len(), sample.schema.fields.len());
                for (value, field) in sample.values.iter().zip(&sample.schema.fields) {
                    let fits = match value {
                        Value::Null => field.optional,
                        Value::Bool(_) => field.kind == FieldKind::Bool,
                        Value::Int(_) => field.kind == FieldKind::I64,
                        Value::F64(_) => field.kind == FieldKind::F64,
                        Value::Text(_) => field.kind == FieldKind::Text,
                        _ => false,
                    };
                    prop_assert!(fits, "{:?} {:?}", value, field);
                }
            }
        }
    }

    fn scalar() -> impl Strategy<Value = Scalar> {
        prop_oneof![
            any::<bool>().prop_map(Scalar::Bool),
            any::<i64>().prop_map(Scalar::Int),
            any::<f64>().prop_map(Scalar::Float),
            Just(Scalar::Text("x".into())),
        ]
    }
}
