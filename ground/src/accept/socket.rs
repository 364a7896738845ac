//! What a vehicle's connection is made of, to the code that drives its session.

use axum::extract::ws::{Message, WebSocket};
use tern_shared::id::VehicleId;
use tern_shared::message::{Refusal, RefusalReason};
use tern_shared::session::{Carrier, Transmit};

use super::authorize;
use super::quic::QuicSocket;

/// A transport on which messages come and go.
pub(super) enum Socket {
    /// One stream of messages.
    WebSocket(Box<WebSocket>),
    /// A stream and datagrams.
    Quic(Box<QuicSocket>),
}

/// What came of waiting for the vehicle.
pub(super) enum Received {
    /// A message.
    Message(Vec<u8>),
    /// A sign of life without a message.
    Nothing,
    /// Something that no session understands: it has to be refused for this.
    Unreadable(Refusal),
    /// The connection has ended, for this reason.
    Closed(String),
}

impl Socket {
    /// What the session may make of it.
    pub(super) fn carrier(&self) -> Carrier {
        match self {
            Socket::WebSocket(_) => Carrier::Stream,
            Socket::Quic(socket) => socket.carrier(),
        }
    }

    /// Whether the certificate that the vehicle has shown names it; `None` when it has shown none.
    pub(super) fn names(&self, vehicle: &VehicleId) -> Option<Result<(), Refusal>> {
        match self {
            Socket::WebSocket(_) => None,
            Socket::Quic(socket) => {
                let chain = socket.certificates();
                chain.first().map(|certificate| authorize::check_certificate(certificate, vehicle))
            }
        }
    }

    /// The next message. May be dropped before it is done without losing one.
    pub(super) async fn receive(&mut self) -> Received {
        match self {
            Socket::WebSocket(socket) => read(socket.recv().await),
            Socket::Quic(socket) => socket.receive().await,
        }
    }

    /// Sends a message, or waits until there is room for it. Says why it cannot.
    pub(super) async fn send(&mut self, transmit: Transmit) -> Result<(), String> {
        match self {
            Socket::WebSocket(socket) => {
                socket.send(Message::Binary(transmit.bytes.into())).await.map_err(|error| error.to_string())
            }
            Socket::Quic(socket) => socket.send(transmit).await,
        }
    }

    /// Ends the connection once the vehicle has what was sent. Waits for it without a limit.
    pub(super) async fn close(&mut self) {
        match self {
            // A socket that is dropped with unread bytes is reset, which takes the last messages away from the vehicle:
            // so it has to close its end first.
            Socket::WebSocket(socket) => {
                if socket.send(Message::Close(None)).await.is_ok() {
                    while let Some(Ok(_)) = socket.recv().await {}
                }
            }
            Socket::Quic(socket) => socket.close().await,
        }
    }
}

fn read(message: Option<Result<Message, axum::Error>>) -> Received {
    let malformed = |message| Received::Unreadable(Refusal::new(RefusalReason::Malformed, message));
    match message {
        Some(Ok(Message::Binary(bytes))) => Received::Message(bytes.into()),
        Some(Ok(Message::Text(_))) => malformed("messages are binary, not text".to_owned()),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Received::Nothing,
        Some(Ok(Message::Close(_))) | None => Received::Closed("closed by the vehicle".to_owned()),
        // What tungstenite cannot read, a message of excessive size above all. On a dead socket the refusal cannot be
        // sent, and that ends the connection.
        Some(Err(error)) => malformed(format!("unreadable WebSocket message: {error}")),
    }
}
