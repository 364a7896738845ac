//! The control flow: small datagrams around the link and back. Whatever slows them is the machine, not the link.
//!
//! Each is sent when its time has come, whatever became of those before, and its round trip counts from that time: a
//! machine that stands still for 2 s is seen by all hundred datagrams that were due meanwhile.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::latency::Percentiles;
use crate::path::Path;

/// The time from one datagram to the next.
const INTERVAL: Duration = Duration::from_millis(20);
/// How long answers are waited for at the end. Those that do not come count as this.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// A running control flow.
#[derive(Debug)]
pub(super) struct Control {
    asking: Arc<AtomicBool>,
    answering: Arc<AtomicBool>,
    sender: Option<JoinHandle<u64>>,
    receiver: Option<JoinHandle<Vec<(u64, Instant)>>>,
    echo: Option<JoinHandle<()>>,
    start: Instant,
}

impl Control {
    pub(super) fn start(path: &Path) -> io::Result<Control> {
        let (vehicle, ground) = path.control_addresses();
        let echo_socket = path.ground().udp_socket(ground)?;
        let socket = path.vehicle().udp_socket(vehicle)?;
        socket.connect(echo_socket.local_addr()?)?;
        for socket in [&echo_socket, &socket] {
            socket.set_read_timeout(Some(ANSWER_LIMIT))?;
        }
        let (asking, answering) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        let (is_asking, is_answering) = (Arc::clone(&asking), Arc::clone(&answering));
        let inlet = socket.try_clone()?;
        let start = Instant::now();
        Ok(Control {
            echo: Some(std::thread::spawn(move || answer(&echo_socket, &is_answering))),
            receiver: Some(std::thread::spawn({
                let is_asking = Arc::clone(&asking);
                move || receive(&inlet, &is_asking)
            })),
            sender: Some(std::thread::spawn(move || ask(&socket, start, &is_asking))),
            asking,
            answering,
            start,
        })
    }

    /// Ends it; the round trips, milliseconds.
    pub(super) fn finish(mut self) -> Percentiles {
        let round_trips = self.join();
        // A flow without any datagram is as disturbed as can be.
        let none = Percentiles { p50: f64::MAX, p95: f64::MAX, p99: f64::MAX, p999: f64::MAX, max: f64::MAX };
        Percentiles::of(round_trips).unwrap_or(none)
    }

    fn join(&mut self) -> Vec<f64> {
        self.asking.store(false, Ordering::Relaxed);
        let sent = self.sender.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let answers = self.receiver.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        self.answering.store(false, Ordering::Relaxed);
        if let Some(echo) = self.echo.take() {
            let _ = echo.join();
        }
        round_trips(self.start, sent, &answers)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.join();
    }
}

/// When a datagram is due after the first.
fn due(number: u64) -> Duration {
    Duration::from_nanos((INTERVAL.as_nanos() as u64).saturating_mul(number))
}

/// Sends each datagram when it is due; how many.
fn ask(socket: &UdpSocket, start: Instant, is_asking: &AtomicBool) -> u64 {
    let mut number = 0u64;
    while is_asking.load(Ordering::Relaxed) {
        std::thread::sleep(due(number).saturating_sub(start.elapsed()));
        // What is not sent is not answered.
        let _ = socket.send(&number.to_be_bytes());
        number += 1;
    }
    number
}

/// The answers by their numbers, until none has come for a while after the last question.
fn receive(socket: &UdpSocket, is_asking: &AtomicBool) -> Vec<(u64, Instant)> {
    let mut answers = Vec::new();
    let mut number = [0; 8];
    loop {
        match socket.recv(&mut number) {
            Ok(_) => answers.push((u64::from_be_bytes(number), Instant::now())),
            Err(_) if is_asking.load(Ordering::Relaxed) => {}
            Err(_) => return answers,
        }
    }
}

fn answer(socket: &UdpSocket, is_answering: &AtomicBool) {
    let mut datagram = [0; 8];
    while is_answering.load(Ordering::Relaxed) {
        if let Ok((bytes, from)) = socket.recv_from(&mut datagram) {
            let _ = socket.send_to(&datagram[..bytes], from);
        }
    }
}

/// From the moment that each datagram was due to its answer, milliseconds.
fn round_trips(start: Instant, sent: u64, answers: &[(u64, Instant)]) -> Vec<f64> {
    let unanswered = sent.saturating_sub(answers.len() as u64);
    let took = |&(number, at): &(u64, Instant)| at.saturating_duration_since(start + due(number));
    let answered = answers.iter().map(took);
    let all = answered.chain(std::iter::repeat_n(ANSWER_LIMIT, unanswered as usize));
    all.map(|took| took.as_secs_f64() * 1e3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_stands_still_is_seen_by_all_that_was_due_meanwhile() {
        let start = Instant::now();
        let stall_end = start + Duration::from_secs(3);
        // For 2 s from the 50th on, nothing was sent; then all at once.
        let answers: Vec<_> =
            (0..200).map(|n| (n, (start + due(n)).max(if n < 50 { start } else { stall_end }))).collect();
        let slow = round_trips(start, 200, &answers).into_iter().filter(|&took| took > 5.0).count();
        assert_eq!(slow, 100);
    }

    #[test]
    fn what_is_not_answered_counts_as_the_longest_that_is_waited() {
        let start = Instant::now();
        assert_eq!(round_trips(start, 3, &[(1, start + due(1))]), [0.0, 500.0, 500.0]);
    }
}
