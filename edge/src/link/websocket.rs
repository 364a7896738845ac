//! One WebSocket connection: a session message is a binary message.

use std::os::fd::AsFd;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::GroundUrl;
use super::connection::{Driven, End};
use super::wire::WireCounter;

/// Bytes in both directions, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection after the handshake.
pub(super) struct Socket {
    messages: WebSocketStream<Box<dyn Stream>>,
    /// The same socket, to set options on.
    tcp: socket2::Socket,
}

/// Speaks TLS (when there is a connector) and WebSocket with whoever answered.
pub(super) async fn handshake(
    stream: TcpStream,
    ground: &GroundUrl,
    tls: Option<&TlsConnector>,
    max_message_bytes: usize,
) -> Result<Socket, String> {
    let tcp = stream.as_fd().try_clone_to_owned().map_err(|error| error.to_string())?.into();
    let stream: Box<dyn Stream> = match tls {
        Some(connector) => {
            let name = ServerName::try_from(ground.host().to_owned()).map_err(|error| error.to_string())?;
            Box::new(connector.connect(name, stream).await.map_err(|error| format!("TLS: {error}"))?)
        }
        None => Box::new(stream),
    };
    let config = WebSocketConfig::default()
        .write_buffer_size(0)
        .max_message_size(Some(max_message_bytes))
        .max_frame_size(Some(max_message_bytes));
    let (messages, _) = tokio_tungstenite::client_async_with_config(ground.to_string(), stream, Some(config))
        .await
        .map_err(|error| format!("WebSocket: {error}"))?;
    Ok(Socket { messages, tcp })
}

/// Carries messages until the relay drops its end, the ground closes, or the connection breaks. Says which.
pub(super) async fn run(socket: Socket, driven: Driven, wire: WireCounter) -> End {
    let Driven { mut outgoing, incoming, .. } = driven;
    let (mut sink, mut stream) = socket.messages.split();
    let receive = async {
        loop {
            match stream.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    wire.handle_message(bytes.len());
                    if incoming.send(bytes.into()).await.is_err() {
                        return End::by_the_edge();
                    }
                }
                Some(Ok(Message::Close(Some(frame)))) if !frame.reason.is_empty() => {
                    return End::Closed(format!("closed by the ground: {}", frame.reason));
                }
                Some(Ok(Message::Close(_))) | None => return End::Closed("closed by the ground".to_owned()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return End::Broken(error.to_string()),
            }
        }
    };
    let send = async {
        while let Some(transmit) = outgoing.recv().await {
            wire.handle_message(transmit.bytes.len());
            if let Err(error) = sink.send(Message::binary(transmit.bytes)).await {
                return End::Broken(error.to_string());
            }
        }
        End::by_the_edge()
    };
    let end = tokio::select! {
        end = receive => end,
        end = send => end,
        // A send that waits for a stuck link would notice only when TCP gives up, minutes later.
        () = incoming.closed() => End::by_the_edge(),
    };
    // The session has said what there was to say, or gave the connection up. A closing handshake would wait for ever,
    // and what is left in the kernel's buffer is old by the time that the link is back: it is thrown away, not sent.
    let _ = socket.tcp.set_linger(Some(Duration::ZERO));
    end
}

#[cfg(test)]
mod tests {
    use tern_shared::session::{Carrier, Channel, Transmit};
    use tokio::net::TcpListener;

    use super::super::connection::{Connection, pair};
    use super::*;

    fn connection() -> (Connection, Driven) {
        pair(Carrier::Stream, "ws://test".to_owned())
    }

    /// A connection and the ground's end of it.
    async fn connected() -> (WebSocketStream<TcpStream>, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ground: GroundUrl = format!("ws://{address}").parse().unwrap();
        let accept = async {
            let (stream, _) = listener.accept().await.unwrap();
            tokio_tungstenite::accept_async(stream).await.unwrap()
        };
        let stream = TcpStream::connect(address).await.unwrap();
        let (theirs, ours) = tokio::join!(accept, handshake(stream, &ground, None, 1 << 20));
        (theirs, ours.unwrap())
    }

    #[tokio::test]
    async fn a_broken_connection_is_told_from_one_that_the_ground_closed() {
        let (mut theirs, ours) = connected().await;
        let (_connection, driven) = connection();
        theirs.close(None).await.unwrap();
        assert!(matches!(run(ours, driven, WireCounter::default()).await, End::Closed(_)));

        let (theirs, ours) = connected().await;
        let (_connection, driven) = connection();
        drop(theirs);
        assert!(matches!(run(ours, driven, WireCounter::default()).await, End::Broken(_)));
    }

    #[tokio::test]
    async fn a_connection_that_the_relay_drops_ends_although_the_link_takes_nothing_more() {
        let (_unread, socket) = connected().await;
        let (connection, driven) = connection();
        let running = tokio::spawn(run(socket, driven, WireCounter::default()));
        // The other end reads nothing, as if the link were down: in the end the kernel takes nothing more.
        let large = Transmit { channel: Channel::Stream, bytes: vec![0; 1 << 18] };
        let stuck = async { while connection.outgoing.send(large.clone()).await.is_ok() {} };
        assert!(tokio::time::timeout(Duration::from_secs(1), stuck).await.is_err());
        drop(connection);
        let ended = tokio::time::timeout(Duration::from_secs(5), running).await;
        assert_eq!(ended.unwrap().unwrap(), End::by_the_edge());
    }
}
