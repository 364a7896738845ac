//! What fans messages out to WebSockets: a process that is started for a measurement, and the way in.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::LoadError;
use super::client::Dialect;
use crate::process::Process;

/// How long a server may take to listen.
const START_LIMIT: Duration = Duration::from_secs(10);

pub(super) trait Service: Sized {
    /// Its name in results.
    const NAME: &'static str;
    /// What its clients speak.
    type Dialect: Dialect;

    /// Starts it, for so many clients.
    async fn start(clients: usize) -> Result<Self, LoadError>;

    /// Where its clients connect to.
    fn address(&self) -> SocketAddr;

    fn process(&self) -> &Process;

    /// Has it send a message to all clients, with the time of now in it.
    async fn publish(&mut self) -> Result<(), LoadError>;
}

/// Free a moment ago.
pub(super) fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The first connection to a server that is starting.
pub(super) async fn connect(address: SocketAddr, process: &Process) -> Result<TcpStream, LoadError> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(_) if start.elapsed() > START_LIMIT => {
                return Err(LoadError::late("an address that listens", process));
            }
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}
