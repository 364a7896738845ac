//! The state that frames continue, and how records change it.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use super::contents::Contents;
use super::events::{Event, Events};
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
    /// By the index that the events give them.
    streams: Vec<Arc<Stream>>,
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
            streams: Vec::new(),
            columns: 0,
            hash: 0x811c_9dc5,
        }
    }
}

impl State {
    /// What this state and all that led to it has carried, in short.
    pub(super) fn hash(&self) -> u32 {
        self.hash ^ self.hash >> 16
    }

    /// Takes the number of the frame's first record into the hash.
    pub(super) fn begin(&mut self, first: u64) {
        self.hash = (self.hash ^ first as u32 ^ (first >> 32) as u32).wrapping_mul(0x0100_0193);
    }

    /// Codes the records of a frame: those in `parts`, each by [`order`], or as many parts as come out of the coder.
    pub(super) fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        tables: &mut Tables<'_>,
        contents: &mut Contents,
        parts: Parts<'_>,
    ) -> Result<Vec<Vec<Record>>, DecodeError> {
        let mut left = Left { values: MAX_FRAME_VALUES, bytes: Some(MAX_BODY_BYTES) };
        match parts {
            Parts::Given(parts) => {
                for batch in parts {
                    self.code_part(coder, tables, contents, &mut left, Some(&order(batch)))?;
                }
                Ok(Vec::new())
            }
            Parts::Coded(count) => {
                (0..count).map(|_| self.code_part(coder, tables, contents, &mut left, None)).collect()
            }
        }
    }

    fn code_part<C: BitCoder>(
        &mut self,
        coder: &mut C,
        tables: &mut Tables<'_>,
        contents: &mut Contents,
        left: &mut Left,
        given: Option<&[&Record]>,
    ) -> Result<Vec<Record>, DecodeError> {
        let residuals = Arc::make_mut(&mut self.residuals);
        let text = &mut self.text;
        let timing = Arc::make_mut(&mut self.events);
        let quantities = Arc::make_mut(&mut self.quantities);
        let count = timing.code_count(coder, residuals, given.map_or(0, |given| given.len() as i64));
        let count = usize::try_from(count).ok().filter(|count| *count <= MAX_FRAME_VALUES);
        let count = count.ok_or(DecodeError::OverLimit("records"))?;
        let mut records = Vec::new();
        for index in 0..count {
            let record = given.map(|given| given[index]);
            let id = record.map_or(SchemaId(0), |record| record.schema);
            let is_fine = tables.micros.contains(&id);
            let time = record.map_or(0, |record| record.time.0);
            let event = timing
                .code(coder, residuals, id, is_fine, time)
                .ok_or(DecodeError::Malformed("no such stream"))?;
            let Event { stream, id, time } = event;
            self.hash = mix(mix(self.hash, id.0), time as u32);
            if stream == self.streams.len() {
                let stream = tables.layouts.begin(id, tables.schemas);
                let stream = stream.ok_or(DecodeError::UnknownSchema(id))?;
                self.columns += stream.columns() + 1;
                if self.columns > MAX_COLUMNS {
                    return Err(DecodeError::OverLimit("columns"));
                }
                self.streams.push(stream);
            }
            let stream = self.streams.get_mut(stream).ok_or(DecodeError::Malformed("no such stream"))?;
            left.values =
                left.values.checked_sub(stream.columns() + 1).ok_or(DecodeError::OverLimit("values"))?;
            let stream = Arc::make_mut(stream);
            let (hash, bytes_left) = (&mut self.hash, &mut left.bytes);
            let mut common = Common { residuals, text, quantities, hash, contents, bytes_left };
            let input: &[Value] = record.map_or(&[], |record| &record.values);
            let owner = (u64::from(id.0) + 1) << 16;
            let values = stream.code(coder, &mut common, owner, time, input);
            if left.bytes.is_none() {
                return Err(DecodeError::OverLimit("text and bytes"));
            }
            if coder.is_exhausted() {
                return Err(DecodeError::Malformed("cut short"));
            }
            if C::DECODES {
                records.push(Record { schema: id, time: Timestamp(time), values });
            }
        }
        records.sort_by_key(|record| record.schema);
        Ok(records)
    }
}

/// A hash with another number in it.
pub(super) fn mix(hash: u32, number: u32) -> u32 {
    (hash ^ number).wrapping_mul(0x0100_0193).rotate_left(5)
}

/// The batches of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parts<'a> {
    /// To be encoded.
    Given(&'a [Batch]),
    /// So many to be decoded.
    Coded(usize),
}

/// What is known about streams beside their state.
pub(super) struct Tables<'a> {
    pub(super) schemas: &'a SchemaTable,
    pub(super) layouts: &'a mut Layouts,
    /// Streams whose times the encoder is to carry in microseconds.
    pub(super) micros: &'a BTreeSet<SchemaId>,
}

/// How much the frame may still hold.
struct Left {
    values: usize,
    /// Of text and bytes; `None` once it had more.
    bytes: Option<usize>,
}

/// The records by time, those of one stream in their order.
fn order(batch: &Batch) -> Vec<&Record> {
    let mut latest = i64::MIN;
    let mut stream = None;
    let mut records: Vec<(i64, &Record)> = batch
        .records()
        .iter()
        .map(|record| {
            if stream.replace(record.schema) != Some(record.schema) {
                latest = i64::MIN;
            }
            latest = latest.max(record.time.0);
            (latest, record)
        })
        .collect();
    records.sort_by_key(|(latest, _)| *latest);
    records.into_iter().map(|(_, record)| record).collect()
}
