//! Records a second through batch and encode, and back: a quadcopter's usual messages with plausible values.
//!
//! `cargo bench -p tern-shared --bench codec`; the figures are per record.

#![allow(missing_docs)] // Nobody calls a benchmark.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tern_shared::batch::{Batch, BatchLimits, Batcher};
use tern_shared::codec::predictive::{Base, Decoder, Encoder, Keep};
use tern_shared::codec::{self, SchemaTable};
use tern_shared::id::SchemaId;
use tern_shared::mavlink::dialect;
use tern_shared::record::{Record, Value};
use tern_shared::schema::{MavlinkOrigin, Schema};
use tern_shared::time::{Instant, Timestamp};

/// Records of a run: two minutes of a vehicle that sends 250 a second.
const RECORDS: usize = 30_000;
/// Slow enough that the window closes every batch, and fast enough that its size does.
const RECORDS_PER_SECOND: [u64; 2] = [250, 50_000];
/// Message and how many of ten records are of it.
const MIX: [(&str, usize); 5] =
    [("ATTITUDE", 3), ("RAW_IMU", 3), ("GLOBAL_POSITION_INT", 2), ("VFR_HUD", 1), ("SYS_STATUS", 1)];

fn main() {
    divan::main();
}

#[divan::bench(args = RECORDS_PER_SECOND)]
fn batch_and_encode(bencher: Bencher, records_per_second: u64) {
    let schemas = schemas();
    let records = flight(records_per_second);
    bencher
        .counter(ItemsCount::new(records.len()))
        .with_inputs(|| records.clone())
        .bench_values(|records| frames(records, &schemas));
}

#[divan::bench(args = RECORDS_PER_SECOND)]
fn decode(bencher: Bencher, records_per_second: u64) {
    let schemas = schemas();
    let frames = frames(flight(records_per_second), &schemas);
    bencher.counter(ItemsCount::new(RECORDS)).bench(|| {
        let records = |frame: &Vec<u8>| codec::decode(frame, &schemas).map_or(0, |records| records.len());
        frames.iter().map(records).sum::<usize>()
    });
}

/// The predictive codec, in chains as the live lane sends them.
#[divan::bench]
fn predictive_encode(bencher: Bencher) {
    let schemas = schemas();
    let batches = batches(flight(250));
    bencher.counter(ItemsCount::new(RECORDS)).bench(|| predictive_frames(&batches, &schemas).len());
}

#[divan::bench]
fn predictive_decode(bencher: Bencher) {
    let schemas = schemas();
    let frames = predictive_frames(&batches(flight(250)), &schemas);
    bencher.counter(ItemsCount::new(RECORDS)).bench(|| {
        let mut decoder = Decoder::new();
        let records = |(first, frame): &(u64, Vec<u8>)| {
            decoder.decode(frame, &schemas, *first).map_or(0, |parts| parts.iter().map(Vec::len).sum())
        };
        frames.iter().map(records).sum::<usize>()
    });
}

fn predictive_frames(batches: &[Batch], schemas: &SchemaTable) -> Vec<(u64, Vec<u8>)> {
    let mut encoder = Encoder::new();
    let mut first = 0;
    let encode = |batch: &Batch| {
        let frame =
            encoder.encode(slice::from_ref(batch), schemas, first, Base::Previous, Keep::ForNext, usize::MAX);
        first += batch.records().len() as u64;
        (first - batch.records().len() as u64, frame.unwrap_or_default())
    };
    batches.iter().map(encode).collect()
}

/// Batches and encodes, under the clock of the records themselves.
fn frames(records: Vec<Record>, schemas: &SchemaTable) -> Vec<Vec<u8>> {
    batches(records).iter().map(|batch| codec::encode(batch, schemas)).collect()
}

fn batches(records: Vec<Record>) -> Vec<Batch> {
    let mut batcher = Batcher::new(BatchLimits::default());
    let mut batches = Vec::new();
    for record in records {
        let now = Instant(Duration::from_micros(record.time.0.unsigned_abs()));
        batches.extend(batcher.handle_timeout(now));
        batches.extend(batcher.push(now, record, false));
    }
    batches.extend(batcher.close(Instant::default()));
    batches
}

fn schemas() -> SchemaTable {
    MIX.iter()
        .zip(0..)
        .filter_map(|((name, _), id)| {
            let message = dialect::message_named(name)?.id;
            let schema = Schema::of_mavlink(MavlinkOrigin { system: 1, component: 1, message })?;
            Some((SchemaId(id), Arc::new(schema)))
        })
        .collect()
}

/// A vehicle that flies circles over Zurich, with noise of the usual size in every sensor.
fn flight(records_per_second: u64) -> Vec<Record> {
    let mut rng = StdRng::seed_from_u64(7);
    let mut noise = move |size: f64| rng.random_range(-size..size);
    let kinds: Vec<u32> = MIX.iter().zip(0..).flat_map(|((_, share), id)| vec![id; *share]).collect();
    (0..RECORDS)
        .map(|index| {
            let jitter = noise(200.0) as i64;
            let micros = index as i64 * 1_000_000 / records_per_second as i64 + jitter.max(0);
            let schema = kinds[index * 7 % kinds.len()];
            let values = values(schema, micros, &mut noise);
            Record { schema: SchemaId(schema), time: Timestamp(micros), values }
        })
        .collect()
}

fn values(schema: u32, micros: i64, noise: &mut impl FnMut(f64) -> f64) -> Vec<Value> {
    let seconds = micros as f64 / 1e6;
    let (sin, cos) = (seconds / 8.0).sin_cos();
    let boot_ms = Value::Int(micros / 1000);
    let int = |value: f64| Value::Int(value as i64);
    let float = |value: f64| Value::F32(value as f32);
    match MIX[schema as usize].0 {
        "ATTITUDE" => {
            let angles = [0.12 * sin, -0.08 * cos, f64::atan2(sin, cos)];
            let rates = [0.015 * cos, 0.01 * sin, 0.125];
            let mut values = vec![boot_ms];
            values.extend(angles.map(|angle| float(angle + noise(0.002))));
            values.extend(rates.map(|rate| float(rate + noise(0.01))));
            values
        }
        "RAW_IMU" => {
            let mut values = vec![Value::UInt(micros.unsigned_abs())];
            let means = [20.0 * sin, 15.0 * cos, -998.0, 12.0 * cos, 9.0 * sin, 125.0, 230.0, 51.0, -418.0];
            let sizes = [12.0, 12.0, 15.0, 6.0, 6.0, 6.0, 3.0, 3.0, 3.0];
            values.extend(means.into_iter().zip(sizes).map(|(mean, size)| int(mean + noise(size))));
            values.extend([Value::Int(0), int(4150.0 + noise(3.0))]);
            values
        }
        "GLOBAL_POSITION_INT" => vec![
            boot_ms,
            int(473_977_000.0 + 5400.0 * sin + noise(3.0)),
            int(85_455_000.0 + 7900.0 * cos + noise(3.0)),
            int(528_000.0 + noise(60.0)),
            int(40_000.0 + noise(60.0)),
            int(750.0 * cos + noise(8.0)),
            int(-750.0 * sin + noise(8.0)),
            int(noise(12.0)),
            int((seconds / 8.0).to_degrees().rem_euclid(360.0) * 100.0),
        ],
        "VFR_HUD" => vec![
            float(7.4 + noise(0.2)),
            float(7.5 + noise(0.1)),
            float(528.0 + noise(0.06)),
            float(noise(0.12)),
            int((seconds / 8.0).to_degrees().rem_euclid(360.0)),
            int(46.0 + noise(2.0)),
        ],
        _ => {
            let sensors = Value::Int(325_188_655);
            let mut values = vec![sensors.clone(), sensors.clone(), sensors];
            values.extend(
                [380.0 + noise(20.0), 15_800.0 - seconds + noise(30.0), 1460.0 + noise(90.0)].map(int),
            );
            values.extend([0, 0, 0, 0, 0, 0].map(Value::Int));
            values.extend([int(96.0 - seconds / 20.0), Value::Int(0), Value::Int(0), Value::Int(0)]);
            values
        }
    }
}
