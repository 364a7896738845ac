//! What holds for any schemas, values, times and frames.

use std::sync::Arc;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::*;
use super::{assert_carried, decode, encode};
use crate::batch::Batch;
use crate::codec::SchemaTable;
use crate::codec::tests::{batch, field, schema, table};
use crate::id::SchemaId;
use crate::record::{Record, Value};
use crate::schema::{Field, FieldKind};
use crate::time::Timestamp;

fn base() -> impl Strategy<Value = Base> {
    prop_oneof![Just(Base::Key), Just(Base::Previous), Just(Base::Previous), Just(Base::Acknowledged)]
}

fn keep() -> impl Strategy<Value = Keep> {
    prop_oneof![Just(Keep::Nothing), Just(Keep::ForNext), Just(Keep::ForAll)]
}

/// Records of fields that measure something, which go on from one to the next but for a jump or a sentinel here and there.
fn walk() -> impl Strategy<Value = (SchemaTable, Batch)> {
    const NAMES: [&str; 13] = [
        "time_boot_ms",
        "roll",
        "yaw",
        "hdg",
        "rollspeed",
        "lat",
        "lon",
        "alt",
        "vx",
        "vy",
        "vz",
        "level1",
        "level2",
    ];
    const UNITS: [&str; 11] = ["ms", "us", "rad", "rad/s", "deg", "cdeg", "degE7", "mm", "m", "cm/s", ""];
    const KINDS: [FieldKind; 7] = [
        FieldKind::U8,
        FieldKind::U16,
        FieldKind::U32,
        FieldKind::I32,
        FieldKind::I64,
        FieldKind::F32,
        FieldKind::F64,
    ];
    let field = (
        prop::sample::select(&NAMES[..]),
        prop::sample::select(&UNITS[..]),
        prop::sample::select(&KINDS[..]),
        0u8..=9,
    );
    let field = field.prop_map(|(name, unit, kind, decimals)| {
        let decimals = Some(decimals).filter(|_| matches!(kind, FieldKind::F32 | FieldKind::F64));
        Field { decimals, ..Field::new(name, kind).with_unit(unit) }
    });
    (prop::collection::vec(prop::collection::vec(field, 0..6), 1..4), any::<u64>()).prop_map(
        |(schemas, seed)| {
            let schemas: SchemaTable =
                (0..).zip(schemas).map(|(id, fields)| (SchemaId(id), Arc::new(schema(fields)))).collect();
            let mut random = StdRng::seed_from_u64(seed);
            let start = random.random_range(-40_000..40_000i64);
            let pace = random.random_range(-300..300i64);
            let records = (0..64i64).map(|n| {
                let id = SchemaId(n as u32 % schemas.len() as u32);
                let late =
                    if random.random_ratio(1, 8) { random.random_range(-400_000..4_000_000_000) } else { 0 };
                let values =
                    schemas[&id].fields.iter().map(|field| step(&mut random, field, start + n * pace));
                let values = values.collect();
                Record { schema: id, time: Timestamp(1_790_000_000_000_000 + n * 40_007 + late), values }
            });
            let records = records.collect();
            (schemas, Batch::new(records))
        },
    )
}

fn step(random: &mut StdRng, field: &Field, walked: i64) -> Value {
    let sentinels = [0, -1, 1, 255, 65_535, i64::from(u32::MAX), i64::MAX, i64::MIN];
    let number = match random.random_range(0..10) {
        0 => sentinels[random.random_range(0..sentinels.len())],
        1 => random.random(),
        _ => walked + random.random_range(-2..3),
    };
    match field.kind {
        FieldKind::U8 => Value::Int(i64::from(number as u8)),
        FieldKind::U16 => Value::Int(i64::from(number as u16)),
        FieldKind::U32 => Value::Int(i64::from(number as u32)),
        FieldKind::I32 => Value::Int(i64::from(number as i32)),
        FieldKind::F32 if number == 255 => Value::F32(f32::from_bits(0xffc0_1234)),
        FieldKind::F32 => Value::F32(number as f32 / 64.0),
        FieldKind::F64 if number == 255 => Value::F64(f64::NEG_INFINITY),
        FieldKind::F64 => Value::F64(number as f64 / 64.0),
        _ => Value::Int(number),
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded((schemas, batch) in batch()) {
        prop_assume!(!batch.records().is_empty());
        let frame = encode(&mut Encoder::new(), &batch, &schemas, 0, Base::Key, Keep::Nothing);
        assert_carried(&schemas, batch.records(), &decode(&mut Decoder::new(), &frame, &schemas, 0).unwrap());
    }

    /// Frames of all kinds, of one part and of several, of arbitrary records at arbitrary times.
    #[test]
    fn any_frames_carry_any_values(
        (schemas, pool) in prop_oneof![batch(), walk()],
        frames in prop::collection::vec(
            (base(), keep(), prop::collection::vec(prop::collection::vec(0usize..64, 0..6), 1..4), any::<bool>()),
            1..20,
        ),
        first in prop_oneof![Just(0u64), any::<u32>().prop_map(u64::from)],
        fine in prop::collection::btree_set(0u32..4, 0..3),
    ) {
        prop_assume!(!pool.records().is_empty());
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        fine.iter().for_each(|id| encoder.carry_microseconds(SchemaId(*id)));
        let (mut first, mut position) = (first, 0);
        for (base, keep, parts, acknowledged) in frames {
            let mut pick = |skip: &usize| {
                position += 1 + skip / 32;
                pool.records()[position % pool.records().len()].clone()
            };
            let part = |picks: &Vec<usize>| Batch::new(picks.iter().map(&mut pick).collect());
            let parts: Vec<Batch> = parts.iter().map(part).collect();
            let frame = encoder.encode(&parts, &schemas, first, base, keep, usize::MAX).unwrap();
            let got = decoder.decode(&frame, &schemas, first).unwrap();
            prop_assert_eq!(got.len(), parts.len());
            for (sent, got) in parts.iter().zip(&got) {
                assert_carried(&schemas, sent.records(), got);
                for (sent, got) in sent.records().iter().zip(got) {
                    prop_assert!(got.time == sent.time || !fine.contains(&sent.schema.0));
                }
            }
            if acknowledged {
                encoder.acknowledge(first);
            }
            first += got.iter().map(Vec::len).sum::<usize>() as u64;
        }
    }

    #[test]
    fn noise_never_panics(bytes: Vec<u8>, fields in prop::collection::vec(field(), 0..6)) {
        let schemas = table(fields);
        let _ = decode(&mut Decoder::new(), &bytes, &schemas, 7);
    }
}
