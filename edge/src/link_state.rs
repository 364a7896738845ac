//! The stream `tern/edge`: what the vehicle's end of Tern tells of its link, for people who watch it.

use std::sync::Arc;

use tern_shared::record::Value;
use tern_shared::schema::Schema;
use tern_shared::session::SendStats;
use tern_shared::time::Timestamp;

use crate::source::Sample;

/// Makes the stream's records.
#[derive(Debug)]
pub struct LinkState {
    schema: Arc<Schema>,
}

impl Default for LinkState {
    fn default() -> Self {
        LinkState::new()
    }
}

impl LinkState {
    /// With its schema, which is the same as long as the edge runs.
    pub fn new() -> Self {
        LinkState { schema: Arc::new(Schema::of_link_state()) }
    }

    /// How things are. `wire_bytes` are both directions since the start, `budget_bytes` what is left of the scarcest budget.
    pub fn sample(&self, time: Timestamp, session: &SendStats, backlog_records: u64) -> Sample {
        let unsigned = |value: Option<u64>| value.map_or(Value::Null, Value::UInt);
        let values = vec![
            Value::UInt(session.flight_bytes),
            unsigned(session.rate_bits_per_second),
            unsigned(session.budget_left_bytes),
            Value::UInt(backlog_records),
            session.loss.map_or(Value::Null, |loss| Value::Int(loss.loss_per_mille.into())),
            session.one_way_millis.map_or(Value::Null, Value::Int),
        ];
        Sample { time, schema: self.schema.clone(), values }
    }
}
