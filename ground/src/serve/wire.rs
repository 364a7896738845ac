//! A TCP connection that whole messages can be written to from beside its own stream: what is published reaches thousands of
//! WebSockets without a task having to run for each.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use rustix::net::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    unsent: Mutex<Unsent>,
}

/// The connection's own stream.
#[derive(Debug)]
pub(super) struct WireStream(pub(super) Arc<Wire>);

/// What became of messages from beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The socket took them.
    All,
    /// The socket took the beginning. The rest goes before everything else when the connection's own stream is written to
    /// or flushed.
    Begun,
    /// Nothing of them was written: the socket is full or broken, or the stream within a message.
    Nothing,
}

/// What stands between a message and the next.
#[derive(Debug, Default)]
struct Unsent {
    /// The rest of what was begun from beside.
    rest: Bytes,
    /// Whether the connection's own stream has stopped within a message. It is given whole ones, so what ends where it ends
    /// is whole.
    is_within: bool,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Arc<Self> {
        Arc::new(Wire { stream, unsent: Mutex::default() })
    }

    /// Writes whole messages between two of the connection's own, as far as that is possible without waiting.
    pub fn send(&self, messages: &Bytes) -> Sent {
        let mut unsent = self.unsent();
        if unsent.is_within || !unsent.rest.is_empty() {
            return Sent::Nothing;
        }
        match self.stream.try_write(messages) {
            Ok(written) if written == messages.len() => Sent::All,
            Ok(written) => {
                unsent.rest = messages.slice(written..);
                Sent::Begun
            }
            // Why, the connection's own stream finds out.
            Err(_) => Sent::Nothing,
        }
    }

    fn unsent(&self) -> MutexGuard<'_, Unsent> {
        // No code under this lock can leave it half changed.
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Repeats `write` until the socket does not refuse it for being full.
    fn poll_write_with<T>(
        &self,
        context: &mut Context<'_>,
        mut write: impl FnMut(&mut Unsent, &TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match write(&mut self.unsent(), &self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl Unsent {
    fn finish(&mut self, stream: &TcpStream) -> io::Result<()> {
        while !self.rest.is_empty() {
            match stream.try_write(&self.rest)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.rest.advance(written),
            }
        }
        // An empty part would keep the whole.
        self.rest = Bytes::new();
        Ok(())
    }

    fn write(&mut self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        self.finish(stream)?;
        let written = stream.try_write(bytes)?;
        self.is_within = written < bytes.len();
        Ok(written)
    }
}

impl AsyncRead for WireStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = &self.0.stream;
        loop {
            ready!(stream.poll_read_ready(context))?;
            match stream.try_read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for WireStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write_with(context, |unsent, stream| unsent.write(stream, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.unsent().rest.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.0.poll_write_with(context, Unsent::finish)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        match rustix::net::shutdown(&self.0.stream, Shutdown::Write) {
            Ok(()) | Err(rustix::io::Errno::NOTCONN) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Arc<Wire>, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Wire::new(listener.accept().await.unwrap().0), client)
    }

    #[tokio::test]
    async fn what_was_begun_from_beside_is_finished_before_anything_else() {
        let (wire, mut client) = pair().await;
        let mut own = WireStream(wire.clone());
        own.write_all(b"first").await.unwrap();
        let large = Bytes::from(vec![b'x'; 64 << 20]);
        assert_eq!(wire.send(&large), Sent::Begun);
        assert_eq!(wire.send(&large), Sent::Nothing);
        let writing = async {
            own.write_all(b"own").await.unwrap();
            assert_eq!(wire.send(&Bytes::from_static(b"last")), Sent::All);
            own.shutdown().await.unwrap();
        };
        let mut all = Vec::new();
        let (read, ()) = tokio::join!(client.read_to_end(&mut all), writing);
        assert_eq!(read.unwrap(), 5 + large.len() + 3 + 4);
        assert!(all.starts_with(b"firstxxx") && all.ends_with(b"xxxownlast"));
    }

    #[tokio::test]
    async fn nothing_comes_from_beside_while_the_own_stream_is_within_a_message() {
        let (wire, mut client) = pair().await;
        let mut own = WireStream(wire.clone());
        let large = vec![b'x'; 64 << 20];
        let begun = own.write(&large).await.unwrap();
        assert!(begun < large.len());
        assert_eq!(wire.send(&Bytes::from_static(b"no")), Sent::Nothing);
        let writing = async {
            own.write_all(&large[begun..]).await.unwrap();
            assert_eq!(wire.send(&Bytes::from_static(b"yes")), Sent::All);
            own.shutdown().await.unwrap();
        };
        let mut all = Vec::new();
        let (read, ()) = tokio::join!(client.read_to_end(&mut all), writing);
        assert_eq!((read.unwrap(), &all[large.len()..]), (large.len() + 3, &b"yes"[..]));
    }

    #[tokio::test]
    async fn a_flush_finishes_what_was_begun() {
        let (wire, mut client) = pair().await;
        let large = Bytes::from(vec![b'x'; 64 << 20]);
        assert_eq!(wire.send(&large), Sent::Begun);
        let mut all = vec![0; large.len()];
        let mut own = WireStream(wire.clone());
        let (read, flushed) = tokio::join!(client.read_exact(&mut all), own.flush());
        assert_eq!((read.unwrap(), flushed.is_ok()), (large.len(), true));
        assert_eq!(wire.send(&Bytes::from_static(b"more")), Sent::All);
    }
}
