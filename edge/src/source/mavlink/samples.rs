//! MAVLink frames as samples.

use std::collections::HashMap;
use std::sync::Arc;

use tern_shared::mavlink::frame::Frame;
use tern_shared::mavlink::{dialect, payload};
use tern_shared::record::Value;
use tern_shared::schema::{MavlinkOrigin, Schema};
use tern_shared::time::Timestamp;

use crate::source::Sample;

/// The most streams of one source. A bus full of vehicles has some hundred; garbage that passes for messages of ever
/// new systems must not use up the schemas of the whole epoch. What comes beyond it passes opaque, and so whole.
const MAX_STREAMS: usize = 1024;

/// Turns frames into samples, with one schema a stream.
#[derive(Debug)]
pub(in crate::source) struct Samples {
    schemas: HashMap<MavlinkOrigin, Arc<Schema>>,
    opaque: Arc<Schema>,
}

impl Samples {
    /// Without any schema but the opaque one.
    pub(in crate::source) fn new() -> Self {
        Samples { schemas: HashMap::new(), opaque: Arc::new(Schema::of_mavlink_opaque()) }
    }

    /// The sample of a frame: typed where the dialect can, else the whole frame.
    pub(in crate::source) fn sample(&mut self, frame: &Frame<'_>, time: Timestamp) -> Sample {
        let origin =
            MavlinkOrigin { system: frame.system, component: frame.component, message: frame.message };
        let typed = frame.layout.and_then(|layout| {
            let values = payload::decode(layout, frame.payload)?;
            Some((self.schema(origin)?, values))
        });
        let (schema, values) =
            typed.unwrap_or_else(|| (self.opaque.clone(), vec![Value::Bytes(frame.raw.to_owned())]));
        Sample { time, schema, values }
    }

    /// The schema of a stream; `None` when the dialect lacks it or there are too many.
    pub(in crate::source) fn schema(&mut self, origin: MavlinkOrigin) -> Option<Arc<Schema>> {
        if let Some(schema) = self.schemas.get(&origin) {
            return Some(schema.clone());
        }
        if self.schemas.len() >= MAX_STREAMS {
            return None;
        }
        let schema = Arc::new(Schema::of_mavlink(origin)?);
        self.schemas.insert(origin, schema.clone());
        Some(schema)
    }
}

/// The values of a message of our own making: those that are named, and zeros.
pub(crate) fn compose<'a>(
    layout: &dialect::MessageLayout,
    named: impl IntoIterator<Item = (&'a str, Value)>,
) -> Vec<Value> {
    let mut values = payload::decode(layout, &[]).unwrap_or_default();
    let fields = layout.fields();
    for (name, value) in named {
        match fields.iter().position(|field| field.name == name) {
            Some(at) => values[at] = value,
            None => debug_assert!(false, "{} has no field {name}", layout.name),
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use tern_shared::mavlink::frame::{Candidate, encode_v2, inspect};
    use tern_shared::schema::Origin;

    use super::*;

    #[test]
    fn frames_of_one_stream_share_their_schema() {
        let layout = dialect::message_named("ATTITUDE").unwrap();
        let values = compose(layout, [("roll", Value::F32(0.5))]);
        let raw = encode_v2(0, 1, 1, layout, &payload::encode(layout, &values));
        let Candidate::Certain(frame) = inspect(&raw) else { panic!("no frame") };
        let mut samples = Samples::new();
        let (first, second) = (samples.sample(&frame, Timestamp(1)), samples.sample(&frame, Timestamp(2)));
        assert!(Arc::ptr_eq(&first.schema, &second.schema));
        assert_eq!((first.schema.stream.as_str(), first.values), ("mavlink/1/1/ATTITUDE", values));
    }

    #[test]
    fn streams_beyond_the_bound_pass_opaque() {
        let layout = dialect::message_named("HEARTBEAT").unwrap();
        let mut samples = Samples::new();
        for stream in 0..=MAX_STREAMS {
            let raw = encode_v2(0, (stream / 256) as u8, (stream % 256) as u8, layout, &[1]);
            let Candidate::Certain(frame) = inspect(&raw) else { panic!("no frame") };
            let sample = samples.sample(&frame, Timestamp(0));
            assert_eq!(sample.schema.origin == Origin::MavlinkOpaque, stream == MAX_STREAMS);
        }
    }
}
