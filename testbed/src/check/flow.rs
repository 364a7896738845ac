//! Probes from one end to the other, a thread for each.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use tern_shared::time::Instant;
use tokio::sync::oneshot;

use super::plan::{Plan, Probes};
use crate::emulator::use_realtime_priority;

/// Below the emulator, above everything else.
const PRIORITY: u8 = 40;
/// From the start of a phase to its first probe.
const LEAD: Duration = Duration::from_millis(200);

/// The two ends of one direction.
#[derive(Debug)]
pub(super) struct Flow {
    sender: UdpSocket,
    receiver: UdpSocket,
}

/// What was seen of a direction. Times are the link's.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) steady: Vec<SeenProbe>,
    pub(super) burst: Vec<SeenProbe>,
}

/// A probe's way.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenProbe {
    pub(super) sent: Instant,
    pub(super) arrived: Option<Instant>,
}

impl Seen {
    /// Numbers of steady probes that did not arrive.
    pub(super) fn lost(&self) -> Vec<u64> {
        (0..)
            .zip(&self.steady)
            .filter(|(_, probe)| probe.arrived.is_none())
            .map(|(number, _)| number)
            .collect()
    }
}

impl Flow {
    pub(super) fn new(sender: UdpSocket, receiver: UdpSocket) -> Flow {
        Flow { sender, receiver }
    }

    /// Sends the steady probes, lets the link run empty, and then saturates it. `start` is the link's.
    pub(super) async fn run(self, plan: &Plan, start: std::time::Instant) -> io::Result<Seen> {
        let steady =
            self.phase(plan.steady, |number| plan.steady.due(number), plan.patience(), start).await?;
        let burst = self.phase(plan.burst, |number| plan.burst_due(number), plan.patience(), start).await?;
        Ok(Seen { steady, burst })
    }

    /// Sends probes, each when it is due after the first.
    async fn phase(
        &self,
        probes: Probes,
        due: impl Fn(u64) -> Duration,
        patience: Duration,
        start: std::time::Instant,
    ) -> io::Result<Vec<SeenProbe>> {
        let now = move || Instant(start.elapsed());
        let first = now() + LEAD;
        let due: Vec<Instant> = (0..=probes.count).map(|number| first + due(number)).collect();
        let end = *due.last().unwrap_or(&first) + patience;
        let (sender, receiver) = (self.sender.try_clone()?, self.receiver.try_clone()?);
        let sent = in_thread(move || {
            let mut sent = Vec::new();
            let mut bytes = vec![0; probes.payload_bytes];
            for (number, due) in (0..probes.count).zip(due) {
                std::thread::sleep(due.since(now()));
                bytes[..8].copy_from_slice(&number.to_be_bytes());
                sent.push(now());
                sender.send(&bytes)?;
            }
            Ok(sent)
        });
        let arrived = in_thread(move || {
            let mut arrived = vec![None; probes.count as usize];
            let mut bytes = vec![0; probes.payload_bytes];
            let mut missing = probes.count;
            while missing > 0 && now() < end {
                match receiver.recv(&mut bytes) {
                    Ok(_) => {}
                    Err(error) if is_pause(&error) => continue,
                    Err(error) => return Err(error),
                }
                let at = now();
                let number = bytes.first_chunk().map_or(u64::MAX, |number| u64::from_be_bytes(*number));
                if let Some(first @ None) = arrived.get_mut(number as usize) {
                    *first = Some(at);
                    missing -= 1;
                }
            }
            Ok(arrived)
        });
        let (sent, arrived) = tokio::join!(sent, arrived);
        let (sent, arrived) = (sent?, arrived?);
        Ok(sent.into_iter().zip(arrived).map(|(sent, arrived)| SeenProbe { sent, arrived }).collect())
    }
}

/// Nothing came for a while, or nobody listened (yet) where a probe was sent to.
fn is_pause(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, TimedOut, WouldBlock};
    matches!(error.kind(), ConnectionRefused | TimedOut | WouldBlock)
}

/// Not tokio's pool, whose threads would hold up the end of a check that is stopped.
async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, result) = oneshot::channel();
    std::thread::Builder::new().name("probe".to_owned()).spawn(move || {
        use_realtime_priority(PRIORITY);
        // Nobody waits for the result of a check that was stopped.
        let _ = sender.send(work());
    })?;
    result.await.unwrap_or_else(|_| Err(io::Error::other("the probe's thread ended early")))
}
