//! One web client: `/ws`, a WebSocket of JSON messages.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tern_shared::id::Token;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tracing::debug;

use super::message::{ErrorCode, FromClient, ToClient, text};
use super::origin::is_own_page;
use super::{Filter, Hub, Next, Subscription};
use crate::accept::ViewerToken;
use crate::clock::wall_now;
use crate::json::epoch_seconds;
use crate::relay::until_true;

/// The longest message of a client, bytes: a subscription with all the patterns it may have.
const MAX_CLIENT_MESSAGE_BYTES: usize = 32 * 1024;
/// How long a client has for its token. It holds one of the places for clients meanwhile.
const AUTH_LIMIT: Duration = Duration::from_secs(10);
/// A client that does not take a message for this long is gone.
const SEND_LIMIT: Duration = Duration::from_secs(20);
/// How often a client is told the time and asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A client that leaves so many questions unanswered is gone.
const MAX_UNANSWERED: u32 = 12;

/// What serving web clients takes.
pub struct Browsers {
    /// Where telemetry comes from.
    pub hub: Arc<Hub>,
    /// Who may see it.
    pub viewer: ViewerToken,
    /// Becomes true when the process ends.
    pub shutdown: watch::Receiver<bool>,
    /// Held by every connection: the process waits until all are gone.
    pub alive: mpsc::Sender<()>,
    /// Bounds the clients.
    pub connections: Arc<Semaphore>,
}

/// Serves `/ws`.
pub async fn upgrade(
    State(browsers): State<Arc<Browsers>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let authorized = match headers.get(header::AUTHORIZATION).map(bearer_token) {
        Some(Some(token)) if browsers.viewer.accepts(&token) => true,
        Some(_) if browsers.viewer.is_required() => {
            return (StatusCode::UNAUTHORIZED, "wrong viewer token\n").into_response();
        }
        _ => !browsers.viewer.is_required(),
    };
    if !browsers.viewer.is_required() && !is_own_page(&headers) {
        debug!(origin = ?headers.get(header::ORIGIN), host = ?headers.get(header::HOST), "page refused");
        return (StatusCode::FORBIDDEN, "pages of other sites need a viewer token\n").into_response();
    }
    let Ok(permit) = browsers.connections.clone().try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many clients, try again later\n").into_response();
    };
    upgrade.max_message_size(MAX_CLIENT_MESSAGE_BYTES).on_upgrade(async move |socket| {
        let _alive = browsers.alive.clone();
        let shutdown = browsers.shutdown.clone();
        let mut client = Client { socket, browsers, authorized, subscription: None };
        let end = client.run(shutdown).await;
        debug!(?end, "web client gone");
        drop(permit);
    })
}

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
    Refused,
}

struct Client {
    socket: WebSocket,
    browsers: Arc<Browsers>,
    authorized: bool,
    subscription: Option<Subscription>,
}

impl Client {
    async fn run(&mut self, mut shutdown: watch::Receiver<bool>) -> End {
        match self.serve(&mut shutdown).await {
            Ok(never) => match never {},
            Err(end) => {
                if matches!(end, End::Shutdown | End::Refused) {
                    // The last word; whether it arrives is the client's affair.
                    let _ = timeout(Duration::from_secs(1), self.socket.send(Message::Close(None))).await;
                }
                end
            }
        }
    }

    async fn serve(&mut self, shutdown: &mut watch::Receiver<bool>) -> Result<std::convert::Infallible, End> {
        self.send(&ToClient::Hello {
            server_time: epoch_seconds(wall_now()),
            version: env!("CARGO_PKG_VERSION"),
            auth_required: !self.authorized,
        })
        .await?;
        let auth_deadline = Instant::now() + AUTH_LIMIT;
        let mut pings = tokio::time::interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unanswered = 0;
        loop {
            tokio::select! {
                biased;
                // Priority 1: the process ends.
                () = until_true(shutdown) => return Err(End::Shutdown),
                // Priority 2: is anybody there?
                _ = pings.tick() => {
                    if unanswered >= MAX_UNANSWERED {
                        return Err(End::Silent);
                    }
                    unanswered += 1;
                    // The ping is answered by the browser, which does not show it to its page.
                    self.send(&ToClient::Time { server_time: epoch_seconds(wall_now()) }).await?;
                    self.send_message(Message::Ping(Default::default())).await?;
                }
                () = tokio::time::sleep_until(auth_deadline), if !self.authorized => {
                    self.refuse("no viewer token came").await?;
                }
                // Priority 3: what the client wants.
                message = self.socket.recv() => {
                    unanswered = 0;
                    self.handle_message(message).await?;
                }
                // Priority 4: telemetry.
                next = next(&mut self.subscription, &self.browsers.hub) => self.handle_next(next).await?,
            }
        }
    }

    async fn handle_message(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let json = match message {
            Some(Ok(Message::Text(json))) => json,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Binary(_))) => {
                return self.error(ErrorCode::Malformed, "messages are JSON text, not binary").await;
            }
            Some(Ok(Message::Close(_))) | None => return Err(End::Gone),
            Some(Err(error)) => {
                self.error(ErrorCode::Limit, &format!("unreadable message: {error}")).await?;
                return Err(End::Refused);
            }
        };
        match serde_json::from_str(&json) {
            Ok(FromClient::Auth { token }) => {
                if !self.browsers.viewer.accepts(&token) {
                    return self.refuse("this is not the viewer token").await;
                }
                self.authorized = true;
                Ok(())
            }
            Ok(FromClient::Subscribe { .. }) if !self.authorized => {
                self.refuse("send {\"type\":\"auth\",\"token\":...} first").await
            }
            Ok(FromClient::Subscribe { vehicles, streams }) => match Filter::new(&vehicles, &streams) {
                Ok(filter) => self.subscribe(filter).await,
                Err(error) => self.error(ErrorCode::Limit, &error.to_string()).await,
            },
            Err(error) => self.error(ErrorCode::Malformed, &error.to_string()).await,
        }
    }

    async fn subscribe(&mut self, filter: Filter) -> Result<(), End> {
        let (subscription, snapshot) = Subscription::new(&self.browsers.hub, filter);
        self.subscription = Some(subscription);
        self.send_snapshot(snapshot).await
    }

    async fn handle_next(&mut self, next: Next) -> Result<(), End> {
        match next {
            Next::Messages(messages) => {
                for text in messages {
                    self.send_text(text).await?;
                }
                Ok(())
            }
            Next::Behind { missed, snapshot } => {
                debug!(missed, "a web client is too slow");
                self.send(&ToClient::Missed { count: missed }).await?;
                self.send_snapshot(snapshot).await
            }
            Next::Closed => Err(End::Shutdown),
        }
    }

    async fn send_snapshot(&mut self, snapshot: Vec<Utf8Bytes>) -> Result<(), End> {
        for text in snapshot {
            self.send_text(text).await?;
        }
        self.send(&ToClient::Ready { server_time: epoch_seconds(wall_now()) }).await
    }

    async fn refuse(&mut self, message: &str) -> Result<(), End> {
        self.error(ErrorCode::NotAuthorized, message).await?;
        Err(End::Refused)
    }

    async fn error(&mut self, code: ErrorCode, message: &str) -> Result<(), End> {
        self.send(&ToClient::Error { code, message }).await
    }

    async fn send(&mut self, message: &ToClient<'_>) -> Result<(), End> {
        self.send_text(Utf8Bytes::from(text(message))).await
    }

    async fn send_text(&mut self, text: Utf8Bytes) -> Result<(), End> {
        self.send_message(Message::Text(text)).await
    }

    async fn send_message(&mut self, message: Message) -> Result<(), End> {
        match timeout(SEND_LIMIT, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Silent),
        }
    }
}

async fn next(subscription: &mut Option<Subscription>, hub: &Hub) -> Next {
    match subscription {
        Some(subscription) => subscription.next(hub).await,
        None => std::future::pending().await,
    }
}

fn bearer_token(value: &HeaderValue) -> Option<Token> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Token(token.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_tokens_are_found() {
        assert_eq!(bearer_token(&HeaderValue::from_static("Bearer abc")), Some(Token("abc".to_owned())));
        assert_eq!(bearer_token(&HeaderValue::from_static("Basic abc")), None);
    }
}
