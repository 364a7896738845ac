//! Frames with columns of every kind.

use std::sync::Arc;

use tern_shared::codec::SchemaTable;
use tern_shared::id::SchemaId;
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Class, Field, FieldKind, Origin, Schema};
use tern_shared::time::Timestamp;

/// A frame and what it stands for.
pub(crate) struct GoldenFrame {
    /// What it shows.
    pub(crate) name: &'static str,
    /// What it decodes to, in this order.
    pub(crate) records: Vec<Record>,
    /// Its bytes.
    pub(crate) hex: &'static str,
}

/// 2020-09-13 12:26:40 UTC, microseconds.
const TIME: i64 = 1_600_000_000_000_000;

const INTEGERS: u32 = 1;
const GRID: u32 = 2;
const EXACT: u32 = 3;
const OPTIONAL: u32 = 4;
const TEXT: u32 = 5;
const DOOR: u32 = 6;
const WEATHER: u32 = 200;

/// The schemas of all golden frames.
pub(crate) fn schemas() -> SchemaTable {
    let integers = [
        FieldKind::Bool,
        FieldKind::U8,
        FieldKind::I8,
        FieldKind::U16,
        FieldKind::I16,
        FieldKind::U32,
        FieldKind::I32,
        FieldKind::U64,
        FieldKind::I64,
    ];
    [
        (INTEGERS, "integers", integers.map(|kind| Field::new(format!("{kind:?}"), kind)).into()),
        (
            GRID,
            "grid",
            vec![
                Field::new("f32", FieldKind::F32).with_decimals(2),
                Field::new("f64", FieldKind::F64).with_decimals(9),
            ],
        ),
        (EXACT, "exact", vec![Field::new("f32", FieldKind::F32), Field::new("f64", FieldKind::F64)]),
        (
            OPTIONAL,
            "optional",
            vec![
                Field::new("integer", FieldKind::U16).optional(),
                Field::new("grid", FieldKind::F32).with_decimals(1).optional(),
                Field::new("text", FieldKind::Text).optional(),
                Field::new("always there", FieldKind::U8).optional(),
            ],
        ),
        (TEXT, "text", vec![Field::new("text", FieldKind::Text), Field::new("bytes", FieldKind::Bytes)]),
        (DOOR, "door", vec![Field::new("open", FieldKind::Bool)]),
        (
            WEATHER,
            "weather",
            vec![
                Field::new("temperature", FieldKind::F32).with_unit("degC").with_decimals(2),
                Field::new("humidity", FieldKind::U8).with_unit("%").optional(),
            ],
        ),
    ]
    .into_iter()
    .map(|(id, stream, fields)| {
        let schema = Schema { stream: stream.into(), origin: Origin::Sensor, class: Class::Live, fields };
        (SchemaId(id), Arc::new(schema))
    })
    .collect()
}

/// All golden frames.
pub(crate) fn frames() -> Vec<GoldenFrame> {
    vec![
        GoldenFrame {
            name: "the example of docs/PROTOCOL.md",
            records: example(),
            hex: "002806028080a0faa0ccd705e0a7120201c80103c0b802c09a0cc09a0c01020000c07fcc210401055002",
        },
        GoldenFrame {
            name: "integers at their bounds",
            records: integers(),
            hex: "006501038080a0faa0ccd705010600020000fe03ef03ff01fe038b0200feff07a5fb07ffff03feff07d5\
                  840400feffffff1f9dbaf7ff1fffffffff0ffeffffff1fddc58880100001fdffffffffffffffff01ffff\
                  ffffffffffffff0101ffffffffffffffffff01",
        },
        GoldenFrame {
            name: "floats on a grid",
            records: grid(),
            hex: "01504bd502058080a0faa0ccd705c0b8020300f00903013412a07f000000807f01e6b1617f9213d52604\
                  0101000100b0f8ff0094d626e80b2e51410f00f000000000f0ff009c7500883ce437fe01",
        },
        GoldenFrame {
            name: "exact floats",
            records: exact(),
            hex: "004403058080a0faa0ccd705020202020001828080f807818080f00f828080f41701b6e6cc99b3e6ccb9\
                  7fb3e6cc99b3e6cca97f80808080808080f0ff01feffffffffffff0f",
        },
        GoldenFrame {
            name: "optional fields",
            records: optional(),
            hex: "01483ccc040a8080a0faa0ccd705d00f020070016d03d00f04020200f01201f0030102000080ff280a14\
                  0a0a010002046c6173740000020202020202020202",
        },
        GoldenFrame {
            name: "text and bytes",
            records: text(),
            hex: "002905038080a0faa0ccd7050202000548c3b668650b6e6f7420ff205554462d380003fd00ff04746578\
                  74",
        },
        GoldenFrame {
            name: "an LZ4 body",
            records: compressible(),
            hex: "01a70122df06288080a0faa0ccd705c09a0c03005f1f00010000280201150060000000000000",
        },
        GoldenFrame {
            name: "schemas of all sorts in one frame",
            records: [integers(), grid(), exact(), optional(), text(), example()].concat(),
            hex: "01ef02ca02f03801038080a0faa0ccd705010600020000fe03ef03ff01fe038b0200feff07a5fb07ffff\
                  03feff07d5840400feffffff1f9dbaf7ff1fffffffff0ffeffffff1fddc58880100001fd120000020010\
                  01050001020017010b0065020500c0b8020300f00903013412a07f000000807f01e6b1617f9213d52604\
                  0101000100b0f8ff0094d626e80b2e51410f00f12d000000f0ff009c7500883ce437fe01030500020202\
                  020001828080f807818080f00f828080f41701b6e6cc99b3e6ccb97fb3e6cc99b3e6cca97f8080020030\
                  f0ff01b8009cffffff0f040a00d00f020070016d03d00f04020200f10801f0030102000080ff280a140a\
                  0a010002046c617374007200010200f0270503000202000548c3b668650b6e6f7420ff205554462d3800\
                  03fd00ff0474657874060200e0a7120201c80103c0b802c09a0cc09a0c540090c07fcc210401055002",
        },
    ]
}

fn record(schema: u32, after: i64, values: Vec<Value>) -> Record {
    Record { schema: SchemaId(schema), time: Timestamp(TIME + after), values }
}

fn example() -> Vec<Record> {
    vec![
        record(DOOR, 0, vec![Value::Bool(true)]),
        record(DOOR, 150_000, vec![Value::Bool(false)]),
        record(WEATHER, 20_000, vec![Value::F32(21.5), Value::Int(40)]),
        record(WEATHER, 120_000, vec![Value::F32(21.52), Value::Null]),
        record(WEATHER, 220_000, vec![Value::F32(f32::NAN), Value::Int(41)]),
    ]
}

fn integers() -> Vec<Record> {
    let bounds: [[i64; 7]; 2] = [
        [0, i8::MIN.into(), 0, i16::MIN.into(), 0, i32::MIN.into(), i64::MIN],
        [
            u8::MAX.into(),
            i8::MAX.into(),
            u16::MAX.into(),
            i16::MAX.into(),
            u32::MAX.into(),
            i32::MAX.into(),
            i64::MAX,
        ],
    ];
    let values = |[u8, i8, u16, i16, u32, i32, i64]: [i64; 7], truth, u64| {
        let mut values = vec![Value::Bool(truth)];
        values.extend([u8, i8, u16, i16, u32, i32].map(Value::Int));
        values.extend([Value::UInt(u64), Value::Int(i64)]);
        values
    };
    vec![
        record(INTEGERS, 0, values(bounds[0], false, 0)),
        record(INTEGERS, -1, values(bounds[1], true, u64::MAX)),
        record(INTEGERS, 2, values([7, -7, 300, -300, 70_000, -70_000, -1], true, 1 << 63)),
    ]
}

fn grid() -> Vec<Record> {
    let values = [
        (12.25, -0.000_000_001),
        (f32::from_bits(0x7fa0_1234), f64::from_bits(0xfff8_0000_0000_0001)),
        (f32::INFINITY, 4_503_599.627_370_495),
        (-12.5, f64::NEG_INFINITY),
        (3.0e38, -1.0e300),
    ];
    let values = values.map(|(f32, f64)| vec![Value::F32(f32), Value::F64(f64)]);
    values.into_iter().enumerate().map(|(i, values)| record(GRID, i as i64 * 20_000, values)).collect()
}

fn exact() -> Vec<Record> {
    let values = [
        (0.0, -0.0),
        (-0.0, 0.1),
        (1.0, f64::MIN_POSITIVE),
        (-1.0, f64::from_bits(u64::MAX)),
        (f32::NAN, f64::NEG_INFINITY),
    ];
    let values = values.map(|(f32, f64)| vec![Value::F32(f32), Value::F64(f64)]);
    values.into_iter().enumerate().map(|(i, values)| record(EXACT, i as i64, values)).collect()
}

fn optional() -> Vec<Record> {
    (0..10)
        .map(|i: i64| {
            let unless = |absent: bool, value: Value| if absent { Value::Null } else { value };
            let grid = if i == 6 { f32::NEG_INFINITY } else { i as f32 / 2.0 };
            let values = vec![
                unless(i % 3 == 1, Value::Int(1000 + i)),
                unless(i < 4, Value::F32(grid)),
                unless(i != 9, Value::Text("last".into())),
                Value::Int(i),
            ];
            record(OPTIONAL, i * 1000, values)
        })
        .collect()
}

fn text() -> Vec<Record> {
    vec![
        record(TEXT, 0, vec![Value::Text(String::new()), Value::Bytes(vec![])]),
        record(TEXT, 1, vec![Value::Text("Höhe".into()), Value::Bytes(vec![0xfd, 0, 0xff])]),
        record(TEXT, 2, vec![Value::Bytes(b"not \xff UTF-8".to_vec()), Value::Bytes(b"text".to_vec())]),
    ]
}

fn compressible() -> Vec<Record> {
    (0..40).map(|i| record(DOOR, i * 100_000, vec![Value::Bool(i == 20)])).collect()
}
