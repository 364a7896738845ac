//! The links to the ground: connections made and made again, messages in and out.
//!
//! A task of its own keeps one connection in use; each [`Connection`] it makes is handed to the relay, which closes it by
//! dropping it. At most one message waits between the two, so what goes next is decided as late as can be. Which links
//! are tried when is in `plan.rs`.

mod addresses;
mod advice;
mod connection;
mod dial;
mod plan;
mod quic;
mod tickets;
mod tls;
mod url;
mod websocket;
mod wire;

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use quinn::crypto::rustls::NoInitialCipherSuite;
use tern_shared::datagram::rate::FIRST_RATE;
use tern_shared::message::MAX_MESSAGE_BYTES;
use tern_shared::session::Carrier;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

pub use connection::Connection;
pub use tls::TlsError;
pub use url::{GroundUrl, InvalidGroundUrl, Transport};
pub use wire::WireCounter;

use crate::clock::Clock;
use crate::config::LinkConfig;
use connection::{End, pair};
use dial::Dialer;
use plan::{Ending, Plan};
use quic::{EarlyAnswer, Quic, QuicDialer};

/// How long an attempt by WebSocket may go on beside a connection in use. Without one there is no such limit.
const REPLACEMENT_LIMIT: Duration = Duration::from_secs(20);

/// How long the last messages may take to arrive when nobody takes connections any more...
const LAST_MESSAGES_LIMIT: Duration = Duration::from_millis(50);
/// ... and the packet that ends the connection to leave.
const LAST_PACKET_TIME: Duration = Duration::from_millis(20);

/// Why the links cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Whom to trust.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// TLS lacks what QUIC needs.
    #[error("TLS cannot protect QUIC: {0}")]
    Cipher(#[from] NoInitialCipherSuite),
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    /// The TCP connection.
    #[error("cannot reach {address}: {error}")]
    Dial { address: String, error: std::io::Error },
    /// The handshake of TLS and WebSocket took too long.
    #[error("no answer to the handshake within {0:?}")]
    Timeout(Duration),
    /// The handshake failed: a certificate that does not match, or no tern-ground.
    #[error("handshake failed: {0}{advice}", advice = advice::advice(.0, chrono::Utc::now()))]
    Handshake(String),
}

/// Keeps a connection in use until nobody takes connections any more.
pub struct Links {
    links: Vec<Link>,
    clock: Clock,
    plan: Plan,
    /// An attempt a link that is tried.
    attempts: Vec<Option<Attempt>>,
    active: Option<Active>,
    /// Tells the attempts of [`Plan::last_used`].
    last_used: watch::Sender<Option<usize>>,
    wire: WireCounter,
}

/// One way to a ground.
struct Link {
    ground: GroundUrl,
    silence_limit: Duration,
    wire: WireCounter,
    dialer: LinkDialer,
}

/// An attempt has its link's dialer to itself; a link is never tried twice at a time.
#[derive(Clone)]
enum LinkDialer {
    WebSocket { dialer: Arc<Mutex<Dialer>>, tls: Option<tokio_rustls::TlsConnector> },
    Quic(Arc<Mutex<QuicDialer>>),
}

type Attempt = Pin<Box<dyn Future<Output = Result<Established, ConnectError>> + Send>>;

/// A transport on which a session can begin.
enum Established {
    WebSocket(Box<websocket::Socket>),
    Quic(Quic, Option<EarlyAnswer>),
}

/// The connection in use.
struct Active {
    link: usize,
    driver: JoinHandle<End>,
    /// Until the ground has answered, when what is sent goes ahead of the handshake.
    early: Option<Early>,
}

struct Early {
    /// `None` once the ground has answered that it does not take it, and the driver is about to end.
    answer: Option<EarlyAnswer>,
    /// For another start.
    again: Option<Quic>,
}

/// What happens to the links.
enum Event {
    Attempted(usize, Result<Established, ConnectError>),
    Ended(End),
    /// What was sent ahead of the handshake was taken, or not, or nothing answered in time.
    EarlyAnswered(Option<bool>),
    Silent(bool),
    Due,
    /// Nobody takes connections any more.
    Unwanted,
}

impl Links {
    /// Links that are not connected yet. Reads certificates and keys, so that a missing file is known at the start.
    pub fn new(config: LinkConfig) -> Result<Self, LinkError> {
        let wire = WireCounter::default();
        let links = config.grounds.iter().map(|ground| Link::new(ground.clone(), &config, &wire));
        let links: Vec<Link> = links.collect::<Result<_, _>>()?;
        let clock = Clock::start();
        let attempts = links.iter().map(|_| None).collect();
        let plan = Plan::new(links.len(), clock.now().instant);
        Ok(Links {
            last_used: watch::channel(plan.last_used()).0,
            plan,
            links,
            clock,
            attempts,
            active: None,
            wire,
        })
    }

    /// What all links have cost so far.
    pub fn wire(&self) -> WireCounter {
        self.wire.clone()
    }

    /// Makes connection after connection; each is taken by the relay before the next is made. `silent` says whether
    /// nothing is heard on the one in use, `unpaid` whether another could not be paid for.
    pub async fn run(
        mut self,
        connections: mpsc::Sender<Connection>,
        mut silent: watch::Receiver<bool>,
        mut unpaid: watch::Receiver<bool>,
    ) {
        loop {
            match self.next_event(&connections, &mut silent, &mut unpaid).await {
                Event::Attempted(link, Ok(established)) => {
                    self.attempts[link] = None;
                    self.start(link, established, &connections).await;
                }
                Event::Attempted(link, Err(error)) => {
                    self.attempts[link] = None;
                    warn!(ground = %self.links[link].ground, "cannot connect: {error}");
                    self.plan.failed(link, self.clock.now().instant, rand::random());
                }
                Event::Ended(end) => self.handle_end(end, &connections).await,
                Event::EarlyAnswered(Some(true)) => self.confirm(),
                // Its driver ends, and there is another start.
                Event::EarlyAnswered(Some(false)) => {}
                Event::EarlyAnswered(None) => self.give_up_early(),
                Event::Silent(is_silent) => {
                    self.plan.silent(is_silent, self.clock.now().instant, rand::random());
                }
                Event::Due => {}
                Event::Unwanted => break,
            }
            self.update_attempts(*unpaid.borrow());
        }
        if let Some(Active { mut driver, .. }) = self.active.take()
            && timeout(LAST_MESSAGES_LIMIT, &mut driver).await.is_err()
        {
            // Tells the ground that this is the end.
            driver.abort();
            sleep(LAST_PACKET_TIME).await;
        }
    }

    async fn next_event(
        &mut self,
        connections: &mpsc::Sender<Connection>,
        silent: &mut watch::Receiver<bool>,
        unpaid: &mut watch::Receiver<bool>,
    ) -> Event {
        let due = self.plan.next_due().filter(|_| !*unpaid.borrow()).map(|due| self.clock.deadline(due));
        let attempts = &mut self.attempts;
        let attempted = poll_fn(|context| {
            for (link, attempt) in attempts.iter_mut().enumerate() {
                if let Some(attempt) = attempt
                    && let Poll::Ready(result) = attempt.as_mut().poll(context)
                {
                    return Poll::Ready(Event::Attempted(link, result));
                }
            }
            Poll::Pending
        });
        let active = async {
            let Some(Active { driver, early, .. }) = &mut self.active else { return pending().await };
            let answered = async {
                let Some(Early { answer, .. }) = early else { return pending().await };
                let Some(waiting) = answer else { return pending().await };
                let answered = waiting.await;
                *answer = None;
                answered
            };
            tokio::select! {
                biased;
                end = driver => Event::Ended(end.unwrap_or_else(|error| End::Broken(error.to_string()))),
                answered = answered => Event::EarlyAnswered(answered),
            }
        };
        tokio::select! {
            biased;
            () = connections.closed() => Event::Unwanted,
            event = active => event,
            Ok(()) = silent.changed() => Event::Silent(*silent.borrow_and_update()),
            event = attempted => event,
            Ok(()) = unpaid.changed() => Event::Due,
            () = sleep_until(due) => Event::Due,
        }
    }

    /// Hands a connection to the relay, in place of the one in use.
    async fn start(&mut self, link: usize, established: Established, connections: &mpsc::Sender<Connection>) {
        let ground = self.links[link].ground.to_string();
        let (driver, connection, early) = match established {
            Established::WebSocket(socket) => {
                let (connection, driven) = pair(Carrier::Stream, ground);
                (tokio::spawn(websocket::run(*socket, driven, self.wire.clone())), connection, None)
            }
            Established::Quic(quic, answer) => {
                let (connection, driven) = pair(quic.carrier(), ground);
                let early = answer.map(|answer| Early { answer: Some(answer), again: quic.again() });
                (tokio::spawn(quic::run(quic, driven)), connection, early)
            }
        };
        info!(ground = %self.links[link].ground, early = early.is_some(), "connected");
        let is_early = early.is_some();
        // The former one, if there is one, ends when the relay drops its end.
        let former = self.active.replace(Active { link, driver, early });
        if let Some(unanswered) = former.filter(|former| former.early.is_some()) {
            self.plan.given_up(unanswered.link, self.clock.now().instant);
        }
        if !is_early {
            self.confirm();
        }
        // Only fails when nobody takes connections any more, which is noticed elsewhere.
        let _ = connections.send(connection).await;
    }

    /// The connection in use stands.
    fn confirm(&mut self) {
        if let Some(active) = &mut self.active {
            active.early = None;
            self.plan.connected(active.link, self.clock.now().instant, rand::random());
        }
    }

    /// Nothing answered what was sent ahead of a handshake.
    fn give_up_early(&mut self) {
        if let Some(Active { link, driver, .. }) = self.active.take() {
            warn!(ground = %self.links[link].ground, "cannot connect: no answer to what was sent ahead of the handshake");
            driver.abort();
            self.plan.failed(link, self.clock.now().instant, rand::random());
        }
    }

    async fn handle_end(&mut self, end: End, connections: &mpsc::Sender<Connection>) {
        let Some(Active { link, early, .. }) = self.active.take() else { return };
        let now = self.clock.now().instant;
        let ground = &self.links[link].ground;
        match (end, early) {
            (End::EarlyRefused, early) => {
                if let Some(again) = early.and_then(|early| early.again) {
                    info!(%ground, "the ground did not take what was sent ahead of the handshake: sending it again");
                    return self.start(link, Established::Quic(again, None), connections).await;
                }
                self.plan.failed(link, now, rand::random());
            }
            (end, Some(_)) => {
                warn!(%ground, "cannot connect: {end:?}");
                self.plan.failed(link, now, rand::random());
            }
            (end, None) => {
                info!(%ground, ?end, "connection ended");
                let ending = if matches!(end, End::Closed(_)) { Ending::Closed } else { Ending::Broken };
                self.plan.disconnected(ending, now, rand::random());
            }
        }
    }

    /// Begins the attempts that are due and ends those that are not wanted any more, or that nothing is left to pay with.
    fn update_attempts(&mut self, unpaid: bool) {
        self.last_used.send_replace(self.plan.last_used());
        for (link, attempt) in self.attempts.iter_mut().enumerate() {
            if unpaid && attempt.is_some() {
                self.plan.given_up(link, self.clock.now().instant);
            }
            if !self.plan.is_trying(link) {
                *attempt = None;
            }
        }
        if unpaid {
            return;
        }
        while let Some(link) = self.plan.start_due(self.clock.now().instant) {
            self.attempts[link] = Some(self.links[link].attempt(link, self.last_used.subscribe()));
        }
    }
}

impl Link {
    fn new(ground: GroundUrl, config: &LinkConfig, wire: &WireCounter) -> Result<Link, LinkError> {
        let certificates = config.certificates.as_deref();
        let rate = config.rate_bits_per_second.or(config.auto_rate.then_some(FIRST_RATE));
        let dialer = match ground.transport() {
            Transport::Quic => {
                let tls = tls::quic_config(certificates, config.own_certificate.as_ref())?;
                LinkDialer::Quic(Arc::new(Mutex::new(QuicDialer::new(&ground, tls, rate, wire.clone())?)))
            }
            Transport::EncryptedWebSocket | Transport::PlainWebSocket => LinkDialer::WebSocket {
                dialer: Arc::new(Mutex::new(Dialer::new(&ground, rate, wire.clone()))),
                tls: ground.is_encrypted().then(|| tls::connector(certificates)).transpose()?,
            },
        };
        let wire = wire.clone();
        Ok(Link { ground, wire, silence_limit: config.silence_limit, dialer })
    }

    /// Connects; `link` is the link's own number, and `last_used` that of the one used last while none is in use.
    fn attempt(&self, link: usize, last_used: watch::Receiver<Option<usize>>) -> Attempt {
        let ground = self.ground.clone();
        match self.dialer.clone() {
            LinkDialer::Quic(dialer) => Box::pin(async move {
                let may_send_early = || *last_used.borrow() == Some(link);
                let (quic, answer) =
                    dialer.lock().await.dial(may_send_early).await.map_err(ConnectError::Handshake)?;
                Ok(Established::Quic(quic, answer))
            }),
            LinkDialer::WebSocket { dialer, tls } => {
                let silence_limit = self.silence_limit;
                let wire = self.wire.clone();
                let connect = async move {
                    // What does not answer in this time was cut off: the dialer takes over, which tries every second.
                    let limit = silence_limit.max(Duration::from_secs(5));
                    let handshake = |stream| {
                        wire.handle_handshake();
                        timeout(limit, websocket::handshake(stream, &ground, tls.as_ref(), MAX_MESSAGE_BYTES))
                    };
                    let socket = dialer.lock().await.dial(handshake).await;
                    let socket =
                        socket.map_err(|error| ConnectError::Dial { address: ground.authority(), error })?;
                    let socket = socket.map_err(|_| ConnectError::Timeout(limit))?;
                    Ok(Established::WebSocket(Box::new(socket.map_err(ConnectError::Handshake)?)))
                };
                Box::pin(limited(connect, last_used))
            }
        }
    }
}

/// Gives an attempt up when it has gone on beside a connection in use for too long.
async fn limited<T>(
    attempt: impl Future<Output = Result<T, ConnectError>>,
    mut last_used: watch::Receiver<Option<usize>>,
) -> Result<T, ConnectError> {
    let limit = async {
        // Fails only when the links end.
        let _ = last_used.wait_for(Option::is_none).await;
        sleep(REPLACEMENT_LIMIT).await;
    };
    tokio::select! {
        result = attempt => result,
        () = limit => Err(ConnectError::Timeout(REPLACEMENT_LIMIT)),
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
