//! Samples, as they are due: for the edge over UDP on the vehicle, for whatever else carries them as they are.

use std::io;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::distr::{Alphanumeric, SampleString};
use rand::rngs::StdRng;
use tern_shared::mavlink::frame::{Candidate, inspect};
use tern_shared::schema::{Class, MavlinkOrigin, Schema};
use tokio::sync::mpsc;

use super::record::Sample;
use crate::client::epoch_seconds;
use crate::scenario::{Scenario, Synthetic, Workload};

/// Bytes of a tlog's time before each frame.
const STAMP_BYTES: usize = 8;
/// Bytes that a sample's number stands for in [`Synthetic::sample_bytes`].
pub(crate) const NUMBER_BYTES: usize = 8;
/// The pause between a flight's end and its next beginning.
const LOOP_PAUSE: Duration = Duration::from_millis(20);
/// The stream of synthetic samples.
const STREAM: &str = "synthetic";

/// Hands samples over.
pub(crate) struct Feed {
    sink: Sink,
    kind: Kind,
    /// Draws the content of synthetic samples.
    rng: StdRng,
    sent: usize,
}

/// Who takes the samples.
pub(crate) enum Sink {
    /// An edge, to whose source the socket is connected: JSON lines, or MAVLink.
    Edge(UdpSocket),
    /// Anything else: the content of each, which begins with its number in [`NUMBER_BYTES`] digits. Has room for all.
    Plain(mpsc::Sender<Vec<u8>>),
}

enum Kind {
    Synthetic(Synthetic),
    Flight(Flight),
}

/// A recorded flight in memory.
#[derive(Debug)]
pub(crate) struct Flight {
    frames: Vec<RecordedFrame>,
}

#[derive(Debug)]
struct RecordedFrame {
    /// After the start.
    due: Duration,
    /// As the edge calls it.
    stream: String,
    class: Class,
    bytes: Vec<u8>,
}

/// Why a flight cannot be flown.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum FlightError {
    #[error("cannot read the flight {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no tlog: no time with a MAVLink frame stands in it", path.display())]
    Format { path: PathBuf },
}

impl Feed {
    /// The scenario's samples, or a flight's.
    pub(crate) fn new(scenario: &Scenario, flight: Option<Flight>, sink: Sink) -> Feed {
        let kind = match (flight, &scenario.workload) {
            (None, Workload::Synthetic(synthetic)) => Kind::Synthetic(*synthetic),
            (flight, _) => Kind::Flight(flight.unwrap_or(Flight { frames: Vec::new() })),
        };
        Feed { sink, kind, rng: StdRng::seed_from_u64(scenario.seed), sent: 0 }
    }

    /// When the next sample is due, after the start; `None` when there are no more.
    pub(super) fn next_due(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Synthetic(synthetic) => {
                Some(Duration::from_secs(self.sent as u64) / synthetic.samples_per_second.get())
            }
            Kind::Flight(Flight { frames }) => {
                let last = frames.last()?.due;
                let rounds = (self.sent / frames.len()) as u32;
                Some((last + LOOP_PAUSE) * rounds + frames[self.sent % frames.len()].due)
            }
        }
    }

    /// Sends the next sample.
    pub(super) fn send(&mut self) -> io::Result<Sample> {
        let number = self.sent;
        self.sent += 1;
        let (stream, class, content) = match &self.kind {
            Kind::Synthetic(synthetic) => {
                let text =
                    Alphanumeric.sample_string(&mut self.rng, synthetic.sample_bytes as usize - NUMBER_BYTES);
                let content = match self.sink {
                    Sink::Edge(_) => {
                        format!("{{\"stream\":\"{STREAM}\",\"n\":{number},\"text\":\"{text}\"}}\n")
                    }
                    Sink::Plain(_) => format!("{number:0NUMBER_BYTES$}{text}"),
                };
                (STREAM.to_owned(), Class::Live, content.into_bytes())
            }
            Kind::Flight(Flight { frames }) => {
                let frame = &frames[number % frames.len()];
                (frame.stream.clone(), frame.class, frame.bytes.clone())
            }
        };
        let sample = Sample { at: Instant::now(), wall_s: epoch_seconds(), stream, class };
        match &self.sink {
            Sink::Edge(socket) => socket.send(&content).map(|_| ())?,
            Sink::Plain(sender) => sender.try_send(content).map_err(io::Error::other)?,
        }
        Ok(sample)
    }
}

impl Flight {
    pub(super) fn read(path: &Path) -> Result<Flight, FlightError> {
        let bytes =
            std::fs::read(path).map_err(|source| FlightError::Read { path: path.to_owned(), source })?;
        Flight::parse(&bytes).ok_or_else(|| FlightError::Format { path: path.to_owned() })
    }

    /// What is no entry (recorders are cut off, and garble) is left out; `None` when nothing is one.
    fn parse(bytes: &[u8]) -> Option<Flight> {
        let mut frames: Vec<RecordedFrame> = Vec::new();
        let mut first_micros = None;
        let mut at = 0;
        let mut is_lost = false;
        while let Some((stamp, rest)) = bytes[at..].split_first_chunk::<STAMP_BYTES>() {
            let frame = match inspect(rest) {
                Candidate::Certain(frame) => frame,
                Candidate::Plausible(frame) if !is_lost => frame,
                _ => {
                    is_lost = true;
                    at += 1;
                    continue;
                }
            };
            is_lost = false;
            let micros = u64::from_be_bytes(*stamp);
            let first = *first_micros.get_or_insert(micros);
            // Recorders' clocks jump back; what was recorded later is sent later.
            let due = Duration::from_micros(micros.saturating_sub(first));
            let due = frames.last().map_or(due, |before| due.max(before.due));
            let origin =
                MavlinkOrigin { system: frame.system, component: frame.component, message: frame.message };
            let Schema { stream, class, .. } = frame
                .layout
                .and_then(|_| Schema::of_mavlink(origin))
                .unwrap_or_else(Schema::of_mavlink_opaque);
            frames.push(RecordedFrame { due, stream, class, bytes: frame.raw.to_vec() });
            at += STAMP_BYTES + frame.raw.len();
        }
        (!frames.is_empty()).then_some(Flight { frames })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(kind: Kind) -> Feed {
        let sink = Sink::Edge(UdpSocket::bind("127.0.0.1:0").unwrap());
        Feed { sink, kind, rng: StdRng::seed_from_u64(1), sent: 0 }
    }

    #[test]
    fn a_flight_begins_again_when_it_has_ended() {
        let flight = concat!(env!("CARGO_MANIFEST_DIR"), "/flights/sitl_mission_250hz.tlog");
        let flight = Flight::read(Path::new(flight)).unwrap();
        let (count, last) = (flight.frames.len(), flight.frames.last().unwrap().due);
        assert!(count > 5_000 && last > Duration::from_secs(200));
        assert!(flight.frames.iter().any(|frame| frame.stream == "mavlink/1/1/ATTITUDE"));
        let mut feed = feed(Kind::Flight(flight));
        assert_eq!(feed.next_due(), Some(Duration::ZERO));
        feed.sent = count;
        assert_eq!(feed.next_due(), Some(last + LOOP_PAUSE));
    }

    #[test]
    fn what_is_no_entry_is_left_out() {
        assert!(Flight::parse(b"").is_none() && Flight::parse(&[7; 40]).is_none());
        let flight = concat!(env!("CARGO_MANIFEST_DIR"), "/flights/sitl_mission_250hz.tlog");
        let mut bytes = std::fs::read(flight).unwrap();
        let whole = Flight::parse(&bytes).unwrap().frames.len();
        bytes.splice(0..0, [7; 20]);
        bytes.truncate(bytes.len() - 3);
        assert_eq!(Flight::parse(&bytes).unwrap().frames.len(), whole - 1);
    }

    #[test]
    fn synthetic_samples_are_steady() {
        let synthetic = Synthetic { samples_per_second: 50.try_into().unwrap(), sample_bytes: 60 };
        let mut feed = feed(Kind::Synthetic(synthetic));
        feed.sent = 75;
        assert_eq!(feed.next_due(), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn plain_samples_are_their_number_and_text_of_the_asked_size() {
        let synthetic = Synthetic { samples_per_second: 50.try_into().unwrap(), sample_bytes: 60 };
        let (sender, mut samples) = mpsc::channel(2);
        let mut feed = Feed { sink: Sink::Plain(sender), ..feed(Kind::Synthetic(synthetic)) };
        feed.send().unwrap();
        feed.send().unwrap();
        assert!(feed.send().is_err(), "there is room for two");
        let [first, second] = [samples.try_recv().unwrap(), samples.try_recv().unwrap()];
        assert_eq!((first.len(), second.len()), (60, 60));
        assert!(first.starts_with(b"00000000") && second.starts_with(b"00000001"));
    }
}
