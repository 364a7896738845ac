//! One WebSocket connection: a session message is a binary message.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::GroundUrl;
use super::connection::{Driven, End};
use super::wire::WireCounter;

/// How often the kernel is asked at least whether a message has left.
const RECHECK_INTERVAL: Duration = Duration::from_millis(100);

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
    let Driven { mut outgoing, incoming, stream_has_room } = driven;
    let (mut sink, mut stream) = socket.messages.split();
    let tcp = match TcpStream::from_std(socket.tcp.into()) {
        Ok(tcp) => tcp,
        Err(error) => return End::Broken(error.to_string()),
    };
    let receive = async {
        loop {
            match stream.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    wire.handle_received(bytes.len());
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
            // What goes next is decided when this one has left.
            stream_has_room.send_replace(false);
            wire.handle_sent(transmit.bytes.len());
            if let Err(error) = sink.send(Message::binary(transmit.bytes)).await {
                return End::Broken(error.to_string());
            }
            has_left(&tcp).await;
            stream_has_room.send_replace(true);
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
    let _ = SockRef::from(&tcp).set_linger(Some(Duration::ZERO));
    end
}

/// Done when TCP has sent what it was given, but for what [`Dialer`](super::dial::Dialer) lets it hold.
async fn has_left(tcp: &TcpStream) {
    let takes_more = || if takes_more(tcp) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) };
    // Readiness is told when it changes, and only to who has asked the kernel before.
    while takes_more().is_err() {
        match timeout(RECHECK_INTERVAL, tcp.writable()).await {
            // What was ready before is forgotten where the kernel says otherwise.
            Ok(Ok(())) => _ = tcp.try_io(Interest::WRITABLE, takes_more),
            // The receiving half notices a broken connection.
            Ok(Err(_)) => return,
            Err(_) => {}
        }
    }
}

fn takes_more(tcp: &TcpStream) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut asked = [PollFd::new(tcp, PollFlags::OUT)];
    // An error ends the wait: what is sent next reports it.
    poll(&mut asked, Some(&now)).is_ok_and(|ready| ready > 0)
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
        assert!(timeout(Duration::from_secs(1), stuck).await.is_err());
        drop(connection);
        let ended = timeout(Duration::from_secs(5), running).await;
        assert_eq!(ended.unwrap().unwrap(), End::by_the_edge());
    }
}
