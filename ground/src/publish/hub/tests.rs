use axum::extract::ws::Message;
use serde_json::{Value as Json, json};
use tern_shared::id::SchemaId;
use tern_shared::pattern::Pattern;
use tern_shared::record::Value;
use tern_shared::schema::{Field, FieldKind, Origin};

use super::*;
use crate::publish::Filter;
use crate::publish::cursor::HistoryTag;
use crate::publish::encode::Encoding;

/// A hub, a client of it, and what makes records.
pub(crate) struct Setup {
    pub(crate) hub: Arc<Hub>,
    pub(crate) schemas: SchemaTable,
}

pub(crate) fn setup() -> Setup {
    let positions = Arc::new(Positions::new(HistoryTag(0xa), Position(0)));
    let schema = |stream: &str, class| {
        let fields =
            vec![Field::new("percent", FieldKind::F32).with_unit("%"), Field::new("n", FieldKind::I32)];
        Arc::new(Schema { stream: stream.to_owned(), origin: Origin::Sensor, class, fields })
    };
    let schemas = SchemaTable::from([
        (SchemaId(0), schema("humidity", Class::Live)),
        (SchemaId(1), schema("text", Class::Critical)),
        (SchemaId(2), schema("wind", Class::Live)),
    ]);
    Setup { hub: Arc::new(Hub::new(positions)), schemas }
}

pub(crate) fn shape(sub: &str, streams: &str) -> Shape {
    let any = ["*".to_owned()];
    let filter = Filter::new(&any, &[streams.to_owned()], Arc::from([Pattern::anything()])).unwrap();
    Shape { sub: sub.to_owned(), encoding: Encoding::Json, filter }
}

impl Setup {
    /// Records of the stream of a schema, captured at these milliseconds, which are their sequence numbers, too.
    pub(crate) fn publish(
        &self,
        schema: u32,
        lane: Lane,
        epoch: u64,
        sequence: u64,
        millis: &[i64],
    ) -> Position {
        let record = |millis: &i64| Record {
            schema: SchemaId(schema),
            time: Timestamp::from_millis(*millis),
            values: vec![Value::F32(*millis as f32), Value::Int(7)],
        };
        let records: Vec<Record> = millis.iter().map(record).collect();
        let range = SequenceRange::new(sequence, sequence + records.len() as u64);
        let vehicle: VehicleId = "alpha".parse().unwrap();
        let (epoch, received) = (Epoch(epoch), Timestamp(0));
        let arrival = Arrival { vehicle: &vehicle, epoch, range, received, lane, clock: None };
        self.hub.publish_records(arrival, &self.schemas, records)
    }

    pub(crate) fn subscribe(&self, shape: Shape) -> Subscription {
        self.hub.subscribe(shape, Arc::new(Notify::new()))
    }
}

/// All that there is for a client.
pub(crate) fn told(subscription: &mut Subscription) -> Vec<Json> {
    let mut told = Vec::new();
    while let Some(batch) = subscription.next(Instant::now(), &mut 0) {
        told.extend(batch.iter().map(|message| match message {
            Message::Text(text) => serde_json::from_str::<Json>(text).unwrap(),
            other => panic!("no text but {other:?}"),
        }));
    }
    told
}

fn kinds(told: &[Json]) -> Vec<&str> {
    told.iter().map(|message| message["type"].as_str().unwrap()).collect()
}

/// The values of the records.
fn values(told: &[Json]) -> Vec<f64> {
    let records = told.iter().filter(|message| message["type"] == "record");
    records.map(|record| record["fields"]["percent"].as_f64().unwrap()).collect()
}

fn snapshot(setup: &Setup) -> Vec<f64> {
    values(&told(&mut setup.subscribe(shape("", "humidity"))))
}

#[tokio::test]
async fn backlog_never_replaces_what_is_newer() {
    let setup = setup();
    setup.publish(0, Lane::Live, 1, 10, &[100]);
    setup.publish(0, Lane::Backlog, 1, 5, &[50]);
    assert_eq!(snapshot(&setup), [100.0]);
    setup.publish(0, Lane::Backlog, 2, 3, &[90]);
    assert_eq!(snapshot(&setup), [100.0]);
}

#[tokio::test]
async fn a_clock_that_jumps_back_does_not_freeze_a_stream() {
    let setup = setup();
    setup.publish(0, Lane::Live, 1, 10, &[3_600]);
    setup.publish(0, Lane::Live, 1, 11, &[100]);
    assert_eq!(snapshot(&setup), [100.0]);
    setup.publish(0, Lane::Live, 2, 0, &[50]);
    assert_eq!(snapshot(&setup), [50.0]);
}

#[tokio::test]
async fn a_snapshot_has_vehicle_stream_and_newest_value_and_what_follows_comes_once() {
    let setup = setup();
    setup.publish(0, Lane::Live, 1, 0, &[1]);
    setup.hub.publish_vehicle(&"alpha".parse().unwrap(), &VehicleStatus::default());
    let mut client = setup.subscribe(shape("s", "*"));
    let first = told(&mut client);
    assert_eq!(kinds(&first), ["vehicle", "stream", "record", "ready"]);
    assert_eq!((&first[2]["phase"], &first[3]["cursor"]), (&json!("snapshot"), &json!("a-1")));
    assert!(first.iter().all(|message| message["sub"] == "s"));
    setup.publish(2, Lane::Live, 1, 1, &[2, 3]);
    let then = told(&mut client);
    assert_eq!(kinds(&then), ["stream", "record", "record"]);
    assert_eq!((values(&then), &then[0]["cursor"]), (vec![2.0, 3.0], &json!("a-1")));
    assert_eq!((&then[2]["cursor"], &then[2]["phase"]), (&json!("a-3"), &Json::Null));
    assert_eq!(setup.hub.idle_cursor([&client].into_iter()).unwrap().to_string(), "a-3");
    setup.publish(2, Lane::Live, 1, 3, &[4]);
    assert_eq!(setup.hub.idle_cursor([&client].into_iter()), None);
}

#[tokio::test]
async fn counters_go_with_the_next_record_and_a_lost_session_is_told_at_once() {
    let (setup, vehicle) = (setup(), "alpha".parse().unwrap());
    let mut status = VehicleStatus { connected: true, ..VehicleStatus::default() };
    let mut client = setup.subscribe(shape("", "*"));
    assert_eq!(kinds(&told(&mut client)), ["ready"]);
    setup.hub.publish_vehicle(&vehicle, &status);
    assert_eq!(kinds(&told(&mut client)), ["vehicle"], "it is new");
    let mut count = |records| {
        status.records = records;
        setup.hub.publish_counters(&vehicle, &status, true);
    };
    count(1);
    assert_eq!(kinds(&told(&mut client)), [""; 0]);
    setup.publish(0, Lane::Live, 1, 0, &[1]);
    let batch = client.next(Instant::now(), &mut 0).unwrap();
    assert_eq!(batch.len(), 3, "written at once: {batch:?}");

    count(2);
    setup.hub.tidy(Instant::now());
    assert_eq!(told(&mut client)[0]["records"], 2, "no record has come for a while");
    count(3);
    let mut second = setup.subscribe(shape("", "*"));
    assert_eq!(kinds(&told(&mut second)), ["vehicle", "stream", "record", "ready"]);
    assert_eq!((told(&mut client)[0]["records"].clone(), told(&mut second)), (json!(3), vec![]));
    count(4);
    status.connected = false;
    setup.hub.publish_vehicle(&vehicle, &status);
    assert_eq!(kinds(&told(&mut client)), ["vehicle", "vehicle"]);
}

#[tokio::test]
async fn clients_of_one_shape_get_the_same_bytes_and_others_their_own() {
    let setup = setup();
    let mut clients =
        [shape("", "*"), shape("", "*"), shape("other", "*")].map(|shape| setup.subscribe(shape));
    clients.iter_mut().for_each(|client| drop(told(client)));
    setup.publish(0, Lane::Live, 1, 0, &[1]);
    let batches = clients.each_mut().map(|client| client.next(Instant::now(), &mut 0).unwrap());
    assert!(Arc::ptr_eq(&batches[0], &batches[1]) && !Arc::ptr_eq(&batches[0], &batches[2]));
    drop(clients);
    assert!(setup.hub.lock().feeds.is_empty());
    let outlets = |state: &State| state.vehicles["alpha"].streams["humidity"].outlets.len();
    assert_eq!(outlets(&setup.hub.lock()), 0);
}

#[tokio::test]
async fn fields_and_lanes_that_are_not_wanted_are_left_out() {
    let setup = setup();
    let wanted = |fields: &str| {
        let Shape { sub, encoding, filter } = shape("", "*");
        Shape { sub, encoding, filter: filter.with_fields(&[fields.to_owned()]).unwrap().with_backlog(false) }
    };
    let (mut percent, mut none) = (setup.subscribe(wanted("p*")), setup.subscribe(wanted("roll")));
    setup.publish(0, Lane::Backlog, 1, 0, &[1]);
    setup.publish(0, Lane::Live, 1, 1, &[2]);
    let records: Vec<Json> =
        told(&mut percent).into_iter().filter(|message| message["type"] == "record").collect();
    assert_eq!(
        records.iter().map(|record| &record["fields"]).collect::<Vec<_>>(),
        [&json!({"percent": 2.0})]
    );
    assert!(!kinds(&told(&mut none)).contains(&"record"));
}

#[tokio::test(start_paused = true)]
async fn a_highest_rate_thins_records_and_sends_the_newest_in_the_end() {
    let setup = setup();
    let Shape { sub, encoding, filter } = shape("", "*");
    let filter = filter.with_max_rate(Some(10.0)).unwrap();
    let mut client = setup.subscribe(Shape { sub, encoding, filter });
    told(&mut client);
    let advance = |millis| tokio::time::advance(std::time::Duration::from_millis(millis));
    for n in 0..5 {
        setup.publish(0, Lane::Live, 1, n, &[n as i64]);
        advance(10).await;
    }
    // What is critical is not thinned, and backlog goes by its capture times.
    setup.publish(1, Lane::Live, 1, 10, &[10, 11, 12]);
    let backlog: Vec<i64> = (1000..1300).step_by(10).collect();
    setup.publish(2, Lane::Backlog, 1, 100, &backlog);
    assert_eq!(values(&told(&mut client)), [0.0, 10.0, 11.0, 12.0, 1000.0, 1100.0, 1200.0]);
    assert!(setup.hub.publish_due(Instant::now()).is_some());
    advance(60).await;
    assert_eq!(setup.hub.publish_due(Instant::now()), None);
    let late = told(&mut client);
    assert_eq!(values(&late), [4.0]);
    // Everything up to its cursor has been sent, what was published after it included.
    assert_eq!(late[0]["cursor"], "a-26");
    setup.publish(0, Lane::Live, 1, 5, &[5]);
    assert!(told(&mut client).is_empty());
    advance(100).await;
    setup.hub.publish_due(Instant::now());
    assert_eq!(values(&told(&mut client)), [5.0]);
}

#[tokio::test]
async fn a_snapshot_of_many_streams_comes_in_chunks_each_stream_once() {
    let mut setup = setup();
    for id in 10..210 {
        let schema = Schema { stream: format!("s{id}"), ..(*setup.schemas[&SchemaId(0)]).clone() };
        setup.schemas.insert(SchemaId(id), Arc::new(schema));
        setup.publish(id, Lane::Live, 1, u64::from(id), &[i64::from(id)]);
    }
    let mut client = setup.subscribe(shape("", "*"));
    let first = client.next(Instant::now(), &mut 0).unwrap();
    assert!((64..70).contains(&first.len()));
    // What comes meanwhile waits for its turn behind the snapshot.
    setup.publish(209, Lane::Live, 1, 1000, &[9]);
    let rest = told(&mut client);
    let ready = rest.iter().position(|message| message["type"] == "ready").unwrap();
    let (snapshot, live) = rest.split_at(ready);
    assert_eq!(values(live), [9.0]);
    let records = kinds(snapshot).iter().filter(|kind| **kind == "record").count();
    let before =
        first.iter().filter(|message| message.to_text().unwrap().contains(r#""type":"record""#)).count();
    assert_eq!(records + before, 199);
}
