//! Brings bytes to decoders, and keeps connections up.

mod connection;
mod read;
mod tcp;
mod udp;

use std::sync::Arc;
use std::time::Duration;

use self::connection::Endpoint;
use super::decoder::NewDecoder;
use super::output::{Output, WhenFull};
use super::url::Transport;
use super::{SourceError, wall_clock};

/// How long to wait before a lost connection is tried again. These are cables and neighbours, not the satellite link:
/// they cost nothing to try, and every second counts when one is back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How long a stream has to be silent before what it holds back is passed on; far longer than the pause between two
/// bytes of a frame at 1200 baud.
const IDLE_AFTER: Duration = Duration::from_millis(100);

/// How often decoders are asked what to send to the peer.
const GREETING_PERIOD: Duration = Duration::from_secs(1);

/// Runs a transport until it ends or nobody takes its samples any more.
pub(super) async fn run(
    transport: &Transport,
    new_decoder: &Arc<NewDecoder>,
    output: &Output,
) -> Result<(), SourceError> {
    match transport {
        Transport::UdpIn(address) => udp::listen(address, new_decoder().as_mut(), output).await,
        Transport::UdpOut(address) => {
            udp::connect(address, new_decoder().as_mut(), output).await;
            Ok(())
        }
        Transport::TcpIn(address) => tcp::listen(address, new_decoder, output).await,
        Transport::TcpOut(address) => {
            connection::keep_open(&Endpoint::Tcp(address), WhenFull::Wait, new_decoder, output).await;
            Ok(())
        }
        Transport::Serial { device, baud } => {
            let endpoint = Endpoint::Serial { device, baud: *baud };
            connection::keep_open(&endpoint, WhenFull::Drop, new_decoder, output).await;
            Ok(())
        }
        Transport::Stdin => {
            read::to_end(tokio::io::stdin(), "standard input".as_ref(), new_decoder().as_mut(), output).await
        }
        Transport::File(path) => {
            let file = tokio::fs::File::open(path)
                .await
                .map_err(|error| SourceError::File { path: path.clone(), error })?;
            read::to_end(file, path, new_decoder().as_mut(), output).await
        }
    }
}

/// Logs that a connection is down once, not every second, and that it is up again.
#[derive(Debug, Default)]
struct Health {
    down: bool,
}

impl Health {
    fn up(&mut self, address: &str) {
        self.down = false;
        tracing::info!(address, "source connected");
    }

    fn down(&mut self, address: &str, error: &std::io::Error) {
        if self.down {
            tracing::debug!(address, %error, "source still down");
        } else {
            tracing::warn!(address, %error, "source down, trying again every second");
        }
        self.down = true;
    }
}

#[cfg(test)]
mod tests;
