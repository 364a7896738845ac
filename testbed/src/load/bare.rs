//! The least that a server of WebSockets can do: one `write` a client and message, and nothing else. What is left of a
//! measurement is what this machine's kernel and the clients take, which no server can do without.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use super::LoadError;
use super::client::{Dialect, Seen};
use super::sample::{self, Samples};
use super::service::{Service, connect, free_address};
use crate::process::{Process, sibling};

/// Messages that wait for a thread; the publisher waits when there are more.
const MAX_WAITING: usize = 1024;
/// The first message of a client, and to it.
const READY: &str = "ready";

pub(super) struct Bare {
    address: SocketAddr,
    process: Process,
    publisher: tokio::net::TcpStream,
    samples: Samples,
}

/// A text a sample.
#[derive(Debug, Default)]
pub(super) struct Texts;

/// The clients of a thread.
type Share = Arc<Mutex<Vec<TcpStream>>>;

impl Service for Bare {
    const NAME: &'static str = "bare";
    type Dialect = Texts;

    async fn start(_clients: usize) -> Result<Self, LoadError> {
        let (direct, address) = (free_address()?, free_address()?);
        let arguments = ["bare".to_owned(), address.to_string(), direct.to_string()];
        let process = Process::spawn("bare", &sibling("tern-testbed")?, &arguments)?;
        let publisher = connect(direct, &process).await?;
        Ok(Bare { address, process, publisher, samples: Samples::default() })
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn process(&self) -> &Process {
        &self.process
    }

    async fn publish(&mut self) -> Result<(), LoadError> {
        Ok(self.publisher.write_all(&self.samples.next()).await?)
    }
}

impl Dialect for Texts {
    const SUBPROTOCOL: Option<&str> = None;
    const PATH: &str = "/";

    fn opening(&self) -> Vec<Message> {
        vec![Message::text(READY)]
    }

    fn take(&mut self, message: &Message, seen: &mut Seen) -> Option<Message> {
        let Message::Text(text) = message else { return None };
        if text.as_str() == READY {
            seen.ready += 1;
        } else {
            seen.note(text.as_bytes());
        }
        None
    }
}

/// Serves web clients at one address with what a publisher sends to the other, for as long as that does.
///
/// # Errors
///
/// When an address cannot be listened to, or the publisher's connection fails.
pub fn serve(clients: SocketAddr, publisher: SocketAddr) -> std::io::Result<()> {
    let clients = TcpListener::bind(clients)?;
    let publisher = TcpListener::bind(publisher)?;
    let (mut shares, mut frames) = (Vec::new(), Vec::<SyncSender<Arc<[u8]>>>::new());
    for _ in 0..thread::available_parallelism()?.get() {
        let (share, (sender, receiver)) = (Share::default(), sync_channel(MAX_WAITING));
        shares.push(share.clone());
        frames.push(sender);
        thread::spawn(move || fan_out(&share, &receiver));
    }
    thread::spawn(move || accept(&clients, &shares));
    let (mut publisher, _) = publisher.accept()?;
    let mut content = [0; sample::BYTES];
    loop {
        publisher.read_exact(&mut content)?;
        let frame = frame(&content);
        // The threads live as long as the process.
        frames.iter().for_each(|frames| drop(frames.send(frame.clone())));
    }
}

/// Takes clients in, the threads in turn.
fn accept(listener: &TcpListener, shares: &[Share]) {
    for (stream, share) in listener.incoming().flatten().zip(shares.iter().cycle()) {
        let Ok(mut socket) = tokio_tungstenite::tungstenite::accept(stream) else { continue };
        if socket.read().is_err() {
            continue;
        }
        let stream = socket.get_ref().try_clone().and_then(|stream| {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        });
        if let Ok(stream) = stream
            && socket.send(Message::text(READY)).is_ok()
        {
            share.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        }
    }
}

fn fan_out(share: &Share, frames: &Receiver<Arc<[u8]>>) {
    for frame in frames {
        let mut clients = share.lock().unwrap_or_else(PoisonError::into_inner);
        // Who does not read misses it; half a frame would be none.
        clients.retain_mut(|client| match client.write(&frame) {
            Ok(written) => written == frame.len(),
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        });
    }
}

/// A text, unmasked, its length in two bytes (RFC 6455, 5.2).
fn frame(content: &[u8; sample::BYTES]) -> Arc<[u8]> {
    let length = (sample::BYTES as u16).to_be_bytes();
    [&[0x81, 126], &length[..], content].concat().into()
}
