//! One WebSocket connection: a session message is a binary message.

use std::os::fd::AsFd;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::GroundUrl;

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

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// One of the two ends closed it: the ground does not want it, or the relay has given it up.
    Closed(String),
    /// Something between them did.
    Broken(String),
}

/// Carries messages until the relay drops its end, the ground closes, or the connection breaks. Says which.
pub(super) async fn run(
    socket: Socket,
    mut to_send: mpsc::Receiver<Vec<u8>>,
    received: mpsc::Sender<Vec<u8>>,
) -> End {
    let (mut sink, mut stream) = socket.messages.split();
    let receive = async {
        loop {
            match stream.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    if received.send(bytes.into()).await.is_err() {
                        return closed_by_the_edge();
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
        while let Some(message) = to_send.recv().await {
            if let Err(error) = sink.send(Message::binary(message)).await {
                return End::Broken(error.to_string());
            }
        }
        closed_by_the_edge()
    };
    let end = tokio::select! {
        end = receive => end,
        end = send => end,
        // A send that waits for a stuck link would notice only when TCP gives up, minutes later.
        () = received.closed() => closed_by_the_edge(),
    };
    // The session has said what there was to say, or gave the connection up. A closing handshake would wait for ever,
    // and what is left in the kernel's buffer is old by the time that the link is back: it is thrown away, not sent.
    let _ = socket.tcp.set_linger(Some(Duration::ZERO));
    end
}

fn closed_by_the_edge() -> End {
    End::Closed("closed by the edge".to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

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
        let (_outgoing, to_send) = mpsc::channel(1);
        let (received, _incoming) = mpsc::channel(1);
        theirs.close(None).await.unwrap();
        assert!(matches!(run(ours, to_send, received).await, End::Closed(_)));

        let (theirs, ours) = connected().await;
        let (_outgoing, to_send) = mpsc::channel(1);
        let (received, _incoming) = mpsc::channel(1);
        drop(theirs);
        assert!(matches!(run(ours, to_send, received).await, End::Broken(_)));
    }

    #[tokio::test]
    async fn a_connection_that_the_relay_drops_ends_although_the_link_takes_nothing_more() {
        let (_unread, socket) = connected().await;
        let (outgoing, to_send) = mpsc::channel(1);
        let (received, incoming) = mpsc::channel(1);
        let running = tokio::spawn(run(socket, to_send, received));
        // The other end reads nothing, as if the link were down: in the end the kernel takes nothing more.
        let stuck = async { while outgoing.send(vec![0; 1 << 18]).await.is_ok() {} };
        assert!(tokio::time::timeout(Duration::from_secs(1), stuck).await.is_err());
        drop((outgoing, incoming));
        let ended = tokio::time::timeout(Duration::from_secs(5), running).await;
        assert_eq!(ended.unwrap().unwrap(), closed_by_the_edge());
    }
}
