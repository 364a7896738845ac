//! A broker on the vehicle and one on the ground: what is published at the one arrives at the other's subscriber.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::PeersError;
use super::seat::{Arrivals, Parts, START_LIMIT, Seat, spawn};
use crate::client;
use crate::path::Place;
use crate::process::Process;
use crate::run::{Role, not_started};

/// What samples are published to.
pub(crate) const SUBJECT: &str = "samples";
/// How long a broker may take to listen.
pub(super) const LISTEN_LIMIT: Duration = Duration::from_secs(10);
/// Published until one arrives; no sample.
const PROBE: &[u8] = b"is anybody there?";
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// A client of a broker, connected.
pub(crate) trait Client: Send + 'static {
    /// Publishes to [`SUBJECT`].
    fn publish(&mut self, content: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// The next content of a subscription, seeing to whatever else comes. Loses nothing when it is dropped.
    fn next(&mut self) -> impl Future<Output = io::Result<Vec<u8>>> + Send;
}

/// Waits until a probe has crossed the link, and then carries samples.
pub(super) async fn carry(
    seat: Seat<'_>,
    brokers: [(Role, Process); 2],
    mut publisher: impl Client,
    mut subscriber: impl Client,
) -> Result<Parts, PeersError> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        publisher.publish(PROBE).await?;
        match tokio::time::timeout(PROBE_INTERVAL, subscriber.next()).await {
            Ok(content) => {
                content?;
                break;
            }
            Err(_) if Instant::now() < deadline => {}
            Err(_) => {
                let lines = brokers.iter().flat_map(|(_, broker)| broker.last_lines());
                let lines = lines.collect::<Vec<_>>().join("\n");
                return Err(seat.not_started(format!("nothing crosses the link; its last lines:\n{lines}")));
            }
        }
    }
    let tasks = vec![
        spawn(seat.peer, "publisher", publish(publisher, seat.samples)),
        spawn(seat.peer, "subscriber", subscribe(subscriber, seat.arrivals)),
    ];
    Ok(Parts { children: brokers.into(), tasks })
}

/// A connection to a broker that is starting.
pub(super) async fn connect(
    place: &Place,
    address: SocketAddr,
    broker: &Process,
) -> Result<TcpStream, PeersError> {
    let socket = client::connect(place, address, LISTEN_LIMIT).await;
    let socket = socket.ok_or_else(|| not_started(broker, LISTEN_LIMIT))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

async fn publish(mut client: impl Client, mut samples: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    loop {
        tokio::select! {
            biased;
            sample = samples.recv() => match sample {
                Some(sample) => client.publish(&sample).await?,
                None => return Ok(()),
            },
            // Acknowledgements.
            unasked = client.next() => { unasked?; }
        }
    }
}

async fn subscribe(mut client: impl Client, arrivals: Arrivals) -> io::Result<()> {
    loop {
        arrivals.report(&client.next().await?).await?;
    }
}
