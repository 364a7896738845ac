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
use tokio::net::{TcpSocket, TcpStream};

use super::GroundUrl;
use super::addresses::Addresses;

/// Time between attempts while nothing answers. With jitter it stays under a second.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(900);
/// How long an attempt may take: a round trip over two geostationary hops twice. The kernel repeats its packet after
/// 1 s, and would again after 3 s.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2900);
/// What an attempt sends in that time, bytes: two packets of 60.
const ATTEMPT_BYTES: u64 = 120;
/// On a link so narrow that attempts would take more than one part in this of it, they come less often.
const ATTEMPT_SHARE: u64 = 5;

/// Connects to the ground, remembering its addresses.
pub(super) struct Dialer {
    addresses: Addresses,
    send_buffer_bytes: Option<u32>,
    attempt_interval: Duration,
}

impl Dialer {
    /// `rate` bounds the kernel's send buffer to half a second of the link (the kernel doubles it): what is in there
    /// can no longer be overtaken by fresher data.
    pub(super) fn new(ground: &GroundUrl, rate_bits_per_second: Option<u64>) -> Self {
        let bytes = rate_bits_per_second.map(|rate| (rate / 8 / 2).clamp(4096, 1 << 20) as u32);
        Dialer {
            addresses: Addresses::new(ground),
            send_buffer_bytes: bytes,
            attempt_interval: attempt_interval(rate_bits_per_second),
        }
    }

    /// Opens a connection, however long the link is down.
    ///
    /// # Errors
    ///
    /// When the other side answers that it does not want one, or the name cannot be looked up.
    pub(super) async fn dial(&mut self) -> io::Result<TcpStream> {
        let addresses = self.addresses.get().await?.to_vec();
        let mut attempts = FuturesUnordered::new();
        let mut round = 0usize;
        loop {
            let address = addresses[round % addresses.len()];
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
                        Ok(Err(error)) if round >= addresses.len() => {
                            self.addresses.doubt();
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
    async fn an_address_that_refuses_is_an_error_at_once() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mut dialer = Dialer::new(&format!("ws://{gone}").parse().unwrap(), None);
        assert_eq!(dialer.dial().await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
