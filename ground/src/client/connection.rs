//! One client's connection: what it asks for goes to [`super::operations`], what it is sent goes live records first.

use std::convert::Infallible;
use std::future::ready;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::SinkExt as _;
use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tern_shared::id::Token;
use tokio::time::{Instant, Interval, MissedTickBehavior, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Error as SocketError;
use tracing::debug;

use super::Clients;
use super::session::Session;
use crate::access::Grant;
use crate::clock::wall_now;
use crate::json::epoch_seconds;
use crate::publish::encode::{Encoding, decode};
use crate::publish::message::{ErrorCode, Problem, ToClient};
use crate::publish::operation::{FromClient, MAX_ID_BYTES, Named};
use crate::relay::until_true;
use crate::serve::Wire;

/// How long a client has for its token. It holds one of the places for clients meanwhile.
const AUTH_LIMIT: Duration = Duration::from_secs(10);
/// A client that does not take a message for this long is gone.
const SEND_LIMIT: Duration = Duration::from_secs(20);
/// How often a client is told the time.
const TIME_INTERVAL: Duration = Duration::from_secs(5);
/// Every so many times it is asked for a sign of life, too.
const TIMES_A_PING: u32 = 4;
/// A client that leaves so many of these unanswered is gone.
const MAX_UNANSWERED: u32 = 3;
/// Batches that are sent before the client is listened to again.
const BATCHES_A_TURN: usize = 4;
/// How often what has been published meanwhile goes before what the client wants.
const MAX_TURNS: usize = 8;
/// How long a client has to take a last word.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);
/// Messages of a client: a second, and how many it may save up.
const MESSAGES_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("not zero");
const MAX_MESSAGES_AT_ONCE: NonZeroU32 = NonZeroU32::new(100).expect("not zero");

type Instants = <MonotonicClock as governor::clock::Clock>::Instant;
type Messages = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<Instants>>;

/// Why a client's connection ended.
#[derive(Debug)]
enum End {
    /// The process ends.
    Shutdown,
    /// The client closed it, or its connection broke.
    Gone,
    /// The client stopped reading or answering.
    Silent,
    /// The client was told to go.
    Refused(u16),
}

/// What a client's task has to do.
#[derive(Debug)]
enum Turn {
    /// See whether anybody is there.
    Tick,
    /// End the access.
    Deadline,
    /// Send what is published.
    Published,
    /// Do what the client wants.
    Message(Option<Result<Message, axum::Error>>),
    /// Send what the client has asked for, or what is left.
    Rest,
}

/// A connection.
pub(super) struct Client {
    socket: WebSocket,
    session: Session,
    /// When the token has to be there, or expires.
    deadline: Option<Instant>,
    messages: Messages,
    ticks: u32,
    unanswered: u32,
}

impl Client {
    pub(super) fn new(
        socket: WebSocket,
        wire: Option<Arc<Wire>>,
        clients: Arc<Clients>,
        encoding: Encoding,
        grant: Option<Arc<Grant>>,
    ) -> Self {
        let quota = Quota::per_second(MESSAGES_PER_SECOND).allow_burst(MAX_MESSAGES_AT_ONCE);
        let mut client = Client {
            socket,
            session: Session::new(clients, encoding, None, wire),
            deadline: Some(Instant::now() + AUTH_LIMIT),
            messages: RateLimiter::direct_with_clock(quota, MonotonicClock),
            ticks: 0,
            unanswered: 0,
        };
        client.set_grant(grant);
        client
    }

    pub(super) async fn run(mut self) {
        self.session.clients.counters.websockets.fetch_add(1, Ordering::Relaxed);
        let mut shutdown = self.session.clients.shutdown.clone();
        let ended = tokio::select! {
            biased;
            // A client that does not read must not hold up the end of the process.
            () = until_true(&mut shutdown) => End::Shutdown,
            served = self.serve() => match served {
                Ok(never) => match never {},
                Err(end) => end,
            },
        };
        self.session.take_back();
        debug!(?ended, "web client gone");
        let code = match ended {
            End::Shutdown => Some(close_code::AWAY),
            End::Refused(code) => Some(code),
            End::Gone | End::Silent => None,
        };
        if let Some(code) = code {
            let close = Message::Close(Some(CloseFrame { code, reason: "".into() }));
            // The last word; whether it arrives is the client's affair.
            let _ = timeout(CLOSE_LIMIT, self.socket.send(close)).await;
        }
        self.session.clients.counters.websockets.fetch_sub(1, Ordering::Relaxed);
    }

    async fn serve(&mut self) -> Result<Infallible, End> {
        let auth_required = self.session.grant.is_none();
        let (server_time, version) = (epoch_seconds(wall_now()), env!("CARGO_PKG_VERSION"));
        self.send(&ToClient::Hello { server_time, version, auth_required }).await?;
        self.tell_access().await?;
        let mut ticks = ticks();
        let line = self.session.line.clone();
        let (mut is_behind, mut turns) = (false, 0);
        loop {
            // In the order of their priority.
            let turn = tokio::select! {
                biased;
                _ = ticks.tick() => Turn::Tick,
                () = until(self.deadline) => Turn::Deadline,
                // It is what wakes a client; to look at its socket first costs as much again.
                () = line.woken(), if !is_behind && turns < MAX_TURNS => Turn::Published,
                message = self.socket.recv() => Turn::Message(message),
                () = self.session.answered() => Turn::Rest,
                () = ready(()), if is_behind || turns == MAX_TURNS => Turn::Rest,
            };
            self.session.take_back();
            match turn {
                Turn::Tick => self.tick().await?,
                Turn::Deadline => self.refuse_access().await?,
                Turn::Published => turns += 1,
                Turn::Message(message) => self.receive(message).await?,
                Turn::Rest => turns = 0,
            }
            is_behind = self.send_some().await?;
            if !is_behind && self.session.may_lend() {
                // Flushes what was begun straight, too.
                self.send_all(&[]).await?;
                self.session.lend();
            }
        }
    }

    async fn tick(&mut self) -> Result<(), End> {
        let is_ping = self.ticks.is_multiple_of(TIMES_A_PING);
        self.ticks = self.ticks.wrapping_add(1);
        if is_ping && self.unanswered >= MAX_UNANSWERED {
            return Err(End::Silent);
        }
        let cursor = self.session.idle_cursor();
        let time = ToClient::Time { server_time: epoch_seconds(wall_now()), cursor };
        let mut messages = vec![self.session.encoding.encode(&time)];
        if is_ping {
            self.unanswered += 1;
            // A browser answers it without showing it to its page.
            messages.push(Message::Ping(Default::default()));
        }
        self.send_all(&messages).await
    }

    async fn receive(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        self.unanswered = 0;
        let is_answer = matches!(message, Some(Ok(Message::Pong(_))));
        if !is_answer && self.messages.check().is_err() {
            let problem = Problem::new(ErrorCode::TooFast, "too many messages: 50 a second, 100 at once");
            return self.refuse(problem, close_code::POLICY).await;
        }
        match message {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => self.handle(&message).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_))) | None => Err(End::Gone),
            Some(Err(error)) => match error.into_inner().downcast_ref::<SocketError>() {
                Some(SocketError::Capacity(_)) => {
                    let problem = Problem::new(ErrorCode::TooLarge, "a message may have 32 kB");
                    self.refuse(problem, close_code::SIZE).await
                }
                Some(SocketError::Utf8(_)) => {
                    let problem = Problem::new(ErrorCode::Malformed, "text that is not UTF-8");
                    self.refuse(problem, close_code::INVALID).await
                }
                Some(SocketError::Protocol(_)) => {
                    let problem = Problem::new(ErrorCode::Malformed, "a breach of the WebSocket protocol");
                    self.refuse(problem, close_code::PROTOCOL).await
                }
                _ => Err(End::Gone),
            },
        }
    }

    /// Does what the client asks for, or tells it why not.
    async fn handle(&mut self, message: &Message) -> Result<(), End> {
        let problem = match decode(message) {
            Ok(FromClient::Authenticate { token }) => return self.authenticate(&token).await,
            Err(text) => Problem::new(ErrorCode::Malformed, text),
            Ok(_) if self.session.grant.is_none() => {
                let text = "send {\"type\":\"authenticate\",\"token\":...} first";
                let problem = Problem::new(ErrorCode::NotAuthorized, text);
                return self.refuse(problem, close_code::POLICY).await;
            }
            Ok(operation) => match self.session.operate(operation) {
                Ok(()) => return Ok(()),
                Err(problem) => problem,
            },
        };
        let named = decode::<Named>(message).unwrap_or_default();
        let id = named.id.map(|id| id.chars().take(MAX_ID_BYTES).collect());
        self.send(&ToClient::Error { problem, id }).await
    }

    async fn authenticate(&mut self, token: &Token) -> Result<(), End> {
        match self.session.clients.access.check(token) {
            Ok(grant) => {
                // What was subscribed under the former token stays as it is.
                self.set_grant(Some(grant));
                self.tell_access().await
            }
            Err(problem) => self.refuse(problem, close_code::POLICY).await,
        }
    }

    /// Takes what gives access, which says until when.
    fn set_grant(&mut self, grant: Option<Arc<Grant>>) {
        if let Some(grant) = grant {
            self.deadline = grant.expires.map(|expires| {
                let left = u64::try_from(expires.micros_since(wall_now())).unwrap_or(0);
                // Tokio's timers reach no further than a few years.
                Instant::now() + Duration::from_micros(left).min(Duration::from_secs(365 * 24 * 3600))
            });
            self.session.grant = Some(grant);
        }
    }

    async fn tell_access(&mut self) -> Result<(), End> {
        match self.session.grant.clone() {
            Some(grant) => self.send(&grant.message()).await,
            None => Ok(()),
        }
    }

    async fn refuse_access(&mut self) -> Result<(), End> {
        let problem = match self.session.grant {
            Some(_) => Problem::new(ErrorCode::Expired, "the token has expired"),
            None => Problem::new(ErrorCode::NotAuthorized, "no token came within 10 s"),
        };
        self.refuse(problem, close_code::POLICY).await
    }

    /// Ends the connection with an error.
    async fn refuse(&mut self, problem: Problem, code: u16) -> Result<(), End> {
        self.send(&ToClient::Error { problem, id: None }).await?;
        Err(End::Refused(code))
    }

    async fn send(&mut self, message: &ToClient<'_>) -> Result<(), End> {
        let message = self.session.encoding.encode(message);
        self.send_all(&[message]).await
    }

    /// Sends what waits, as far as it may before something else has its turn. Returns whether more may wait.
    async fn send_some(&mut self) -> Result<bool, End> {
        for _ in 0..BATCHES_A_TURN {
            match self.session.next_batch() {
                Some(batch) => self.send_all(&batch).await?,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Writes once for as many as fit the buffer.
    async fn send_all(&mut self, messages: &[Message]) -> Result<(), End> {
        self.session.clients.counters.messages.fetch_add(messages.len() as u64, Ordering::Relaxed);
        let send = async {
            for message in messages {
                self.socket.feed(message.clone()).await?;
            }
            self.socket.flush().await
        };
        match timeout(SEND_LIMIT, send).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Silent),
        }
    }
}

fn ticks() -> Interval {
    let mut ticks = tokio::time::interval_at(Instant::now() + TIME_INTERVAL, TIME_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
