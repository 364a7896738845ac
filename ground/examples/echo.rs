//! Echoes WebSocket messages, with the ground's own stack: what conformance is tested on.
//!
//! `cargo run -p tern-ground --example echo -- 127.0.0.1:9001`; ends with its standard input.

use std::io::Read as _;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use tern_ground::serve::serve;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The largest message of the test suite, and some more.
const MAX_MESSAGE_BYTES: usize = 32 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(&address).await?;
    let (end, ends) = watch::channel(false);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        end.send_replace(true);
    });
    serve(Router::new().route("/", get(upgrade)), listener, None, ends).await;
    Ok(())
}

async fn upgrade(upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(MAX_MESSAGE_BYTES).max_frame_size(MAX_MESSAGE_BYTES).on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}
