//! Commands for programs without WebSocket, to a vehicle that the test plays.

use tern_shared::command::{Answer, CommandReport, Order, State, Step};
use tern_shared::time::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

async fn ask(ground: &Ground, method: &str, path: &str, body: &str) -> (String, Json) {
    let mut stream = TcpStream::connect(ground.relay.address()).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} /api/vehicles/{path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].to_owned(), serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn a_command_is_posted_and_its_end_is_listed() {
    let ground = start(|_| ()).await;
    let mut vehicle = announced(&ground).await;
    let rtl = r#"{"id":"00000000000000ff","action":{"kind":"rtl"}}"#;
    let (status, told) = ask(&ground, "POST", "alpha/commands", rtl).await;
    assert_eq!((status.as_str(), &told["state"]), ("202", &json!("queued")), "{told}");
    let id = loop {
        if let Some(ToVehicle::Order(Order::Command(command))) = vehicle.told().await {
            break command.id;
        }
    };
    let steps = [State::AtVehicle, State::Done].map(|state| Step::new(state, Timestamp(7))).to_vec();
    vehicle.tell(&ToGround::Answer(Answer::Report(CommandReport { id, steps }))).await;
    loop {
        let (status, listed) = ask(&ground, "GET", "alpha/commands?limit=5", "").await;
        assert_eq!((status.as_str(), &listed["commands"][0]["id"]), ("200", &json!("00000000000000ff")));
        if listed["commands"][0]["state"] == "done" {
            break;
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_command_is_told_by_status_and_code() {
    let ground = start(|_| ()).await;
    let _vehicle = announced(&ground).await;
    let rtl = r#"{"id":"00000000000000ff","action":{"kind":"rtl"}}"#;
    ask(&ground, "POST", "alpha/commands", rtl).await;
    let long = format!(r#"{{"action":{{"kind":"device","device":"d","command":"{}"}}}}"#, "x".repeat(20_000));
    for (method, path, body, status, code) in [
        ("POST", "alpha/commands", rtl, "409", "duplicate"),
        ("POST", "alpha/commands", "{", "400", "malformed"),
        ("POST", "alpha/commands", r#"{"action":{"kind":"fly"}}"#, "400", "malformed"),
        ("POST", "alpha/commands", r#"{"ttl_ms":0,"action":{"kind":"rtl"}}"#, "400", "malformed"),
        ("POST", "alpha/commands", &long, "413", "too-large"),
        ("POST", "beta/commands", rtl, "404", "unknown-vehicle"),
        ("DELETE", "alpha/commands/zz", "", "400", "malformed"),
        ("DELETE", "alpha/commands/0000000000000001", "", "404", "unknown-id"),
    ] {
        let (got, told) = ask(&ground, method, path, body).await;
        assert_eq!((got.as_str(), &told["error"]["code"]), (status, &json!(code)), "{method} {path}: {told}");
    }
    let (status, told) = ask(&ground, "DELETE", "alpha/commands/00000000000000ff", "").await;
    assert_eq!((status.as_str(), &told["id"]), ("200", &json!("00000000000000ff")));
}
