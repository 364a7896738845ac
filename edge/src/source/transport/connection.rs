//! A stream of bytes both ways: TCP, or a serial port.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{self, MissedTickBehavior};
use tokio_serial::SerialPortBuilderExt;

use super::{GREETING_PERIOD, Health, IDLE_AFTER, RETRY_AFTER, wall_clock};
use crate::source::decoder::{Decoder, NewDecoder};
use crate::source::output::{Closed, Counts, Output, WhenFull};

/// Bytes read at once.
const READ_BYTES: usize = 8 * 1024;
/// A greeting that takes longer meets a peer that does not read, or a port that is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What to connect to.
#[derive(Debug)]
pub(super) enum Endpoint<'a> {
    Tcp(&'a str),
    Serial { device: &'a str, baud: u32 },
}

/// Bytes both ways.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Endpoint<'_> {
    fn address(&self) -> &str {
        match self {
            Endpoint::Tcp(address) => address,
            Endpoint::Serial { device, .. } => device,
        }
    }

    async fn open(&self) -> io::Result<Box<dyn Stream>> {
        match *self {
            Endpoint::Tcp(address) => {
                let stream = time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
                notice_dead_peers(&stream)?;
                Ok(Box::new(stream))
            }
            Endpoint::Serial { device, baud } => {
                Ok(Box::new(tokio_serial::new(device, baud).open_native_async()?))
            }
        }
    }
}

/// Keeps a connection open until nobody takes its samples any more.
pub(super) async fn keep_open(
    endpoint: &Endpoint<'_>,
    when_full: WhenFull,
    new_decoder: &Arc<NewDecoder>,
    output: &Output,
) {
    let mut health = Health::default();
    let mut first = true;
    loop {
        let error = match endpoint.open().await {
            Ok(stream) => {
                health.up(endpoint.address());
                output.counters().add(Counts { reconnects: (!first).into(), ..Counts::default() });
                first = false;
                match pump(stream, new_decoder().as_mut(), when_full, output).await {
                    Ok(error) => error,
                    Err(Closed) => return,
                }
            }
            Err(error) => error,
        };
        health.down(endpoint.address(), &error);
        time::sleep(RETRY_AFTER).await;
    }
}

/// Carries one connection to its end, and returns why it ended.
pub(super) async fn pump(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    decoder: &mut dyn Decoder,
    when_full: WhenFull,
    output: &Output,
) -> Result<io::Error, Closed> {
    let mut buffer = vec![0; READ_BYTES];
    let mut samples = Vec::new();
    let mut greetings = time::interval(GREETING_PERIOD);
    greetings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut outgoing = output.outgoing();
    let mut idle = true;
    loop {
        tokio::select! {
            biased;
            // Priority 1: commands, which are old soon.
            bytes = outgoing.next() => {
                if let Err(error) = write(&mut stream, &bytes).await {
                    return Ok(error);
                }
            }
            // Priority 2: a peer that sends without pause must not keep us from telling it that we are there.
            _ = greetings.tick() => {
                if let Err(error) = write(&mut stream, &decoder.greet()).await {
                    return Ok(error);
                }
            }
            // Priority 3: what came.
            read = stream.read(&mut buffer) => {
                let now = wall_clock();
                match read {
                    Ok(length) if length > 0 => {
                        output.counters().add(Counts { bytes: length as u64, ..Counts::default() });
                        decoder.push(&buffer[..length], now, &mut samples);
                        idle = false;
                    }
                    ended => {
                        decoder.finish(now, &mut samples);
                        output.send(&mut samples, when_full).await?;
                        return Ok(ended.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
                    }
                }
            }
            // Priority 4: nothing came.
            () = time::sleep(IDLE_AFTER), if !idle => {
                decoder.idle(wall_clock(), &mut samples);
                idle = true;
            }
        }
        output.send(&mut samples, when_full).await?;
    }
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    time::timeout(WRITE_TIMEOUT, stream.write_all(bytes)).await?
}

/// A peer whose power failed sends no goodbye: without probes its connection would stay open for ever.
pub(super) fn notice_dead_peers(stream: &TcpStream) -> io::Result<()> {
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&probes)?;
    stream.set_nodelay(true)
}
