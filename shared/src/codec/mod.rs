//! Turns a batch of records into a frame and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::batch::Batch;
use crate::id::SchemaId;
use crate::record::Record;
use crate::schema::Schema;

/// The schemas of an epoch, by id.
pub type SchemaTable = BTreeMap<SchemaId, Arc<Schema>>;

/// Why bytes are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame uses a schema that was not declared.
    #[error("the frame uses schema {0}, which was not declared")]
    UnknownSchema(SchemaId),
    /// The bytes are cut short or make no sense.
    #[error("malformed frame: {0}")]
    Malformed(&'static str),
    /// The frame claims more records or bytes than a frame may have.
    #[error("the frame is over its limits: {0}")]
    OverLimit(&'static str),
}

/// Encodes a batch, whose records fit their schemas in `schemas`.
pub fn encode(_batch: &Batch, _schemas: &SchemaTable) -> Vec<u8> {
    todo!()
}

/// Decodes a frame into its records, in the order of their sequence numbers. Takes any bytes.
pub fn decode(_bytes: &[u8], _schemas: &SchemaTable) -> Result<Vec<Record>, DecodeError> {
    todo!()
}
