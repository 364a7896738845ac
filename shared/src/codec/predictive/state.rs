//! The state that frames continue, and how records change it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, LazyLock};

use super::events::Events;
use super::layout::Layouts;
use super::quantities::Quantities;
use super::range_coder::BitCoder;
use super::residual::SharedResiduals;
use super::stream::{Common, Stream};
use super::text::SharedText;
use crate::batch::Batch;
use crate::codec::{DecodeError, MAX_BODY_BYTES, MAX_FRAME_VALUES, SchemaTable};
use crate::id::SchemaId;
use crate::record::{Record, Value};
use crate::time::Timestamp;

/// The most columns of all its streams that a state remembers: some 8 MB.
pub(super) const MAX_COLUMNS: usize = 16 * 1024;

/// All that a frame's coding depends on: cheap to clone, and to change a little.
#[derive(Clone, Debug)]
pub(super) struct State {
    residuals: Arc<SharedResiduals>,
    text: Arc<SharedText>,
    events: Arc<Events>,
    quantities: Arc<Quantities>,
    streams: BTreeMap<SchemaId, Arc<Stream>>,
    columns: usize,
    hash: u32,
}

/// As every key frame begins: made once, as it has some thousand probabilities.
static BEGINNING: LazyLock<State> = LazyLock::new(State::beginning);

impl Default for State {
    fn default() -> Self {
        BEGINNING.clone()
    }
}

impl State {
    fn beginning() -> Self {
        State {
            residuals: Arc::new(SharedResiduals::new()),
            text: Arc::new(SharedText::new()),
            events: Arc::new(Events::new()),
            quantities: Arc::new(Quantities::new()),
            streams: BTreeMap::new(),
            columns: 0,
            hash: 0x811c_9dc5,
        }
    }
}

impl State {
    /// What this state and all that led to it has carried, in short.
    pub(super) fn hash(&self) -> u32 {
        self.hash
    }

    /// Takes the number of the frame's first record into the hash.
    pub(super) fn begin(&mut self, first: u64) {
        self.hash = (self.hash ^ first as u32 ^ (first >> 32) as u32).wrapping_mul(0x0100_0193);
    }

    /// Codes the records of a frame: those in `events`, by [`order`], or those that come out of the coder.
    pub(super) fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        schemas: &SchemaTable,
        layouts: &mut Layouts,
        events: Option<&[(i64, &Record)]>,
    ) -> Result<Vec<Record>, DecodeError> {
        let residuals = Arc::make_mut(&mut self.residuals);
        let text = &mut self.text;
        let timing = Arc::make_mut(&mut self.events);
        let quantities = Arc::make_mut(&mut self.quantities);
        let count = timing.code_count(coder, residuals, events.map_or(0, |events| events.len() as i64));
        let count = usize::try_from(count).ok().filter(|count| *count <= MAX_FRAME_VALUES);
        let count = count.ok_or(DecodeError::OverLimit("records"))?;
        let mut records = Vec::new();
        let mut values_left = MAX_FRAME_VALUES;
        let mut bytes_left = Some(MAX_BODY_BYTES);
        for index in 0..count {
            let (time, record) = match events.map(|events| &events[index]) {
                Some((time, record)) => (*time, Some(*record)),
                None => (0, None),
            };
            let id = record.map_or(SchemaId(0), |record| record.schema);
            let (id, time) =
                timing.code(coder, residuals, id, time).ok_or(DecodeError::Malformed("no such stream"))?;
            let layout = layouts.get(id, schemas).ok_or(DecodeError::UnknownSchema(id))?;
            values_left =
                values_left.checked_sub(layout.columns.len() + 1).ok_or(DecodeError::OverLimit("values"))?;
            let stream = match self.streams.entry(id) {
                Entry::Occupied(stream) => stream.into_mut(),
                Entry::Vacant(place) => {
                    self.columns += layout.columns.len() + 1;
                    if self.columns > MAX_COLUMNS {
                        return Err(DecodeError::OverLimit("columns"));
                    }
                    place.insert(Arc::new(Stream::new(&layout)))
                }
            };
            let stream = Arc::make_mut(stream);
            let micros = time.wrapping_mul(1000);
            let mut common =
                Common { residuals, text, quantities, hash: &mut self.hash, bytes_left: &mut bytes_left };
            let input: &[Value] = record.map_or(&[], |record| &record.values);
            let owner = (u64::from(id.0) + 1) << 16;
            let values = stream.code(coder, &mut common, &layout, owner, micros, input);
            if bytes_left.is_none() {
                return Err(DecodeError::OverLimit("text and bytes"));
            }
            if coder.is_exhausted() {
                return Err(DecodeError::Malformed("cut short"));
            }
            if C::DECODES {
                records.push(Record { schema: id, time: Timestamp(micros), values });
            }
        }
        Ok(records)
    }
}

/// The records with their times in milliseconds, by time, those of one stream in their order.
pub(super) fn order(batch: &Batch) -> Vec<(i64, &Record)> {
    let mut latest = i64::MIN;
    let mut stream = None;
    let mut events: Vec<(i64, i64, &Record)> = batch
        .records()
        .iter()
        .map(|record| {
            if stream.replace(record.schema) != Some(record.schema) {
                latest = i64::MIN;
            }
            latest = latest.max(record.time.0);
            (latest, record.time.0.saturating_add(500).div_euclid(1000), record)
        })
        .collect();
    events.sort_by_key(|(latest, _, _)| *latest);
    events.into_iter().map(|(_, millis, record)| (millis, record)).collect()
}
