//! What the golden frames carry: every frame kind, every kind of field, every quantity, and values that are hard.

use tern_shared::codec::predictive::{Base, Keep};
use tern_shared::mavlink::dialect;
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Class, Field, FieldKind, MavlinkOrigin, Origin, Schema};
use tern_shared::time::Timestamp;

use super::Case;

/// 2026-09-21, microseconds.
const START: i64 = 1_790_000_000_000_000;

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    vec![kinds_of_frames(), flight(), kinds_of_fields(), hard_values(), texts(), blocks()]
}

/// Numbers that look random and are the same for ever.
struct Noise(u64);

impl Noise {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }

    fn below(&mut self, end: u64) -> i64 {
        (self.bits() >> 11) as i64 % end as i64
    }
}

/// About the sine of so many turns, of what IEEE 754 rounds alike everywhere.
fn wave(turns: f64) -> f64 {
    let x = turns.rem_euclid(1.0);
    if x < 0.5 { 16.0 * x * (0.5 - x) } else { -16.0 * (x - 0.5) * (1.0 - x) }
}

fn sensor(stream: &str, fields: Vec<Field>) -> Schema {
    Schema { stream: stream.to_owned(), origin: Origin::Sensor, class: Class::Live, fields }
}

/// Key, next and since frames, of one part and of several, with all that a state can be kept for.
fn kinds_of_frames() -> Case {
    let fields = vec![
        Field::new("time_boot_ms", FieldKind::U32).with_unit("ms"),
        Field::new("roll", FieldKind::F32).with_unit("rad").with_decimals(4),
        Field::new("note", FieldKind::Text).optional(),
    ];
    let mut case = Case::new("kinds of frames", 1000, vec![sensor("attitude", fields)]);
    let (id, _) = case.schema(0);
    let part = |from: i64, records: i64| -> Vec<Record> {
        let sample = |index: i64| {
            let note = if index % 3 == 1 { Value::Text("calm".into()) } else { Value::Null };
            let roll = if index == 5 { f32::NAN } else { wave(index as f64 * 0.05) as f32 };
            let values = vec![Value::Int(5000 + index * 100), Value::F32(roll), note];
            Record { schema: id, time: Timestamp(START + index * 100_000), values }
        };
        (from..from + records).map(sample).collect()
    };
    let key = case.frame(Base::Key, Keep::ForAll, vec![part(0, 2)]);
    case.frame(Base::Previous, Keep::ForNext, vec![part(2, 2)]);
    case.frame(Base::Previous, Keep::ForAll, vec![part(4, 3)]);
    case.acknowledge(key);
    let since = case.frame(Base::Acknowledged, Keep::ForAll, vec![part(7, 2)]);
    case.frame(Base::Acknowledged, Keep::Nothing, vec![part(9, 2), part(11, 1), part(12, 20)]);
    case.acknowledge(since);
    case.frame(Base::Acknowledged, Keep::ForNext, vec![part(32, 1)]);
    case.frame(Base::Previous, Keep::Nothing, vec![part(33, 1)]);
    case.frame(Base::Key, Keep::Nothing, vec![part(34, 8), part(42, 8)]);
    case
}

/// A vehicle's usual messages: all quantities, from several messages at once.
fn flight() -> Case {
    let names = [
        "ATTITUDE",
        "GLOBAL_POSITION_INT",
        "GPS_RAW_INT",
        "VFR_HUD",
        "SYS_STATUS",
        "RAW_IMU",
        "LOCAL_POSITION_NED",
        "BATTERY_STATUS",
        "SYSTEM_TIME",
        "STATUSTEXT",
    ];
    let schema = |name: &&str| {
        let message = dialect::message_named(name).unwrap().id;
        Schema::of_mavlink(MavlinkOrigin { system: 1, component: 1, message }).unwrap()
    };
    let mut case = Case::new("flight", 0, names.iter().map(schema).collect());
    let mut noise = Noise(1);
    let mut acknowledged = None;
    for frame in 0..40i64 {
        let records: Vec<Record> = (0..10 + frame % 3)
            .map(|i| {
                let index = if i == 9 { 9 - (frame % 4) as usize } else { (i % 7) as usize };
                let (id, schema) = case.schema(index);
                let millis = frame * 250 + i * 24 + noise.below(3);
                let fly = |(place, field)| fly(&mut noise, index, place, field, millis);
                let values = schema.fields.iter().enumerate().map(fly).collect();
                Record { schema: id, time: Timestamp(START + millis * 1000 + 137), values }
            })
            .collect();
        let base = if frame % 4 == 0 { Base::Acknowledged } else { Base::Previous };
        let keep = if frame % 4 == 1 { Keep::ForAll } else { Keep::ForNext };
        let first = case.frame(base, keep, vec![records]);
        if frame % 4 == 1 {
            acknowledged.replace(first).into_iter().for_each(|first| case.acknowledge(first));
        }
    }
    case
}

fn fly(noise: &mut Noise, message: usize, place: usize, field: &Field, millis: i64) -> Value {
    let seconds = millis as f64 / 1000.0;
    // A circle of 50 m in 20 s.
    let turns = seconds / 20.0;
    let (sin, cos) = (wave(turns), wave(turns + 0.25));
    let jitter = noise.below(7) as f64 - 3.0;
    let value = match (field.name.as_str(), field.unit.as_str()) {
        ("time_boot_ms", _) => return Value::Int(60_000 + millis),
        ("time_usec", _) => return Value::UInt((60_000 + millis) as u64 * 1000 + 55),
        ("time_unix_usec", _) => return Value::UInt((START + millis * 1000) as u64),
        ("roll" | "pitch", _) => 0.2 * sin + jitter * 2e-4,
        ("yaw", _) => ((turns + 0.5).rem_euclid(1.0) - 0.5) * std::f64::consts::TAU + jitter * 1e-4,
        ("rollspeed" | "pitchspeed", _) => 0.0628 * cos + jitter * 1e-3,
        ("yawspeed", _) => 0.314 + jitter * 1e-3,
        ("lat", _) => 473_977_000.0 + 4491.0 * sin + jitter,
        ("lon", _) => 85_455_000.0 - 6620.0 * cos + jitter,
        ("alt" | "relative_alt" | "alt_ellipsoid", "mm") => 520_000.0 + 2000.0 * sin + jitter * 10.0,
        ("alt", _) => 520.0 + 2.0 * sin + jitter * 0.01,
        ("x", _) => 50.0 * sin + jitter * 0.01,
        ("y", _) => -50.0 * cos + jitter * 0.01,
        ("vx" | "vy" | "vz", "cm/s") => [1570.0 * cos, 1570.0 * sin, -62.8 * cos][place % 3] + jitter,
        ("vx" | "vy" | "vz", _) => [15.7 * cos, 15.7 * sin, -0.628 * cos][place % 3] + jitter * 0.01,
        ("hdg", _) => (turns * 36_000.0).rem_euclid(36_000.0),
        ("heading" | "cog", _) => (turns * 360.0).rem_euclid(360.0),
        ("voltage_battery" | "voltages[0]", _) => 15_800.0 - seconds * 3.0 + jitter,
        ("text", _) => return Value::Text(format!("Mission: {} WP", millis / 3000)),
        _ if message == 5 => 20.0 * sin + jitter * 3.0,
        _ if place % 5 == 4 => 100.0 + jitter,
        _ => place as f64,
    };
    match field.kind {
        FieldKind::F32 => Value::F32(value as f32),
        FieldKind::Bytes => Value::Bytes(Vec::new()),
        FieldKind::U64 => Value::UInt(value.max(0.0) as u64),
        FieldKind::U8 | FieldKind::U16 | FieldKind::U32 => Value::Int((value.max(0.0) as i64) & 0xff_ffff),
        _ => Value::Int(value as i64),
    }
}

/// Fields of every kind, absent now and then, one stream with microseconds, times out of order.
fn kinds_of_fields() -> Case {
    let kinds = [
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
    let plain = kinds.map(|kind| Field::new(format!("{kind:?}"), kind)).into();
    let optional = kinds.map(|kind| Field::new(format!("{kind:?}"), kind).optional()).into();
    let grids = vec![
        Field::new("position.lat", FieldKind::F64).with_unit("deg").with_decimals(7),
        Field::new("course", FieldKind::F32).with_unit("deg").with_decimals(1).optional(),
        Field::new("climb", FieldKind::F32).with_unit("m/s").with_decimals(2),
        Field::new("alt", FieldKind::I32).with_unit("mm"),
        Field::new("cell1", FieldKind::U16).with_unit("mV"),
        Field::new("cell2", FieldKind::U16).with_unit("mV"),
    ];
    let schemas = vec![sensor("plain", plain), sensor("optional", optional), sensor("grids", grids)];
    let mut case = Case::new("kinds of fields", u64::from(u32::MAX) - 3, schemas);
    case.carry_microseconds(2);
    let mut noise = Noise(2);
    for frame in 0..25i64 {
        let records: Vec<Record> = (0..6)
            .map(|i| {
                let (id, schema) = case.schema((frame + i) as usize % 3);
                let late = if noise.below(9) == 0 { 90_000 } else { 0 };
                let time = START + frame * 200_000 + i * 30_000 + noise.below(999) - late;
                let any = |(place, field)| any(&mut noise, frame, place, field);
                let values = schema.fields.iter().enumerate().map(any).collect();
                Record { schema: id, time: Timestamp(time), values }
            })
            .collect();
        case.frame(Base::Previous, Keep::ForNext, vec![records]);
    }
    case
}

fn any(noise: &mut Noise, frame: i64, place: usize, field: &Field) -> Value {
    if field.optional && noise.below(4) == 0 {
        return Value::Null;
    }
    let wild = noise.below(6) == 0;
    let number = if wild { noise.bits() as i64 } else { frame * 37 + noise.below(20) };
    match field.kind {
        FieldKind::Bool => Value::Bool(number % 3 == 0),
        FieldKind::U8 => Value::Int(i64::from(number as u8)),
        FieldKind::I8 => Value::Int(i64::from(number as i8)),
        FieldKind::U16 => Value::Int(i64::from(number as u16)),
        FieldKind::I16 => Value::Int(i64::from(number as i16)),
        FieldKind::U32 => Value::Int(i64::from(number as u32)),
        // Whole centimetres, now and then not.
        FieldKind::I32 if !wild => Value::Int(number * 10),
        FieldKind::I32 => Value::Int(i64::from(number as i32)),
        FieldKind::U64 => Value::UInt(number as u64),
        FieldKind::I64 => Value::Int(number),
        FieldKind::F32 if wild => Value::F32(f32::from_bits(number as u32)),
        FieldKind::F32 => Value::F32(number as f32 / 8.0),
        FieldKind::F64 if wild => Value::F64(f64::from_bits(number as u64)),
        FieldKind::F64 => Value::F64(47.0 + number as f64 / 100_000.0),
        FieldKind::Text => Value::Text(format!("{place} is {}", number.rem_euclid(50))),
        FieldKind::Bytes => Value::Bytes(number.to_le_bytes()[..(number & 7) as usize].to_vec()),
    }
}

/// Sentinels, infinities, wraps, jumps, steps, and numbers at the ends of their ranges.
fn hard_values() -> Case {
    let fields = vec![
        Field::new("time_boot_ms", FieldKind::U32).with_unit("ms"),
        Field::new("hdg", FieldKind::U16).with_unit("cdeg"),
        Field::new("yaw", FieldKind::F32).with_unit("rad").with_decimals(4),
        Field::new("lat", FieldKind::I32).with_unit("degE7"),
        Field::new("lon", FieldKind::I32).with_unit("degE7"),
        Field::new("vx", FieldKind::I64).with_unit("cm/s"),
        Field::new("speed", FieldKind::F64).with_unit("m/s").with_decimals(9),
        Field::new("level", FieldKind::U16),
    ];
    let mut case = Case::new("hard values", 7, vec![sensor("hard", fields)]);
    let (id, _) = case.schema(0);
    let mut noise = Noise(3);
    let floats = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e300, 4.5e6, f64::MIN_POSITIVE, 3.25];
    for frame in 0..30i64 {
        let records: Vec<Record> = (0..4i64)
            .map(|i| {
                let n = frame * 4 + i;
                let jump = [0, 0, 0, 0, 3_600_000, 0, -5_000_000][noise.below(7) as usize];
                let boot = (i64::from(u32::MAX) - 4000 + n * 100 + jump) & i64::from(u32::MAX);
                let float = floats[(n / 3) as usize % floats.len()];
                let seldom = n % 11 == 0;
                let values = vec![
                    Value::Int(boot),
                    Value::Int(if seldom { 65_535 } else { (n * 700) % 36_000 }),
                    Value::F32(if seldom { float as f32 } else { ((n % 63) as f32 - 31.0) / 10.0 }),
                    Value::Int(if seldom { 0 } else { 899_999_000 + n }),
                    Value::Int(if seldom { i32::MIN.into() } else { -1_799_999_000 + n * 50 }),
                    Value::Int([i64::MAX, i64::MIN, 5, -5, 0][noise.below(5) as usize]),
                    Value::F64(if n % 2 == 0 { float } else { n as f64 / 3.0 }),
                    Value::Int(if n % 17 == 16 { 1 } else { 1000 + n % 5 * 250 }),
                ];
                let wrong = if noise.below(20) == 0 { 40_000_000_000_000 } else { 0 };
                let time = if frame == 13 && i == 0 { i64::MAX } else { START + n * 100_000 - wrong };
                Record { schema: id, time: Timestamp(time), values }
            })
            .collect();
        let keep = if frame % 5 == 4 { Keep::ForAll } else { Keep::ForNext };
        case.frame(Base::Previous, keep, vec![records]);
    }
    case
}

/// Text that repeats, text that is none, and nothing at all.
fn texts() -> Case {
    let fields = vec![Field::new("text", FieldKind::Text), Field::new("blob", FieldKind::Bytes)];
    let mut case = Case::new("texts", 0, vec![sensor("log", fields)]);
    let (id, _) = case.schema(0);
    let mut noise = Noise(4);
    for frame in 0..16i64 {
        let records: Vec<Record> = (0..3i64)
            .map(|i| {
                let n = frame * 3 + i;
                let text = match n % 4 {
                    0 => Value::Text(format!("EKF3 IMU{} is using GPS, höhe {n} m", n % 2)),
                    1 => Value::Text("EKF3 lane switch".repeat((n as usize % 3) * 20)),
                    2 => Value::Bytes(vec![0xff, 0, 0x80, n as u8]),
                    _ => Value::Text("Arming".into()),
                };
                let blob = match n % 3 {
                    0 => (0..noise.below(60)).map(|_| noise.bits() as u8).collect(),
                    1 => vec![0; 40],
                    _ => Vec::new(),
                };
                Record {
                    schema: id,
                    time: Timestamp(START + n * 333_000),
                    values: vec![text, Value::Bytes(blob)],
                }
            })
            .collect();
        case.frame(Base::Previous, Keep::ForNext, vec![records]);
    }
    case
}

/// Backlog of strings that LZ4 shrinks: those that are no text, and all of them, in a key frame and in one that is not.
fn blocks() -> Case {
    let fields = vec![Field::new("text", FieldKind::Text), Field::new("blob", FieldKind::Bytes)];
    let mut case = Case::new("blocks", 0, vec![sensor("log", fields)]);
    let (id, _) = case.schema(0);
    let part = |from: i64, records: i64, text_bytes: usize| -> Vec<Record> {
        let mut noise = Noise(5);
        let text: String = (0..text_bytes).map(|_| char::from(b' ' + noise.below(95) as u8)).collect();
        let pattern: Vec<u8> = (0..120).map(|_| noise.bits() as u8).collect();
        let sample = |n: i64| {
            let blob = [&[n as u8], &pattern[..], &[0x5a; 300][..n as usize % 300]].concat();
            let values = vec![Value::Text(format!("{n}{text}")), Value::Bytes(blob)];
            Record { schema: id, time: Timestamp(START + n * 333_000), values }
        };
        (from..from + records).map(sample).collect()
    };
    case.frame(Base::Key, Keep::Nothing, vec![part(0, 3, 10), part(3, 2, 10)]);
    case.frame(Base::Key, Keep::Nothing, vec![part(5, 20, 400), part(25, 20, 400)]);
    let key = case.frame(Base::Key, Keep::ForAll, vec![part(45, 2, 20)]);
    case.acknowledge(key);
    case.frame(Base::Acknowledged, Keep::Nothing, vec![part(47, 3, 20), part(50, 3, 20)]);
    case
}
