//! The two encodings of messages to clients: JSON in text frames, MessagePack in binary ones.

use axum::extract::ws::{Message, Utf8Bytes};
use serde::Serialize;
use serde::de::DeserializeOwned;

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
