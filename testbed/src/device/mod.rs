//! Devices to command, as a vehicle would have them: processes that speak lines of JSON on TCP.
//!
//! Telemetry goes out as the JSON-lines source takes it, commands and set-points come in as the edge gives them
//! (docs/OPERATIONS.md), and each command is answered.

mod lamp;
mod rover;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, MissedTickBehavior};

pub use lamp::Lamp;
pub use rover::Rover;

/// What a device does with lines and time.
pub trait Device: Send {
    /// How often [`tick`](Device::tick) is called.
    fn period(&self) -> Duration;

    /// A line came from the edge; what to answer, and whether telemetry has changed by it.
    fn handle(&mut self, now: Instant, line: &Json) -> Vec<Json>;

    /// Time has passed; what to say.
    fn tick(&mut self, now: Instant) -> Vec<Json>;
}

/// Serves a device to one edge after the other.
pub async fn serve(address: SocketAddr, mut device: impl Device) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "device listening");
    loop {
        let (stream, peer) = listener.accept().await?;
        tracing::info!(%peer, "edge connected");
        if let Err(error) = converse(stream, &mut device).await {
            tracing::info!(%peer, %error, "edge gone");
        }
    }
}

async fn converse(mut stream: TcpStream, device: &mut impl Device) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    let mut ticks = tokio::time::interval(device.period());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let said = tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => match serde_json::from_str(&line) {
                    Ok(line) => device.handle(Instant::now(), &line),
                    Err(error) => {
                        tracing::warn!(%error, "no JSON");
                        Vec::new()
                    }
                },
                None => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            },
            _ = ticks.tick() => device.tick(Instant::now()),
        };
        for line in said {
            write.write_all(format!("{line}\n").as_bytes()).await?;
        }
    }
}
