//! Both ends of a session, where the simulation of the testbed does not look: limits, and peers that misbehave.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::sync::Arc;
use std::time::Duration;

use tern_shared::batch::Batch;
use tern_shared::codec::{self, SchemaTable};
use tern_shared::id::{Epoch, SchemaId, Token};
use tern_shared::range::{RangeSet, SequenceRange};
use tern_shared::record::{Record, Value};
use tern_shared::schema::{Class, Field, FieldKind, Origin, Schema};
use tern_shared::session::{
    Budgets, Carrier, EdgeEvent, EdgeSession, Frame, GroundSession, Identity, Pins, SendConfig,
};
use tern_shared::time::{Instant, Now, Timestamp};

mod declarations;
mod drain;
mod greeting;
mod live;
mod silence;

fn at(millis: u64) -> Now {
    let instant = Instant(Duration::from_millis(millis));
    Now { instant, wall: Timestamp::from_millis(1_700_000_000_000 + millis as i64) }
}

fn edge(base: u64, rate_bits_per_second: Option<u64>) -> EdgeSession {
    edge_with(base, rate_bits_per_second, Budgets::default())
}

fn edge_with(base: u64, rate_bits_per_second: Option<u64>, budgets: Budgets) -> EdgeSession {
    let identity = Identity {
        vehicle: "tested".parse().unwrap(),
        epoch: Epoch(7),
        base,
        token: Token::default(),
        agent: "test".into(),
    };
    let config = SendConfig {
        rate_bits_per_second,
        auto_rate: false,
        budgets,
        overhead_bytes: Some(80),
        silence_limit: Duration::from_secs(5),
        batch_window: None,
        pins: Pins::default(),
    };
    EdgeSession::new(identity, config)
}

fn schema(id: u32) -> (SchemaId, Arc<Schema>) {
    let fields = vec![Field::new("text", FieldKind::Text)];
    let stream = format!("stream-{id}");
    (SchemaId(id), Arc::new(Schema { stream, origin: Origin::Sensor, class: Class::Live, fields }))
}

fn frame(sequence: u64, schema_id: u32, text_bytes: usize) -> Frame {
    let random = std::iter::successors(Some(sequence as u32), |n| {
        Some(n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
    });
    let text = random.take(text_bytes).map(|n| char::from(b' ' + (n >> 24) as u8 % 95)).collect();
    let values = vec![Value::Text(text)];
    let record = Record { schema: SchemaId(schema_id), time: at(0).wall, values };
    let table: SchemaTable = [schema(schema_id)].into_iter().collect();
    let bytes: Arc<[u8]> = codec::encode(&Batch::new(vec![record]), &table).into();
    Frame { range: SequenceRange::new(sequence, sequence + 1), newest: at(0).wall, bytes }
}

/// Everything that the edge may send now.
fn sent(edge: &mut EdgeSession, now: Now) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| edge.poll_transmit(now, true).map(|transmit| transmit.bytes)).collect()
}

/// Opens a session with a ground that holds nothing, at time 0.
fn open(edge: &mut EdgeSession) -> GroundSession {
    open_with(edge, RangeSet::new())
}

/// Opens a session with a ground that holds these records, at time 0.
fn open_with(edge: &mut EdgeSession, committed: RangeSet) -> GroundSession {
    let mut ground = GroundSession::new("ground".into(), Carrier::Stream);
    edge.handle_connected(at(0), Carrier::Stream);
    for message in sent(edge, at(0)) {
        ground.handle_message(at(0), &message);
    }
    ground.welcome(at(0), committed, []);
    while let Some(message) = ground.poll_transmit().map(|transmit| transmit.bytes) {
        edge.handle_message(at(0), &message);
    }
    ground
}

/// Opens a session on datagrams with a ground that holds nothing, at time 0; it is heard at 2 s.
fn open_on_datagrams(edge: &mut EdgeSession) -> GroundSession {
    let carrier = Carrier::Datagrams { max_bytes: 1200 };
    let mut ground = GroundSession::new("ground".into(), carrier);
    edge.handle_connected(at(0), carrier);
    for message in sent(edge, at(0)) {
        ground.handle_message(at(0), &message);
    }
    ground.welcome(at(300), RangeSet::new(), []);
    while let Some(message) = ground.poll_transmit().map(|transmit| transmit.bytes) {
        edge.handle_message(at(2_000), &message);
    }
    ground
}

/// Records of 500 bytes that only the spool has, from `first` on.
fn store(edge: &mut EdgeSession, first: u64, count: u64) -> Vec<Frame> {
    let frames: Vec<Frame> = (first..first + count).rev().map(|sequence| frame(sequence, 0, 500)).collect();
    edge.handle_stored(SequenceRange::new(first, first + count));
    frames
}

/// The backlog that the edge asks the spool for.
fn fetched(edge: &mut EdgeSession) -> Option<SequenceRange> {
    std::iter::from_fn(|| edge.poll_event()).find_map(|event| match event {
        EdgeEvent::FetchBacklog { range, .. } => Some(range),
        _ => None,
    })
}
