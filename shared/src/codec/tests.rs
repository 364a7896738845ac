use proptest::prelude::*;

use super::*;
use crate::batch::{BatchLimits, Batcher};
use crate::message::MAX_FRAME_BYTES;
use crate::record::Value;
use crate::schema::{Class, Field, FieldKind, Origin};
use crate::time::Instant;

const KINDS: [FieldKind; 13] = [
    FieldKind::Bool,
    FieldKind::U8,
    FieldKind::I8,
    FieldKind::U16,
    FieldKind::I16,
    FieldKind::U32,
    FieldKind::I32,
    FieldKind::U64,
    FieldKind::I64,
    FieldKind::F32,
    FieldKind::F64,
    FieldKind::Text,
    FieldKind::Bytes,
];

pub(crate) fn field() -> impl Strategy<Value = Field> {
    (prop::sample::select(&KINDS[..]), any::<bool>(), prop::option::of(0u8..=9)).prop_map(
        |(kind, optional, decimals)| Field {
            optional,
            decimals: decimals.filter(|_| matches!(kind, FieldKind::F32 | FieldKind::F64)),
            ..Field::new("field", kind)
        },
    )
}

pub(crate) fn value(field: &Field) -> BoxedStrategy<Value> {
    let present = match field.kind {
        FieldKind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        FieldKind::U8 => any::<u8>().prop_map(|n| Value::Int(n.into())).boxed(),
        FieldKind::I8 => any::<i8>().prop_map(|n| Value::Int(n.into())).boxed(),
        FieldKind::U16 => any::<u16>().prop_map(|n| Value::Int(n.into())).boxed(),
        FieldKind::I16 => any::<i16>().prop_map(|n| Value::Int(n.into())).boxed(),
        FieldKind::U32 => any::<u32>().prop_map(|n| Value::Int(n.into())).boxed(),
        FieldKind::I32 => any::<i32>().prop_map(|n| Value::Int(n.into())).boxed(),
        FieldKind::U64 => any::<u64>().prop_map(Value::UInt).boxed(),
        FieldKind::I64 => any::<i64>().prop_map(Value::Int).boxed(),
        FieldKind::F32 => {
            prop_oneof![any::<u32>().prop_map(f32::from_bits), -1000f32..1000.0].prop_map(Value::F32).boxed()
        }
        FieldKind::F64 => {
            prop_oneof![any::<u64>().prop_map(f64::from_bits), -1000f64..1000.0].prop_map(Value::F64).boxed()
        }
        FieldKind::Text => any::<String>().prop_map(Value::Text).boxed(),
        FieldKind::Bytes => any::<Vec<u8>>().prop_map(Value::Bytes).boxed(),
    };
    if field.optional { prop_oneof![Just(Value::Null), present].boxed() } else { present }
}

/// A few schemas and records of them.
pub(crate) fn batch() -> impl Strategy<Value = (SchemaTable, Batch)> {
    prop::collection::vec(prop::collection::vec(field(), 0..5), 1..4).prop_flat_map(|schemas| {
        let table: SchemaTable = schemas
            .iter()
            .enumerate()
            .map(|(id, fields)| (SchemaId(id as u32), Arc::new(schema(fields.clone()))))
            .collect();
        let record = (0..schemas.len()).prop_flat_map(move |id| {
            let values: Vec<_> = schemas[id].iter().map(value).collect();
            (any::<i64>(), values).prop_map(move |(time, values)| Record {
                schema: SchemaId(id as u32),
                time: Timestamp(time),
                values,
            })
        });
        (Just(table), prop::collection::vec(record, 0..20).prop_map(Batch::new))
    })
}

pub(crate) fn schema(fields: Vec<Field>) -> Schema {
    Schema { stream: "test".into(), origin: Origin::Sensor, class: Class::Live, fields }
}

pub(crate) fn table(fields: Vec<Field>) -> SchemaTable {
    [(SchemaId(1), Arc::new(schema(fields)))].into()
}

pub(crate) fn record(time: i64, values: Vec<Value>) -> Record {
    Record { schema: SchemaId(1), time: Timestamp(time), values }
}

/// Whether a decoded value is what was encoded: floats on a grid within half a step and half a unit in the last place,
/// everything else bit for bit.
pub(crate) fn carried(field: &Field, sent: &Value, got: &Value) -> bool {
    let half_step = |decimals: u8| 0.5 / 10f64.powi(decimals.into());
    match (sent, got, field.decimals) {
        (Value::F32(a), Value::F32(b), Some(decimals)) if a.is_finite() => {
            let slack =
                half_step(decimals) * (1.0 + 1e-6) + f64::from(a.abs()) * f64::from(f32::EPSILON) / 2.0;
            a == b || (f64::from(*a) - f64::from(*b)).abs() <= slack
        }
        (Value::F64(a), Value::F64(b), Some(decimals)) if a.is_finite() => {
            a == b || (a - b).abs() <= half_step(decimals) * (1.0 + 1e-6) + a.abs() * f64::EPSILON
        }
        (Value::F32(a), Value::F32(b), _) => a.to_bits() == b.to_bits(),
        (Value::F64(a), Value::F64(b), _) => a.to_bits() == b.to_bits(),
        _ => sent == got,
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded((schemas, batch) in batch()) {
        let frame = encode(&batch, &schemas);
        let records = decode(&frame, &schemas).unwrap();
        prop_assert_eq!(records.len(), batch.records().len());
        for (sent, got) in batch.records().iter().zip(&records) {
            prop_assert_eq!((sent.schema, sent.time), (got.schema, got.time));
            let fields = &schemas[&sent.schema].fields;
            prop_assert_eq!(got.values.len(), fields.len());
            for ((field, sent), got) in fields.iter().zip(&sent.values).zip(&got.values) {
                prop_assert!(carried(field, sent, got), "{:?}: {:?} became {:?}", field, sent, got);
            }
        }
    }

    #[test]
    fn a_damaged_frame_never_panics((schemas, batch) in batch(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut frame = encode(&batch, &schemas);
        let at = at.index(frame.len());
        frame[at] = byte;
        let _ = decode(&frame, &schemas);
        let _ = decode(&frame[..cut.index(frame.len())], &schemas);
    }

    #[test]
    fn noise_never_panics(bytes: Vec<u8>, fields in prop::collection::vec(field(), 0..6)) {
        let schemas = table(fields);
        let _ = decode(&bytes, &schemas);
        let body = postcard::to_stdvec(&Frame::Plain(&[&[1], &bytes[..]].concat())).unwrap();
        let _ = decode(&body, &schemas);
    }
}

#[test]
fn a_float_off_its_grid_is_exact() {
    let schemas = table(vec![Field::new("roll", FieldKind::F32).with_decimals(4)]);
    let nan = f32::from_bits(0x7fa0_1234);
    let sent = [1.23456, nan, f32::INFINITY, -3.0e38, f32::NEG_INFINITY, 0.5];
    let batch = Batch::new(sent.iter().map(|&v| record(0, vec![Value::F32(v)])).collect());
    let got: Vec<u32> = decode(&encode(&batch, &schemas), &schemas)
        .unwrap()
        .iter()
        .map(|r| if let Value::F32(v) = r.values[0] { v.to_bits() } else { 0 })
        .collect();
    assert_eq!(got[0], 1.2346f32.to_bits());
    assert_eq!(got[1..], sent.map(f32::to_bits)[1..]);
}

#[test]
fn a_slow_stream_takes_a_byte_a_value() {
    let schemas = table(vec![Field::new("lat", FieldKind::I32), Field::new("fix", FieldKind::U8)]);
    let batch =
        Batch::new((0..10).map(|i| record(0, vec![Value::Int(473_977_000 + i), Value::Int(3)])).collect());
    // Kind and length 2, schema and count 2, ten times of 1, first latitude 5 and nine of 1, ten fix types of 1.
    assert_eq!(encode(&batch, &schemas).len(), 2 + 2 + 10 + 14 + 10);
}

#[test]
fn repetitive_text_is_compressed() {
    let schemas = table(vec![Field::new("text", FieldKind::Text)]);
    let batch = Batch::new(vec![record(0, vec![Value::Text("no GPS fix; ".repeat(200))])]);
    let frame = encode(&batch, &schemas);
    assert!(frame.len() < 100, "{}", frame.len());
    assert_eq!(decode(&frame, &schemas).unwrap(), batch.records());
}

#[test]
fn a_small_frame_cannot_claim_much_memory() {
    let schemas = table(Vec::new());
    let claim = |body: &[u8]| decode(&postcard::to_stdvec(&Frame::Plain(body)).unwrap(), &schemas);
    // Schema 1 with 2^28 records.
    assert_eq!(claim(&[1, 0x80, 0x80, 0x80, 0x80, 1]), Err(DecodeError::OverLimit("values")));
    let bomb = Frame::Lz4 { body_bytes: u32::MAX, block: &[0; 8] };
    let bomb = postcard::to_stdvec(&bomb).unwrap();
    assert_eq!(decode(&bomb, &schemas), Err(DecodeError::OverLimit("body bytes")));
    assert_eq!(decode(&[0; MAX_FRAME_BYTES + 1], &schemas), Err(DecodeError::OverLimit("frame bytes")));
}

/// Values that take the most bytes, of every kind, alone in their group and in company.
#[test]
fn the_worst_batch_fits_a_frame() {
    let worst = |kind, random: u64| match kind {
        FieldKind::Bool => Value::Bool(random & 1 == 1),
        FieldKind::U8 | FieldKind::I8 => Value::Int((random as i8).into()),
        FieldKind::U16 | FieldKind::I16 => Value::Int((random as i16).into()),
        FieldKind::U32 | FieldKind::I32 => Value::Int((random as i32).into()),
        FieldKind::U64 => Value::UInt(random),
        FieldKind::I64 => Value::Int(random as i64),
        // On a grid of no decimals: steps of up to 52 bits of either sign.
        FieldKind::F32 => Value::F32((random as i64 >> 12) as f32),
        FieldKind::F64 => Value::F64(f64::from_bits(random | 0x7ff0_0000_0000_0001)),
        FieldKind::Text => Value::Text(char::from(random as u8 & 0x7f).into()),
        FieldKind::Bytes => Value::Bytes(vec![random as u8; 2]),
    };
    for (kind, fields) in KINDS.into_iter().flat_map(|kind| [(kind, 0), (kind, 1), (kind, 12)]) {
        let decimals = matches!(kind, FieldKind::F32 | FieldKind::F64).then_some(0);
        let fields = vec![Field { decimals, ..Field::new("worst", kind).optional() }; fields];
        let schema = Arc::new(schema(fields.clone()));
        let schemas: SchemaTable = (0..4096).map(|id| (SchemaId(id), schema.clone())).collect();
        for alone in [false, true] {
            let mut random = 1u64;
            let mut next = || {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                random ^ random >> 29
            };
            let mut batcher = Batcher::new(BatchLimits::default());
            let mut records = (0..4096).map(|id| Record {
                schema: SchemaId(if alone { id } else { 0 }),
                time: Timestamp(next() as i64),
                values: fields.iter().map(|field| worst(field.kind, next())).collect(),
            });
            let batch = records.find_map(|record| batcher.push(Instant::default(), record, false)).unwrap();
            let frame = encode(&batch, &schemas);
            let taken: usize = batch.records().iter().map(Record::size_hint).sum();
            assert!(
                frame.len() * 3 <= taken * 4,
                "{kind:?}, {} fields, alone {alone}: {} bytes of {taken}",
                fields.len(),
                frame.len()
            );
            assert!(decode(&frame, &schemas).is_ok());
        }
    }
}

#[test]
fn a_frame_needs_its_schemas() {
    let schemas = table(vec![]);
    let frame = encode(&Batch::new(vec![record(0, vec![])]), &schemas);
    assert_eq!(decode(&frame, &SchemaTable::new()), Err(DecodeError::UnknownSchema(SchemaId(1))));
}
