//! Encodes a recording frame by frame, decodes it again and compares.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::slice;
use std::time::{Duration, Instant};

use serde::Serialize;
use tern_shared::batch::Batch;
use tern_shared::codec::SchemaTable;
use tern_shared::codec::predictive::{Base, Decoder, Encoder, Keep};
use tern_shared::record::{Record, Value};
use tern_shared::schema::Field;

use super::baseline;
use super::tlog::{self, Recording};
use crate::provenance::Provenance;

/// The messages that `core` counts: eight that most autopilots send, and the local position where a file has it.
const CORE: [&str; 9] = [
    "ATTITUDE",
    "GLOBAL_POSITION_INT",
    "GPS_RAW_INT",
    "VFR_HUD",
    "SYS_STATUS",
    "SCALED_PRESSURE",
    "RAW_IMU",
    "HEARTBEAT",
    "LOCAL_POSITION_NED",
];
/// How long the simulated ground's acknowledgements take.
const ACKNOWLEDGED_AFTER: Duration = Duration::from_secs(1);

/// A frame's time is the best of so many runs: other programs only ever add to it.
const RUNS: usize = 5;

/// Which frames a frame continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossPolicy {
    /// The one before.
    Chain,
    /// The one before; every fourth the newest that was acknowledged.
    Restart4,
    /// None.
    Standalone,
}

/// Which messages of a file count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// The usual telemetry.
    Core,
    /// Everything.
    All,
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct CodecOptions {
    /// How long a frame gathers records.
    pub window: Duration,
    /// Whether floats are kept bit for bit.
    pub exact: bool,
    /// Which frames a frame continues.
    pub policy: LossPolicy,
    /// Which messages count.
    pub streams: Streams,
}

/// What came out of one file.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What made it, when and on what.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// The recording.
    pub file: PathBuf,
    /// How long a frame gathers records, milliseconds.
    pub window_ms: u64,
    /// `sensor` or `exact`.
    pub precision: &'static str,
    /// The loss policy.
    pub policy: &'static str,
    /// `core` or `all`.
    pub streams: &'static str,
    /// How many records.
    pub samples: usize,
    /// How many frames.
    pub frames: usize,
    /// Their bytes, all of them.
    pub bytes: usize,
    /// `bytes` over `samples`.
    pub bytes_per_sample: f64,
    /// The same as MAVLink v2 frames.
    pub mavlink2_bytes_per_sample: f64,
    /// The same as JSON objects.
    pub json_bytes_per_sample: f64,
    /// The same as postcard rows, LZ4 where it shrinks.
    pub postcard_lz4_bytes_per_sample: f64,
    /// Time to encode, nanoseconds.
    pub encode_ns_per_sample: f64,
    /// Time to decode, nanoseconds.
    pub decode_ns_per_sample: f64,
    /// `exact`, `within-precision` or `FAILED`.
    pub roundtrip: &'static str,
}

/// Measures one recording.
///
/// # Errors
///
/// When the file cannot be read or holds no messages of those wanted.
pub fn measure(file: &Path, options: &CodecOptions) -> Result<Report, String> {
    let provenance = Provenance::now();
    let bytes = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let wanted = |name: &str| options.streams == Streams::All || CORE.contains(&name);
    let recording = tlog::read(&bytes, options.exact, wanted);
    if recording.records.is_empty() {
        return Err(format!("{}: no MAVLink messages found: is it a .tlog?", file.display()));
    }
    let batches = batches(&recording, options.window);
    let mut run = run(&batches, &recording.schemas, options.policy);
    for _ in 1..RUNS {
        let again = self::run(&batches, &recording.schemas, options.policy);
        keep_best(&mut run.encode, &again.encode);
        keep_best(&mut run.decode, &again.decode);
    }
    let samples = recording.records.len();
    let each = |sum: usize| sum as f64 / samples as f64;
    let sum = |bytes: fn(&Record, &tern_shared::schema::Schema) -> usize| {
        each(recording.records.iter().map(|r| bytes(r, &recording.schemas[&r.schema])).sum())
    };
    Ok(Report {
        provenance,
        file: file.to_owned(),
        window_ms: options.window.as_millis() as u64,
        precision: if options.exact { "exact" } else { "sensor" },
        policy: match options.policy {
            LossPolicy::Chain => "chain",
            LossPolicy::Restart4 => "restart4",
            LossPolicy::Standalone => "standalone",
        },
        streams: if options.streams == Streams::All { "all" } else { "core" },
        samples,
        frames: batches.len(),
        bytes: run.bytes,
        bytes_per_sample: each(run.bytes),
        mavlink2_bytes_per_sample: sum(baseline::mavlink2_bytes),
        json_bytes_per_sample: sum(baseline::json_bytes),
        postcard_lz4_bytes_per_sample: each(
            batches.iter().map(|batch| baseline::postcard_lz4_bytes(batch, &recording.schemas)).sum(),
        ),
        encode_ns_per_sample: nanos(&run.encode) / samples as f64,
        decode_ns_per_sample: nanos(&run.decode) / samples as f64,
        roundtrip: match run.fidelity {
            Some(true) => "exact",
            Some(false) => "within-precision",
            None => "FAILED",
        },
    })
}

/// The records as the edge's batcher would gather them, by their capture times.
fn batches(recording: &Recording, window: Duration) -> Vec<Batch> {
    let window = window.as_micros() as i64;
    let mut batches = Vec::new();
    let mut open: Vec<Record> = Vec::new();
    for record in &recording.records {
        let opened = open.first().map_or(record.time, |first| first.time);
        if !(0..window).contains(&record.time.micros_since(opened)) {
            batches.push(Batch::new(std::mem::take(&mut open)));
        }
        open.push(record.clone());
    }
    batches.push(Batch::new(open));
    batches
}

struct Run {
    bytes: usize,
    /// What each frame took.
    encode: Vec<Duration>,
    decode: Vec<Duration>,
    /// `Some(true)` when every value came back bit for bit, `None` when one did not come back within its precision.
    fidelity: Option<bool>,
}

fn run(batches: &[Batch], schemas: &SchemaTable, policy: LossPolicy) -> Run {
    let mut run = Run { bytes: 0, encode: Vec::new(), decode: Vec::new(), fidelity: Some(true) };
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    // The frames on their way to the ground and back: the time of the last record, the number of the first.
    let mut unacknowledged: VecDeque<(i64, u64)> = VecDeque::new();
    let mut first = 0;
    for (index, batch) in batches.iter().enumerate() {
        let now = batch.records().iter().map(|record| record.time.0).max().unwrap_or_default();
        let (base, keep) = match policy {
            LossPolicy::Chain => (Base::Previous, Keep::ForNext),
            LossPolicy::Restart4 if index % 4 == 0 => (Base::Acknowledged, Keep::ForAll),
            LossPolicy::Restart4 => (Base::Previous, Keep::ForAll),
            LossPolicy::Standalone => (Base::Key, Keep::Nothing),
        };
        while let Some((_, first)) =
            unacknowledged.pop_front_if(|(time, _)| *time + ACKNOWLEDGED_AFTER.as_micros() as i64 <= now)
        {
            encoder.acknowledge(first);
        }
        let started = Instant::now();
        let frame = encoder.encode(slice::from_ref(batch), schemas, first, base, keep, usize::MAX);
        run.encode.push(started.elapsed());
        let Ok(frame) = frame else {
            run.fidelity = None;
            continue;
        };
        run.bytes += frame.len();
        let started = Instant::now();
        let decoded = decoder.decode(&frame, schemas, first);
        run.decode.push(started.elapsed());
        run.fidelity = run
            .fidelity
            .and_then(|exact| Some(exact & compare(batch.records(), &decoded.ok()?.concat(), schemas)?));
        if keep == Keep::ForAll {
            unacknowledged.push_back((now, first));
        }
        first += batch.records().len() as u64;
    }
    run
}

fn keep_best(best: &mut [Duration], again: &[Duration]) {
    for (best, again) in best.iter_mut().zip(again) {
        *best = (*best).min(*again);
    }
}

fn nanos(times: &[Duration]) -> f64 {
    times.iter().sum::<Duration>().as_nanos() as f64
}

/// Whether the records are the same bit for bit; `None` when they are not even within their precision.
fn compare(sent: &[Record], got: &[Record], schemas: &SchemaTable) -> Option<bool> {
    let mut exact = true;
    if sent.len() != got.len() {
        return None;
    }
    for (sent, got) in sent.iter().zip(got) {
        if sent.schema != got.schema || (sent.time.0 - got.time.0).abs() > 500 {
            return None;
        }
        let fields = &schemas.get(&sent.schema)?.fields;
        if sent.values.len() != got.values.len() || sent.values.len() != fields.len() {
            return None;
        }
        for (field, (sent, got)) in fields.iter().zip(sent.values.iter().zip(&got.values)) {
            exact &= same(field, sent, got)?;
        }
    }
    Some(exact)
}

fn same(field: &Field, sent: &Value, got: &Value) -> Option<bool> {
    let (a, b, ulp) = match (sent, got) {
        (Value::F32(a), Value::F32(b)) if a.to_bits() == b.to_bits() => return Some(true),
        (Value::F64(a), Value::F64(b)) if a.to_bits() == b.to_bits() => return Some(true),
        (Value::F32(a), Value::F32(b)) => (f64::from(*a), f64::from(*b), f64::from(f32::EPSILON)),
        (Value::F64(a), Value::F64(b)) => (*a, *b, f64::EPSILON),
        _ => return (sent == got).then_some(true),
    };
    let half_step = 0.5 / 10f64.powi(field.decimals?.into());
    ((a - b).abs() <= half_step * (1.0 + 1e-6) + a.abs() * ulp).then_some(false)
}
