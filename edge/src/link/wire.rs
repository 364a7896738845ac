//! Counts what the links cost: all that is sent and received, headers included, also by attempts that come to nothing.
//!
//! QUIC's datagrams are counted one by one. The kernel has WebSockets' packets to itself: what they cost is an estimate.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};

/// IP and UDP headers.
const IPV4_HEADER_BYTES: usize = 28;
const IPV6_HEADER_BYTES: usize = 48;
/// What a message costs on a WebSocket beside its bytes, about: IP, TCP, TLS and WebSocket headers.
const MESSAGE_HEADER_BYTES: usize = 80;
/// What asks for a TCP connection: IP and TCP headers, with their options.
const ATTEMPT_BYTES: u64 = 60;
/// What a connection by WebSocket costs before its first message, about: the handshakes of TCP, TLS and HTTP.
const HANDSHAKE_SENT_BYTES: u64 = 1500;
const HANDSHAKE_RECEIVED_BYTES: u64 = 3500;

/// Bytes since the start, shared by all links.
#[derive(Clone, Debug, Default)]
pub struct WireCounter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    received: AtomicU64,
}

impl WireCounter {
    /// Those that left.
    pub fn sent_bytes(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Those that came.
    pub fn received_bytes(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// A message left by a WebSocket.
    pub(super) fn handle_sent(&self, bytes: usize) {
        self.add_sent((bytes + MESSAGE_HEADER_BYTES) as u64);
    }

    /// A message came by a WebSocket.
    pub(super) fn handle_received(&self, bytes: usize) {
        self.add_received((bytes + MESSAGE_HEADER_BYTES) as u64);
    }

    /// A packet that asks for a TCP connection left.
    pub(super) fn handle_attempt(&self) {
        self.add_sent(ATTEMPT_BYTES);
    }

    /// A TCP connection stands, and the handshake of a WebSocket begins on it.
    pub(super) fn handle_handshake(&self) {
        self.add_sent(HANDSHAKE_SENT_BYTES);
        self.add_received(HANDSHAKE_RECEIVED_BYTES);
    }

    fn add_sent(&self, bytes: u64) {
        self.0.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    fn add_received(&self, bytes: u64) {
        self.0.received.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A UDP socket for QUIC whose datagrams are counted.
#[derive(Debug)]
pub(super) struct CountedSocket {
    socket: Arc<dyn AsyncUdpSocket>,
    counter: WireCounter,
    header_bytes: usize,
    is_muted: AtomicBool,
}

impl CountedSocket {
    pub(super) fn new(socket: std::net::UdpSocket, counter: WireCounter) -> io::Result<Arc<Self>> {
        let is_ipv4 = socket.local_addr()?.is_ipv4();
        let header_bytes = if is_ipv4 { IPV4_HEADER_BYTES } else { IPV6_HEADER_BYTES };
        let socket = TokioRuntime.wrap_udp_socket(socket)?;
        Ok(Arc::new(CountedSocket { socket, counter, header_bytes, is_muted: AtomicBool::new(false) }))
    }

    /// Sends nothing from here on: what an attempt that nobody waits for would still say costs as much as its first packet.
    pub(super) fn mute(&self) {
        self.is_muted.store(true, Ordering::Relaxed);
    }

    /// `datagram_bytes` is the length of each datagram when several are handed over at once.
    fn wire_bytes(&self, bytes: usize, datagram_bytes: Option<usize>) -> u64 {
        let datagrams = datagram_bytes.filter(|&each| each > 0).map_or(1, |each| bytes.div_ceil(each));
        (bytes + datagrams * self.header_bytes) as u64
    }
}

impl AsyncUdpSocket for CountedSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if self.is_muted.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.socket.try_send(transmit)?;
        self.counter.add_sent(self.wire_bytes(transmit.contents.len(), transmit.segment_size));
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [io::IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let received = self.socket.poll_recv(context, buffers, meta);
        if let Poll::Ready(Ok(count)) = received {
            let bytes = meta.iter().take(count).map(|meta| self.wire_bytes(meta.len, Some(meta.stride)));
            self.counter.add_received(bytes.sum());
        }
        received
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn datagrams_are_counted_with_their_headers_in_both_directions() {
        let counter = WireCounter::default();
        let open = || {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            CountedSocket::new(socket, counter.clone()).unwrap()
        };
        let (one, other) = (open(), open());
        let destination = other.local_addr().unwrap();
        let transmit =
            Transmit { destination, ecn: None, contents: &[7; 100], segment_size: None, src_ip: None };
        let mut poller = one.clone().create_io_poller();
        poll_fn(|context| poller.as_mut().poll_writable(context)).await.unwrap();
        one.try_send(&transmit).unwrap();
        assert_eq!((counter.sent_bytes(), counter.received_bytes()), (128, 0));
        let (mut buffer, mut meta) = ([0; 2000], [RecvMeta::default()]);
        let received =
            poll_fn(|context| other.poll_recv(context, &mut [io::IoSliceMut::new(&mut buffer)], &mut meta));
        assert_eq!(received.await.unwrap(), 1);
        assert_eq!((counter.sent_bytes(), counter.received_bytes()), (128, 128));
    }
}
