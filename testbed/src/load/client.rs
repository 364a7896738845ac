//! Web clients that measure how old messages are when they come.
//!
//! On the real network they are other machines, so here they are to cost the server's machine as little as they can, and each
//! of its cores alike: as many threads look every 2 ms which of them have something. Clients that sleep until the next message
//! have the server pay for waking them, once a message. The latencies have up to 2 ms of it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::Timespec;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::MidHandshake;
use tokio_tungstenite::tungstenite::handshake::client::ClientHandshake;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, HandshakeError, Message, WebSocket};

use super::LoadError;
use crate::client::epoch_seconds;

/// How often clients look whether something has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// Clients that are told of at a time.
const EVENTS: usize = 1024;
/// Clients that connect at a time.
const CONNECTING: usize = 100;
/// What a connection holds to read into, and clears before it does: ten thousand of them add up.
const READ_BUFFER_BYTES: usize = 256;

/// What clients have seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Clients that are subscribed.
    pub(super) ready: usize,
    /// Milliseconds from sending to arrival.
    pub(super) latencies_ms: Vec<f64>,
    /// Messages that the server said were skipped.
    pub(super) missed: u64,
    /// Clients whose connection ended.
    pub(super) gone: usize,
}

/// What a server and its clients say to each other within a WebSocket.
pub(super) trait Dialect: Default + Send + 'static {
    /// The subprotocol that is asked for.
    const SUBPROTOCOL: Option<&str>;
    /// Where the server listens.
    const PATH: &str;

    /// What a client begins with: it subscribes to everything.
    fn opening(&self) -> Vec<Message>;

    /// Notes what has come. Returns what has to be answered.
    fn take(&mut self, message: &Message, seen: &mut Seen) -> Option<Message>;
}

/// Clients that are served by threads of their own, until this is dropped.
pub(super) struct Clients {
    /// What those of each thread have seen.
    seen: Vec<Arc<Mutex<Seen>>>,
    /// Those that are subscribed and never read.
    _stalled: Vec<TcpStream>,
}

/// A client.
struct Client<D> {
    socket: WebSocket<Socket>,
    dialect: D,
}

/// A socket that says so without another system call when it has been read empty: by fewer bytes than were asked for.
struct Socket {
    stream: TcpStream,
    is_empty: bool,
}

impl Seen {
    /// Notes content that names the time of its sending.
    pub(super) fn note(&mut self, content: &[u8]) {
        if let Some(sent) = number(content, "\"sent\":") {
            self.latencies_ms.push((epoch_seconds() - sent) * 1e3);
        }
    }
}

impl Clients {
    /// Connects and subscribes, clients that never read first.
    pub(super) async fn connect<D: Dialect>(
        server: SocketAddr,
        count: usize,
        stalled: usize,
    ) -> Result<Clients, LoadError> {
        let connecting = tokio::task::spawn_blocking(move || {
            let stalled = Client::<D>::connect(server, stalled)?.into_iter().map(Client::stall).collect();
            Ok::<_, LoadError>((stalled, Client::<D>::connect(server, count)?))
        });
        let (stalled, clients) = connecting.await.map_err(|_| LoadError::Nothing)??;
        let mut shares: Vec<_> = (0..thread::available_parallelism()?.get()).map(|_| Vec::new()).collect();
        for (client, share) in clients.into_iter().zip((0..shares.len()).cycle()) {
            shares[share].push(client);
        }
        Ok(Clients { seen: shares.into_iter().map(watch).collect::<Result<_, _>>()?, _stalled: stalled })
    }

    /// How many are subscribed.
    pub(super) fn ready(&self) -> usize {
        self.seen.iter().map(|seen| lock(seen).ready).sum()
    }

    /// What they have seen.
    pub(super) fn into_seen(self) -> Seen {
        let mut all = Seen::default();
        for seen in &self.seen {
            let seen = std::mem::take(&mut *lock(seen));
            all.ready += seen.ready;
            all.latencies_ms.extend(seen.latencies_ms);
            all.missed += seen.missed;
            all.gone += seen.gone;
        }
        all
    }
}

/// Starts a thread that reads what comes, for as long as somebody holds what is seen.
fn watch<D: Dialect>(clients: Vec<Client<D>>) -> io::Result<Arc<Mutex<Seen>>> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    for (number, client) in (0..).zip(&clients) {
        let events = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&epoll, &client.socket.get_ref().stream, EventData::new_u64(number), events)?;
    }
    let mut clients: Vec<_> = clients.into_iter().map(Some).collect();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = Arc::downgrade(&seen);
    thread::Builder::new().name("watch".to_owned()).spawn(move || {
        let mut events = Vec::with_capacity(EVENTS);
        while let Some(seen) = shared.upgrade() {
            look(&epoll, &mut events, &mut clients, &mut lock(&seen));
            drop(seen);
            thread::sleep(LOOK_INTERVAL);
        }
    })?;
    Ok(seen)
}

/// Reads what has come.
fn look<D: Dialect>(
    epoll: &OwnedFd,
    events: &mut Vec<Event>,
    clients: &mut [Option<Client<D>>],
    seen: &mut Seen,
) {
    // An interrupted call finds what it would have found at the next look.
    while epoll::wait(epoll, spare_capacity(events), Some(&Timespec::default())).is_ok_and(|count| count > 0)
    {
        for event in events.drain(..) {
            let place = &mut clients[event.data.u64() as usize];
            let ends = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
            let is_over = { event.flags }.intersects(ends);
            if let Some(client) = place
                && (client.read(seen).is_err() || is_over)
            {
                seen.gone += 1;
                *place = None;
            }
        }
    }
}

impl<D: Dialect> Client<D> {
    /// Connects and subscribes so many.
    fn connect(server: SocketAddr, count: usize) -> Result<Vec<Client<D>>, LoadError> {
        let mut clients = Vec::with_capacity(count);
        while clients.len() < count {
            let wave = 0..CONNECTING.min(count - clients.len());
            let mut waiting = wave.map(|_| Self::begin(server)).collect::<Result<Vec<_>, _>>()?;
            while !waiting.is_empty() {
                for handshake in std::mem::take(&mut waiting) {
                    match handshake.handshake() {
                        Ok((socket, _)) => clients.push(Self::subscribe(socket)?),
                        Err(HandshakeError::Interrupted(handshake)) => waiting.push(handshake),
                        Err(HandshakeError::Failure(error)) => return Err(error.into()),
                    }
                }
                thread::sleep(LOOK_INTERVAL);
            }
        }
        Ok(clients)
    }

    fn begin(server: SocketAddr) -> Result<MidHandshake<ClientHandshake<Socket>>, LoadError> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
        let mut request = format!("ws://{server}{}", D::PATH).into_client_request()?;
        if let Some(subprotocol) = D::SUBPROTOCOL {
            request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(subprotocol));
        }
        let socket = Socket { stream, is_empty: false };
        Ok(ClientHandshake::start(socket, request, Some(config))?)
    }

    fn subscribe(mut socket: WebSocket<Socket>) -> Result<Client<D>, LoadError> {
        let dialect = D::default();
        for message in dialect.opening() {
            socket.send(message)?;
        }
        Ok(Client { socket, dialect })
    }

    /// Notes all that has come since the last time, when something has.
    fn read(&mut self, seen: &mut Seen) -> Result<(), Error> {
        self.socket.get_mut().is_empty = false;
        loop {
            match self.socket.read() {
                Ok(message) => {
                    if let Some(answer) = self.dialect.take(&message, seen) {
                        self.socket.send(answer)?;
                    }
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Keeps the connection and reads nothing of it.
    fn stall(self) -> TcpStream {
        self.socket.into_inner().stream
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.is_empty) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.stream.read(buffer)?;
        self.is_empty = count < buffer.len();
        Ok(count)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The number behind a key, without reading the whole message: the clients' share of the machine is not what is measured.
pub(super) fn number(content: &[u8], key: &str) -> Option<f64> {
    let (_, rest) = std::str::from_utf8(content).ok()?.split_once(key)?;
    let end = rest.find([',', '}'])?;
    rest[..end].parse().ok()
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
