//! The two sockets of a proxied connection.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::carrier::{Content, Reassembly, Segment};
use super::{SEGMENT_BYTES_MAX, WINDOW_BYTES};

/// A segment fills at least this much of its window, so that the window also bounds how many there are.
const WINDOW_BYTES_PER_SEGMENT_MIN: usize = 64;

/// Where the readers of all connections put their segments, one channel a direction.
#[derive(Clone, Debug)]
pub(super) struct Uplinks {
    pub(super) to_ground: mpsc::Sender<Segment>,
    pub(super) to_vehicle: mpsc::Sender<Segment>,
}

/// A proxied connection. Dropping it closes both sockets.
#[derive(Debug)]
pub(super) struct Connection {
    to_ground: Outlet,
    to_vehicle: Outlet,
    tasks: JoinSet<()>,
}

/// Where one direction leaves the link.
#[derive(Debug)]
struct Outlet {
    reassembly: Reassembly,
    /// Bounded by the window that each segment holds a part of until the writer drops it.
    writer: mpsc::UnboundedSender<Content>,
    closed: bool,
}

impl Connection {
    /// Serves `vehicle_side`, and connects to the ground when the opening segment gets there.
    pub(super) fn start(id: u64, vehicle_side: TcpStream, ground: SocketAddr, uplinks: Uplinks) -> Self {
        let (to_ground, mut take_from_vehicle) = mpsc::unbounded_channel();
        let (to_vehicle, from_ground) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let Uplinks { to_ground: inlet_to_ground, to_vehicle: inlet_to_vehicle } = uplinks;
        tasks.spawn(async move {
            let inlet = Inlet::new(id, inlet_to_ground);
            serve(vehicle_side, inlet, Some(Content::Open), from_ground).await;
        });
        tasks.spawn(async move {
            let mut inlet = Inlet::new(id, inlet_to_vehicle);
            let Some(Content::Open) = take_from_vehicle.recv().await else { return };
            match TcpStream::connect(ground).await {
                Ok(ground_side) => serve(ground_side, inlet, None, take_from_vehicle).await,
                Err(error) => {
                    tracing::warn!(%ground, %error, "cannot reach the ground");
                    inlet.send(Content::Close).await;
                    while take_from_vehicle
                        .recv()
                        .await
                        .is_some_and(|content| !matches!(content, Content::Close))
                    {}
                }
            }
        });
        Connection { to_ground: Outlet::new(to_ground), to_vehicle: Outlet::new(to_vehicle), tasks }
    }

    /// Hands over a segment that crossed towards the ground; returns the payload bytes that are in order.
    pub(super) fn deliver_to_ground(&mut self, segment: Segment) -> u64 {
        self.to_ground.deliver(segment)
    }

    /// Hands over a segment that crossed towards the vehicle; returns the payload bytes that are in order.
    pub(super) fn deliver_to_vehicle(&mut self, segment: Segment) -> u64 {
        self.to_vehicle.deliver(segment)
    }

    /// Whether both directions have ended.
    pub(super) fn is_finished(&self) -> bool {
        self.to_ground.closed && self.to_vehicle.closed
    }

    /// Lets the writers write what they have.
    pub(super) fn finish(mut self) {
        self.tasks.detach_all();
    }
}

impl Outlet {
    fn new(writer: mpsc::UnboundedSender<Content>) -> Self {
        Outlet { reassembly: Reassembly::default(), writer, closed: false }
    }

    fn deliver(&mut self, segment: Segment) -> u64 {
        self.reassembly.insert(segment);
        let mut bytes = 0;
        while let Some(content) = self.reassembly.next() {
            match &content {
                Content::Open | Content::Datagram(_) => {}
                Content::Data(data, _) => bytes += data.len() as u64,
                Content::Close => self.closed = true,
            }
            // A writer that is gone has nobody to write to.
            let _ = self.writer.send(content);
        }
        bytes
    }
}

/// Numbers the segments of one connection and direction.
struct Inlet {
    connection: u64,
    next_number: u64,
    link: mpsc::Sender<Segment>,
    window: Arc<Semaphore>,
}

impl Inlet {
    fn new(connection: u64, link: mpsc::Sender<Segment>) -> Self {
        Inlet { connection, next_number: 0, link, window: Arc::new(Semaphore::new(WINDOW_BYTES)) }
    }

    async fn send(&mut self, content: Content) {
        let segment = Segment { connection: self.connection, number: self.next_number, content };
        self.next_number += 1;
        // Fails only when the proxy is being dropped, and this task with it.
        let _ = self.link.send(segment).await;
    }

    /// Reads until the end of the stream or an error, which its peer cannot tell from the end of the stream.
    async fn read_all(&mut self, mut socket: OwnedReadHalf) {
        let mut buffer = [0; SEGMENT_BYTES_MAX];
        loop {
            let mut part = Arc::clone(&self.window)
                .acquire_many_owned(SEGMENT_BYTES_MAX as u32)
                .await
                .expect("the window is never closed");
            let bytes = match socket.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(bytes) => bytes,
            };
            drop(part.split(SEGMENT_BYTES_MAX - bytes.max(WINDOW_BYTES_PER_SEGMENT_MIN)));
            self.send(Content::Data(buffer[..bytes].to_vec(), Arc::new(part))).await;
        }
        self.send(Content::Close).await;
    }
}

async fn serve(
    socket: TcpStream,
    mut inlet: Inlet,
    greeting: Option<Content>,
    outlet: mpsc::UnboundedReceiver<Content>,
) {
    // The model delays what crosses the link; Nagle's algorithm would add to it.
    let _ = socket.set_nodelay(true);
    let (reader, writer) = socket.into_split();
    if let Some(greeting) = greeting {
        inlet.send(greeting).await;
    }
    tokio::join!(inlet.read_all(reader), write_all(outlet, writer));
}

async fn write_all(mut outlet: mpsc::UnboundedReceiver<Content>, mut socket: OwnedWriteHalf) {
    while let Some(content) = outlet.recv().await {
        match content {
            Content::Open | Content::Datagram(_) => {}
            // An error shows at the reader as well, which ends the connection; until then the data is dropped, as
            // the window has to move on.
            Content::Data(data, _part) => drop(socket.write_all(&data).await),
            Content::Close => {
                let _ = socket.shutdown().await;
                return;
            }
        }
    }
}
