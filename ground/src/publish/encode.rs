//! The two encodings of messages to clients: JSON in text frames, MessagePack in binary ones.

use std::sync::Arc;

use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// How deep what a client sends may be nested; serde_json has a bound of its own, 128.
const MAX_DEPTH: usize = 64;

/// How a client wants its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoding {
    /// Text.
    #[default]
    Json,
    /// The same maps with the same keys, binary.
    MessagePack,
}

impl Encoding {
    /// The WebSocket subprotocol that asks for it.
    pub fn subprotocol(self) -> &'static str {
        match self {
            Encoding::Json => "tern.json",
            Encoding::MessagePack => "tern.msgpack",
        }
    }

    /// A message; cloning it does not copy its bytes.
    pub fn encode<T: Serialize>(self, message: &T) -> Message {
        match self {
            Encoding::Json => Message::Text(Utf8Bytes::from(json(message))),
            Encoding::MessagePack => {
                let bytes = rmp_serde::to_vec_named(message)
                    .expect("messages have text keys and plain values, which MessagePack always takes");
                Message::Binary(bytes.into())
            }
        }
    }
}

/// Messages as WebSocket frames, one after the other: a server's have no mask, so that they are the same for all clients.
/// The messages that are returned with them are parts of the same memory.
pub fn framed(messages: &[Message]) -> (Bytes, Arc<[Message]>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(messages.len()));
    for message in messages {
        let (content, data) = match message {
            Message::Text(text) => (Bytes::from(text.clone()), Data::Text),
            Message::Binary(content) => (content.clone(), Data::Binary),
            _ => continue,
        };
        let frame = Frame::message(content, OpCode::Data(data), true);
        frame.format(&mut bytes).expect("memory takes what is written to it");
        ends.push(bytes.len());
    }
    let frames = Bytes::from(bytes);
    let parts = messages.iter().zip(ends).map(|(message, end)| {
        let content = frames.slice(end - size(message)..end);
        match message {
            Message::Text(_) => Message::Text(content.try_into().expect("it was text before")),
            _ => Message::Binary(content),
        }
    });
    let messages = parts.collect();
    (frames, messages)
}

/// Bytes of a message's content.
pub fn size(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) => bytes.len(),
        _ => 0,
    }
}

/// A message as JSON.
pub fn json<T: Serialize>(message: &T) -> String {
    serde_json::to_string(message).expect("messages have text keys and plain values, which JSON always takes")
}

/// Reads what a client sent. The text says what is wrong with it.
pub fn decode<T: DeserializeOwned>(message: &Message) -> Result<T, String> {
    match message {
        Message::Text(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
        Message::Binary(bytes) => {
            let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
            decoder.set_max_depth(MAX_DEPTH);
            T::deserialize(&mut decoder).map_err(|error| error.to_string())
        }
        _ => Err("no message".to_owned()),
    }
}
