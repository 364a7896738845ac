//! A whole ground in this process, vehicles and web clients over real sockets.

#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but not in their helpers")]

mod api;
mod quic;

use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::CertificateDer;
use serde_json::{Value as Json, json};
use tern_ground::accept::MAX_STRANGERS;
use tern_ground::config::{Args, Command, Config, TlsConfig};
use tern_ground::export;
use tern_ground::relay::Relay;
use tern_ground::serve::MAX_HTTP_CONNECTIONS;
use tern_shared::batch::Batch;
use tern_shared::codec::predictive::{Base, Encoder, Keep};
use tern_shared::codec::{self, SchemaTable};
use tern_shared::id::{Epoch, SchemaId, Token};
use tern_shared::message::{
    FrameMessage, Gap, GapReason, Hello, Lane, MAX_FRAME_BYTES, Object, PROTOCOL_VERSION, RefusalReason,
    SchemaAnnouncement, SchemaBody, ToGround, ToVehicle,
};
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Class, Field, FieldKind, Origin, Schema};
use tern_shared::time::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};

/// Far longer than anything takes: a test that hangs fails.
const LIMIT: Duration = Duration::from_secs(20);

struct Ground {
    relay: Relay,
    dir: Option<tempfile::TempDir>,
}

struct Socket<S>(WebSocketStream<S>);

async fn start(configure: impl FnOnce(&mut Config)) -> Ground {
    let dir = tempfile::tempdir().unwrap();
    let mut ground = start_in(dir.path(), configure).await;
    ground.dir = Some(dir);
    ground
}

async fn start_in(dir: &std::path::Path, configure: impl FnOnce(&mut Config)) -> Ground {
    let mut config = Config::default();
    config.listen.set_port(0);
    config.history.path = dir.join("history.sqlite");
    config.history.commit_interval = Duration::from_millis(5);
    configure(&mut config);
    Ground { relay: Relay::start(config).await.unwrap(), dir: None }
}

impl Ground {
    async fn connect(&self, path: &str) -> Socket<TcpStream> {
        self.try_connect(path, None).await.unwrap()
    }

    async fn try_connect(
        &self,
        path: &str,
        header: Option<(&'static str, &str)>,
    ) -> Result<Socket<TcpStream>, tungstenite::Error> {
        let stream = TcpStream::connect(self.relay.address()).await.unwrap();
        let mut request = format!("ws://{}{path}", self.relay.address()).into_client_request().unwrap();
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        tokio_tungstenite::client_async(request, stream).await.map(|(socket, _)| Socket(socket))
    }

    async fn vehicle(&self) -> Socket<TcpStream> {
        let mut vehicle = self.connect("/vehicle").await;
        vehicle.tell(&hello("")).await;
        vehicle
    }

    /// A web client with a subscription to everything, past its snapshot, which is returned.
    async fn browser(&self) -> (Socket<TcpStream>, Vec<Json>) {
        let mut browser = self.connect("/ws").await;
        assert_eq!(browser.json().await["type"], "hello");
        assert_eq!(browser.json().await["type"], "access");
        browser.say(json!({"type": "subscribe"})).await;
        let mut snapshot = Vec::new();
        loop {
            let message = browser.json().await;
            if message["type"] == "ready" {
                return (browser, snapshot);
            }
            snapshot.push(message);
        }
    }

    async fn get(&self, path: &str) -> String {
        self.get_by("x", path).await
    }

    async fn get_by(&self, host: &str, path: &str) -> String {
        self.request(path, &format!("host: {host}\r\n")).await
    }

    async fn get_with(&self, path: &str, headers: &str) -> String {
        self.request(path, &format!("host: x\r\n{headers}")).await
    }

    async fn request(&self, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.relay.address()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    async fn tell(&mut self, message: &ToGround) {
        self.0.send(Message::Binary(message.encode().into())).await.unwrap();
    }

    async fn say(&mut self, message: Json) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Option<Message> {
        loop {
            match tokio::time::timeout(LIMIT, self.0.next()).await.expect("a message is late") {
                // Reading on answers a close, which the ground waits for.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => {}
                Some(Err(_)) | None => return None,
                Some(Ok(message)) => return Some(message),
            }
        }
    }

    async fn told(&mut self) -> Option<ToVehicle> {
        self.next().await.map(|message| ToVehicle::decode(&message.into_data()).unwrap())
    }

    async fn json(&mut self) -> Json {
        let message = self.next().await.expect("the client is told something");
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }

    async fn json_of(&mut self, kind: &str) -> Json {
        loop {
            let message = self.json().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// The refusal that the vehicle gets, after which the connection ends.
    async fn refused(&mut self) -> (RefusalReason, String) {
        loop {
            match self.told().await.expect("a refusal before the end") {
                ToVehicle::Refused(refusal) => {
                    assert_eq!(self.told().await, None);
                    return (refusal.reason, refusal.message);
                }
                _ => continue,
            }
        }
    }

    async fn acknowledged_up_to(&mut self, floor: u64) {
        loop {
            if let ToVehicle::Acknowledge(acknowledgement) = self.told().await.expect("an acknowledgement")
                && acknowledgement.floor >= floor
            {
                assert_eq!(acknowledgement.floor, floor);
                return;
            }
        }
    }

    async fn welcomed(&mut self) -> u64 {
        match self.told().await {
            Some(ToVehicle::Welcome(welcome)) => welcome.committed.floor,
            other => panic!("no welcome but {other:?}"),
        }
    }
}

/// A certificate for `localhost`, and what it is verified by.
fn certificate(dir: &std::path::Path) -> (TlsConfig, rustls::RootCertStore) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).unwrap();
    (TlsConfig { certificate, key }, roots)
}

fn hello(token: &str) -> ToGround {
    ToGround::Hello(Hello {
        protocol: PROTOCOL_VERSION,
        vehicle: "alpha".parse().unwrap(),
        epoch: Epoch(7),
        base: 0,
        token: Token(token.to_owned()),
        agent: "test 1".to_owned(),
        finds_rate: false,
    })
}

fn humidity() -> (SchemaId, Schema) {
    let fields = vec![Field::new("percent", FieldKind::F32).with_unit("%")];
    let schema = Schema { stream: "humidity".to_owned(), origin: Origin::Sensor, class: Class::Live, fields };
    (SchemaId(0), schema)
}

fn schema_message() -> ToGround {
    let (id, schema) = humidity();
    ToGround::Schemas(vec![SchemaAnnouncement { id, body: SchemaBody::Full(schema) }])
}

fn records(first: u64, count: u64) -> Batch {
    let record = |n: u64| Record {
        schema: humidity().0,
        time: Timestamp::from_millis(n as i64),
        values: vec![Value::F32(n as f32)],
    };
    Batch::new((first..first + count).map(record).collect())
}

fn frame(lane: Lane, first: u64, count: u64) -> ToGround {
    let (id, schema) = humidity();
    let frame = codec::encode(&records(first, count), &SchemaTable::from([(id, Arc::new(schema))]));
    ToGround::Frame(FrameMessage { lane, object: Object { offset: first as i64, skips: Vec::new(), frame } })
}

/// So many records, each with a hole of one before the next.
fn scattered(count: u64) -> ToGround {
    let (id, schema) = humidity();
    let schemas = SchemaTable::from([(id, Arc::new(schema))]);
    let parts: Vec<Batch> = (0..count).map(|n| records(n, 1)).collect();
    let frame =
        Encoder::new().encode(&parts, &schemas, 0, Base::Key, Keep::Nothing, MAX_FRAME_BYTES).unwrap();
    let skips = vec![1; parts.len() - 1];
    ToGround::Frame(FrameMessage { lane: Lane::Backlog, object: Object { offset: 0, skips, frame } })
}

#[tokio::test]
async fn a_frame_reaches_clients_then_the_history_then_is_acknowledged() {
    let ground = start(|_| ()).await;
    let (mut browser, snapshot) = ground.browser().await;
    assert_eq!(snapshot, Vec::<Json>::new());
    let mut vehicle = ground.vehicle().await;
    assert_eq!(vehicle.welcomed().await, 0);
    assert_eq!(browser.json_of("vehicle").await["connected"], true);
    vehicle.tell(&schema_message()).await;
    vehicle.tell(&frame(Lane::Live, 0, 2)).await;

    assert_eq!(browser.json_of("stream").await["units"], json!({"percent": "%"}));
    let record = browser.json_of("record").await;
    assert_eq!(record["fields"], json!({"percent": 0.0}));
    assert_eq!(
        (&record["lane"], &record["seq"], &record["vehicle"]),
        (&json!("live"), &json!(0), &json!("alpha"))
    );
    assert_eq!(browser.json_of("record").await["t"], 0.001);
    vehicle.acknowledged_up_to(2).await;

    let (_, snapshot) = ground.browser().await;
    let kinds: Vec<&str> = snapshot.iter().map(|message| message["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["vehicle", "stream", "record"]);
    assert_eq!(snapshot[2]["seq"], 1);
}

#[tokio::test]
async fn a_vehicle_that_comes_back_is_told_what_is_committed_and_sends_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let ground = start_in(dir.path(), |_| ()).await;
    let mut vehicle = ground.vehicle().await;
    vehicle.welcomed().await;
    vehicle.tell(&schema_message()).await;
    vehicle.tell(&frame(Lane::Live, 0, 10)).await;
    vehicle.tell(&ToGround::Gap(Gap { offset: 10, count: 5, reason: GapReason::Evicted })).await;
    vehicle.tell(&ToGround::Goodbye).await;
    vehicle.acknowledged_up_to(15).await;
    assert_eq!(vehicle.told().await, None);
    ground.relay.shutdown().await;

    let ground = start_in(dir.path(), |_| ()).await;
    let (mut browser, snapshot) = ground.browser().await;
    assert_eq!((&snapshot[0]["records"], &snapshot[0]["lost_records"]), (&json!(10), &json!(5)));
    let mut vehicle = ground.vehicle().await;
    assert_eq!(vehicle.welcomed().await, 15);
    // The schema is known; of the frame only two records are new.
    vehicle.tell(&frame(Lane::Backlog, 5, 12)).await;
    let record = browser.json_of("record").await;
    assert_eq!((&record["seq"], &record["lane"]), (&json!(15), &json!("backlog")));
    vehicle.acknowledged_up_to(17).await;
}

#[tokio::test]
async fn a_second_session_supersedes_the_first_and_has_all_that_it_brought() {
    let ground = start(|config| config.history.commit_interval = Duration::from_secs(3600)).await;
    let (mut browser, _) = ground.browser().await;
    let mut first = ground.vehicle().await;
    first.welcomed().await;
    first.tell(&schema_message()).await;
    first.tell(&frame(Lane::Live, 0, 3)).await;
    browser.json_of("record").await;
    let mut second = ground.vehicle().await;
    assert_eq!(second.welcomed().await, 3);
    assert_eq!(first.refused().await.0, RefusalReason::Superseded);
    second.tell(&frame(Lane::Live, 3, 1)).await;
    assert_eq!(browser.json_of("record").await["seq"], 1);
}

#[tokio::test]
async fn a_session_that_is_superseded_ends_at_once_however_much_of_it_is_not_stored() {
    let ground = start(|config| config.history.commit_interval = Duration::from_secs(3600)).await;
    let (mut browser, _) = ground.browser().await;
    let mut first = ground.vehicle().await;
    first.welcomed().await;
    first.tell(&schema_message()).await;
    // Far more than may wait for their commit, twice.
    first.tell(&scattered(400)).await;
    while browser.json_of("record").await["seq"] != 254 {}
    let mut second = ground.vehicle().await;
    assert_eq!(second.welcomed().await, 1);
    assert_eq!(first.refused().await.0, RefusalReason::Superseded);
}

#[tokio::test]
async fn a_frame_over_many_holes_is_stored_in_parts() {
    let ground = start(|_| ()).await;
    let mut vehicle = ground.vehicle().await;
    vehicle.welcomed().await;
    vehicle.tell(&schema_message()).await;
    for n in 0..300 {
        vehicle.tell(&frame(Lane::Live, n * 2, 1)).await;
    }
    vehicle.tell(&frame(Lane::Backlog, 0, 600)).await;
    vehicle.acknowledged_up_to(600).await;
}

#[tokio::test]
async fn a_history_that_cannot_be_written_loses_nothing_and_delays_no_client() {
    let ground = start(|_| ()).await;
    let (mut browser, _) = ground.browser().await;
    let mut vehicle = ground.vehicle().await;
    vehicle.welcomed().await;
    vehicle.tell(&schema_message()).await;
    vehicle.tell(&frame(Lane::Live, 0, 1)).await;
    vehicle.acknowledged_up_to(1).await;
    let path = ground.dir.as_ref().unwrap().path().join("history.sqlite");
    let blocker = rusqlite::Connection::open(&path).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    vehicle.tell(&frame(Lane::Live, 1, 2)).await;
    while browser.json_of("record").await["seq"] != 2 {}
    while !ground.get("/healthz").await.starts_with("HTTP/1.1 503") {}
    vehicle.tell(&frame(Lane::Live, 3, 1)).await;
    while browser.json_of("record").await["seq"] != 3 {}
    blocker.execute_batch("ROLLBACK").unwrap();

    // Nothing was acknowledged; as soon as it can be stored, the vehicle is asked to send it again.
    let (reason, message) = vehicle.refused().await;
    assert_eq!(reason, RefusalReason::Unavailable, "{message}");
    let mut vehicle = ground.vehicle().await;
    let floor = vehicle.welcomed().await;
    assert_eq!(floor, 1);
    vehicle.tell(&frame(Lane::Backlog, 0, 4)).await;
    vehicle.acknowledged_up_to(4).await;
    assert!(ground.get("/healthz").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_vehicle_whose_history_cannot_be_read_is_told_to_come_again() {
    let ground = start(|_| ()).await;
    let path = ground.dir.as_ref().unwrap().path().join("history.sqlite");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("ALTER TABLE gap RENAME TO away").unwrap();
    assert_eq!(ground.vehicle().await.refused().await.0, RefusalReason::Unavailable);
    file.execute_batch("ALTER TABLE away RENAME TO gap").unwrap();
    ground.vehicle().await.welcomed().await;
}

#[tokio::test]
async fn history_is_exported_while_the_ground_runs() {
    let ground = start(|_| ()).await;
    let mut vehicle = ground.vehicle().await;
    vehicle.welcomed().await;
    vehicle.tell(&schema_message()).await;
    vehicle.tell(&frame(Lane::Live, 0, 2)).await;
    vehicle.acknowledged_up_to(2).await;
    let dir = ground.dir.as_ref().unwrap().path();
    let output = dir.join("out.csv");
    let arguments = ["tern-ground", "export", "--vehicle", "alpha", "--format", "csv", "--output"];
    let arguments = arguments.map(Into::into).into_iter().chain([output.clone().into_os_string()]);
    let Some(Command::Export(arguments)) = Args::try_parse_from(arguments).unwrap().command else { panic!() };
    assert_eq!(export::run(&dir.join("history.sqlite"), &arguments).unwrap().records, 2);
    assert_eq!(std::fs::read_to_string(output).unwrap(), "t,percent\r\n0.000000,0\r\n0.001000,1\r\n");
}

#[tokio::test]
async fn vehicles_are_refused_with_a_reason() {
    let ground = start(|config| {
        config.vehicles.insert("alpha".parse().unwrap(), Token("right".to_owned()));
    })
    .await;
    let mut vehicle = ground.connect("/vehicle").await;
    vehicle.tell(&hello("wrong")).await;
    let (reason, message) = vehicle.refused().await;
    assert_eq!(reason, RefusalReason::NotAuthorized);
    assert!(message.contains("alpha") && !message.contains("right") && !message.contains("wrong"));

    let mut vehicle = ground.connect("/vehicle").await;
    let ToGround::Hello(mut old) = hello("right") else { unreachable!() };
    old.protocol = 99;
    vehicle.tell(&ToGround::Hello(old)).await;
    assert_eq!(vehicle.refused().await.0, RefusalReason::ProtocolVersion);

    for (message, expected) in [
        (Message::Binary(vec![2; MAX_FRAME_BYTES * 2].into()), RefusalReason::TooLarge),
        (Message::Binary(vec![2; MAX_FRAME_BYTES * 8].into()), RefusalReason::Malformed),
        (Message::Binary(vec![2, 0, 0, 5, 9, 9].into()), RefusalReason::Malformed),
        (Message::text("{}"), RefusalReason::Malformed),
    ] {
        let mut vehicle = ground.connect("/vehicle").await;
        vehicle.tell(&hello("right")).await;
        vehicle.welcomed().await;
        vehicle.0.send(message).await.unwrap();
        let (reason, text) = vehicle.refused().await;
        assert_eq!(reason, expected, "{text}");
    }
    // The page of a web site cannot pose as a vehicle.
    assert!(ground.try_connect("/vehicle", Some(("origin", "http://evil.example"))).await.is_err());
}

#[tokio::test]
async fn vehicles_over_the_limit_are_told_to_come_later() {
    let ground = start(|config| config.max_vehicles = 1).await;
    ground.vehicle().await.welcomed().await;
    let mut other = ground.connect("/vehicle").await;
    let ToGround::Hello(mut beta) = hello("") else { unreachable!() };
    beta.vehicle = "beta".parse().unwrap();
    other.tell(&ToGround::Hello(beta)).await;
    assert_eq!(other.refused().await.0, RefusalReason::Unavailable);
}

#[tokio::test]
async fn a_shutdown_acknowledges_what_came_and_says_goodbye() {
    let ground = start(|_| ()).await;
    let (mut browser, _) = ground.browser().await;
    let mut vehicle = ground.vehicle().await;
    vehicle.welcomed().await;
    vehicle.tell(&schema_message()).await;
    vehicle.tell(&frame(Lane::Live, 0, 4)).await;
    browser.json_of("record").await;
    let (told, ()) = tokio::join!(
        async {
            let mut told = Vec::new();
            while let Some(message) = vehicle.told().await {
                told.push(message);
            }
            told
        },
        ground.relay.shutdown()
    );
    assert!(
        matches!(&told[..], [ToVehicle::Acknowledge(all), ToVehicle::Goodbye] if all.floor == 4),
        "{told:?}"
    );
}

#[tokio::test]
async fn clients_are_told_what_is_wrong_with_their_messages() {
    let ground = start(|_| ()).await;
    let (mut browser, _) = ground.browser().await;
    for bad in [json!([]), json!({"type": "subscribe", "vehicles": 5})] {
        browser.say(bad).await;
        assert_eq!(browser.json_of("error").await["code"], "malformed");
    }
    browser.say(json!({"type": "dance", "id": "tango"})).await;
    let error = browser.json_of("error").await;
    assert_eq!((&error["code"], &error["id"]), (&json!("unknown-operation"), &json!("tango")));
    browser.say(json!({"type": "subscribe", "streams": vec!["x"; 65]})).await;
    assert_eq!(browser.json_of("error").await["code"], "limit");
    browser.say(json!({"type": "subscribe", "streams": ["x".repeat(40_000)]})).await;
    assert_eq!(browser.json_of("error").await["code"], "too-large");
    assert_eq!(browser.next().await, None);
    assert!(ground.try_connect("/ws", Some(("origin", "http://evil.example"))).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_hears_from_the_ground_also_when_nothing_happens() {
    // Threads have clocks of their own, which do not pause.
    let ground = start(|config| config.client_threads = 0).await;
    let (mut browser, _) = ground.browser().await;
    for _ in 0..3 {
        assert!(browser.json_of("time").await["server_time"].is_f64());
    }
}

#[tokio::test]
async fn viewers_need_the_token_where_one_is_configured() {
    let ground = start(|config| config.viewer_token = Some(Token("see".to_owned()))).await;
    let mut without = ground.connect("/ws").await;
    assert_eq!(without.json().await["auth_required"], true);
    without.say(json!({"type": "subscribe"})).await;
    assert_eq!(without.json().await["code"], "not-authorized");
    assert_eq!(without.next().await, None);

    let mut message = ground.connect("/ws").await;
    message.json().await;
    message.say(json!({"type": "authenticate", "token": "see"})).await;
    message.say(json!({"type": "subscribe"})).await;
    assert_eq!(message.json_of("access").await["command"], json!([]));
    assert_eq!(message.json().await["type"], "ready");

    let header = |value| Some(("authorization", value));
    let mut bearer = ground.try_connect("/ws", header("Bearer see")).await.unwrap();
    assert_eq!(bearer.json().await["auth_required"], false);
    assert!(ground.try_connect("/ws", header("Bearer blind")).await.is_err());
}

#[tokio::test]
async fn the_page_and_the_health_report_are_served() {
    let ground = start(|_| ()).await;
    let page = ground.get("/").await;
    assert!(
        page.starts_with("HTTP/1.1 200")
            && page.contains("content-security-policy")
            && page.contains("</html>")
    );
    // Built into this ground or not, the page asks nobody else for anything.
    assert!(!page.contains("https://"), "{page}");
    assert!(ground.get("/assets/none.js").await.starts_with("HTTP/1.1 404"));
    for asset in page.split(['"', '\'']).filter(|text| text.contains("assets/")) {
        let asset = ground.get(&format!("/{}", asset.trim_start_matches("./"))).await;
        assert!(asset.starts_with("HTTP/1.1 200") && asset.contains("immutable"), "{asset}");
    }
    let health = ground.get("/healthz").await;
    let body: Json = serde_json::from_str(health.rsplit("\r\n\r\n").next().unwrap()).unwrap();
    assert_eq!((&body["status"], &body["history"]["status"]), (&json!("ok"), &json!("ok")));
    assert!(ground.get("/nothing").await.starts_with("HTTP/1.1 404"));
    let rebound = ground.get_by("evil.example", "/").await;
    assert!(rebound.starts_with("HTTP/1.1 421") && rebound.contains("[viewer] token"), "{rebound}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_finishes_its_request_is_ended() {
    let ground = start(|_| ()).await;
    for head in ["", "GET / HTTP/1.1\r\n", "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"] {
        let mut stalled = TcpStream::connect(ground.relay.address()).await.unwrap();
        stalled.write_all(head.as_bytes()).await.unwrap();
        let mut told = Vec::new();
        let end = stalled.read_to_end(&mut told);
        // The ground's reset of a connection with unread bytes is an end, too.
        let _ = tokio::time::timeout(Duration::from_secs(60), end).await.expect("the connection stays open");
    }
}

#[tokio::test]
async fn connections_that_stall_keep_nobody_out() {
    let ground = start(|_| ()).await;
    let mut vehicle = ground.vehicle().await;
    vehicle.welcomed().await;
    let mut stalled = Vec::new();
    for _ in 0..=MAX_HTTP_CONNECTIONS {
        stalled.push(TcpStream::connect(ground.relay.address()).await.unwrap());
    }
    let mut told = Vec::new();
    let end = stalled[0].read_to_end(&mut told);
    let _ = tokio::time::timeout(LIMIT, end).await.expect("the oldest stays");
    assert!(ground.get("/healthz").await.starts_with("HTTP/1.1 200"));
    vehicle.tell(&schema_message()).await;
    vehicle.tell(&frame(Lane::Live, 0, 1)).await;
    vehicle.acknowledged_up_to(1).await;
}

#[tokio::test]
async fn connections_that_say_no_hello_keep_no_vehicle_out() {
    let ground = start(|config| config.max_vehicles = 1).await;
    let mut vehicle = ground.vehicle().await;
    vehicle.welcomed().await;
    let mut silent = Vec::new();
    for _ in 0..=MAX_STRANGERS {
        silent.push(ground.connect("/vehicle").await);
    }
    assert_eq!(silent[0].next().await, None, "the oldest stays");
    vehicle.tell(&schema_message()).await;
    vehicle.tell(&frame(Lane::Live, 0, 1)).await;
    vehicle.acknowledged_up_to(1).await;
    ground.vehicle().await.welcomed().await;
}

#[tokio::test]
async fn tls_serves_vehicles() {
    let dir = tempfile::tempdir().unwrap();
    let (tls, roots) = certificate(dir.path());
    let ground = start_in(dir.path(), |config| config.tls = Some(tls.clone())).await;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    // A peer that never speaks holds up nobody.
    let _silent = TcpStream::connect(ground.relay.address()).await.unwrap();
    let stream = TcpStream::connect(ground.relay.address()).await.unwrap();
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let (socket, _) = tokio_tungstenite::client_async("wss://localhost/vehicle", stream).await.unwrap();
    let mut vehicle = Socket(socket);
    vehicle.tell(&hello("")).await;
    assert_eq!(vehicle.welcomed().await, 0);

    std::fs::write(&tls.key, "no key").unwrap();
    let mut config = Config { tls: Some(tls), ..Config::default() };
    config.history.path = dir.path().join("other.sqlite");
    let error = Relay::start(config).await.err().unwrap().to_string();
    assert!(error.contains("tls.key") && error.contains("key.pem"), "{error}");
}

#[tokio::test]
async fn an_address_that_is_in_use_is_named_by_its_key() {
    let ground = start(|_| ()).await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.history.path = dir.path().join("history.sqlite");
    config.listen = ground.relay.address();
    let error = Relay::start(config).await.map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("listen = {}", ground.relay.address())), "{error}");
}
