//! JSON lines: `{"stream":"humidity","t":1763800000.25,"percent":41.5}`.
//!
//! `stream` names the stream; `t`, where there is one, is the capture time (seconds since the Unix epoch, or RFC 3339
//! text), else it is the time of arrival; everything else is fields. Lines of the ground's export, which has the fields in
//! an object `fields`, are the samples that they were. A line with an `id` and without a `stream` is the answer of a
//! device to a command. A line that is no such object is counted and skipped.

mod line;
mod streams;

use std::sync::{Arc, Mutex, PoisonError};

use tern_shared::time::Timestamp;

use self::line::MalformedLine;
use self::streams::Streams;
use super::Sample;
use super::decoder::{Decoder, NewDecoder};
use super::lines::{Line, Lines, MAX_LINE_BYTES};
use super::output::{Counters, Counts};
use super::port::Port;

/// How many malformed lines of a source are logged, before they are only counted.
const MAX_LOGGED: u64 = 5;

/// Makes decoders that share their streams' schemas.
pub(super) fn new_decoder(counters: Arc<Counters>, port: Port) -> Arc<NewDecoder> {
    let streams = Arc::new(Mutex::new(Streams::default()));
    Arc::new(move || {
        Box::new(JsonDecoder {
            lines: Lines::default(),
            streams: streams.clone(),
            counters: counters.clone(),
            port: port.clone(),
        })
    })
}

struct JsonDecoder {
    lines: Lines,
    streams: Arc<Mutex<Streams>>,
    counters: Arc<Counters>,
    port: Port,
}

impl Decoder for JsonDecoder {
    fn push(&mut self, bytes: &[u8], now: Timestamp, samples: &mut Vec<Sample>) {
        let (streams, counters, port) = (&self.streams, &self.counters, &self.port);
        self.lines.push(bytes, |line| take(streams, counters, port, line, now, samples));
    }

    /// A line has its own end.
    fn idle(&mut self, _now: Timestamp, _samples: &mut Vec<Sample>) {}

    fn finish(&mut self, now: Timestamp, samples: &mut Vec<Sample>) {
        let (streams, counters, port) = (&self.streams, &self.counters, &self.port);
        self.lines.finish(|line| take(streams, counters, port, line, now, samples));
    }
}

fn take(
    streams: &Mutex<Streams>,
    counters: &Counters,
    port: &Port,
    line: Line<'_>,
    now: Timestamp,
    samples: &mut Vec<Sample>,
) {
    let sample = match line {
        Line::Whole(bytes) => match line::parse(bytes) {
            Ok(line::Parsed::Sample(line)) => {
                // A panic while it is held leaves schemas that are whole: they are replaced in one step.
                streams.lock().unwrap_or_else(PoisonError::into_inner).sample(line, now)
            }
            Ok(line::Parsed::Answer(answer)) => return port.handle_line(answer),
            Err(error) => Err(error),
        },
        Line::TooLong(bytes) => Err(MalformedLine::TooLong { bytes }),
    };
    match sample {
        Ok(sample) => samples.push(sample),
        Err(error) => {
            let skipped_bytes = if let MalformedLine::TooLong { bytes } = error { bytes as u64 } else { 0 };
            counters.add(Counts { malformed_lines: 1, skipped_bytes, ..Counts::default() });
            if counters.snapshot().malformed_lines <= MAX_LOGGED {
                tracing::warn!(%error, MAX_LINE_BYTES, "JSON line skipped");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_lines_are_counted_and_skipped() {
        let counters = Arc::new(Counters::default());
        let mut decoder = new_decoder(counters.clone(), Port::new())();
        let mut samples = Vec::new();
        let long = format!("{{\"stream\":\"a\",\"x\":\"{}\"}}\n", "x".repeat(MAX_LINE_BYTES));
        for piece in ["{\"stream\":\"a\",", "\"x\":1}\nnonsense\n\n", &long, "{\"stream\":\"a\",\"x\":2}"] {
            decoder.push(piece.as_bytes(), Timestamp(7), &mut samples);
        }
        decoder.finish(Timestamp(8), &mut samples);
        assert_eq!(samples.iter().map(|s| s.time.0).collect::<Vec<_>>(), [7, 8]);
        let counts = counters.snapshot();
        assert_eq!((counts.malformed_lines, counts.skipped_bytes), (2, long.len() as u64 - 1));
    }
}
