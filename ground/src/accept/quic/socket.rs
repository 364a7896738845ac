//! One QUIC connection of a vehicle: its stream and its datagrams.
//!
//! Messages for the stream go through a task of its own, so that a stream that is stuck (a lost packet, a vehicle that
//! does not read) holds up no datagram.

use quinn::{ConnectionError, RecvStream, SendDatagramError, SendStream, VarInt};
use tern_shared::message::{Refusal, RefusalReason};
use tern_shared::quic::{Deframer, frame};
use tern_shared::session::{Carrier, Channel, Transmit};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::debug;

use super::super::socket::Received;

/// Messages that wait for the stream.
const STREAM_MESSAGES: usize = 64;
/// Read from the stream at once.
const READ_BYTES: usize = 16 * 1024;
/// How the ground closes a connection that is done, and one that it cannot use.
const DONE: VarInt = VarInt::from_u32(0);
const UNUSABLE: VarInt = VarInt::from_u32(1);

/// A connection, with its stream once the vehicle has opened it.
pub(in crate::accept) struct QuicSocket {
    connection: quinn::Connection,
    /// Largest message in a datagram.
    max_datagram_bytes: usize,
    stream: Option<Stream>,
}

struct Stream {
    receive: RecvStream,
    deframer: Deframer,
    /// To the task that writes.
    outgoing: mpsc::Sender<Vec<u8>>,
    /// Ends when the vehicle has all that was written.
    writer: JoinHandle<()>,
}

impl QuicSocket {
    /// `None` for a vehicle that takes no datagrams, which is told so.
    pub(super) fn new(
        connection: quinn::Connection,
        stream: Option<(SendStream, RecvStream)>,
    ) -> Option<Self> {
        let Some(max_datagram_bytes) = connection.max_datagram_size() else {
            connection.close(UNUSABLE, b"the vehicle takes no datagrams");
            return None;
        };
        Some(QuicSocket { connection, max_datagram_bytes, stream: stream.map(Stream::new) })
    }

    pub(in crate::accept) fn carrier(&self) -> Carrier {
        Carrier::Datagrams { max_bytes: self.max_datagram_bytes }
    }

    /// The certificates that the vehicle has shown, its own first; they are verified. Empty without any.
    pub(in crate::accept) fn certificates(&self) -> Vec<rustls::pki_types::CertificateDer<'static>> {
        let identity = self.connection.peer_identity().and_then(|identity| identity.downcast().ok());
        identity.map(|chain| *chain).unwrap_or_default()
    }

    /// May be dropped before it is done without losing a message.
    pub(in crate::accept) async fn receive(&mut self) -> Received {
        loop {
            let Some(stream) = &mut self.stream else {
                tokio::select! {
                    biased;
                    opened = self.connection.accept_bi() => match opened {
                        Ok(opened) => self.stream = Some(Stream::new(opened)),
                        Err(error) => return Received::Closed(reason(&error)),
                    },
                    datagram = self.connection.read_datagram() => return message(datagram),
                }
                continue;
            };
            match stream.deframer.next_message() {
                Ok(Some(message)) => return Received::Message(message),
                Ok(None) => {}
                Err(error) => {
                    let refusal = Refusal::new(RefusalReason::TooLarge, error.to_string());
                    return Received::Unreadable(refusal);
                }
            }
            tokio::select! {
                biased;
                chunk = stream.receive.read_chunk(READ_BYTES, true) => match chunk {
                    Ok(Some(chunk)) => stream.deframer.extend(&chunk.bytes),
                    Ok(None) => return Received::Closed("closed by the vehicle".to_owned()),
                    Err(error) => return Received::Closed(error.to_string()),
                },
                datagram = self.connection.read_datagram() => return message(datagram),
            }
        }
    }

    pub(in crate::accept) async fn send(&mut self, transmit: Transmit) -> Result<(), String> {
        match (transmit.channel, &self.stream) {
            (Channel::Datagram, _) => {
                match self.connection.send_datagram_wait(transmit.bytes.into()).await {
                    Ok(()) => Ok(()),
                    Err(SendDatagramError::ConnectionLost(error)) => Err(reason(&error)),
                    // To the session it is lost, as datagrams may be.
                    Err(error) => {
                        debug!(%error, "datagram not sent");
                        Ok(())
                    }
                }
            }
            (Channel::Stream, Some(stream)) => {
                let gone = |_| "the stream is closed".to_owned();
                stream.outgoing.send(transmit.bytes).await.map_err(gone)
            }
            (Channel::Stream, None) => Err("the vehicle has opened no stream".to_owned()),
        }
    }

    pub(in crate::accept) async fn close(&mut self) {
        if let Some(Stream { outgoing, writer, .. }) = self.stream.take() {
            drop(outgoing);
            let _ = writer.await;
        }
        self.connection.close(DONE, b"");
    }
}

impl Drop for QuicSocket {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            stream.writer.abort();
        }
        self.connection.close(DONE, b"");
    }
}

impl Stream {
    fn new((send, receive): (SendStream, RecvStream)) -> Self {
        let (outgoing, messages) = mpsc::channel(STREAM_MESSAGES);
        let writer = tokio::spawn(write(send, messages));
        Stream { receive, deframer: Deframer::default(), outgoing, writer }
    }
}

async fn write(mut stream: SendStream, mut messages: mpsc::Receiver<Vec<u8>>) {
    while let Some(message) = messages.recv().await {
        if let Err(error) = stream.write_all(&frame(&message)).await {
            return debug!(%error, "the stream to a vehicle is closed");
        }
    }
    if stream.finish().is_ok() {
        let _ = stream.stopped().await;
    }
}

fn message(datagram: Result<axum::body::Bytes, ConnectionError>) -> Received {
    match datagram {
        Ok(bytes) => Received::Message(bytes.into()),
        Err(error) => Received::Closed(reason(&error)),
    }
}

fn reason(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(_) => "closed by the vehicle".to_owned(),
        error => error.to_string(),
    }
}
