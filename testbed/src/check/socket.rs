//! The sockets of a probe flow.

use std::io::{self, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use super::flow::Flow;
use crate::path::Path;
use crate::proxy;

/// How often a receiver that nothing comes for looks at the time.
const READ_TIMEOUT: Duration = Duration::from_millis(200);
/// IPv4 and UDP.
const DATAGRAM_HEADER_BYTES: usize = 28;

/// One end of a flow.
#[derive(Debug)]
pub(super) enum Socket {
    Datagram(UdpSocket),
    Stream(TcpStream),
}

impl Socket {
    pub(super) fn send(&mut self, probe: &[u8]) -> io::Result<()> {
        match self {
            Socket::Datagram(socket) => socket.send(probe).map(|_| ()),
            Socket::Stream(socket) => socket.write_all(probe),
        }
    }

    /// A whole probe; `false` when none came for a while.
    pub(super) fn receive(&mut self, probe: &mut [u8]) -> io::Result<bool> {
        let result = match self {
            Socket::Datagram(socket) => socket.recv(probe).map(|_| ()),
            Socket::Stream(socket) => receive_whole(socket, probe),
        };
        match result {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The same socket once more.
    pub(super) fn try_clone(&self) -> io::Result<Socket> {
        match self {
            Socket::Datagram(socket) => socket.try_clone().map(Socket::Datagram),
            Socket::Stream(socket) => socket.try_clone().map(Socket::Stream),
        }
    }

    /// Bytes of headers that a probe has on the wire.
    pub(super) fn header_bytes(&self) -> usize {
        match self {
            Socket::Datagram(_) => DATAGRAM_HEADER_BYTES,
            Socket::Stream(_) => proxy::HEADER_BYTES,
        }
    }
}

/// A pause is one only before the first byte.
fn receive_whole(socket: &mut TcpStream, probe: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < probe.len() {
        match socket.read(&mut probe[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && filled > 0 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A flow to the ground and one to the vehicle across the link.
pub(super) fn datagrams(path: &Path) -> io::Result<[Flow; 2]> {
    let ground = path.ground().udp_socket(path.ground_address().ip())?;
    let vehicle = path.vehicle().udp_socket(path.vehicle_address())?;
    ground.connect(vehicle.local_addr()?)?;
    vehicle.connect(ground.local_addr()?)?;
    for socket in [&ground, &vehicle] {
        socket.set_read_timeout(Some(READ_TIMEOUT))?;
    }
    let clone = |socket: &UdpSocket| socket.try_clone().map(Socket::Datagram);
    Ok([Flow::new(clone(&vehicle)?, clone(&ground)?), Flow::new(clone(&ground)?, clone(&vehicle)?)])
}

/// The two directions of one connection across the proxy.
pub(super) async fn streams(path: &Path) -> io::Result<[Flow; 2]> {
    let listener = tokio::net::TcpListener::bind(path.ground_address()).await?;
    let vehicle = tokio::net::TcpStream::connect(path.address_across_link()).await?;
    let (ground, _) = listener.accept().await?;
    let [vehicle, ground] = [vehicle.into_std()?, ground.into_std()?];
    for socket in [&ground, &vehicle] {
        socket.set_nonblocking(false)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(READ_TIMEOUT))?;
    }
    let clone = |socket: &TcpStream| socket.try_clone().map(Socket::Stream);
    Ok([Flow::new(clone(&vehicle)?, clone(&ground)?), Flow::new(clone(&ground)?, clone(&vehicle)?)])
}
