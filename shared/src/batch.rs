//! Gathers records into batches, by time window and size.

use std::time::Duration;

use crate::record::Record;
use crate::time::Instant;

/// When a batch closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// The time from one batch to the next. The first record after a longer pause waits only a tenth of it for company.
    pub window: Duration,
    /// The most records in a batch.
    pub max_records: usize,
    /// Close once the records' [`Record::size_hint`]s reach this many bytes.
    pub max_bytes: usize,
}

impl Default for BatchLimits {
    /// 200 ms: three header overheads a second less than 100 ms, and still half a second of slack on a geostationary
    /// link.
    fn default() -> Self {
        BatchLimits { window: Duration::from_millis(200), max_records: 4096, max_bytes: 32 * 1024 }
    }
}

/// Records in the order in which a frame holds them: by schema, and within one as they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    records: Vec<Record>,
}

impl Batch {
    /// A batch of these records, put in order.
    pub fn new(mut records: Vec<Record>) -> Self {
        records.sort_by_key(|record| record.schema);
        Batch { records }
    }

    /// The records, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The records, in order.
    pub fn into_records(self) -> Vec<Record> {
        self.records
    }
}

/// Gathers records until a batch is due.
#[derive(Debug)]
pub struct Batcher {
    limits: BatchLimits,
    records: Vec<Record>,
    bytes: usize,
    /// When the first record of the open batch came.
    opened: Instant,
    /// When the batch before it closed.
    closed: Option<Instant>,
}

impl Batcher {
    /// A batcher without records.
    pub fn new(limits: BatchLimits) -> Self {
        Batcher { limits, records: Vec::new(), bytes: 0, opened: Instant::default(), closed: None }
    }

    /// How long the open batch and those after it wait.
    pub fn set_window(&mut self, window: Duration) {
        self.limits.window = window;
    }

    /// Takes a record in; `urgent` closes the batch at once. Returns the batch when this record filled it.
    pub fn push(&mut self, now: Instant, record: Record, urgent: bool) -> Option<Batch> {
        if self.records.is_empty() {
            self.opened = now;
        }
        self.bytes += record.size_hint();
        self.records.push(record);
        let full = self.records.len() >= self.limits.max_records || self.bytes >= self.limits.max_bytes;
        (urgent || full).then(|| self.close(now)).flatten()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while there is nothing to wait for.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let window = self.limits.window;
        let after_pause = self.opened + window / 10;
        let due = self.closed.map_or(after_pause, |closed| after_pause.max(closed + window));
        (!self.records.is_empty()).then_some(due)
    }

    /// Returns the batch when its window is over.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Batch> {
        if self.poll_timeout()? <= now { self.close(now) } else { None }
    }

    /// Closes the open batch whatever its age, `None` when it has no records.
    pub fn close(&mut self, now: Instant) -> Option<Batch> {
        if self.records.is_empty() {
            return None;
        }
        self.bytes = 0;
        self.closed = Some(now);
        Some(Batch::new(std::mem::take(&mut self.records)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SchemaId;
    use crate::record::Value;
    use crate::time::Timestamp;

    fn record(schema: u32, value: i64) -> Record {
        Record { schema: SchemaId(schema), time: Timestamp(0), values: vec![Value::Int(value)] }
    }

    fn at(millis: u64) -> Instant {
        Instant(Duration::from_millis(millis))
    }

    #[test]
    fn a_batch_closes_a_window_after_the_one_before() {
        let mut batcher = Batcher::new(BatchLimits::default());
        assert_eq!(batcher.poll_timeout(), None);
        assert_eq!(batcher.push(at(900), record(1, 0), true).unwrap().records().len(), 1);
        assert_eq!(batcher.push(at(1000), record(2, 1), false), None);
        assert_eq!(batcher.push(at(1050), record(1, 2), false), None);
        assert_eq!(batcher.push(at(1090), record(2, 3), false), None);
        assert_eq!(batcher.poll_timeout(), Some(at(1100)));
        assert_eq!(batcher.handle_timeout(at(1099)), None);
        let batch = batcher.handle_timeout(at(1100)).unwrap();
        assert_eq!(batch.records(), [record(1, 2), record(2, 1), record(2, 3)]);
        assert_eq!(batcher.poll_timeout(), None);
    }

    #[test]
    fn after_a_pause_a_record_hardly_waits() {
        let mut batcher = Batcher::new(BatchLimits::default());
        for start in [0, 5000] {
            assert_eq!(batcher.push(at(start), record(1, 1), false), None);
            assert_eq!(batcher.poll_timeout(), Some(at(start + 20)));
            assert_eq!(batcher.handle_timeout(at(start + 20)).unwrap().records().len(), 1);
        }
    }

    #[test]
    fn a_batch_closes_when_full_or_urgent() {
        let limits = BatchLimits { max_records: 2, ..BatchLimits::default() };
        let mut batcher = Batcher::new(limits);
        assert_eq!(batcher.push(at(0), record(1, 1), false), None);
        assert_eq!(batcher.push(at(0), record(1, 2), false).unwrap().records().len(), 2);
        assert_eq!(batcher.push(at(0), record(1, 3), true).unwrap().records().len(), 1);
        assert_eq!(batcher.close(at(0)), None);
    }
}
