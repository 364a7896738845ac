//! A datagram a sample: as it is, or in a MAVLink frame.

use std::net::UdpSocket;

use tokio::sync::mpsc;

use super::PeersError;
use super::mavlink;
use super::seat::{Arrivals, Parts, Seat, spawn};

pub(super) use super::mavlink::SAMPLE_BYTES_MAX as FRAME_SAMPLE_BYTES_MAX;

/// Larger than any datagram of ours.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// What is in a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    /// The sample.
    Plain,
    /// The sample in a frame.
    Mavlink,
}

pub(super) fn start(seat: Seat<'_>, format: Format) -> Result<Parts, PeersError> {
    let address = seat.path.ground_address();
    let ground = seat.path.ground().enter(|| UdpSocket::bind(address))?;
    let vehicle = seat.path.vehicle().udp_socket(seat.path.vehicle_address())?;
    vehicle.connect(seat.path.address_across_link())?;
    let [ground, vehicle] = [ground, vehicle].map(|socket| {
        socket.set_nonblocking(true)?;
        tokio::net::UdpSocket::from_std(socket)
    });
    let (ground, vehicle) = (ground?, vehicle?);
    let tasks = vec![
        spawn(seat.peer, "sender", send(vehicle, seat.samples, format)),
        spawn(seat.peer, "receiver", receive(ground, seat.arrivals, format)),
    ];
    Ok(Parts { children: Vec::new(), tasks })
}

async fn send(
    socket: tokio::net::UdpSocket,
    mut samples: mpsc::Receiver<Vec<u8>>,
    format: Format,
) -> std::io::Result<()> {
    let mut count = 0u8;
    while let Some(sample) = samples.recv().await {
        let datagram = match format {
            Format::Plain => sample,
            Format::Mavlink => mavlink::frame(count, &sample),
        };
        count = count.wrapping_add(1);
        socket.send(&datagram).await?;
    }
    Ok(())
}

async fn receive(socket: tokio::net::UdpSocket, arrivals: Arrivals, format: Format) -> std::io::Result<()> {
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let bytes = socket.recv(&mut datagram).await?;
        let sample = match format {
            Format::Plain => Some(&datagram[..bytes]),
            Format::Mavlink => mavlink::sample(&datagram[..bytes]),
        };
        if let Some(sample) = sample {
            arrivals.report(sample).await?;
        }
    }
}
