//! Datagrams: a flow for each address that sends some, with a socket of its own towards the ground.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tern_shared::time::Instant;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::DATAGRAM_BYTES_MAX;
use super::carrier::{Content, Segment};

/// How many flows there are at most. The one that has been idle longest makes room for a new one.
const FLOWS_MAX: usize = 64;
/// A flow without a datagram in either direction for so long is forgotten, as by a router that translates addresses,
/// but later than the longest outage of the scenarios.
const IDLE_LIMIT: Duration = Duration::from_secs(600);

/// All flows of a proxy.
#[derive(Debug)]
pub(super) struct Flows {
    /// What vehicles send to.
    vehicle_side: Arc<UdpSocket>,
    ground: SocketAddr,
    /// Where readers of the ground's answers put them. They wait while it is full; the kernel drops what then comes.
    to_vehicle: mpsc::Sender<Segment>,
    by_source: BTreeMap<SocketAddr, u64>,
    flows: BTreeMap<u64, Flow>,
    opened: u64,
}

#[derive(Debug)]
struct Flow {
    source: SocketAddr,
    ground_side: Arc<UdpSocket>,
    last_used: Instant,
    reader: JoinHandle<()>,
}

impl Flows {
    pub(super) fn new(
        vehicle_side: Arc<UdpSocket>,
        ground: SocketAddr,
        to_vehicle: mpsc::Sender<Segment>,
    ) -> Flows {
        let (by_source, flows) = (BTreeMap::new(), BTreeMap::new());
        Flows { vehicle_side, ground, to_vehicle, by_source, flows, opened: 0 }
    }

    /// What a vehicle's datagram is on the link; `None` when there is no socket for its flow.
    pub(super) fn take_from_vehicle(
        &mut self,
        now: Instant,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Option<Segment> {
        let id = match self.by_source.get(&source) {
            Some(&id) => id,
            None => match self.open(now, source) {
                Ok(id) => id,
                Err(error) => {
                    tracing::warn!(%error, "cannot open a flow towards the ground");
                    return None;
                }
            },
        };
        self.touch(now, id);
        Some(segment(id, bytes))
    }

    /// Notes that the ground sent on a flow.
    pub(super) fn touch(&mut self, now: Instant, id: u64) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.last_used = now;
        }
    }

    /// Sends on what has crossed; the payload bytes. What finds no flow or no room is lost.
    pub(super) fn deliver_to_ground(&self, id: u64, bytes: &[u8]) -> u64 {
        let sent = self.flows.get(&id).map(|flow| flow.ground_side.try_send(bytes));
        sent.and_then(Result::ok).unwrap_or_default() as u64
    }

    /// As [`Flows::deliver_to_ground`], the other way.
    pub(super) fn deliver_to_vehicle(&self, id: u64, bytes: &[u8]) -> u64 {
        let sent = self.flows.get(&id).map(|flow| self.vehicle_side.try_send_to(bytes, flow.source));
        sent.and_then(Result::ok).unwrap_or_default() as u64
    }

    /// Forgets flows that have been idle too long.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((last_used, id)) = self.idlest()
            && last_used + IDLE_LIMIT <= now
        {
            self.close(id);
        }
    }

    /// When to call [`Flows::expire`].
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.idlest().map(|(last_used, _)| last_used + IDLE_LIMIT)
    }

    /// How many there were.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    fn open(&mut self, now: Instant, source: SocketAddr) -> io::Result<u64> {
        if self.flows.len() >= FLOWS_MAX
            && let Some((_, id)) = self.idlest()
        {
            self.close(id);
        }
        let ground_side = Arc::new(connect(self.ground)?);
        let id = self.opened;
        self.opened += 1;
        let reader = tokio::spawn(read_all(id, Arc::clone(&ground_side), self.to_vehicle.clone()));
        self.by_source.insert(source, id);
        self.flows.insert(id, Flow { source, ground_side, last_used: now, reader });
        Ok(id)
    }

    fn close(&mut self, id: u64) {
        if let Some(flow) = self.flows.remove(&id) {
            self.by_source.remove(&flow.source);
        }
    }

    fn idlest(&self) -> Option<(Instant, u64)> {
        self.flows.iter().map(|(&id, flow)| (flow.last_used, id)).min()
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Takes the next datagram that a link with an MTU of 1500 carries.
pub(super) async fn receive(socket: &UdpSocket, buffer: &mut Buffer) -> io::Result<(usize, SocketAddr)> {
    loop {
        let (bytes, source) = socket.recv_from(buffer).await?;
        if bytes <= DATAGRAM_BYTES_MAX {
            return Ok((bytes, source));
        }
        tracing::debug!(%source, "dropped a datagram larger than the link's MTU");
    }
}

/// One byte longer than what is carried, so that what is longer shows.
pub(super) type Buffer = [u8; DATAGRAM_BYTES_MAX + 1];

/// An empty one.
pub(super) fn buffer() -> Buffer {
    [0; DATAGRAM_BYTES_MAX + 1]
}

async fn read_all(id: u64, socket: Arc<UdpSocket>, to_vehicle: mpsc::Sender<Segment>) {
    let mut buffer = buffer();
    loop {
        match receive(&socket, &mut buffer).await {
            Ok((bytes, _)) => {
                if to_vehicle.send(segment(id, &buffer[..bytes])).await.is_err() {
                    return;
                }
            }
            // Nobody listens at the ground (yet).
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => {
                tracing::warn!(%error, "cannot read the ground's datagrams");
                return;
            }
        }
    }
}

fn connect(ground: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr =
        if ground.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.connect(ground)?;
    super::with_room(socket)
}

fn segment(flow: u64, bytes: &[u8]) -> Segment {
    Segment { connection: flow, number: 0, content: Content::Datagram(bytes.to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant(Duration::from_secs(seconds))
    }

    fn source(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    async fn flows() -> Flows {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let ground = socket.local_addr().unwrap();
        Flows::new(Arc::new(socket), ground, mpsc::channel(1).0)
    }

    #[tokio::test]
    async fn a_source_keeps_its_flow_until_it_has_been_idle_too_long() {
        let mut flows = flows().await;
        let mut flow_at = |seconds, port| {
            flows.expire(at(seconds));
            (flows.take_from_vehicle(at(seconds), source(port), b"x").unwrap().connection, flows.flows.len())
        };
        assert_eq!((flow_at(0, 1), flow_at(1, 2), flow_at(500, 1)), ((0, 1), (1, 2), (0, 2)));
        assert_eq!(flow_at(601, 1), (0, 1));
        assert_eq!(flow_at(602, 2), (2, 2));
        assert_eq!(flows.poll_timeout(), Some(at(1201)));
    }

    #[tokio::test]
    async fn the_idlest_flow_makes_room_for_a_new_one() {
        let mut flows = flows().await;
        for n in 0..FLOWS_MAX as u16 {
            flows.take_from_vehicle(at(n.into()), source(1000 + n), b"x");
        }
        flows.touch(at(100), 0);
        flows.take_from_vehicle(at(101), source(2000), b"x");
        assert_eq!((flows.flows.len(), flows.opened()), (FLOWS_MAX, FLOWS_MAX as u64 + 1));
        assert!(flows.by_source.contains_key(&source(1000)) && !flows.by_source.contains_key(&source(1001)));
    }
}
