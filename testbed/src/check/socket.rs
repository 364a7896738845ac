//! The sockets of a probe flow.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use super::flow::Flow;
use super::plan::STEADY_BYTES;
use crate::path::Path;
use crate::proxy::DATAGRAM_HEADER_BYTES;

/// How often a receiver that nothing comes for looks at the time.
const READ_TIMEOUT: Duration = Duration::from_millis(200);
/// How long an opening probe may take before the next is sent.
const OPENING_PATIENCE: Duration = Duration::from_secs(3);
/// How many opening probes are tried.
const OPENINGS_MAX: u64 = 20;

/// A flow to the ground and one to the vehicle across the link, and how many probes it took to open the way back.
#[derive(Debug)]
pub(super) struct Flows {
    pub(super) to_ground: Flow,
    pub(super) to_vehicle: Flow,
    pub(super) openings: u64,
}

/// Behind the proxy the ground learns from the first datagram where to send to; between namespaces it knows.
pub(super) async fn open(path: &Path) -> io::Result<Flows> {
    let ground = path.ground().enter(|| UdpSocket::bind(path.ground_address()))?;
    let vehicle = path.vehicle().udp_socket(path.vehicle_address())?;
    vehicle.connect(path.address_across_link())?;
    let openings = if path.address_across_link() == path.ground_address() {
        ground.connect(vehicle.local_addr()?)?;
        0
    } else {
        open_way_back(&vehicle, &ground).await?
    };
    for socket in [&ground, &vehicle] {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(READ_TIMEOUT))?;
    }
    let to_ground = Flow::new(vehicle.try_clone()?, ground.try_clone()?);
    Ok(Flows { to_ground, to_vehicle: Flow::new(ground, vehicle), openings })
}

/// Probes that are none by their number, until one has arrived.
async fn open_way_back(vehicle: &UdpSocket, ground: &UdpSocket) -> io::Result<u64> {
    let clone = |socket: &UdpSocket| {
        socket.set_nonblocking(true)?;
        tokio::net::UdpSocket::from_std(socket.try_clone()?)
    };
    let (vehicle, ground) = (clone(vehicle)?, clone(ground)?);
    let probe = [u8::MAX; STEADY_BYTES - DATAGRAM_HEADER_BYTES];
    for openings in 1..=OPENINGS_MAX {
        vehicle.send(&probe).await?;
        if let Ok(received) = tokio::time::timeout(OPENING_PATIENCE, ground.recv_from(&mut [0])).await {
            let (_, source) = received?;
            ground.connect(source).await?;
            return Ok(openings);
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, format!("{OPENINGS_MAX} probes were lost in a row")))
}
