//! A NATS server with its WebSocket listener.

use std::net::SocketAddr;

use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

use super::LoadError;
use super::client::{Dialect, Seen};
use super::sample::Samples;
use super::service::{Service, connect, free_address};
use crate::peers::broker::{Client as _, SUBJECT};
use crate::peers::nats::{self, NatsClient};
use crate::peers::tool;
use crate::process::Process;

pub(super) struct Nats {
    address: SocketAddr,
    process: Process,
    publisher: NatsClient,
    samples: Samples,
    _folder: TempDir,
}

/// The same text protocol as on TCP, in binary messages that need not hold whole lines.
#[derive(Debug, Default)]
pub(super) struct NatsText(Vec<u8>);

impl Service for Nats {
    const NAME: &'static str = "nats";
    type Dialect = NatsText;

    async fn start(_clients: usize) -> Result<Self, LoadError> {
        let program = tool::NATS_SERVER.path()?;
        let folder = tempfile::tempdir()?;
        let (direct, address) = (free_address()?, free_address()?);
        let file = folder.path().join("nats.conf");
        let web = format!("host: \"{}\", port: {}, no_tls: true", address.ip(), address.port());
        std::fs::write(&file, format!("listen: \"{direct}\"\nwebsocket {{ {web} }}\n"))?;
        let process = Process::spawn("nats-server", &program, ["-c".into(), file.into_os_string()])?;
        let publisher = NatsClient::new(connect(direct, &process).await?).await?;
        connect(address, &process).await?;
        Ok(Nats { address, process, publisher, samples: Samples::default(), _folder: folder })
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn process(&self) -> &Process {
        &self.process
    }

    async fn publish(&mut self) -> Result<(), LoadError> {
        Ok(self.publisher.publish(&self.samples.next()).await?)
    }
}

impl Dialect for NatsText {
    const SUBPROTOCOL: Option<&str> = None;
    const PATH: &str = "/";

    fn opening(&self) -> Vec<Message> {
        let connect = r#"CONNECT {"verbose":false,"pedantic":false}"#;
        vec![Message::binary(format!("{connect}\r\nSUB {SUBJECT} 1\r\nPING\r\n").into_bytes())]
    }

    fn take(&mut self, message: &Message, seen: &mut Seen) -> Option<Message> {
        let Message::Binary(bytes) = message else { return None };
        self.0.extend_from_slice(bytes);
        let (mut taken, mut answer) = (0, None);
        while let Ok(Some((message, length))) = nats::parse(&self.0[taken..]) {
            taken += length;
            match message {
                nats::Message::Content { content, .. } => seen.note(&content),
                nats::Message::Pong => seen.ready += 1,
                nats::Message::Ping => answer = Some(Message::binary(&b"PONG\r\n"[..])),
                nats::Message::Error(_) | nats::Message::Other => {}
            }
        }
        self.0.drain(..taken);
        answer
    }
}
