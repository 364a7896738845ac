//! Datagrams. Each holds whole frames or lines.

use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{self, MissedTickBehavior};

use super::{GREETING_PERIOD, Health, RETRY_AFTER, wall_clock};
use crate::source::SourceError;
use crate::source::decoder::Decoder;
use crate::source::output::{Closed, Counts, Output, WhenFull};

/// The longest datagram.
const MAX_DATAGRAM_BYTES: usize = 64 * 1024;
/// Room in the kernel for a burst (a parameter list) that comes while other sources have their turn.
const RECEIVE_BUFFER_BYTES: usize = 1024 * 1024;

/// Takes datagrams on a port of ours until nobody takes their samples any more. Greetings go to whoever spoke last.
pub(super) async fn listen(
    address: &str,
    decoder: &mut dyn Decoder,
    output: &Output,
) -> Result<(), SourceError> {
    let socket = bind_patiently(address, || UdpSocket::bind(address)).await?;
    tracing::info!(address, "source listening");
    let mut peer = None;
    let mut health = Health::default();
    loop {
        match exchange(&socket, &mut peer, decoder, output).await {
            Ok(error) => health.down(address, &error),
            Err(Closed) => return Ok(()),
        }
        time::sleep(RETRY_AFTER).await;
    }
}

/// Greets a peer and takes its datagrams until nobody takes their samples any more.
pub(super) async fn connect(address: &str, decoder: &mut dyn Decoder, output: &Output) {
    let mut health = Health::default();
    let mut first = true;
    loop {
        let error = match open(address).await {
            Ok((socket, peer)) => {
                health.up(address);
                output.counters().add(Counts { reconnects: (!first).into(), ..Counts::default() });
                first = false;
                match exchange(&socket, &mut Some(peer), decoder, output).await {
                    Ok(error) => error,
                    Err(Closed) => return,
                }
            }
            Err(error) => error,
        };
        health.down(address, &error);
        time::sleep(RETRY_AFTER).await;
    }
}

/// Binds; an address that is not there yet (an interface still coming up) is waited for.
pub(super) async fn bind_patiently<T, F: Future<Output = io::Result<T>>>(
    address: &str,
    bind: impl Fn() -> F,
) -> Result<T, SourceError> {
    let mut health = Health::default();
    loop {
        match bind().await {
            Ok(socket) => return Ok(socket),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) =>
            {
                return Err(SourceError::Listen { address: address.to_owned(), error });
            }
            Err(error) => health.down(address, &error),
        }
        time::sleep(RETRY_AFTER).await;
    }
}

async fn open(address: &str) -> io::Result<(UdpSocket, SocketAddr)> {
    let peer = lookup_host(address).await?.next().ok_or(io::ErrorKind::NotFound)?;
    let any: SocketAddr = if peer.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    Ok((socket, peer))
}

/// Takes datagrams until the socket fails, and returns why.
async fn exchange(
    socket: &UdpSocket,
    peer: &mut Option<SocketAddr>,
    decoder: &mut dyn Decoder,
    output: &Output,
) -> Result<io::Error, Closed> {
    // Refused where the system's limit is lower; it is then at that limit.
    let _ = SockRef::from(socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
    let mut samples = Vec::new();
    let mut greetings = time::interval(GREETING_PERIOD);
    greetings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut outgoing = output.outgoing();
    loop {
        tokio::select! {
            biased;
            // Priority 1: commands, which are old soon.
            bytes = outgoing.next() => send(socket, *peer, &bytes),
            // Priority 2: greetings, or the peer forgets us.
            _ = greetings.tick() => send(socket, *peer, &decoder.greet()),
            // Priority 3: what came.
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, from)) => {
                    *peer = Some(from);
                    output.counters().add(Counts { bytes: length as u64, ..Counts::default() });
                    let now = wall_clock();
                    decoder.push(&buffer[..length], now, &mut samples);
                    decoder.finish(now, &mut samples);
                    output.send(&mut samples, WhenFull::Drop).await?;
                }
                // An earlier greeting met no listener; the peer may start any time.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Ok(error),
            }
        }
    }
}

/// Sends to the peer, if there is one. What a full send buffer or an unreachable network costs is said again soon:
/// greetings every second, MAVLink commands until they are answered.
fn send(socket: &UdpSocket, peer: Option<SocketAddr>, bytes: &[u8]) {
    if let Some(peer) = peer
        && !bytes.is_empty()
        && let Err(error) = socket.try_send_to(bytes, peer)
    {
        tracing::debug!(%peer, %error, "not sent");
    }
}
