use std::sync::Arc;

use tern_shared::batch::Batch;
use tern_shared::id::Epoch;
use tern_shared::mavlink::frame::Parser;
use tern_shared::message::Lane;
use tern_shared::range::SequenceRange;
use tern_shared::record::Value;
use tern_shared::schema::{Class, Field, FieldKind, MavlinkOrigin, Origin};
use tern_shared::time::Timestamp;

use super::*;
use crate::config::Synchronous;
use crate::history::{Content, Entry, Store};
use crate::publish::cursor::Position;

const ATTITUDE: SchemaId = SchemaId(0);
const WEATHER: SchemaId = SchemaId(1);
const OPAQUE: SchemaId = SchemaId(2);
const WEATHER_EXTENDED: SchemaId = SchemaId(3);

fn schemas() -> SchemaTable {
    let origin = MavlinkOrigin { system: 1, component: 2, message: 30 };
    let weather =
        |fields| Schema { stream: "weather".to_owned(), origin: Origin::Sensor, class: Class::Live, fields };
    let percent = Field::new("percent", FieldKind::F32);
    let note = Field::new("note", FieldKind::Text);
    SchemaTable::from([
        (ATTITUDE, Arc::new(Schema::of_mavlink(origin).unwrap())),
        (WEATHER, Arc::new(weather(vec![percent.clone(), note.clone()]))),
        (OPAQUE, Arc::new(Schema::of_mavlink_opaque())),
        (WEATHER_EXTENDED, Arc::new(weather(vec![percent, Field::new("gust", FieldKind::F64), note]))),
    ])
}

fn record(schema: SchemaId, millis: i64, values: Vec<Value>) -> Record {
    Record { schema, time: Timestamp::from_millis(millis), values }
}

fn attitude(millis: i64) -> Record {
    let mut values = vec![Value::Int(millis)];
    values.extend(vec![Value::F32(0.5); 6]);
    record(ATTITUDE, millis, values)
}

fn weather(millis: i64, percent: f32, note: &str) -> Record {
    record(WEATHER, millis, vec![Value::F32(percent), Value::Text(note.to_owned())])
}

/// A history of two frames: the first with three streams, the second with an extended one.
fn history() -> (tempfile::TempDir, HistoryReader) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.sqlite");
    let mut store = Store::open(&path, Synchronous::Normal).unwrap();
    let vehicle = "alpha".parse().unwrap();
    let key = store.open_epoch(&vehicle, Epoch(1), Timestamp(0)).unwrap().key;
    let schemas = schemas();
    let entry = |content| Entry { epoch: key, received: Timestamp(0), content, outcome: None };
    let mut entries: Vec<Entry> =
        schemas.iter().map(|(&id, schema)| entry(Content::Schema { id, schema: schema.clone() })).collect();
    let gust = vec![Value::F32(42.5), Value::F64(f64::NEG_INFINITY), Value::Text(String::new())];
    let frames = [
        vec![
            attitude(1000),
            attitude(3000),
            // A clock that went back: the stream's own order stays.
            attitude(2000),
            weather(1500, 41.3, "dry"),
            weather(2500, f32::NAN, "a \"b\", c"),
            record(OPAQUE, 2600, vec![Value::Bytes(vec![0xfd, 1, 2, 3])]),
        ],
        vec![attitude(4000), record(WEATHER_EXTENDED, 4001, gust)],
    ];
    let mut sequence = 0;
    // The later frame arrives first.
    let mut contents = Vec::new();
    for records in frames {
        let range = SequenceRange::new(sequence, sequence + records.len() as u64);
        sequence = range.end;
        let (started, ended) = (records[0].time, records.iter().map(|r| r.time).max().unwrap());
        let bytes = codec::encode(&Batch::new(records), &schemas).into();
        let (lane, position, schemas) = (Lane::Live, Position(range.start + 1), Vec::new());
        contents.push(entry(Content::Frame { range, lane, position, schemas, started, ended, bytes }));
    }
    entries.extend(contents.into_iter().rev());
    store.commit(&entries).unwrap();
    drop(store);
    (dir, HistoryReader::open(&path).unwrap())
}

fn request(format: ExportFormat, streams: &str) -> Request {
    Request {
        vehicle: "alpha".parse().unwrap(),
        format,
        streams: Pattern::new(streams).unwrap(),
        span: Timestamp(i64::MIN)..Timestamp(i64::MAX),
    }
}

fn exported(request: &Request) -> (Vec<u8>, Summary) {
    let (_dir, reader) = history();
    let mut output = Vec::new();
    let summary = export(&reader, request, || Ok(&mut output)).unwrap();
    (output, summary)
}

/// Where an export goes that fails before.
fn no_output() -> Result<Vec<u8>, ExportError> {
    panic!("the output was opened")
}

#[test]
fn jsonl_has_every_record_in_order() {
    let (output, summary) = exported(&request(ExportFormat::Jsonl, "*e*"));
    assert_eq!(
        String::from_utf8(output).unwrap(),
        r#"{"vehicle":"alpha","stream":"weather","t":1.5,"fields":{"percent":41.3,"note":"dry"}}
{"vehicle":"alpha","stream":"weather","t":2.5,"fields":{"percent":"NaN","note":"a \"b\", c"}}
{"vehicle":"alpha","stream":"mavlink/opaque","t":2.6,"fields":{"frame":"fd010203"}}
{"vehicle":"alpha","stream":"weather","t":4.001,"fields":{"percent":42.5,"gust":"-Infinity","note":""}}
"#
    );
    assert_eq!(summary, Summary { records: 4, ..Summary::default() });
}

#[test]
fn streams_are_merged_by_time_and_keep_their_own_order() {
    let (output, _) = exported(&request(ExportFormat::Jsonl, "*"));
    let text = String::from_utf8(output).unwrap();
    let times: Vec<f64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["t"].as_f64().unwrap())
        .collect();
    assert_eq!(times, [1.0, 1.5, 2.5, 2.6, 3.0, 2.0, 4.0, 4.001]);
}

#[test]
fn csv_has_a_column_a_field_and_quotes() {
    let (output, _) = exported(&request(ExportFormat::Csv, "weather"));
    assert_eq!(
        String::from_utf8(output).unwrap(),
        "t,percent,note,gust\r\n1.500000,41.3,dry,\r\n2.500000,NaN,\"a \"\"b\"\", c\",\r\n4.001000,42.5,,-Infinity\r\n"
    );
}

#[test]
fn csv_of_several_streams_lists_them() {
    let (_dir, reader) = history();
    let error = export(&reader, &request(ExportFormat::Csv, "*"), no_output).unwrap_err().to_string();
    assert!(error.contains("mavlink/1/2/ATTITUDE, mavlink/opaque, weather"), "{error}");
}

#[test]
fn tlog_has_frames_behind_times_and_leaves_other_streams_out() {
    let (output, summary) = exported(&request(ExportFormat::Tlog, "*"));
    assert_eq!(summary.records, 5);
    assert_eq!(summary.left_out, BTreeMap::from([("weather".to_owned(), 3)]));
    assert_eq!(output[..8], 1_000_000_u64.to_be_bytes());
    let mut frames = Vec::new();
    Parser::new().push(&output[8..8 + 40], |frame| {
        frames.push((frame.sequence, frame.system, frame.component, frame.message));
    });
    assert_eq!(frames, [(0, 1, 2, 30)]);
    let opaque =
        output.windows(12).filter(|w| **w == [&2_600_000_u64.to_be_bytes()[..], &[0xfd, 1, 2, 3]].concat());
    assert_eq!(opaque.count(), 1);
}

#[test]
fn a_time_span_cuts_frames() {
    let mut request = request(ExportFormat::Jsonl, "mavlink/*/ATTITUDE");
    request.span = Timestamp::from_millis(2000)..Timestamp::from_millis(4000);
    let (output, summary) = exported(&request);
    assert_eq!(summary.records, 2, "{}", String::from_utf8_lossy(&output));
    request.span = Timestamp::from_millis(9000)..Timestamp(i64::MAX);
    assert_eq!(exported(&request).1.records, 0);
    request.span = Timestamp::from_millis(2000)..Timestamp::from_millis(2000);
    let error = export(&history().1, &request, no_output).unwrap_err().to_string();
    assert!(error.contains("from has to be before to"), "{error}");
}

#[test]
fn a_vehicle_or_stream_that_is_not_there_is_told_with_those_that_are() {
    let (_dir, reader) = history();
    let mut other = request(ExportFormat::Jsonl, "*");
    other.vehicle = "beta".parse().unwrap();
    let error = export(&reader, &other, no_output).unwrap_err().to_string();
    assert!(error.contains("beta") && error.contains("alpha"), "{error}");
    let error = export(&reader, &request(ExportFormat::Jsonl, "wind"), no_output).unwrap_err().to_string();
    assert!(error.contains("weather"), "{error}");
}
