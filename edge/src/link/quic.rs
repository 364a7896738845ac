//! One QUIC connection: datagrams, and a stream beside them.
//!
//! Each connection has a socket of its own, bound to no address: when the interface's address changes, the system puts
//! the new one on the next packet, and the ground follows. Messages for the stream wait in a queue of their own, so that
//! a stream that is stuck holds up no datagram.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig};
use quinn::{
    ConnectionError, Endpoint, EndpointConfig, RecvStream, SendDatagramError, SendStream, TokioRuntime,
};
use quinn::{ReadError, VarInt, WriteError};
use rustls::client::Resumption;
use tern_shared::quic::{Deframer, frame, transport_config, vehicle_ids};
use tern_shared::session::{Carrier, Channel, Transmit};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::debug;

use super::GroundUrl;
use super::addresses::Addresses;
use super::connection::{Driven, End};
use super::tickets::Tickets;
use super::wire::{CountedSocket, WireCounter};

/// How long a handshake may take beside the time that its bytes take: two round trips over two geostationary hops and a
/// packet that has to be repeated.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(8);
/// What a handshake takes of the link with repeated packets.
const HANDSHAKE_BYTES: u64 = 6000;
/// Messages that wait for the stream, beside the one that is being written.
const STREAM_MESSAGES: usize = 2;
/// Read from the stream at once.
const READ_BYTES: usize = 16 * 1024;
/// How long the last packet may take to leave.
const CLOSE_LIMIT: Duration = Duration::from_millis(100);
/// How the edge closes a connection that is done.
const DONE: VarInt = VarInt::from_u32(0);

/// Connects to a ground by QUIC, remembering its addresses and the tickets it gave.
pub(super) struct QuicDialer {
    addresses: Addresses,
    server_name: String,
    config: quinn::ClientConfig,
    tickets: Arc<Tickets>,
    handshake_limit: Duration,
    wire: WireCounter,
    /// Counts attempts, to try one address after the other.
    round: usize,
}

/// What became of what was sent ahead of a handshake; `None` when nothing answered in time.
pub(super) type EarlyAnswer = Pin<Box<dyn Future<Output = Option<bool>> + Send>>;

/// A connection that stands, or is about to.
pub(super) struct Quic {
    endpoint: Endpoint,
    connection: quinn::Connection,
    /// Largest message in a datagram.
    max_datagram_bytes: usize,
}

impl QuicDialer {
    pub(super) fn new(
        ground: &GroundUrl,
        mut tls: rustls::ClientConfig,
        rate_bits_per_second: Option<u64>,
        wire: WireCounter,
    ) -> Result<Self, NoInitialCipherSuite> {
        let tickets = Arc::new(Tickets::new());
        tls.resumption = Resumption::store(tickets.clone());
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        config.transport_config(Arc::new(transport_config(rate_bits_per_second)));
        let bytes_time = rate_bits_per_second
            .map_or(Duration::ZERO, |rate| Duration::from_secs(HANDSHAKE_BYTES * 8 / rate.max(1)));
        Ok(QuicDialer {
            addresses: Addresses::new(ground),
            server_name: ground.host().to_owned(),
            config,
            tickets,
            handshake_limit: HANDSHAKE_LIMIT + bytes_time,
            wire,
            round: 0,
        })
    }

    /// Connects. Where it `may_send_early`, a ground that was reached before is not waited for: the connection is there at
    /// once, and whether the ground takes it is told by the second value. Says why it cannot.
    pub(super) async fn dial(
        &mut self,
        may_send_early: impl Fn() -> bool,
    ) -> Result<(Quic, Option<EarlyAnswer>), String> {
        let result = self.try_dial(may_send_early).await;
        if result.is_err() {
            self.round += 1;
            self.addresses.doubt();
        }
        result
    }

    async fn try_dial(
        &mut self,
        may_send_early: impl Fn() -> bool,
    ) -> Result<(Quic, Option<EarlyAnswer>), String> {
        let addresses = self.addresses.get().await.map_err(|error| error.to_string())?;
        let address = addresses[self.round % addresses.len()];
        let (endpoint, socket) =
            open(address, &self.wire).map_err(|error| format!("cannot reach {address}: {error}"))?;
        let mut attempt = Attempt { socket: Some(socket) };
        // Asked only now: another connection may have come to stand while the name was looked up.
        let early = may_send_early();
        self.tickets.give(early);
        let connecting = endpoint
            .connect_with(self.config.clone(), address, &self.server_name)
            .map_err(|error| error.to_string())?;
        let connecting = match if early { connecting.into_0rtt() } else { Err(connecting) } {
            Ok((connection, accepted)) => {
                attempt.socket = None;
                let answer = Box::pin(timeout(self.handshake_limit, accepted).map(Result::ok));
                return Ok((Quic::new(endpoint, connection)?, Some(answer)));
            }
            Err(connecting) => connecting,
        };
        let connection = match timeout(self.handshake_limit, connecting).await {
            Ok(connection) => connection.map_err(|error| error.to_string())?,
            Err(_) => {
                let seconds = self.handshake_limit.as_secs();
                return Err(format!("no answer from {address} (UDP) within {seconds} s"));
            }
        };
        attempt.socket = None;
        Ok((Quic::new(endpoint, connection)?, None))
    }
}

impl Quic {
    fn new(endpoint: Endpoint, connection: quinn::Connection) -> Result<Quic, String> {
        match connection.max_datagram_size() {
            Some(max_datagram_bytes) => Ok(Quic { endpoint, connection, max_datagram_bytes }),
            None => Err("the ground takes no datagrams".to_owned()),
        }
    }

    pub(super) fn carrier(&self) -> Carrier {
        Carrier::Datagrams { max_bytes: self.max_datagram_bytes }
    }

    /// The same connection for another start: the ground has refused what was sent early, and nothing else.
    pub(super) fn again(&self) -> Option<Quic> {
        Quic::new(self.endpoint.clone(), self.connection.clone()).ok()
    }
}

/// A handshake, which falls silent when it fails or is given up.
struct Attempt {
    /// `None` when the connection stands.
    socket: Option<Arc<CountedSocket>>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            socket.mute();
        }
    }
}

/// A socket that the system routes to `address`, for one connection.
fn open(address: SocketAddr, wire: &WireCounter) -> io::Result<(Endpoint, Arc<CountedSocket>)> {
    let any = |port| match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
    };
    // Fails at once when there is no way there; sending would only lose packets.
    UdpSocket::bind(any(0))?.connect(address)?;
    let mut config = EndpointConfig::default();
    config.cid_generator(vehicle_ids);
    let socket = CountedSocket::new(UdpSocket::bind(any(0))?, wire.clone())?;
    let endpoint = Endpoint::new_with_abstract_socket(config, None, socket.clone(), Arc::new(TokioRuntime))?;
    Ok((endpoint, socket))
}

/// Carries messages until the relay drops its end, the ground closes, or the connection breaks. Says which.
pub(super) async fn run(quic: Quic, driven: Driven) -> End {
    let Quic { endpoint, connection, .. } = quic;
    let end = match connection.open_bi().await {
        Ok((send, receive)) => carry(&connection, send, receive, driven).await,
        Err(error) => end(&error),
    };
    if end == End::EarlyRefused {
        return end;
    }
    connection.close(DONE, b"");
    let _ = timeout(CLOSE_LIMIT, endpoint.wait_idle()).await;
    end
}

async fn carry(connection: &quinn::Connection, send: SendStream, receive: RecvStream, driven: Driven) -> End {
    let Driven { outgoing, incoming, stream_has_room } = driven;
    let (queue, queued) = mpsc::channel(STREAM_MESSAGES);
    let dropped = async {
        incoming.closed().await;
        // Before the stream is dropped, which would still say that it is complete. What is left of it is not repeated: a
        // hello that comes after the next connection's would take the session back.
        connection.close(DONE, b"");
    };
    tokio::select! {
        end = dispatch(connection, outgoing, queue, &stream_has_room) => end,
        end = write(send, queued, &stream_has_room) => end,
        end = read(connection, receive, &incoming) => end,
        () = dropped => End::by_the_edge(),
    }
}

/// Sends datagrams, and queues what goes on the stream. Never ends while the connection stands.
async fn dispatch(
    connection: &quinn::Connection,
    mut outgoing: mpsc::Receiver<Transmit>,
    queue: mpsc::Sender<Vec<u8>>,
    stream_has_room: &watch::Sender<bool>,
) -> End {
    while let Some(Transmit { channel, bytes }) = outgoing.recv().await {
        match channel {
            Channel::Datagram => match connection.send_datagram_wait(bytes.into()).await {
                Ok(()) => {}
                Err(SendDatagramError::ConnectionLost(error)) => return end(&error),
                // To the session it is lost, as datagrams may be.
                Err(error) => debug!(%error, "datagram not sent"),
            },
            Channel::Stream => {
                // Waits only for a relay that does not look whether there is room.
                if queue.send(bytes).await.is_err() {
                    break;
                }
                tell_room(stream_has_room, queue.capacity() > 0);
            }
        }
    }
    // The writer ends when it has written what is queued.
    drop(queue);
    std::future::pending().await
}

/// Ends when nothing more is to be sent and the ground has everything that was queued, or the stream breaks.
async fn write(
    mut stream: SendStream,
    mut queued: mpsc::Receiver<Vec<u8>>,
    stream_has_room: &watch::Sender<bool>,
) -> End {
    while let Some(message) = queued.recv().await {
        tell_room(stream_has_room, true);
        match stream.write_all(&frame(&message)).await {
            Ok(()) => {}
            Err(WriteError::ZeroRttRejected) => return End::EarlyRefused,
            Err(WriteError::ConnectionLost(error)) => return end(&error),
            Err(error) => return End::Broken(error.to_string()),
        }
    }
    if stream.finish().is_ok() {
        let _ = stream.stopped().await;
    }
    End::by_the_edge()
}

async fn read(
    connection: &quinn::Connection,
    mut stream: RecvStream,
    incoming: &mpsc::Sender<Vec<u8>>,
) -> End {
    let mut deframer = Deframer::default();
    loop {
        let message = tokio::select! {
            biased;
            chunk = stream.read_chunk(READ_BYTES, true) => match chunk {
                Ok(Some(chunk)) => {
                    deframer.extend(&chunk.bytes);
                    None
                }
                // The ground has nothing more to say, and closes.
                Ok(None) => return end(&connection.closed().await),
                Err(ReadError::ZeroRttRejected) => return End::EarlyRefused,
                Err(ReadError::ConnectionLost(error)) => return end(&error),
                Err(error) => return End::Broken(error.to_string()),
            },
            datagram = connection.read_datagram() => match datagram {
                Ok(bytes) => Some(bytes.into()),
                Err(error) => return end(&error),
            },
        };
        let mut messages: Vec<Vec<u8>> = message.into_iter().collect();
        loop {
            match deframer.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return End::Broken(error.to_string()),
            }
        }
        for message in messages {
            if incoming.send(message).await.is_err() {
                // The relay has dropped its end, which `carry` notices.
                std::future::pending::<()>().await;
            }
        }
    }
}

fn tell_room(stream_has_room: &watch::Sender<bool>, has_room: bool) {
    stream_has_room.send_if_modified(|told| std::mem::replace(told, has_room) != has_room);
}

fn end(error: &ConnectionError) -> End {
    match error {
        ConnectionError::ApplicationClosed(close) if close.reason.is_empty() => {
            End::Closed("closed by the ground".to_owned())
        }
        ConnectionError::ApplicationClosed(close) => {
            End::Closed(format!("closed by the ground: {}", String::from_utf8_lossy(&close.reason)))
        }
        // It does not like the vehicle's certificate, above all.
        ConnectionError::ConnectionClosed(close) => End::Closed(format!("refused by the ground: {close}")),
        ConnectionError::LocallyClosed => End::by_the_edge(),
        ConnectionError::Reset => {
            End::Broken("the ground does not know the connection: it has restarted".to_owned())
        }
        error => End::Broken(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
