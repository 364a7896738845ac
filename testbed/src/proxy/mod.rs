//! A satellite link between real processes, without root: a proxy on loopback for TCP and UDP.
//!
//! Datagrams cross the link model as they are: delayed, queued, lost, repeated, garbled as the profile says, and each
//! address that sends some has a flow of its own, which the ground sees as a port of its own. The proxy cuts
//! connections, not flows.
//!
//! Each connection's bytes are cut into segments of at most [`SEGMENT_BYTES_MAX`] that pass through the link model,
//! all connections and flows through the same two links, one a direction. What that shows: delay, jitter, rate, the queue of
//! the modem, one loss holding up the bytes behind it, outages, cut connections. What it cannot show
//! of TCP:
//!
//! - Bytes of a TCP stream cannot vanish. A lost segment takes a second trip a round trip later, and all behind it
//!   wait in the receiver: loss detection as good as TCP gets, so a real TCP is slower, never faster.
//! - The window is constant ([`WINDOW_BYTES`]): no slow start, no congestion control that collapses on loss.
//! - An outage holds everything and lets it go at its end. A real TCP sits in an exponential back-off by then, for
//!   0.9 to 34 s after 30 s of outage.
//! - Acknowledgements of the two TCP stacks do not cross the modelled link and take nothing from its rate.
//! - A connection's opening takes half a round trip more to reach the ground, but the vehicle's `connect` returns at
//!   once.
//! - TCP hides duplicates, reordering and corruption; what they make it send is not modelled.

mod carrier;
mod connection;
mod engine;
mod flow;
mod timer;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tern_shared::time::Instant;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;

use crate::link::PathProfile;
use timer::Timer;

/// The most payload of one segment: what fits the smallest path that satellite operators offer, with headers.
pub const SEGMENT_BYTES_MAX: usize = 1200;

/// The most payload of one connection and direction between the proxy's two sockets.
pub const WINDOW_BYTES: usize = 64 * 1024;

/// Headers of a segment on the wire: IPv4 and TCP with timestamps.
pub const HEADER_BYTES: usize = 52;

/// Headers of a datagram on the wire: IPv4 and UDP.
pub const DATAGRAM_HEADER_BYTES: usize = 28;

/// The most payload of a datagram: an MTU of 1500. What is larger is dropped.
pub const DATAGRAM_BYTES_MAX: usize = 1500 - DATAGRAM_HEADER_BYTES;

/// How often a port is looked for that is free for both TCP and UDP.
const PORT_ATTEMPTS: u32 = 10;

/// The receive buffer of an accepted connection. The kernel's own (128 kB and more) would hide the link's rate from
/// the sender for many seconds.
const RECEIVE_BUFFER_BYTES: usize = 8 * 1024;

/// The receive buffer of datagrams, where the system allows it. The kernel's own (200 kB) overflows in 20 ms at
/// 10 Mbit/s, and what it drops is not the link's loss.
const DATAGRAM_BUFFER_BYTES: usize = 1024 * 1024;

/// How a proxy is set up.
#[derive(Clone, Debug)]
pub struct ProxyOptions {
    /// Where it listens, for connections and for datagrams; port 0 takes one that is free for both.
    pub listen: SocketAddr,
    /// Where it forwards to.
    pub forward_to: SocketAddr,
    /// The link between the two.
    pub profile: PathProfile,
    /// Cuts all connections every so often: each time after half to one and a half of this. `None`: never.
    pub cut_every: Option<Duration>,
    /// Draws loss, jitter and cuts.
    pub seed: u64,
}

/// A bound proxy, which accepts once it runs.
#[derive(Debug)]
pub struct Proxy {
    listener: TcpListener,
    datagrams: UdpSocket,
    datagrams_to: SocketAddr,
    options: ProxyOptions,
    timer: Timer,
    status: watch::Sender<ProxyStatus>,
}

/// What a proxy did since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyStatus {
    /// From the vehicle to the ground.
    pub to_ground: DirectionStatus,
    /// From the ground to the vehicle.
    pub to_vehicle: DirectionStatus,
    /// Connections accepted.
    pub connections: u64,
    /// Addresses that sent datagrams; those that come back after a long silence count again.
    pub flows: u64,
    /// Connections that it cut.
    pub cut_connections: u64,
    /// When the link is up again, on the clock of the proxy's start; `None` when it is up.
    pub down_until: Option<Instant>,
}

/// One direction's share of [`ProxyStatus`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectionStatus {
    /// Segments and datagrams on the link, second trips of lost segments included.
    pub segments: u64,
    /// Their bytes, [`HEADER_BYTES`] a segment and [`DATAGRAM_HEADER_BYTES`] a datagram included.
    pub wire_bytes: u64,
    /// How many of them were lost.
    pub lost_segments: u64,
    /// Payload handed to the receiver.
    pub delivered_bytes: u64,
}

/// Why a proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The profile has a value out of its range.
    #[error(transparent)]
    Profile(#[from] crate::link::InvalidProfile),
    /// The system has no timer left.
    #[error("the proxy has no timer: {0}")]
    Timer(std::io::Error),
    /// The listening address is taken or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Proxy {
    /// Binds the listening sockets. Needs a tokio runtime.
    pub fn bind(options: ProxyOptions) -> Result<Proxy, ProxyError> {
        options.profile.validate()?;
        let (listener, datagrams) = listen_to_both(options.listen)
            .map_err(|source| ProxyError::Listen { address: options.listen, source })?;
        let datagrams_to = options.forward_to;
        let (timer, status) = (Timer::new().map_err(ProxyError::Timer)?, watch::Sender::default());
        Ok(Proxy { listener, datagrams, datagrams_to, options, timer, status })
    }

    /// Forwards datagrams to this address rather than to that of connections.
    pub fn with_datagrams_to(self, address: SocketAddr) -> Proxy {
        Proxy { datagrams_to: address, ..self }
    }

    /// Where it listens, for connections and for datagrams.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What it does, while it runs.
    pub fn status(&self) -> watch::Receiver<ProxyStatus> {
        self.status.subscribe()
    }

    /// Relays until it is dropped, which closes all connections. The link's time starts here.
    pub async fn run(self) {
        engine::run(self).await;
    }
}

fn listen_to_both(address: SocketAddr) -> std::io::Result<(TcpListener, UdpSocket)> {
    let mut attempts = if address.port() == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        let listener = listen(address)?;
        match std::net::UdpSocket::bind(listener.local_addr()?) {
            Ok(socket) => return Ok((listener, with_room(socket)?)),
            Err(error) if error.kind() == ErrorKind::AddrInUse && attempts > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

/// Ready for datagrams while this process has no turn.
fn with_room(socket: std::net::UdpSocket) -> std::io::Result<UdpSocket> {
    SockRef::from(&socket).set_recv_buffer_size(DATAGRAM_BUFFER_BYTES)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Accepted connections inherit both. Without the small segment size, the 64 kB segments of loopback would meet a
    // window that is smaller than they are.
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.set_tcp_mss(SEGMENT_BYTES_MAX as u32)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(64)?;
    TcpListener::from_std(socket.into())
}
