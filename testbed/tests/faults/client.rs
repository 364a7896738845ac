//! WebSocket clients of a ground: a browser, and a vehicle that misbehaves.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tern_shared::id::{Epoch, Token};
use tern_shared::message::{Hello, PROTOCOL_VERSION, Refusal, ToGround, ToVehicle};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::site::LIMIT;

/// A web client that has subscribed to everything.
pub(crate) struct Browser(Socket);

/// A vehicle that sends what it likes.
pub(crate) struct Vehicle(Socket);

struct Socket(WebSocketStream<TcpStream>);

impl Browser {
    pub(crate) async fn connect(ground: SocketAddr) -> Self {
        let mut socket = Socket::connect(ground, "/ws").await;
        socket.0.send(Message::text(r#"{"type":"subscribe"}"#)).await.unwrap();
        Browser(socket)
    }

    /// The next message of which `is_so` holds. Everything that comes has to be JSON.
    pub(crate) async fn message_where(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                let message = self.0.next().await.expect("the ground keeps the connection");
                let message: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
                if is_so(&message) {
                    return message;
                }
            }
        };
        tokio::time::timeout(LIMIT, found).await.unwrap_or_else(|_| panic!("no message comes: {what}"))
    }

    /// The next record of which `is_so` holds.
    pub(crate) async fn record_where(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        self.message_where(what, |message| message["type"] == "record" && is_so(message)).await
    }

    /// The next record of the stream `counter` with this number or a later one.
    pub(crate) async fn number(&mut self, number: u64) -> Value {
        let is_so = |record: &Value| record["fields"]["n"].as_u64().is_some_and(|n| n >= number);
        self.record_where(&format!("number {number}"), is_so).await
    }
}

impl Vehicle {
    pub(crate) async fn connect(ground: SocketAddr) -> Self {
        Vehicle(Socket::connect(ground, "/vehicle").await)
    }

    pub(crate) async fn send(&mut self, bytes: Vec<u8>) {
        self.0.0.send(Message::Binary(bytes.into())).await.unwrap();
    }

    /// Says hello and is welcome.
    pub(crate) async fn open(ground: SocketAddr, hello: &Hello) -> Self {
        let mut vehicle = Self::connect(ground).await;
        vehicle.send(ToGround::Hello(hello.clone()).encode()).await;
        match vehicle.told().await {
            Some(ToVehicle::Welcome(_)) => vehicle,
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// The refusal that it gets, after which the ground ends the connection.
    pub(crate) async fn refused(mut self) -> Refusal {
        loop {
            match self.told().await {
                Some(ToVehicle::Refused(refusal)) => {
                    assert_eq!(self.told().await, None, "the end follows a refusal");
                    return refusal;
                }
                Some(_) => {}
                None => panic!("the connection ends without a refusal"),
            }
        }
    }

    async fn told(&mut self) -> Option<ToVehicle> {
        let message = tokio::time::timeout(LIMIT, self.0.next()).await.expect("the ground answers");
        message.map(|message| ToVehicle::decode(&message.into_data()).unwrap())
    }
}

impl Socket {
    async fn connect(ground: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(ground).await.unwrap();
        let url = format!("ws://{ground}{path}");
        Socket(tokio_tungstenite::client_async(url, stream).await.unwrap().0)
    }

    async fn next(&mut self) -> Option<Message> {
        loop {
            match self.0.next().await {
                // Reading on answers a close, which the ground waits for.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => {}
                Some(Err(_)) | None => return None,
                Some(Ok(message)) => return Some(message),
            }
        }
    }
}

/// What a vehicle opens a session with.
pub(crate) fn hello(vehicle: &str, token: &str) -> Hello {
    Hello {
        protocol: PROTOCOL_VERSION,
        vehicle: vehicle.parse().unwrap(),
        epoch: Epoch(7),
        base: 0,
        token: Token(token.to_owned()),
        agent: "a test".to_owned(),
        finds_rate: false,
    }
}
