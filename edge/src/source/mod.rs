//! Where telemetry comes from.
//!
//! A source is named by a [`SourceUrl`]; [`run`] keeps it going, through unplugged cables and peers that went away,
//! and hands over [`Sample`]s. In layers: `transport` brings bytes, a `Decoder` turns bytes into samples without any
//! I/O (`mavlink`, `jsonl`, `nmea`), `Output` hands them on and counts. `replay` and `simulated` make samples by
//! themselves.

mod decoder;
mod jsonl;
mod lines;
mod mavlink;
mod nmea;
mod output;
mod port;
#[cfg(test)]
mod precision_tests;
mod replay;
mod simulated;
mod transport;
mod url;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::Utc;
use tern_shared::record::Value;
use tern_shared::schema::Schema;
use tern_shared::time::Timestamp;
use tokio::sync::mpsc;

use self::decoder::NewDecoder;
pub(crate) use self::mavlink::compose;
use self::output::Output;
pub use self::output::{Counters, Counts};
pub use self::port::{Ack, Heard, Port};
pub use self::url::{Format, InvalidSourceUrl, ReplayClock, SourceKind, SourceUrl, Speed, Transport};

/// One sample as a source hands it over; the relay gives it its schema id.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When it was taken in, by this computer's clock (or by the sensor's own, where it sends one).
    pub time: Timestamp,
    /// The stream it belongs to. Sources keep and clone the same `Arc` as long as the schema is the same.
    pub schema: Arc<Schema>,
    /// One value a field.
    pub values: Vec<Value>,
}

/// Why a source cannot run. Everything that may pass by itself (a cable, a peer) is retried instead.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file is missing or cannot be read.
    #[error("cannot read {path}: {error}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The local address cannot be listened on: it is taken, or not allowed.
    #[error("cannot listen on {address}: {error}; is another program using it?")]
    Listen {
        /// Which address.
        address: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// The recording holds no MAVLink frame.
    #[error("{path} holds no MAVLink frame; a .tlog is expected", path = path.display())]
    NoFrames {
        /// Which file.
        path: PathBuf,
    },
}

/// Runs a source until it ends (a file, stdin) or nobody takes its samples any more.
///
/// TCP, files, stdin and replays wait while `samples` is full; UDP and serial ports cannot make their senders wait and
/// drop, counted in [`Counts::dropped`]. What is sent through `port` goes to the source's peers.
pub async fn run(
    url: &SourceUrl,
    samples: mpsc::Sender<Sample>,
    counters: Arc<Counters>,
    port: Port,
) -> Result<(), SourceError> {
    let output = Output::new(samples, counters, port);
    tokio::select! {
        biased;
        ended = run_kind(url.kind(), &output) => ended,
        // A source that has nothing to say would not notice by itself.
        () = output.closed() => Ok(()),
    }
}

async fn run_kind(kind: &SourceKind, output: &Output) -> Result<(), SourceError> {
    match kind {
        SourceKind::Bytes { format, transport } => {
            let speaks = matches!(transport, Transport::UdpOut(_) | Transport::TcpOut(_));
            transport::run(transport, &new_decoder(*format, speaks, output), output).await
        }
        SourceKind::Replay { path, speed, looped, clock } => {
            replay::run(path, *speed, *looped, *clock, output).await
        }
        SourceKind::Simulated { rate_hz, seed } => {
            simulated::run(*rate_hz, *seed, output).await;
            Ok(())
        }
    }
}

/// Makes decoders, one a connection, that share what has to outlive connections: the schemas.
fn new_decoder(format: Format, speaks: bool, output: &Output) -> Arc<NewDecoder> {
    let (counters, port) = (output.counters().clone(), output.port().clone());
    match format {
        Format::Mavlink { rate_hz } => mavlink::new_decoder(speaks, rate_hz, counters, port),
        Format::JsonLines => jsonl::new_decoder(counters, port),
        Format::Nmea => nmea::new_decoder(counters),
    }
}

fn wall_clock() -> Timestamp {
    Timestamp(Utc::now().timestamp_micros())
}
