//! MAVLink from a link: frames become samples, and on links where the peer must hear us first, we greet it.

mod greeting;
mod samples;

use std::sync::{Arc, Mutex, PoisonError};

use tern_shared::mavlink::frame::{self, Frame, Parser};
use tern_shared::time::Timestamp;

use self::greeting::Greeting;
pub(super) use self::samples::Samples;
pub(crate) use self::samples::compose;
use super::Sample;
use super::decoder::{Decoder, NewDecoder};
use super::output::{Counters, Counts};
use super::port::Port;

/// Makes decoders that share their schemas. They greet their peer when the link needs it (`speaks`) or when streams
/// are to be requested.
pub(super) fn new_decoder(
    speaks: bool,
    rate_hz: Option<u16>,
    counters: Arc<Counters>,
    port: Port,
) -> Arc<NewDecoder> {
    let samples = Arc::new(Mutex::new(Samples::new()));
    Arc::new(move || {
        Box::new(MavlinkDecoder {
            parser: Parser::new(),
            counted: frame::Counts::default(),
            samples: samples.clone(),
            greeting: (speaks || rate_hz.is_some()).then(|| Greeting::new(rate_hz)),
            counters: counters.clone(),
            port: port.clone(),
        })
    })
}

struct MavlinkDecoder {
    parser: Parser,
    /// What of the parser's counts has been added to `counters`.
    counted: frame::Counts,
    samples: Arc<Mutex<Samples>>,
    greeting: Option<Greeting>,
    counters: Arc<Counters>,
    port: Port,
}

impl Decoder for MavlinkDecoder {
    fn push(&mut self, bytes: &[u8], now: Timestamp, samples: &mut Vec<Sample>) {
        self.parse(now, samples, |parser, on_frame| parser.push(bytes, on_frame));
    }

    fn idle(&mut self, now: Timestamp, samples: &mut Vec<Sample>) {
        self.parse(now, samples, |parser, on_frame| parser.idle(on_frame));
    }

    fn finish(&mut self, now: Timestamp, samples: &mut Vec<Sample>) {
        self.parse(now, samples, |parser, on_frame| parser.finish(on_frame));
    }

    fn greet(&mut self) -> Vec<u8> {
        self.greeting.as_mut().map(Greeting::next).unwrap_or_default()
    }
}

impl MavlinkDecoder {
    fn parse(
        &mut self,
        now: Timestamp,
        samples: &mut Vec<Sample>,
        step: impl FnOnce(&mut Parser, &mut dyn FnMut(Frame<'_>)),
    ) {
        // A panic while it is held leaves schemas that are whole: they are only ever added.
        let mut cache = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let (greeting, port) = (&mut self.greeting, &self.port);
        step(&mut self.parser, &mut |frame| {
            if let Some(greeting) = greeting {
                greeting.heard(&frame);
            }
            port.handle_frame(&frame);
            samples.push(cache.sample(&frame, now));
        });
        let counts = self.parser.counts();
        self.counters.add(Counts {
            bad_checksums: counts.bad_checksums - self.counted.bad_checksums,
            skipped_bytes: counts.skipped_bytes - self.counted.skipped_bytes,
            ..Counts::default()
        });
        self.counted = counts;
    }
}
