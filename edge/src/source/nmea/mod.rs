//! NMEA 0183 sentences.
//!
//! Sentences of position, speed and fix are typed; every other one, and one of these that makes no sense as such,
//! passes as text in `nmea/other`. Speeds are in m/s (1 knot is 1852 m an hour), angles in degrees.

mod typed;

use std::sync::Arc;

use tern_shared::record::Value;
use tern_shared::schema::{Class, Field, FieldKind, Origin, Schema};
use tern_shared::time::Timestamp;

use self::typed::TypedSentences;
use super::Sample;
use super::decoder::{Decoder, NewDecoder};
use super::lines::{Line, Lines};
use super::output::{Counters, Counts};

/// Longer lines are no sentences: the standard allows 82 characters, receivers in the field reach some hundred.
const MAX_SENTENCE_BYTES: usize = 1024;
/// How many malformed lines of a source are logged, before they are only counted.
const MAX_LOGGED: u64 = 5;

/// Makes decoders that share their schemas.
pub(super) fn new_decoder(counters: Arc<Counters>) -> Arc<NewDecoder> {
    let schemas = Arc::new(Schemas { typed: TypedSentences::new(), other: Arc::new(other_schema()) });
    Arc::new(move || {
        Box::new(NmeaDecoder {
            lines: Lines::default(),
            schemas: schemas.clone(),
            counters: counters.clone(),
        })
    })
}

struct Schemas {
    typed: TypedSentences,
    other: Arc<Schema>,
}

struct NmeaDecoder {
    lines: Lines,
    schemas: Arc<Schemas>,
    counters: Arc<Counters>,
}

impl Decoder for NmeaDecoder {
    fn push(&mut self, bytes: &[u8], now: Timestamp, samples: &mut Vec<Sample>) {
        let (schemas, counters) = (&self.schemas, &self.counters);
        self.lines.push(bytes, |line| take(schemas, counters, line, now, samples));
    }

    /// A sentence has its own end.
    fn idle(&mut self, _now: Timestamp, _samples: &mut Vec<Sample>) {}

    fn finish(&mut self, now: Timestamp, samples: &mut Vec<Sample>) {
        let (schemas, counters) = (&self.schemas, &self.counters);
        self.lines.finish(|line| take(schemas, counters, line, now, samples));
    }
}

fn take(schemas: &Schemas, counters: &Counters, line: Line<'_>, now: Timestamp, samples: &mut Vec<Sample>) {
    let problem = match line {
        Line::Whole(bytes) => match check(bytes) {
            Ok(sentence) => {
                let (schema, values) = schemas
                    .typed
                    .parse(sentence)
                    .unwrap_or_else(|| (schemas.other.clone(), vec![Value::Text(sentence.to_owned())]));
                samples.push(Sample { time: now, schema, values });
                return;
            }
            Err(problem) => problem,
        },
        Line::TooLong(bytes) => {
            counters.add(Counts { skipped_bytes: bytes as u64, ..Counts::default() });
            Malformed::NoSentence
        }
    };
    match problem {
        Malformed::Checksum => counters.add(Counts { bad_checksums: 1, ..Counts::default() }),
        Malformed::NoSentence => counters.add(Counts { malformed_lines: 1, ..Counts::default() }),
    }
    let counts = counters.snapshot();
    if counts.malformed_lines + counts.bad_checksums <= MAX_LOGGED {
        tracing::warn!(%problem, "NMEA line skipped");
    }
}

/// Why a line was skipped.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Malformed {
    #[error("it is not $...*HH or !...*HH in ASCII")]
    NoSentence,
    #[error("its checksum is wrong")]
    Checksum,
}

/// The sentence in a line, from its `$` or `!` to its checksum, which is right.
fn check(line: &[u8]) -> Result<&str, Malformed> {
    let sentence =
        std::str::from_utf8(line).ok().filter(|text| text.len() <= MAX_SENTENCE_BYTES && text.is_ascii());
    let (body, sum) = sentence
        .and_then(|text| text.strip_prefix(['$', '!']))
        .and_then(|text| text.rsplit_once('*'))
        .ok_or(Malformed::NoSentence)?;
    let sum = Some(sum)
        .filter(|sum| sum.len() == 2 && sum.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .and_then(|sum| u8::from_str_radix(sum, 16).ok())
        .ok_or(Malformed::NoSentence)?;
    if body.bytes().fold(0, |sum, byte| sum ^ byte) != sum {
        return Err(Malformed::Checksum);
    }
    sentence.ok_or(Malformed::NoSentence)
}

fn other_schema() -> Schema {
    Schema {
        stream: "nmea/other".to_owned(),
        origin: Origin::Sensor,
        class: Class::Live,
        fields: vec![Field::new("sentence", FieldKind::Text)],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sentence(start: char, body: &str) -> String {
        format!("{start}{body}*{:02X}\r\n", body.bytes().fold(0, |sum, byte| sum ^ byte))
    }

    fn decode(text: &str) -> (Vec<Sample>, Counts) {
        let counters = Arc::new(Counters::default());
        let mut decoder = new_decoder(counters.clone())();
        let mut samples = Vec::new();
        decoder.push(text.as_bytes(), Timestamp(5), &mut samples);
        decoder.finish(Timestamp(5), &mut samples);
        (samples, counters.snapshot())
    }

    #[test]
    fn sentences_are_typed_or_pass_as_text() {
        let gsv = sentence('$', "GPGSV,1,1,00");
        let position = "GPGGA,133605.0,5521.75946,N,03731.93769,E,0,00,,,M,,M,,";
        let (samples, counts) =
            decode(&[sentence('$', position), gsv.clone(), sentence('!', "AIVDM,1,1")].concat());
        let streams: Vec<_> = samples.iter().map(|s| s.schema.stream.as_str()).collect();
        assert_eq!(streams, ["nmea/GGA", "nmea/other", "nmea/other"]);
        assert_eq!(samples[1].values, [Value::Text(gsv.trim().to_owned())]);
        assert_eq!(counts, Counts::default());
    }

    #[test]
    fn a_typed_sentence_that_makes_no_sense_passes_as_text() {
        let (samples, _) = decode(&sentence('$', "GPGGA,what"));
        assert_eq!(samples[0].schema.stream, "nmea/other");
    }

    #[test]
    fn positions_and_speeds_keep_their_precision() {
        let text = [
            sentence('$', "GNRMC,001031.25,A,4404.1399312,N,12118.8602345,W,100.0,54.7,100117,,,A"),
            sentence('$', "GPVTG,054.7,T,034.4,M,010.0,N,018.5,K"),
            sentence('$', "GNGSA,A,3,10,07,,,,,,,,,,,1.5,0.9,1.2,3"),
        ];
        let (samples, _) = decode(&text.concat());
        let [rmc, vtg, gsa] = &samples[..] else { panic!("{samples:?}") };
        let named = |sample: &Sample, name: &str| {
            sample.values[sample.schema.fields.iter().position(|f| f.name == name).unwrap()].clone()
        };
        let Value::F64(lat) = named(rmc, "lat") else { panic!("no latitude") };
        let Value::F64(lon) = named(rmc, "lon") else { panic!("no longitude") };
        assert!(
            (lat - (44.0 + 4.139_931_2 / 60.0)).abs() < 1e-12
                && (lon + 121.0 + 18.860_234_5 / 60.0).abs() < 1e-12
        );
        assert_eq!(named(rmc, "talker"), Value::Text("GN".into()));
        assert_eq!(
            (named(rmc, "time_of_day"), named(rmc, "date")),
            (Value::Int(631_250), Value::Int(17_176))
        );
        let Value::F32(speed) = named(vtg, "speed") else { panic!("no speed") };
        assert!((speed - 5.144_444).abs() < 1e-5);
        assert_eq!((named(gsa, "satellites[1]"), named(gsa, "satellites[2]")), (Value::Int(7), Value::Null));
        assert_eq!((named(gsa, "system"), named(gsa, "fix")), (Value::Int(3), Value::Int(3)));
    }

    #[test]
    fn corrupt_sentences_are_counted() {
        let (samples, counts) =
            decode("521.7,N*4F\n$GPGSV,1,1,01*79\n$GPGSV,1,1,00\n$GPGSV,1,1,00*7\n$GP*+1\n");
        assert_eq!(samples, []);
        assert_eq!((counts.bad_checksums, counts.malformed_lines), (1, 4));
    }

    proptest! {
        #[test]
        fn any_sentence_is_taken(kind in "(GGA|RMC|VTG|GSA|ZDA)", data in "[0-9A-Z,.*-]{0,90}") {
            let (samples, _) = decode(&sentence('$', &format!("GP{kind},{data}")));
            prop_assert_eq!(samples.len(), 1);
            for (value, field) in samples[0].values.iter().zip(&samples[0].schema.fields) {
                prop_assert!(field.optional || *value != Value::Null);
            }
        }
    }
}
