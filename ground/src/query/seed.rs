//! The newest value of every stream out of the history, for a ground that has just started.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tern_shared::id::SchemaId;
use tracing::{info, warn};

use super::source::Epochs;
use crate::history::{EpochKey, HistoryError, HistoryReader, StoredFrame};
use crate::publish::{Hub, PublishedRecord};

/// Frames of an epoch that are looked through for what the history has not written down yet: what a vehicle of 5 frames a
/// second sends in 10 s.
const LAST_FRAMES: u32 = 64;
/// How long it may hold up the start. Vehicles whose turn has not come show their values with the first that they send.
const LIMIT: Duration = Duration::from_secs(5);

/// Gives the hub the newest record of every stream of every vehicle.
pub fn seed(reader: &HistoryReader, hub: &Hub) -> Result<(), HistoryError> {
    let start = Instant::now();
    let mut epochs = Epochs::open(reader, |_| true)?;
    let mut newest: Vec<EpochKey> = epochs.keys().to_vec();
    newest.reverse();
    let mut streams = 0;
    for epoch in newest {
        if start.elapsed() > LIMIT {
            warn!(limit = ?LIMIT, streams, "not all newest values were read from the history");
            return Ok(());
        }
        let mut frames = reader.last_frames(epoch, LAST_FRAMES)?;
        let schemas: BTreeSet<SchemaId> = epochs.schemas(reader, epoch)?.keys().copied().collect();
        let mut found = BTreeMap::new();
        collect(reader, &mut epochs, &mut frames, &schemas, &mut found)?;
        if found.len() < schemas.len() {
            collect(reader, &mut epochs, &mut reader.latest_frames(epoch)?, &schemas, &mut found)?;
        }
        streams += found.len();
        // A stream with several schemas: its newest record goes first.
        let mut records: Vec<PublishedRecord> = found.into_values().collect();
        records.sort_by_key(|published| std::cmp::Reverse(published.sequence));
        records.into_iter().for_each(|published| hub.seed(published));
    }
    info!(streams, elapsed = ?start.elapsed(), "newest values read from the history");
    Ok(())
}

/// Takes the newest record of each schema out of frames, the last first.
fn collect(
    reader: &HistoryReader,
    epochs: &mut Epochs,
    frames: &mut Vec<StoredFrame>,
    wanted: &BTreeSet<SchemaId>,
    found: &mut BTreeMap<SchemaId, PublishedRecord>,
) -> Result<(), HistoryError> {
    for frame in frames.drain(..) {
        if found.len() == wanted.len() {
            return Ok(());
        }
        for published in epochs.records(reader, &frame)? {
            let newest = found.entry(published.record.schema).or_insert_with(|| published.clone());
            if published.sequence > newest.sequence {
                *newest = published;
            }
        }
    }
    Ok(())
}
