//! What a system is given, and what it gives.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path as FilePath;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Peer, PeersError};
use crate::client::{Arrival, Lane, epoch_seconds};
use crate::path::{Path, Place};
use crate::process::Process;
use crate::run::{NUMBER_BYTES, Role};

/// How long a system may take until it carries samples.
pub(super) const START_LIMIT: Duration = Duration::from_secs(60);

/// What a system is given to carry samples with.
pub(super) struct Seat<'a> {
    pub(super) peer: Peer,
    pub(super) path: &'a Path,
    /// For its files.
    pub(super) folder: &'a FilePath,
    /// The size of every sample.
    pub(super) sample_bytes: usize,
    /// On the vehicle. Holds every sample that the system has not taken: a run's samples at most.
    pub(super) samples: mpsc::Receiver<Vec<u8>>,
    /// On the ground.
    pub(super) arrivals: Arrivals,
}

/// What runs once a system has started.
pub(super) struct Parts {
    /// In the order in which they are stopped.
    pub(super) children: Vec<(Role, Process)>,
    pub(super) tasks: Vec<JoinHandle<()>>,
}

/// Where samples that arrived are reported.
#[derive(Clone)]
pub(super) struct Arrivals(mpsc::Sender<Arrival>);

impl Seat<'_> {
    /// That it does not start.
    pub(super) fn not_started(&self, message: impl ToString) -> PeersError {
        PeersError::NotStarted { peer: self.peer.name(), message: message.to_string() }
    }
}

impl Arrivals {
    pub(super) fn new(sender: mpsc::Sender<Arrival>) -> Self {
        Arrivals(sender)
    }

    /// Reports a sample that arrived at this moment. Fails when nobody wants to know any more.
    pub(super) async fn report(&self, content: &[u8]) -> io::Result<()> {
        let Some(number) = number(content) else { return Ok(()) };
        let arrival = Arrival {
            at: Instant::now(),
            wall_s: epoch_seconds(),
            stream: String::new(),
            lane: Lane::Live,
            captured_s: 0.0,
            sequence: number,
            number: Some(number),
        };
        self.0.send(arrival).await.map_err(io::Error::other)
    }
}

/// Runs one end of a system; the reason is logged when it fails.
pub(super) fn spawn(
    peer: Peer,
    what: &'static str,
    end: impl Future<Output = io::Result<()>> + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = end.await {
            tracing::warn!(system = peer.name(), %error, "the {what} ended");
        }
    })
}

/// Free on a place's loopback a moment ago.
pub(super) fn free_address(place: &Place) -> io::Result<SocketAddr> {
    place.enter(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr())
}

/// `None` of what is no sample.
fn number(content: &[u8]) -> Option<u64> {
    std::str::from_utf8(content.get(..NUMBER_BYTES)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_tells_its_number_and_a_probe_none() {
        assert_eq!(number(b"00000042abc"), Some(42));
        assert_eq!((number(b"probe..."), number(b"123"), number(&[0xff; 9])), (None, None, None));
    }
}
