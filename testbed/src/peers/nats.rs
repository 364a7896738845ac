//! NATS servers, and as much of the protocol of their clients as samples take. (The client library of NATS connects by
//! itself, so not within a namespace, and brings half a hundred crates.)
//!
//! Lines that end in CR LF: `INFO {}`, `CONNECT {}`, `SUB subject id`, `PUB subject [reply] bytes` and
//! `MSG subject id [reply] bytes`, each of the latter two with a line of content, `PING`, `PONG`, `+OK`, `-ERR`.

use std::io;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::broker::{Client, SUBJECT, connect};
use super::seat::{Seat, free_address};
use super::{PeersError, tool};
use crate::path::Place;
use crate::process::Process;
use crate::run::Role;

/// A server refuses content beyond a megabyte.
const CONTENT_BYTES_MAX: usize = 1 << 20;
const LINE_END: &[u8] = b"\r\n";
/// Ids of subscriptions.
const SAMPLES: &str = "1";
const ANSWERS: &str = "2";

/// A server on the vehicle that is a leaf node of one on the ground, and a client of each.
pub(super) struct Servers {
    pub(super) brokers: [(Role, Process); 2],
    pub(super) edge: NatsClient,
    pub(super) ground: NatsClient,
}

/// A client beside its server.
pub(crate) struct NatsClient {
    socket: TcpStream,
    received: Vec<u8>,
}

/// What a server sent.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    Content { subscription: String, content: Vec<u8> },
    Ping,
    Pong,
    Error(String),
    Other,
}

/// Starts both. `settings` are more of them for the server of a role.
pub(super) async fn start(seat: &Seat<'_>, settings: impl Fn(Role) -> String) -> Result<Servers, PeersError> {
    let program = tool::NATS_SERVER.find(seat.peer)?;
    let (vehicle, ground) = (seat.path.vehicle(), seat.path.ground());
    let (edge_address, ground_address) = (free_address(vehicle)?, free_address(ground)?);
    let run = |place: &Place, name: &'static str, address: SocketAddr, leaf: String, more: String| {
        let file = seat.folder.join(name);
        std::fs::write(&file, format!("listen: \"{address}\"\nleafnodes {{ {leaf} }}\n{more}\n"))?;
        Result::<_, PeersError>::Ok(place.spawn_program(
            name,
            &program,
            ["-c".into(), file.into_os_string()],
        )?)
    };
    let accept = format!("listen: \"{}\"", seat.path.ground_address());
    let ground_server = run(ground, "nats-ground.conf", ground_address, accept, settings(Role::Ground))?;
    let ground_client = NatsClient::new(connect(ground, ground_address, &ground_server).await?).await?;
    let remote = format!("remotes: [ {{ url: \"nats-leaf://{}\" }} ]", seat.path.address_across_link());
    let edge_server = run(vehicle, "nats-edge.conf", edge_address, remote, settings(Role::Edge))?;
    let edge_client = NatsClient::new(connect(vehicle, edge_address, &edge_server).await?).await?;
    Ok(Servers {
        brokers: [(Role::Edge, edge_server), (Role::Ground, ground_server)],
        edge: edge_client,
        ground: ground_client,
    })
}

impl NatsClient {
    /// Introduces itself.
    pub(crate) async fn new(mut socket: TcpStream) -> io::Result<NatsClient> {
        socket.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n").await?;
        let mut client = NatsClient { socket, received: Vec::new() };
        while client.receive().await? != Message::Pong {}
        Ok(client)
    }

    /// Takes what is published to `subject` as samples, from the moment of the return.
    pub(super) async fn subscribe(&mut self, subject: &str) -> io::Result<()> {
        self.socket.write_all(format!("SUB {subject} {SAMPLES}\r\nPING\r\n").as_bytes()).await?;
        while self.receive().await? != Message::Pong {}
        Ok(())
    }

    /// A request to JetStream and its answer.
    pub(super) async fn request(&mut self, subject: &str, content: Value) -> io::Result<Value> {
        const INBOX: &str = "_INBOX.testbed";
        let content = content.to_string();
        let lines =
            format!("SUB {INBOX} {ANSWERS}\r\nPUB {subject} {INBOX} {}\r\n{content}\r\n", content.len());
        self.socket.write_all(lines.as_bytes()).await?;
        loop {
            if let Message::Content { subscription, content } = self.receive().await?
                && subscription == ANSWERS
            {
                self.socket.write_all(format!("UNSUB {ANSWERS}\r\n").as_bytes()).await?;
                let answer: Value = serde_json::from_slice(&content)?;
                return match &answer["error"] {
                    Value::Null => Ok(answer),
                    error => Err(io::Error::other(format!("{subject} is answered {error}"))),
                };
            }
        }
    }

    /// The next message; errors are errors, and pings are answered.
    async fn receive(&mut self) -> io::Result<Message> {
        loop {
            match parse(&self.received)? {
                Some((Message::Ping, length)) => {
                    self.received.drain(..length);
                    self.socket.write_all(b"PONG\r\n").await?;
                }
                Some((Message::Error(message), _)) => return Err(io::Error::other(message)),
                Some((message, length)) => {
                    self.received.drain(..length);
                    return Ok(message);
                }
                None => {
                    if self.socket.read_buf(&mut self.received).await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
    }
}

impl Client for NatsClient {
    async fn publish(&mut self, content: &[u8]) -> io::Result<()> {
        let head = format!("PUB {SUBJECT} {}\r\n", content.len());
        self.socket.write_all(&[head.as_bytes(), content, LINE_END].concat()).await
    }

    async fn next(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Message::Content { subscription, content } = self.receive().await?
                && subscription == SAMPLES
            {
                return Ok(content);
            }
        }
    }
}

/// The message at the beginning and its length; `None` when it is not whole yet.
pub(crate) fn parse(bytes: &[u8]) -> io::Result<Option<(Message, usize)>> {
    let Some(end) = bytes.windows(LINE_END.len()).position(|pair| pair == LINE_END) else { return Ok(None) };
    let line = String::from_utf8_lossy(&bytes[..end]);
    let length = end + LINE_END.len();
    let mut words = line.split_whitespace();
    let message = match words.next() {
        Some("PING") => Message::Ping,
        Some("PONG") => Message::Pong,
        Some("-ERR") => Message::Error(line.into_owned()),
        Some("MSG") => {
            let invalid =
                || io::Error::new(io::ErrorKind::InvalidData, format!("no message of NATS: {line}"));
            let subscription = words.nth(1).ok_or_else(invalid)?.to_owned();
            let size: usize = words.next_back().and_then(|size| size.parse().ok()).ok_or_else(invalid)?;
            if size > CONTENT_BYTES_MAX {
                return Err(invalid());
            }
            let Some(content) = bytes.get(length..length + size + LINE_END.len()) else { return Ok(None) };
            let content = content[..size].to_vec();
            return Ok(Some((Message::Content { subscription, content }, length + size + LINE_END.len())));
        }
        _ => Message::Other,
    };
    Ok(Some((message, length)))
}

/// What a stream is made of, for JetStream.
pub(super) fn stream(name: &str) -> Value {
    json!({ "name": name, "storage": "file", "retention": "limits", "discard": "old", "num_replicas": 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_whole() {
        let text = b"MSG samples 1 _INBOX.x 4\r\nab\r\n\r\nPING\r\n";
        let content = Message::Content { subscription: "1".to_owned(), content: b"ab\r\n".to_vec() };
        assert_eq!(parse(text).unwrap(), Some((content, 32)));
        assert_eq!(parse(&text[32..]).unwrap(), Some((Message::Ping, 6)));
        for length in 0..32 {
            assert_eq!(parse(&text[..length]).unwrap(), None, "{length} bytes");
        }
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        assert!(parse(b"MSG samples\r\n").is_err());
        assert!(parse(b"MSG samples 1 99999999999999999999\r\n").is_err());
        assert!(parse(b"MSG samples 1 2000000\r\n").is_err());
        assert_eq!(parse(b"-ERR 'no'\r\n").unwrap(), Some((Message::Error("-ERR 'no'".to_owned()), 11)));
    }
}
