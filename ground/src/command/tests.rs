//! Commands from the API to a vehicle that the test plays.

use std::time::Duration;

use tern_shared::command::{CommandReport, Order, Reason, State, Step};
use tern_shared::time::Timestamp;

use super::*;

const ANN: Caller<'_> = Caller { name: "ann", may_command: true, connection: 1 };

struct Bench {
    folder: tempfile::TempDir,
    commands: Commands,
    news: broadcast::Receiver<News>,
    vehicle: VehicleId,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let commands = Commands::start(&folder.path().join("commands.sqlite"), Clock::start()).unwrap();
        let news = commands.news();
        Bench { folder, commands, news, vehicle: "rover".parse().unwrap() }
    }

    /// The ground ends and is started again.
    async fn restart(self) -> Self {
        self.commands.close().await;
        let commands = Commands::start(&self.folder.path().join("commands.sqlite"), Clock::start()).unwrap();
        Bench { news: commands.news(), commands, ..self }
    }

    async fn issue(&self, json: &str) -> Result<CommandStatus, ErrorCode> {
        let request = serde_json::from_str(json).unwrap();
        self.commands.issue(ANN, &self.vehicle, request).await.map_err(|error| error.code)
    }

    /// The next thing that becomes known.
    async fn next(&mut self) -> (String, State, Option<Reason>) {
        let news = tokio::time::timeout(Duration::from_secs(10), self.news.recv()).await.unwrap().unwrap();
        let News::Command(status) = news else { panic!("{news:?}") };
        let step = status.steps.last().unwrap();
        (status.id.clone(), status.state, step.reason)
    }

    fn report(&self, id: &str, states: &[State]) {
        let steps = states.iter().map(|&state| Step::new(state, Timestamp(7))).collect();
        let report = CommandReport { id: id.parse().unwrap(), steps };
        self.commands.answered(&self.vehicle, Answer::Report(report));
    }
}

fn rtl(id: &str) -> String {
    format!(r#"{{"id":"{id}","action":{{"kind":"rtl"}}}}"#)
}

const ONE: &str = "0000000000000001";
const TWO: &str = "0000000000000002";

async fn next_command(downlink: &mut Downlink) -> String {
    match tokio::time::timeout(Duration::from_secs(10), downlink.next()).await.unwrap() {
        Order::Command(command) => command.id.to_string(),
        Order::Cancel(cancel) => format!("cancel {} {:?}", cancel.id, cancel.why),
        Order::SetPoint(set_point) => format!("{:?}", set_point.values),
    }
}

#[tokio::test]
async fn a_command_goes_to_the_vehicle_and_its_story_comes_back() {
    let mut bench = Bench::new();
    let status = bench.issue(&rtl(ONE)).await.unwrap();
    assert_eq!((status.state, status.issuer.as_str()), (State::Queued, "ann"));
    assert_eq!(bench.next().await, (ONE.to_owned(), State::Queued, None));
    let mut downlink = bench.commands.connected(&bench.vehicle, SessionNumber(1));
    assert_eq!(next_command(&mut downlink).await, ONE);
    assert_eq!(bench.next().await.1, State::Sent);
    bench.report(ONE, &[State::AtVehicle, State::Accepted, State::Done]);
    for state in [State::AtVehicle, State::Accepted, State::Done] {
        assert_eq!(bench.next().await.1, state);
    }
    let listed = bench.commands.list(&bench.vehicle, 10).await.unwrap();
    let steps: Vec<_> = listed[0].steps.iter().map(|step| (step.state, step.by)).collect();
    let expected = [
        (State::Queued, "ground"),
        (State::Sent, "ground"),
        (State::AtVehicle, "vehicle"),
        (State::Accepted, "vehicle"),
        (State::Done, "vehicle"),
    ];
    assert_eq!(steps, expected);
    assert_eq!(listed[0].action["name"], "rtl");
}

#[tokio::test]
async fn what_is_refused_reaches_no_vehicle_and_the_log_tells_who_asked_and_why_not() {
    let bench = Bench::new();
    let mut downlink = bench.commands.connected(&bench.vehicle, SessionNumber(1));
    let viewer = Caller { name: "bob", may_command: false, connection: 2 };
    let request = || serde_json::from_str(&rtl(ONE)).unwrap();
    let refused = bench.commands.issue(viewer, &bench.vehicle, request()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Forbidden);
    assert!(refused.message.contains("bob") && refused.message.contains("rover"));
    let refused = bench.commands.cancel(viewer, &bench.vehicle, CommandId(1)).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Forbidden);
    let steer = ControlRequest { control: "drive".to_owned(), values: vec![0.5], life_ms: 500 };
    assert_eq!(
        bench.commands.control(viewer, &bench.vehicle, &steer).unwrap_err().code,
        ErrorCode::Forbidden
    );
    for json in [
        r#"{"ttl_ms":0,"action":{"kind":"rtl"}}"#.to_owned(),
        r#"{"ttl_ms":3600001,"action":{"kind":"rtl"}}"#.to_owned(),
        r#"{"key":"","action":{"kind":"rtl"}}"#.to_owned(),
        format!(r#"{{"action":{{"kind":"device","device":"{}","command":"x"}}}}"#, "d".repeat(65)),
        format!(
            r#"{{"action":{{"kind":"device","device":"d","command":"x","arguments":{{"a":"{}"}}}}}}"#,
            "x".repeat(3000)
        ),
        r#"{"action":{"kind":"mavlink","command":1,"params":[1,2,3,4,5,6,7,8]}}"#.to_owned(),
    ] {
        assert_eq!(bench.issue(&json).await, Err(ErrorCode::Malformed), "{json}");
    }
    let unknown = bench.commands.cancel(ANN, &bench.vehicle, CommandId(9)).await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::UnknownId);
    assert_eq!(bench.commands.list(&bench.vehicle, 10).await.unwrap(), []);
    let quiet = tokio::time::timeout(Duration::from_millis(50), downlink.next());
    assert!(quiet.await.is_err());

    // Again and again: counted, as of the first the log knows.
    for _ in 0..500 {
        bench.commands.issue(viewer, &bench.vehicle, request()).await.unwrap_err();
    }
    assert_eq!(bench.commands.refused(), 510);
    bench.commands.close().await;
    let log = rusqlite::Connection::open(bench.folder.path().join("commands.sqlite")).unwrap();
    let mut rows =
        log.prepare("SELECT issuer, operation, code, count, message FROM refusal ORDER BY id").unwrap();
    let rows = rows.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?, row.get::<_, String>(4)?))
    });
    let rows: Vec<(String, String, String, i64, String)> = rows.unwrap().collect::<Result<_, _>>().unwrap();
    let shown: Vec<_> =
        rows.iter().map(|(who, what, code, count, _)| (&who[..], &what[..], &code[..], *count)).collect();
    let expected = [
        ("bob", "command", "forbidden", 1),
        ("bob", "cancel", "forbidden", 1),
        ("bob", "control", "forbidden", 1),
        ("ann", "command", "malformed", 1),
        ("ann", "cancel", "unknown-id", 1),
        ("ann", "command", "malformed", 5),
        ("bob", "command", "forbidden", 500),
    ];
    assert_eq!(shown, expected);
    assert!(rows[0].4.contains("bob may not command vehicle rover"), "{rows:?}");
}

#[tokio::test]
async fn an_audit_log_of_the_first_format_is_taken_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("commands.sqlite");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(include_str!("sql/version_1.sql")).unwrap();
    db.pragma_update(None, "application_id", 0x5465_7241).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    drop(db);
    let commands = Commands::start(&path, Clock::start()).unwrap();
    let viewer = Caller { may_command: false, ..ANN };
    commands.cancel(viewer, &"rover".parse().unwrap(), CommandId(1)).await.unwrap_err();
    commands.close().await;
    let db = rusqlite::Connection::open(&path).unwrap();
    let count = db.query_row("SELECT count(*) FROM refusal", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_replayed_command_is_refused_for_good_and_cancels_nothing() {
    let bench = Bench::new();
    let with_key = |id: &str| format!(r#"{{"id":"{id}","key":"k","action":{{"kind":"rtl"}}}}"#);
    bench.issue(&with_key(ONE)).await.unwrap();
    assert_eq!(bench.issue(&with_key(ONE)).await, Err(ErrorCode::Duplicate));
    bench.commands.cancel(ANN, &bench.vehicle, CommandId(1)).await.unwrap();
    bench.issue(&with_key(TWO)).await.unwrap();
    // It has ended, and is in the log.
    assert_eq!(bench.issue(&with_key(ONE)).await, Err(ErrorCode::Duplicate));
    let mut bench = bench.restart().await;
    assert_eq!(bench.issue(&with_key(ONE)).await, Err(ErrorCode::Duplicate));
    let mut downlink = bench.commands.connected(&bench.vehicle, SessionNumber(1));
    assert_eq!(next_command(&mut downlink).await, TWO);
    bench.report(TWO, &[State::Rejected]);
    assert_eq!(bench.next().await.1, State::Rejected);
}

#[tokio::test]
async fn a_newer_command_takes_the_place_of_an_older_one_that_waits() {
    let mut bench = Bench::new();
    let with_key = |id: &str| format!(r#"{{"id":"{id}","key":"light","action":{{"kind":"rtl"}}}}"#);
    bench.issue(&with_key(ONE)).await.unwrap();
    bench.next().await;
    bench.issue(&with_key(TWO)).await.unwrap();
    assert_eq!(bench.next().await, (ONE.to_owned(), State::Cancelled, Some(Reason::Superseded)));
    let mut downlink = bench.commands.connected(&bench.vehicle, SessionNumber(1));
    assert_eq!(next_command(&mut downlink).await, TWO);
}

#[tokio::test]
async fn one_that_never_left_expires_and_one_that_left_waits_for_the_vehicles_word() {
    let mut bench = Bench::new();
    let short = |id: &str| format!(r#"{{"id":"{id}","ttl_ms":30,"action":{{"kind":"rtl"}}}}"#);
    bench.issue(&short(ONE)).await.unwrap();
    bench.next().await;
    assert_eq!(bench.next().await, (ONE.to_owned(), State::Expired, Some(Reason::NotDelivered)));
    let mut downlink = bench.commands.connected(&bench.vehicle, SessionNumber(1));
    bench.issue(&short(TWO)).await.unwrap();
    assert_eq!(next_command(&mut downlink).await, TWO);
    // The link is gone before the vehicle has answered; when it is back, it is asked.
    bench.commands.disconnected(&bench.vehicle, SessionNumber(1));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut downlink = bench.commands.connected(&bench.vehicle, SessionNumber(2));
    assert_eq!(next_command(&mut downlink).await, format!("cancel {TWO} Overdue"));
    let listed = bench.commands.list(&bench.vehicle, 10).await.unwrap();
    assert_eq!(listed[0].state, State::Sent);
    bench.report(TWO, &[State::AtVehicle, State::Done]);
    while bench.next().await.1 != State::Done {}
}

#[tokio::test]
async fn a_restarted_ground_sends_again_what_has_not_ended() {
    let bench = Bench::new();
    let mut downlink = bench.commands.connected(&bench.vehicle, SessionNumber(1));
    bench.issue(&rtl(ONE)).await.unwrap();
    assert_eq!(next_command(&mut downlink).await, ONE);
    let bench = bench.restart().await;
    let mut downlink = bench.commands.connected(&bench.vehicle, SessionNumber(1));
    assert_eq!(next_command(&mut downlink).await, ONE);
    bench.commands.cancel(ANN, &bench.vehicle, CommandId(1)).await.unwrap();
    assert_eq!(next_command(&mut downlink).await, format!("cancel {ONE} Asked"));
}

#[tokio::test]
async fn too_many_commands_are_refused() {
    let bench = Bench::new();
    let mut refused = 0;
    for _ in 0..40 {
        match bench.issue(r#"{"action":{"kind":"rtl"}}"#).await {
            Ok(_) => {}
            Err(ErrorCode::Limit) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!((10..=20).contains(&refused), "{refused}");
}

#[tokio::test]
async fn set_points_go_out_newest_only() {
    let bench = Bench::new();
    let steer = |value: f64| {
        let request = ControlRequest::new("drive".to_owned(), vec![value], None);
        bench.commands.control(ANN, &bench.vehicle, &request).map_err(|error| error.code)
    };
    assert_eq!(steer(0.1), Err(ErrorCode::NotConnected));
    let mut downlink = bench.commands.connected(&bench.vehicle, SessionNumber(1));
    for value in [0.1, 0.2, 0.3] {
        steer(value).unwrap();
    }
    assert_eq!(steer(1.5), Err(ErrorCode::Malformed));
    assert_eq!(next_command(&mut downlink).await, "[300]");
    let other = Caller { connection: 2, ..ANN };
    let request = ControlRequest { control: "drive".to_owned(), values: vec![0.0], life_ms: 500 };
    assert_eq!(bench.commands.control(other, &bench.vehicle, &request).unwrap_err().code, ErrorCode::Taken);
}
