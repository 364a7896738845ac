//! The control flow: small datagrams around the link and back. Whatever slows them is the machine, not the link.

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
/// A datagram that is not back after this counts as this.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// A running control flow.
#[derive(Debug)]
pub(super) struct Control {
    stop: Arc<AtomicBool>,
    sender: Option<JoinHandle<Vec<f64>>>,
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
        let stop = Arc::new(AtomicBool::new(false));
        let (echo_stop, sender_stop) = (Arc::clone(&stop), Arc::clone(&stop));
        Ok(Control {
            stop,
            echo: Some(std::thread::spawn(move || answer(&echo_socket, &echo_stop))),
            sender: Some(std::thread::spawn(move || ask(&socket, &sender_stop))),
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
        self.stop.store(true, Ordering::Relaxed);
        let round_trips = self.sender.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        if let Some(echo) = self.echo.take() {
            let _ = echo.join();
        }
        round_trips
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.join();
    }
}

fn ask(socket: &UdpSocket, stop: &AtomicBool) -> Vec<f64> {
    let mut round_trips = Vec::new();
    let mut number = 0u64;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let sent = Instant::now();
        let mut answer = [0; 8];
        let answered = socket.send(&number.to_be_bytes()).is_ok()
            && loop {
                match socket.recv(&mut answer) {
                    // Answers to earlier datagrams may still come.
                    Ok(_) if u64::from_be_bytes(answer) < number => {}
                    result => break result.is_ok(),
                }
            };
        let took = if answered { sent.elapsed() } else { ANSWER_LIMIT };
        round_trips.push(took.as_secs_f64() * 1e3);
        std::thread::sleep(INTERVAL.saturating_sub(sent.elapsed()));
    }
    round_trips
}

fn answer(socket: &UdpSocket, stop: &AtomicBool) {
    let mut datagram = [0; 8];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((bytes, from)) = socket.recv_from(&mut datagram) {
            let _ = socket.send_to(&datagram[..bytes], from);
        }
    }
}
