//! Stored frames as the records that were published of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tern_shared::codec::{self, SchemaTable};
use tern_shared::id::Epoch;

use crate::history::{EpochKey, EpochRow, HistoryError, HistoryReader, StoredFrame};
use crate::publish::{Filter, PublishedRecord};

/// The epochs of the vehicles that are asked for. Schemas are read when first needed: one that came since then is read
/// with the first frame that uses it.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    keys: Vec<EpochKey>,
    epochs: BTreeMap<EpochKey, (Arc<str>, Epoch, SchemaTable)>,
}

impl Epochs {
    /// The epochs of which `wanted` holds.
    pub(super) fn open(
        reader: &HistoryReader,
        wanted: impl Fn(&EpochRow) -> bool,
    ) -> Result<Epochs, HistoryError> {
        let mut found = Epochs::default();
        for row in reader.all_epochs()?.into_iter().filter(wanted) {
            found.keys.push(row.key);
            let vehicle = Arc::from(row.vehicle.as_str());
            found.epochs.insert(row.key, (vehicle, row.epoch, SchemaTable::new()));
        }
        Ok(found)
    }

    /// Oldest first.
    pub(super) fn keys(&self) -> &[EpochKey] {
        &self.keys
    }

    /// The schemas of an epoch, as they are known.
    pub(super) fn schemas(
        &mut self,
        reader: &HistoryReader,
        epoch: EpochKey,
    ) -> Result<&SchemaTable, HistoryError> {
        let Some((_, _, schemas)) = self.epochs.get_mut(&epoch) else { return Err(HistoryError::Closed) };
        if schemas.is_empty() {
            *schemas = reader.schemas(epoch)?;
        }
        Ok(schemas)
    }

    /// The records of a frame. One that is damaged has none; the log tells.
    pub(super) fn records(
        &mut self,
        reader: &HistoryReader,
        frame: &StoredFrame,
    ) -> Result<Vec<PublishedRecord>, HistoryError> {
        let Some((vehicle, epoch, schemas)) = self.epochs.get_mut(&frame.epoch) else {
            return Ok(Vec::new());
        };
        let mut decoded = codec::decode(&frame.bytes, schemas);
        if decoded.is_err() {
            *schemas = reader.schemas(frame.epoch)?;
            decoded = codec::decode(&frame.bytes, schemas);
        }
        let records = decoded.unwrap_or_else(|error| {
            tracing::warn!(%vehicle, %epoch, first = frame.first, %error, "a frame of the history cannot be read");
            Vec::new()
        });
        let clock = reader.clock(frame.epoch, frame.received)?;
        let published = (0..).zip(records).filter_map(|(place, record)| {
            Some(PublishedRecord {
                vehicle: vehicle.clone(),
                epoch: *epoch,
                sequence: frame.first + place,
                position: frame.position.plus(place),
                received: frame.received,
                lane: frame.lane,
                clock,
                schema: schemas.get(&record.schema)?.clone(),
                record,
            })
        });
        Ok(published.collect())
    }
}

/// Whether a client wants a record, fields apart.
pub(super) fn wants(filter: &Filter, published: &PublishedRecord) -> bool {
    filter.wants_stream(&published.vehicle, &published.schema.stream)
}
