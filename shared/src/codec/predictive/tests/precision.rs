//! What becomes of floats.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::*;
use super::{decode, encode};
use crate::batch::Batch;
use crate::codec::SchemaTable;
use crate::id::SchemaId;
use crate::mavlink::dialect;
use crate::record::{Record, Value};
use crate::schema::{Field, FieldKind, MavlinkOrigin, Schema};
use crate::time::Timestamp;

/// The error that `docs/CODEC.md`, section 7, promises, for every float of every message, over all magnitudes.
#[test]
fn every_float_of_the_dialect_keeps_its_bound() {
    let mut random = StdRng::seed_from_u64(9);
    let mut floats = 0;
    for layout in dialect::messages() {
        let origin = MavlinkOrigin { system: 1, component: 1, message: layout.id };
        let schema = Schema::of_mavlink(origin).unwrap();
        let is_float = |field: &Field| matches!(field.kind, FieldKind::F32 | FieldKind::F64);
        if !schema.fields.iter().any(is_float) {
            continue;
        }
        let records = (0..40i64).map(|n| {
            let mut value = |field: &Field| {
                let sign = if random.random() { 1.0 } else { -1.0 };
                let float = sign * random.random::<f64>() * 10f64.powi(random.random_range(-6..9));
                match field.kind {
                    FieldKind::F32 => Value::F32(float as f32),
                    FieldKind::F64 => Value::F64(float),
                    FieldKind::U64 => Value::UInt(n as u64),
                    FieldKind::Text | FieldKind::Bytes => Value::Bytes(vec![0xff]),
                    _ => Value::Int(n % 100),
                }
            };
            let values = schema.fields.iter().map(&mut value).collect();
            Record { schema: SchemaId(1), time: Timestamp(n * 20_000), values }
        });
        let batch = Batch::new(records.collect());
        for exact in [false, true] {
            let schema = Arc::new(if exact { schema.clone().exact() } else { schema.clone() });
            let schemas: SchemaTable = [(SchemaId(1), schema.clone())].into();
            let frame = encode(&mut Encoder::new(), &batch, &schemas, 0, Base::Key, Keep::ForNext);
            let got = decode(&mut Decoder::new(), &frame, &schemas, 0).unwrap();
            for (sent, got) in batch.records().iter().zip(&got) {
                for (field, (sent, got)) in schema.fields.iter().zip(sent.values.iter().zip(&got.values)) {
                    assert!(is_within(field, sent, got), "{}.{}: {sent:?} {got:?}", layout.name, field.name);
                    floats += usize::from(is_float(field) && !exact);
                }
            }
        }
    }
    assert!(floats > 10_000, "{floats}");
}

/// Half a step and half a unit in the last place; bit for bit without a grid.
fn is_within(field: &Field, sent: &Value, got: &Value) -> bool {
    let (sent, got, half_unit) = match (sent, got, field.decimals) {
        (Value::F32(a), Value::F32(b), Some(_)) => {
            let half_unit = f64::from(b.abs().next_up() - b.abs()) / 2.0;
            (f64::from(*a), f64::from(*b), half_unit)
        }
        (Value::F64(a), Value::F64(b), Some(_)) => (*a, *b, (b.abs().next_up() - b.abs()) / 2.0),
        (Value::F32(a), Value::F32(b), None) => return a.to_bits() == b.to_bits(),
        (Value::F64(a), Value::F64(b), None) => return a.to_bits() == b.to_bits(),
        _ => return sent == got,
    };
    let bound = 0.5 / 10f64.powi(field.decimals.unwrap_or(0).into()) + half_unit;
    // The bound itself and the difference are rounded, too.
    (sent - got).abs() <= bound * (1.0 + 1e-12) + sent.abs() * f64::EPSILON
}
