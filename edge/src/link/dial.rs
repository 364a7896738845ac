//! Opens TCP connections over a link that may be down.
//!
//! A satellite link comes back when it comes back, but TCP's own connection attempts back off to half a minute and
//! more. So while nothing answers, a new attempt begins every second beside the earlier ones; the first to succeed
//! wins. While the link is down this costs nothing; a silent host costs some 150 bytes a second.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::GroundUrl;

/// Time between attempts while nothing answers. With jitter it stays under a second.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(900);
/// How long an attempt may take: a round trip over two geostationary hops twice. The kernel repeats its packet after
/// 1 s, and would again after 3 s.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2900);
/// What an attempt sends in that time, bytes: two packets of 60.
const ATTEMPT_BYTES: u64 = 120;
/// On a link so narrow that attempts would take more than one part in this of it, they come less often.
const ATTEMPT_SHARE: u64 = 5;
/// How long the name service may take before the addresses it gave last are used.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to the ground, remembering its addresses.
pub(super) struct Dialer {
    host: String,
    port: u16,
    send_buffer_bytes: Option<u32>,
    attempt_interval: Duration,
    /// As last looked up: the name service is on the other side of the link, too.
    addresses: Vec<SocketAddr>,
    /// Whether to look them up again: none answered as wished.
    stale: bool,
}

impl Dialer {
    /// `rate` bounds the kernel's send buffer to half a second of the link (the kernel doubles it): what is in there
    /// can no longer be overtaken by fresher data.
    pub(super) fn new(ground: &GroundUrl, rate_bits_per_second: Option<u64>) -> Self {
        let bytes = rate_bits_per_second.map(|rate| (rate / 8 / 2).clamp(4096, 1 << 20) as u32);
        Dialer {
            host: ground.host().to_owned(),
            port: ground.port(),
            send_buffer_bytes: bytes,
            attempt_interval: attempt_interval(rate_bits_per_second),
            addresses: Vec::new(),
            stale: true,
        }
    }

    /// Opens a connection, however long the link is down.
    ///
    /// # Errors
    ///
    /// When the other side answers that it does not want one, or the name cannot be looked up.
    pub(super) async fn dial(&mut self) -> io::Result<TcpStream> {
        self.look_up().await?;
        let mut attempts = FuturesUnordered::new();
        let mut round = 0usize;
        loop {
            let address = self.addresses[round % self.addresses.len()];
            round += 1;
            attempts.push(tokio::time::timeout(ATTEMPT_TIMEOUT, attempt(address, self.send_buffer_bytes)));
            let next = tokio::time::sleep(self.attempt_interval.mul_f64(0.8 + rand::random::<f64>() * 0.2));
            tokio::pin!(next);
            loop {
                tokio::select! {
                    biased;
                    Some(result) = attempts.next() => match result {
                        Ok(Ok(stream)) => return Ok(stream),
                        // The link is down and this computer knows it: ask again when the interval is over.
                        Ok(Err(error)) if is_no_route(&error) => {}
                        Ok(Err(error)) if round >= self.addresses.len() => {
                            self.stale = true;
                            return Err(error);
                        }
                        Ok(Err(_)) => break,
                        Err(_timeout) => {}
                    },
                    () = &mut next => break,
                }
            }
        }
    }

    /// Brings `addresses` up to date when the name service answers in time, and keeps the old ones otherwise.
    async fn look_up(&mut self) -> io::Result<()> {
        if !self.stale {
            return Ok(());
        }
        let error =
            match tokio::time::timeout(LOOKUP_TIMEOUT, lookup_host((self.host.as_str(), self.port))).await {
                Ok(Ok(found)) => {
                    let found: Vec<SocketAddr> = found.collect();
                    if !found.is_empty() {
                        self.addresses = found;
                        self.stale = false;
                        return Ok(());
                    }
                    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
                }
                Ok(Err(error)) => error,
                Err(_) => io::Error::new(io::ErrorKind::TimedOut, "name lookup timed out"),
            };
        if self.addresses.is_empty() { Err(error) } else { Ok(()) }
    }
}

fn attempt_interval(rate_bits_per_second: Option<u64>) -> Duration {
    let share = |rate: u64| Duration::from_millis(ATTEMPT_BYTES * 8 * ATTEMPT_SHARE * 1000 / rate.max(1));
    rate_bits_per_second.map_or(ATTEMPT_INTERVAL, |rate| share(rate).max(ATTEMPT_INTERVAL))
}

async fn attempt(address: SocketAddr, send_buffer_bytes: Option<u32>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

fn is_no_route(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};
    matches!(error.kind(), AddrNotAvailable | HostUnreachable | NetworkDown | NetworkUnreachable | TimedOut)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn attempts_leave_a_narrow_link_room() {
        let millis = |rate| attempt_interval(rate).as_millis();
        assert_eq!([millis(None), millis(Some(64_000)), millis(Some(2_400))], [900, 900, 2000]);
    }

    #[tokio::test]
    async fn the_last_addresses_are_used_while_the_name_service_does_not_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut dialer = Dialer::new(&"ws://localhost".parse().unwrap(), None);
        dialer.addresses = vec![listener.local_addr().unwrap()];
        // No name: no service can know it.
        dialer.host = "ground.invalid".to_owned();
        dialer.dial().await.unwrap();
    }

    #[tokio::test]
    async fn addresses_that_refuse_are_looked_up_again() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mut dialer = Dialer::new(&"ws://localhost".parse().unwrap(), None);
        (dialer.addresses, dialer.stale) = (vec![gone], false);
        assert_eq!(dialer.dial().await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(dialer.stale);
    }
}
