//! The API without WebSocket.

use super::*;

async fn recorded() -> (Ground, Socket<TcpStream>) {
    let ground = start(|_| ()).await;
    let mut vehicle = announced(&ground).await;
    vehicle.tell(&frame(Lane::Live, 0, 10)).await;
    vehicle.acknowledged_up_to(10).await;
    (ground, vehicle)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

/// Without the sizes of the chunks.
fn lines(answer: &str) -> Vec<Json> {
    let lines = body(answer).lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn vehicles_and_their_newest_values_are_told() {
    let (ground, _vehicle) = recorded().await;
    let all: Json = serde_json::from_str(body(&ground.get("/api/vehicles").await)).unwrap();
    assert_eq!(
        (&all["vehicles"][0]["vehicle"], &all["vehicles"][0]["connected"]),
        (&json!("alpha"), &json!(true))
    );
    let latest: Json = serde_json::from_str(body(&ground.get("/api/vehicles/alpha/latest").await)).unwrap();
    assert_eq!(
        (&latest["records"][0]["seq"], &latest["streams"][0]["stream"]),
        (&json!(9), &json!("humidity"))
    );
    assert_eq!(latest["vehicle"]["vehicle"], "alpha");
    let none: Json =
        serde_json::from_str(body(&ground.get("/api/vehicles/alpha/latest?streams=wind,r*").await)).unwrap();
    assert_eq!(none["records"], json!([]));
    let unknown = ground.get("/api/vehicles/beta/latest").await;
    assert!(unknown.starts_with("HTTP/1.1 404") && unknown.contains("unknown-vehicle"), "{unknown}");
}

#[tokio::test]
async fn every_error_is_told_as_json_whatever_was_asked() {
    let (ground, _vehicle) = recorded().await;
    for (method, path, status, code, word) in [
        ("GET", "vehicles/alpha/history?bucket=5", "400", "malformed", "`bucket`"),
        ("GET", "vehicles/alpha/history?from=noon", "400", "malformed", "RFC 3339"),
        ("GET", "vehicles/alpha/history?buckets=many", "400", "malformed", "buckets"),
        ("GET", "vehicles/alpha/export", "400", "malformed", "`format`"),
        ("GET", "vehicles/alpha/latest?stream=x", "400", "malformed", "`stream`"),
        ("GET", "vehicles/alpha/commands?limit=-1", "400", "malformed", "limit"),
        ("GET", "events?max_rate_hz=fast", "400", "malformed", "max_rate_hz"),
        ("GET", "vehicles/%ff/latest", "400", "malformed", "UTF-8"),
        ("GET", "nope", "404", "unknown-operation", "/api/nope"),
        ("GET", "vehicles/alpha", "404", "unknown-operation", "/api/vehicles/alpha"),
        ("GET", "vehicles/alpha/commands/1", "405", "unknown-operation", "GET"),
        ("POST", "vehicles", "405", "unknown-operation", "POST"),
    ] {
        let mut stream = TcpStream::connect(ground.relay.address()).await.unwrap();
        let request = format!("{method} /api/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {path}: {answer}");
        let told: Json = serde_json::from_str(body(&answer)).unwrap();
        assert_eq!(told["error"]["code"], code, "{method} {path}: {answer}");
        assert!(told["error"]["message"].as_str().unwrap().contains(word), "{method} {path}: {answer}");
        assert_eq!(answer.contains("\r\nallow: "), status == "405", "{method} {path}: {answer}");
    }
}

#[tokio::test]
async fn history_comes_as_lines_and_exports_as_files() {
    let (ground, _vehicle) = recorded().await;
    let told = lines(&ground.get("/api/vehicles/alpha/history?from=0.002&to=0.005").await);
    assert_eq!((told.len(), told[0]["records"].as_array().unwrap().len()), (2, 3));
    assert_eq!(told[1]["type"], "history-end");
    let buckets = lines(&ground.get("/api/vehicles/alpha/history?buckets=2").await);
    assert_eq!(buckets[0]["count"], json!([5, 5]));
    for (path, status, code) in [
        ("history?buckets=9999", "400", "limit"),
        ("history?from=2&to=1", "400", "malformed"),
        ("export?format=pdf", "400", "malformed"),
        ("export?format=csv&stream=none", "400", "malformed"),
    ] {
        let answer = ground.get(&format!("/api/vehicles/alpha/{path}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(code), "{answer}");
    }
    let unknown = ground.get("/api/vehicles/beta/export?format=csv").await;
    assert!(unknown.starts_with("HTTP/1.1 404"), "{unknown}");
    let csv = ground.get("/api/vehicles/alpha/export?format=csv").await;
    assert!(
        csv.contains("attachment; filename=\"alpha.csv\"") && csv.contains("t,percent\r\n0.000000,0"),
        "{csv}"
    );
    // Seconds, or a date.
    for to in ["0.003", "1970-01-01T00:00:00.003Z"] {
        let jsonl = ground.get(&format!("/api/vehicles/alpha/export?format=jsonl&to={to}")).await;
        assert_eq!(lines(&jsonl).len(), 3, "{to}");
        let told = lines(&ground.get(&format!("/api/vehicles/alpha/history?to={to}")).await);
        assert_eq!(told[1]["records"], 3, "{to}");
    }
}

#[tokio::test]
async fn metrics_are_what_prometheus_reads() {
    let (ground, _vehicle) = recorded().await;
    let (_client, _) = ground.browser().await;
    let answer = ground.get("/metrics").await;
    for line in [
        "tern_ground_vehicles_connected 1",
        "tern_ground_clients{transport=\"websocket\"} 1",
        "tern_ground_records_total{lane=\"live\"} 10",
        "tern_ground_publish_seconds_bucket{le=\"+Inf\"} 1",
        "tern_ground_publish_seconds_count 1",
        "tern_vehicle_records{vehicle=\"alpha\"} 10",
        "tern_vehicle_connected{vehicle=\"alpha\"} 1",
    ] {
        assert!(body(&answer).lines().any(|found| found == line), "{line} is not in {answer}");
    }
    let is_sound = |line: &str| {
        line.starts_with("# ") || line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok())
    };
    assert!(body(&answer).lines().all(is_sound), "{answer}");
}

/// A client of server-sent events.
struct Events {
    stream: TcpStream,
    text: String,
}

impl Events {
    async fn open(ground: &Ground, query: &str, headers: &str) -> Events {
        let mut stream = TcpStream::connect(ground.relay.address()).await.unwrap();
        let request = format!("GET /api/events{query} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Events { stream, text: String::new() }
    }

    /// The next event: its type, id and data.
    async fn next(&mut self) -> (String, Option<String>, Json) {
        loop {
            if let Some(start) = self.text.find("event: ")
                && let Some(end) = self.text[start..].find("\n\n")
            {
                let event: String = self.text.drain(..start + end).skip(start).collect();
                let member =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let data = serde_json::from_str(&member("data: ").unwrap()).unwrap();
                return (member("event: ").unwrap(), member("id: "), data);
            }
            let mut bytes = [0; 4096];
            let read =
                tokio::time::timeout(LIMIT, self.stream.read(&mut bytes)).await.expect("an event is late");
            let count = read.unwrap();
            assert!(count > 0, "the events end: {}", self.text);
            self.text += &String::from_utf8_lossy(&bytes[..count]);
        }
    }

    async fn of(&mut self, kind: &str) -> (Option<String>, Json) {
        loop {
            let (event, id, data) = self.next().await;
            if event == kind {
                return (id, data);
            }
        }
    }
}

#[tokio::test]
async fn events_show_all_and_resume_by_their_id() {
    let (ground, mut vehicle) = recorded().await;
    let mut events = Events::open(&ground, "?streams=h*", "").await;
    let (id, snapshot) = events.of("record").await;
    assert_eq!((id, &snapshot["phase"]), (None, &json!("snapshot")));
    assert!(events.of("ready").await.0.is_some());
    vehicle.tell(&frame(Lane::Live, 10, 2)).await;
    let (id, record) = events.of("record").await;
    assert_eq!(record["seq"], 10);
    drop(events);
    vehicle.tell(&frame(Lane::Live, 12, 3)).await;
    vehicle.acknowledged_up_to(15).await;
    let mut events = Events::open(&ground, "", &format!("last-event-id: {}\r\n", id.unwrap())).await;
    let mut filled = Vec::new();
    loop {
        let (event, _, data) = events.next().await;
        match event.as_str() {
            "filled" => break,
            "record" if data["phase"] == "fill" => filled.push(data["seq"].as_u64().unwrap()),
            _ => {}
        }
    }
    assert_eq!(filled, [11, 12, 13, 14]);
    ground.relay.shutdown().await;
}
