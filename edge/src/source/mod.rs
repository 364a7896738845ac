//! Where telemetry comes from.

use std::sync::Arc;

use tern_shared::record::Value;
use tern_shared::schema::Schema;
use tern_shared::time::Timestamp;

/// One sample as a source hands it over; the relay gives it its schema id.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When it was taken in, by this computer's clock (or by the sensor's own, where it sends one).
    pub time: Timestamp,
    /// The stream it belongs to. Sources keep and clone the same `Arc` as long as the schema is the same.
    pub schema: Arc<Schema>,
    /// One value a field.
    pub values: Vec<Value>,
}
