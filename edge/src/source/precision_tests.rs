//! What becomes of the floats of JSON lines and NMEA sentences from their text to the ground.

use std::sync::Arc;

use tern_shared::batch::Batch;
use tern_shared::codec::predictive::{Base, Decoder as FrameDecoder, Encoder, Keep};
use tern_shared::record::{Record, Value};
use tern_shared::schema::Schema;
use tern_shared::time::Timestamp;

use super::decoder::NewDecoder;
use super::output::Counters;
use super::port::Port;
use super::{Sample, jsonl, nmea};
use crate::config::Precision;
use crate::registry::Registry;

/// Takes the text in as a source does, and carries each sample to the ground in a frame that continues the one before.
/// What came in, and what is there.
fn carry(new: Arc<NewDecoder>, text: &str, precision: Precision) -> Vec<(Sample, Arc<Schema>, Vec<Value>)> {
    let (mut source, mut samples) = (new(), Vec::new());
    source.push(text.as_bytes(), Timestamp(1_790_000_000_000_000), &mut samples);
    let mut registry = Registry::new(precision, Default::default());
    let (mut encoder, mut decoder) = (Encoder::new(), FrameDecoder::new());
    let carried = samples.into_iter().zip(0..).map(|(sample, first)| {
        let id = registry.register(&sample.schema).unwrap().id;
        let record = Record { schema: id, time: sample.time, values: sample.values.clone() };
        let (batch, table) = ([Batch::new(vec![record])], registry.table());
        let frame = encoder.encode(&batch, table, first, Base::Previous, Keep::ForNext, usize::MAX).unwrap();
        let parts = decoder.decode(&frame, table, first).unwrap();
        (sample, table[&id].clone(), parts.concat().remove(0).values)
    });
    carried.collect()
}

fn json(text: &str, precision: Precision) -> Vec<(Sample, Arc<Schema>, Vec<Value>)> {
    carry(jsonl::new_decoder(Arc::new(Counters::default()), Port::new()), text, precision)
}

fn float(value: &Value) -> f64 {
    match value {
        Value::F32(float) => (*float).into(),
        Value::F64(float) => *float,
        Value::Int(int) => *int as f64,
        other => panic!("no number: {other:?}"),
    }
}

/// How many digits stand behind the point.
fn decimals(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

/// Without zeros in front, but for one before the point.
fn unpadded(text: &str) -> String {
    let rest = text.trim_start_matches('0');
    if rest.starts_with('.') { format!("0{rest}") } else { rest.to_owned() }
}

const PLAIN: [&str; 21] = [
    "41.5",
    "0.1",
    "-0.1",
    "0.10",
    "1.50",
    "0.0",
    "-12.750",
    "123456.789",
    "-123456.7891",
    "0.000000001",
    "42",
    "100000.000000001",
    "4194303.999999999",
    "0.30000000000000004",
    "3.141592653589793",
    "2.718281828459045",
    "47.3977418",
    "8.5455939",
    "0.12345678901234567",
    "179.99999999999997",
    "-0.0000001",
];
const POWERS: [&str; 12] = [
    "1e-7",
    "1e-9",
    "1E-10",
    "2.5e3",
    "-2.5e+3",
    "1e15",
    "1e22",
    "1.7976931348623157e308",
    "-5e-324",
    "6.02214076e23",
    "1e-300",
    "9007199254740993.0",
];

fn line(texts: &[&str]) -> String {
    let fields: Vec<String> =
        texts.iter().enumerate().map(|(index, text)| format!("\"f{index:02}\":{text}")).collect();
    format!("{{\"stream\":\"s\",{}}}\n", fields.join(","))
}

#[test]
fn json_floats_come_back_with_the_digits_of_their_text() {
    // Each value in a field of its own; and all in one, whose decimals grow until none are enough.
    let all: Vec<&str> = PLAIN.iter().chain(&POWERS).copied().collect();
    let one_field: String = all.iter().map(|text| line(&[text])).collect();
    for precision in [Precision::Sensor, Precision::Exact] {
        let mut seen = 0;
        for (_, _, values) in json(&line(&all).repeat(3), precision) {
            for (text, value) in all.iter().zip(&values) {
                check_json(text, value);
                seen += 1;
            }
        }
        for (text, (_, _, values)) in all.iter().zip(json(&one_field, precision)) {
            check_json(text, &values[0]);
            seen += 1;
        }
        assert_eq!(seen, 4 * all.len());
    }
}

fn check_json(text: &str, value: &Value) {
    let wanted: f64 = text.parse().unwrap();
    assert_eq!(float(value), wanted, "{text}");
    if !text.contains(['e', 'E']) && !text.ends_with("993.0") && decimals(text) < 16 {
        assert_eq!(format!("{:.*}", decimals(text), float(value)), text);
    }
}

#[test]
fn a_json_field_of_few_decimals_is_on_their_grid_and_its_zeros_have_no_sign() {
    let text: String = ["20.25", "-0.0", "20.5", "-20.75"].map(|text| line(&[text])).concat();
    let sensor = json(&text, Precision::Sensor);
    assert!(sensor.iter().all(|(_, schema, _)| schema.fields[0].decimals == Some(2)));
    assert_eq!(float(&sensor[1].2[0]).to_bits(), 0);
    let exact = json(&text, Precision::Exact);
    assert!(exact.iter().all(|(_, schema, _)| schema.fields[0].decimals.is_none()));
    assert_eq!(float(&exact[1].2[0]).to_bits(), (-0.0f64).to_bits());
}

#[test]
fn a_json_thermometer_costs_a_fraction_of_what_every_bit_would() {
    let mut walk = 20.0f64;
    let lines = (0..1200u64).map(|n| {
        walk += ((n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 9) as f64 / 100.0 - 0.04;
        let time = 1_790_000_000.0 + n as f64 / 10.0;
        format!(
            "{{\"stream\":\"air\",\"t\":{time:.1},\"celsius\":{walk:.2},\"percent\":{:.1}}}\n",
            walk * 2.0
        )
    });
    let text: String = lines.collect();
    let [sensor, exact] = [Precision::Sensor, Precision::Exact].map(|precision| {
        let new = jsonl::new_decoder(Arc::new(Counters::default()), Port::new());
        let mut samples = Vec::new();
        new().push(text.as_bytes(), Timestamp(0), &mut samples);
        let (mut registry, mut encoder) = (Registry::new(precision, Default::default()), Encoder::new());
        let (mut bytes, mut first) = (0, 0);
        for samples in samples.chunks(3) {
            let record = |sample: &Sample| {
                let schema = registry.register(&sample.schema).unwrap().id;
                Record { schema, time: sample.time, values: sample.values.clone() }
            };
            let batch = [Batch::new(samples.iter().map(record).collect())];
            let (base, keep) = (Base::Previous, Keep::ForNext);
            bytes += encoder.encode(&batch, registry.table(), first, base, keep, usize::MAX).unwrap().len();
            first += samples.len() as u64;
        }
        bytes
    });
    let samples = text.lines().count();
    assert!(sensor < 2 * samples && exact > 6 * samples, "{sensor} and {exact} bytes for {samples} samples");
}

/// A sentence with its checksum.
fn sentence(body: &str) -> String {
    format!("${body}*{:02X}\r\n", body.bytes().fold(0, |sum, byte| sum ^ byte))
}

fn nmea_values(body: &str) -> impl Fn(&str) -> f64 + use<> {
    let new = nmea::new_decoder(Arc::new(Counters::default()));
    let (_, schema, values) = carry(new, &sentence(body), Precision::Sensor).remove(0);
    let body = body.to_owned();
    move |name| {
        let index = schema.fields.iter().position(|field| field.name == name);
        float(&values[index.unwrap_or_else(|| panic!("{body} has no {name}"))])
    }
}

#[test]
fn nmea_floats_come_back_with_the_digits_of_their_text() {
    for lat in ["0000.0000001", "4717.1141234", "4759.9999999", "4717.11399", "8959.999", "0030.0"] {
        for (hdop, altitude, geoid) in
            [("0.9", "545.4", "46.9"), ("1.01", "-12.345", "-0.1"), ("99.99", "848.8612", "0.0")]
        {
            let value = nmea_values(&format!(
                "GNGGA,092750.000,{lat},N,00833.9159,E,1,8,{hdop},{altitude},M,{geoid},M,,"
            ));
            let degrees: f64 = lat[..2].parse().unwrap();
            let minutes = (value("lat") - degrees) * 60.0;
            assert_eq!(format!("{minutes:.*}", decimals(lat)), unpadded(&lat[2..]));
            for (name, text) in [("hdop", hdop), ("altitude", altitude), ("geoid_separation", geoid)] {
                assert_eq!(format!("{:.*}", decimals(text), value(name)), text, "{name}");
            }
        }
    }
    for (knots, course) in [("0.001", "0.0"), ("0.004", "084.4"), ("22.4", "359.99"), ("123.456", "179.999")]
    {
        let value =
            nmea_values(&format!("GPRMC,092750.000,A,4717.11399,N,00833.9159,E,{knots},{course},230394,,,A"));
        let in_knots = value("speed") * 3600.0 / 1852.0;
        assert_eq!(format!("{in_knots:.*}", decimals(knots)), knots);
        assert_eq!(format!("{:.*}", decimals(course), value("course")), unpadded(course));
    }
}
