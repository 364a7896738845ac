//! The control flow: small datagrams around the link and back. Whatever slows them is the machine, not the link.
//!
//! Each is sent when its time has come, whatever became of those before. One that is late by more than the time between
//! two counts from when it was due: a machine that stands still for 2 s is seen by all hundred that were due meanwhile.

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
    sender: Option<JoinHandle<Vec<Instant>>>,
    receiver: Option<JoinHandle<Vec<(u64, Instant)>>>,
    echo: Option<JoinHandle<()>>,
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
        let asked = self.sender.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let answers = self.receiver.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        self.answering.store(false, Ordering::Relaxed);
        if let Some(echo) = self.echo.take() {
            let _ = echo.join();
        }
        round_trips(&asked, &answers)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.join();
    }
}

/// Sends each datagram when it is due; since when each one's round trip counts.
fn ask(socket: &UdpSocket, start: Instant, is_asking: &AtomicBool) -> Vec<Instant> {
    let mut asked: Vec<Instant> = Vec::new();
    let mut due = start;
    while is_asking.load(Ordering::Relaxed) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let number = asked.len() as u64;
        asked.push(counted_from(due, Instant::now()));
        // What is not sent is not answered.
        let _ = socket.send(&number.to_be_bytes());
        due += INTERVAL;
    }
    asked
}

fn counted_from(due: Instant, sent: Instant) -> Instant {
    if sent.saturating_duration_since(due) < INTERVAL { sent } else { due }
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

/// From each question to its answer, milliseconds.
fn round_trips(asked: &[Instant], answers: &[(u64, Instant)]) -> Vec<f64> {
    let mut took = vec![ANSWER_LIMIT; asked.len()];
    for &(number, at) in answers {
        if let (Some(took), Some(&asked)) = (took.get_mut(number as usize), asked.get(number as usize)) {
            *took = at.saturating_duration_since(asked);
        }
    }
    took.into_iter().map(|took| took.as_secs_f64() * 1e3).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_stands_still_is_seen_by_all_that_was_due_meanwhile() {
        let start = Instant::now();
        let stall_end = start + Duration::from_secs(3);
        // For 2 s from the 50th on, nothing was sent; then all at once, and answered at once.
        let due = |number: u32| start + INTERVAL * number;
        let sent = |number: u32| if number < 50 { due(number) } else { due(number).max(stall_end) };
        let asked: Vec<_> = (0..200).map(|n| counted_from(due(n), sent(n))).collect();
        let answers: Vec<_> = (0..200).map(|n| (n.into(), sent(n))).collect();
        let slow = round_trips(&asked, &answers).into_iter().filter(|&took| took > 5.0).count();
        // The last of the hundred was due one interval before the end.
        assert_eq!(slow, 100);
    }

    #[test]
    fn a_sender_that_wakes_up_a_little_late_is_no_slow_round_trip() {
        let (due, late) = (Instant::now(), Duration::from_millis(6));
        assert_eq!(counted_from(due, due + late), due + late);
    }

    #[test]
    fn what_is_not_answered_counts_as_the_longest_that_is_waited() {
        let start = Instant::now();
        let answers = [(1, start + Duration::from_millis(2)), (9, start)];
        assert_eq!(round_trips(&[start; 3], &answers), [500.0, 2.0, 500.0]);
    }
}
