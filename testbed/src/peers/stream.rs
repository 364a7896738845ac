//! One TCP connection: plain, or with WebSocket on it. What the connection does not take waits in the queue of samples.

use std::io;
use std::net::{SocketAddr, TcpListener};

use futures_util::{SinkExt, StreamExt};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::PeersError;
use super::seat::{Arrivals, Parts, START_LIMIT, Seat, spawn};
use crate::path::Place;

pub(super) async fn start_tcp(seat: Seat<'_>) -> Result<Parts, PeersError> {
    let (vehicle, ground) = connection(&seat).await?;
    let tasks = vec![
        spawn(seat.peer, "sender", write(vehicle, seat.samples)),
        spawn(seat.peer, "receiver", read(ground, seat.sample_bytes, seat.arrivals)),
    ];
    Ok(Parts { children: Vec::new(), tasks })
}

pub(super) async fn start_websocket(seat: Seat<'_>) -> Result<Parts, PeersError> {
    let (vehicle, ground) = connection(&seat).await?;
    let url = format!("ws://{}/", seat.path.address_across_link());
    let handshake = async {
        tokio::try_join!(
            tokio_tungstenite::client_async(url, vehicle),
            tokio_tungstenite::accept_async(ground)
        )
    };
    let ((vehicle, _), ground) = tokio::time::timeout(START_LIMIT, handshake)
        .await
        .map_err(|_| seat.not_started("the WebSocket handshake took too long"))?
        .map_err(|error| seat.not_started(error))?;
    let tasks = vec![
        spawn(seat.peer, "sender", write_messages(vehicle, seat.samples)),
        spawn(seat.peer, "receiver", read_messages(ground, seat.arrivals)),
    ];
    Ok(Parts { children: Vec::new(), tasks })
}

/// From the vehicle across the link to the ground: the two ends.
async fn connection(seat: &Seat<'_>) -> Result<(TcpStream, TcpStream), PeersError> {
    let address = seat.path.ground_address();
    let listener = seat.path.ground().enter(|| {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    })?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let ends = async {
        let vehicle = connect(seat.path.vehicle(), seat.path.address_across_link());
        let (vehicle, (ground, _)) = tokio::try_join!(vehicle, listener.accept())?;
        vehicle.set_nodelay(true)?;
        io::Result::Ok((vehicle, ground))
    };
    let connected: Result<_, tokio::time::error::Elapsed> = tokio::time::timeout(START_LIMIT, ends).await;
    Ok(connected.map_err(|_| seat.not_started("no connection across the link"))??)
}

/// Waits as long as the kernel tries.
async fn connect(place: &Place, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = place.enter(|| {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
        Ok(std::net::TcpStream::from(socket))
    })?;
    TcpSocket::from_std_stream(socket).connect(address).await
}

async fn write(mut socket: TcpStream, mut samples: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(sample) = samples.recv().await {
        socket.write_all(&sample).await?;
    }
    Ok(())
}

async fn read(mut socket: TcpStream, sample_bytes: usize, arrivals: Arrivals) -> io::Result<()> {
    let mut sample = vec![0; sample_bytes];
    loop {
        socket.read_exact(&mut sample).await?;
        arrivals.report(&sample).await?;
    }
}

async fn write_messages(
    mut socket: WebSocketStream<TcpStream>,
    mut samples: mpsc::Receiver<Vec<u8>>,
) -> io::Result<()> {
    while let Some(sample) = samples.recv().await {
        socket.send(Message::binary(sample)).await.map_err(io::Error::other)?;
    }
    Ok(())
}

async fn read_messages(mut socket: WebSocketStream<TcpStream>, arrivals: Arrivals) -> io::Result<()> {
    while let Some(message) = socket.next().await {
        if let Message::Binary(sample) = message.map_err(io::Error::other)? {
            arrivals.report(&sample).await?;
        }
    }
    Ok(())
}
