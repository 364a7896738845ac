//! Opens TCP connections over a link that may be down.
//!
//! A satellite link comes back when it comes back, but TCP's own connection attempts back off to half a minute and
//! more. So while nothing answers, a new attempt begins every two thirds of a second beside the earlier ones. While the
//! link is down this costs nothing; a silent host costs 200 to 300 bytes a second. Two of those that succeed begin the
//! handshake, because a packet of it that is lost takes TCP two seconds to repeat; the first to be done wins.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use super::GroundUrl;
use super::addresses::Addresses;
use super::wire::WireCounter;

/// Time between attempts while nothing answers. With jitter it is two thirds of a second: the kernel repeats each after a
/// second, in the middle between two others, so the link is tried three times a second.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(700);
/// How long an attempt may take: a round trip over two geostationary hops twice. The kernel repeats its packet after
/// 1 s, since Linux 6.5 also after 2 s, and would again after 3 s.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2900);
/// How often it repeats its packet at most.
const REPEAT_INTERVAL: Duration = Duration::from_secs(1);
/// What an attempt sends in that time at least, bytes: two packets of 60.
const ATTEMPT_BYTES: u64 = 120;
/// How many begin the handshake...
const HANDSHAKES: usize = 2;
/// ... on a link of this rate, bits a second. On a narrower one, another would hold up the first for longer than half a second.
const HANDSHAKES_RATE: u64 = 32_000;
/// On a link so narrow that attempts would take more than one part in this of it, they come less often.
const ATTEMPT_SHARE: u64 = 5;
/// What the kernel takes ahead of TCP's window is this part of a second of the link: 10 ms...
const UNSENT_PER_SECOND: u64 = 100;
/// ... and at most so much, bytes.
const MAX_UNSENT_BYTES: u64 = 128 * 1024;

/// Connects to the ground, remembering its addresses.
pub(super) struct Dialer {
    addresses: Addresses,
    unsent_bytes: u32,
    attempt_interval: Duration,
    /// At most so many at once.
    handshakes: usize,
    wire: WireCounter,
}

impl Dialer {
    /// `rate` bounds what the kernel takes before TCP can send it: it can no longer be overtaken by fresher data.
    pub(super) fn new(ground: &GroundUrl, rate_bits_per_second: Option<u64>, wire: WireCounter) -> Self {
        Dialer {
            addresses: Addresses::new(ground),
            unsent_bytes: unsent_bytes(rate_bits_per_second),
            attempt_interval: attempt_interval(rate_bits_per_second),
            handshakes: handshakes(rate_bits_per_second),
            wire,
        }
    }

    /// Opens a connection, however long the link is down, and returns what its handshake comes to.
    ///
    /// # Errors
    ///
    /// When the other side answers that it does not want one, or the name cannot be looked up.
    pub(super) async fn dial<F: Future>(
        &mut self,
        handshake: impl Fn(TcpStream) -> F,
    ) -> io::Result<F::Output> {
        let addresses = self.addresses.get().await?.to_vec();
        let mut attempts = FuturesUnordered::new();
        let mut handshakes = FuturesUnordered::new();
        let mut round = 0usize;
        loop {
            let address = addresses[round % addresses.len()];
            round += 1;
            let attempt = counted(attempt(address, self.unsent_bytes), &self.wire);
            attempts.push(tokio::time::timeout(ATTEMPT_TIMEOUT, attempt));
            let next = tokio::time::sleep(self.attempt_interval.mul_f64(0.9 + rand::random::<f64>() * 0.1));
            tokio::pin!(next);
            loop {
                tokio::select! {
                    biased;
                    Some(result) = handshakes.next() => return Ok(result),
                    Some(result) = attempts.next() => match result {
                        Ok(Ok(stream)) => {
                            if handshakes.len() < self.handshakes {
                                handshakes.push(handshake(stream));
                            }
                        }
                        // Another stands.
                        _ if !handshakes.is_empty() => {}
                        // The link is down and this computer knows it: ask again when the interval is over.
                        Ok(Err(error)) if is_no_route(&error) => {}
                        Ok(Err(error)) if round >= addresses.len() => {
                            self.addresses.doubt();
                            return Err(error);
                        }
                        Ok(Err(_)) => break,
                        Err(_timeout) => {}
                    },
                    () = &mut next, if handshakes.is_empty() => break,
                }
            }
        }
    }
}

fn attempt_interval(rate_bits_per_second: Option<u64>) -> Duration {
    let share = |rate: u64| Duration::from_millis(ATTEMPT_BYTES * 8 * ATTEMPT_SHARE * 1000 / rate.max(1));
    rate_bits_per_second.map_or(ATTEMPT_INTERVAL, |rate| share(rate).max(ATTEMPT_INTERVAL))
}

fn handshakes(rate_bits_per_second: Option<u64>) -> usize {
    if rate_bits_per_second.is_some_and(|rate| rate < HANDSHAKES_RATE) { 1 } else { HANDSHAKES }
}

/// The kernel's send buffer itself is left to the kernel, which makes it as large as the window: a smaller one would
/// bound what is on its way, and so the rate.
fn unsent_bytes(rate_bits_per_second: Option<u64>) -> u32 {
    let bytes = rate_bits_per_second.map_or(MAX_UNSENT_BYTES, |rate| rate / 8 / UNSENT_PER_SECOND);
    bytes.clamp(1, MAX_UNSENT_BYTES) as u32
}

async fn attempt(address: SocketAddr, unsent_bytes: u32) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let options = SockRef::from(&socket);
    options.set_tcp_notsent_lowat(unsent_bytes)?;
    // BBR empties the link every ten seconds to measure it. Where only others are allowed, those have to do.
    let _ = options.set_tcp_congestion(b"cubic");
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

/// Counts the packets of an attempt as if the kernel repeated each as often as it may. One that fails at once sends none.
async fn counted<T>(attempt: impl Future<Output = T>, wire: &WireCounter) -> T {
    let mut repeated = tokio::time::interval(REPEAT_INTERVAL);
    tokio::pin!(attempt);
    loop {
        tokio::select! {
            biased;
            result = &mut attempt => return result,
            _ = repeated.tick() => wire.handle_attempt(),
        }
    }
}

fn is_no_route(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};
    matches!(error.kind(), AddrNotAvailable | HostUnreachable | NetworkDown | NetworkUnreachable | TimedOut)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn attempts_leave_a_narrow_link_room() {
        let millis = |rate| attempt_interval(rate).as_millis();
        assert_eq!([millis(None), millis(Some(64_000)), millis(Some(2_400))], [700, 700, 2000]);
        assert_eq!([None, Some(64_000), Some(2_400)].map(handshakes), [2, 2, 1]);
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_an_error_at_once() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mut dialer = Dialer::new(&format!("ws://{gone}").parse().unwrap(), None, WireCounter::default());
        let refused = dialer.dial(|_| ready(())).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_nobody_answers_is_counted_with_what_the_kernel_repeats() {
        let wire = WireCounter::default();
        counted(ready(()), &wire).await;
        assert_eq!(wire.sent_bytes(), 0);
        tokio::time::timeout(ATTEMPT_TIMEOUT, counted(pending::<()>(), &wire)).await.unwrap_err();
        assert_eq!(wire.sent_bytes(), 3 * 60);
    }
}
