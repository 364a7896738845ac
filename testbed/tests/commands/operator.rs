//! Somebody at the API who watches and commands the vehicle `test`.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::site::LIMIT;

/// How often a stick says where it is.
const STICK_PERIOD: Duration = Duration::from_millis(100);

pub(crate) struct Operator {
    socket: WebSocketStream<TcpStream>,
    next_id: u64,
}

impl Operator {
    pub(crate) async fn connect(ground: SocketAddr) -> Self {
        let stream = TcpStream::connect(ground).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(format!("ws://{ground}/ws"), stream).await.unwrap();
        let mut operator = Operator { socket, next_id: std::process::id().into() };
        operator.begin().await;
        operator
    }

    pub(crate) async fn with_token(ground: SocketAddr, token: &str) -> Self {
        let stream = TcpStream::connect(ground).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(format!("ws://{ground}/ws"), stream).await.unwrap();
        let mut operator = Operator { socket, next_id: std::process::id().into() };
        operator.say(json!({ "type": "authenticate", "token": token })).await;
        operator.begin().await;
        operator
    }

    async fn begin(&mut self) {
        self.say(json!({ "type": "subscribe" })).await;
        self.say(json!({ "type": "follow-commands", "vehicles": ["*"] })).await;
    }

    pub(crate) async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message of which `is_so` holds.
    pub(crate) async fn message(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                let message = self.next().await;
                if is_so(&message) {
                    return message;
                }
            }
        };
        tokio::time::timeout(LIMIT, found).await.unwrap_or_else(|_| panic!("no message comes: {what}"))
    }

    /// Says something again and again until a message comes of which `is_so` holds.
    pub(crate) async fn while_saying(&mut self, message: &Value, what: &str, is_so: impl Fn(&Value) -> bool) {
        let found = async {
            let mut ticks = tokio::time::interval(STICK_PERIOD);
            loop {
                tokio::select! {
                    _ = ticks.tick() => self.socket.send(Message::text(message.to_string())).await.unwrap(),
                    heard = self.socket.next() => {
                        let heard = heard.unwrap().unwrap();
                        if let Ok(text) = heard.to_text()
                            && serde_json::from_str(text).is_ok_and(|message| is_so(&message))
                        {
                            return;
                        }
                    }
                }
            }
        };
        tokio::time::timeout(LIMIT, found).await.unwrap_or_else(|_| panic!("no message comes: {what}"));
    }

    /// The fields of the next record of a stream whose name ends so.
    pub(crate) async fn record(&mut self, stream: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let wanted = |message: &Value| {
            message["type"] == "record"
                && message["stream"].as_str().is_some_and(|name| name.ends_with(stream))
                && is_so(&message["fields"])
        };
        self.message(stream, wanted).await["fields"].take()
    }

    /// Has the vehicle do something, and returns how that ended.
    pub(crate) async fn command(&mut self, action: Value) -> Value {
        self.next_id += 1;
        let id = format!("{:016x}", self.next_id);
        self.say(json!({ "type": "command", "vehicle": "test", "id": id, "action": action })).await;
        self.ended(&id).await
    }

    /// How a command has ended.
    pub(crate) async fn ended(&mut self, id: &str) -> Value {
        let is_final = |message: &Value| {
            let state = message["state"].as_str().unwrap_or_default();
            ["rejected", "failed", "done", "expired", "cancelled"].contains(&state)
        };
        self.message("the end of a command", |message| {
            assert!(message["type"] != "error", "{message}");
            message["type"] == "command" && message["id"] == id && is_final(message)
        })
        .await
    }

    /// The code of the next error, and of what it is.
    pub(crate) async fn error(&mut self) -> (String, Option<String>) {
        let error = self.message("an error", |message| message["type"] == "error").await;
        assert!(!error["message"].as_str().unwrap().is_empty());
        (error["code"].as_str().unwrap().to_owned(), error["id"].as_str().map(str::to_owned))
    }

    /// Waits until the vehicle is gone.
    pub(crate) async fn disconnected(&mut self) {
        let gone = |message: &Value| message["type"] == "vehicle" && message["connected"] == false;
        self.message("the vehicle is gone", gone).await;
    }

    async fn next(&mut self) -> Value {
        loop {
            let message = self.socket.next().await.expect("the ground keeps the connection").unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }
}
