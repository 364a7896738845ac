//! One stream of one QUIC connection, with quinn's defaults (cubic) but for the idle time-out, which would end the
//! connection in a long outage.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use quinn::{ClientConfig, Endpoint, EndpointConfig, RecvStream, SendStream, ServerConfig, TransportConfig};
use rustls::pki_types::PrivateKeyDer;
use tokio::sync::mpsc;

use super::PeersError;
use super::seat::{Arrivals, Parts, START_LIMIT, Seat, spawn};

const SERVER_NAME: &str = "ground";
const IDLE_LIMIT: Duration = Duration::from_secs(7200);

pub(super) async fn start(seat: Seat<'_>) -> Result<Parts, PeersError> {
    let (server, client) = configurations().map_err(|error| seat.not_started(error))?;
    let address = seat.path.ground_address();
    let ground = seat.path.ground().enter(|| UdpSocket::bind(address))?;
    let vehicle = seat.path.vehicle().udp_socket(seat.path.vehicle_address())?;
    let runtime = Arc::new(quinn::TokioRuntime);
    let ground = Endpoint::new(EndpointConfig::default(), Some(server), ground, runtime.clone())?;
    let vehicle = Endpoint::new(EndpointConfig::default(), None, vehicle, runtime)?;
    let connect = async {
        let connecting = vehicle
            .connect_with(client, seat.path.address_across_link(), SERVER_NAME)
            .map_err(io::Error::other)?;
        let accept = async {
            let incoming = ground.accept().await.ok_or(io::ErrorKind::NotConnected)?;
            io::Result::Ok(incoming.await?)
        };
        let (vehicle, ground) = tokio::try_join!(async { Ok(connecting.await?) }, accept)?;
        let stream = vehicle.open_uni().await?;
        io::Result::Ok((vehicle, stream, ground))
    };
    let (vehicle_connection, stream, ground_connection) =
        tokio::time::timeout(START_LIMIT, connect)
            .await
            .map_err(|_| seat.not_started("the QUIC handshake took too long"))??;
    let samples = seat.samples;
    let sender = async move {
        let _open = (vehicle, vehicle_connection);
        write(stream, samples).await
    };
    let (sample_bytes, arrivals) = (seat.sample_bytes, seat.arrivals);
    let receiver = async move {
        let _open = ground;
        read(ground_connection.accept_uni().await?, sample_bytes, arrivals).await
    };
    let tasks = vec![spawn(seat.peer, "sender", sender), spawn(seat.peer, "receiver", receiver)];
    Ok(Parts { children: Vec::new(), tasks })
}

async fn write(mut stream: SendStream, mut samples: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(sample) = samples.recv().await {
        stream.write_all(&sample).await?;
    }
    // Until the other end has all of it.
    stream.finish().map_err(io::Error::other)?;
    stream.stopped().await.map(|_| ()).map_err(io::Error::other)
}

async fn read(mut stream: RecvStream, sample_bytes: usize, arrivals: Arrivals) -> io::Result<()> {
    let mut sample = vec![0; sample_bytes];
    loop {
        stream.read_exact(&mut sample).await.map_err(io::Error::other)?;
        arrivals.report(&sample).await?;
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn configurations() -> Result<(ServerConfig, ClientConfig), Failure> {
    let certified = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()])?;
    let certificate = certified.cert.der().clone();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der())?;
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(IDLE_LIMIT.try_into()?));
    let transport = Arc::new(transport);

    let mut server = ServerConfig::with_single_cert(vec![certificate.clone()], key)?;
    server.transport_config(Arc::clone(&transport));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate)?;
    let mut client = ClientConfig::with_root_certificates(Arc::new(roots))?;
    client.transport_config(transport);
    Ok((server, client))
}
