//! Gathers records into batches, by time window and size.

use std::time::Duration;

use crate::record::Record;
use crate::time::Instant;

/// Where windows are longer than this, urgent records still do not wait for them: the longest tick of the live lane.
const URGENT_INTERVAL_MAX: Duration = Duration::from_millis(500);

/// When a batch closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// The time from one batch to the next, give or take an eighth: a batch ends with what comes together, so that as many
    /// samples are in each. After a pause a record waits for company for a sixteenth of it only.
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
    /// When the first and the last record of the open batch came.
    opened: Instant,
    newest: Instant,
    /// When the batch before it closed.
    closed: Option<Instant>,
    /// Whether the open batch is not to wait for its time, and when the last such closed.
    is_urgent: bool,
    urgent_closed: Option<Instant>,
}

impl Batcher {
    /// A batcher without records.
    pub fn new(limits: BatchLimits) -> Self {
        Batcher {
            limits,
            records: Vec::new(),
            bytes: 0,
            opened: Instant::default(),
            newest: Instant::default(),
            closed: None,
            is_urgent: false,
            urgent_closed: None,
        }
    }

    /// How long the open batch and those after it wait.
    pub fn set_window(&mut self, window: Duration) {
        self.limits.window = window;
    }

    /// Takes a record in. With one that is urgent the batch closes as after a pause; but one a window, or half a second
    /// where that is shorter, so that many of them do not each cost a packet. Returns the batch when this record filled it.
    pub fn push(&mut self, now: Instant, record: Record, urgent: bool) -> Option<Batch> {
        if self.records.is_empty() {
            self.opened = now;
        }
        self.newest = now;
        self.bytes += record.size_hint();
        self.records.push(record);
        let interval = self.limits.window.min(URGENT_INTERVAL_MAX);
        let may_hurry = self.urgent_closed.is_none_or(|closed| now.since(closed) >= interval);
        self.is_urgent |= urgent && may_hurry;
        let full = self.records.len() >= self.limits.max_records || self.bytes >= self.limits.max_bytes;
        full.then(|| self.close(now)).flatten()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while there is nothing to wait for.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let window = self.limits.window;
        let together = self.newest + window / 16;
        let (earliest, latest) = match self.closed {
            Some(closed) if !self.is_urgent => (closed + window * 7 / 8, closed + window * 9 / 8),
            _ => (together, self.opened),
        };
        let due = together.max(earliest).min(latest.max(self.opened + window / 4));
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
        if std::mem::take(&mut self.is_urgent) {
            self.urgent_closed = Some(now);
        }
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

    /// When batches close, and how many records each has, of records that come at these times.
    fn closings(times: impl IntoIterator<Item = u64>) -> Vec<(u64, usize)> {
        let mut batcher =
            Batcher::new(BatchLimits { window: Duration::from_millis(160), ..BatchLimits::default() });
        let mut closings = Vec::new();
        let mut close_until = |batcher: &mut Batcher, until: Instant| {
            while let Some(due) = batcher.poll_timeout().filter(|due| *due <= until) {
                assert_eq!(batcher.handle_timeout(Instant(due.0 - Duration::from_micros(1))), None);
                let batch = batcher.handle_timeout(due).unwrap();
                closings.push((due.0.as_millis() as u64, batch.records().len()));
            }
        };
        for time in times {
            close_until(&mut batcher, at(time));
            assert_eq!(batcher.push(at(time), record(1, 1), false), None);
        }
        close_until(&mut batcher, at(1_000_000));
        closings
    }

    #[test]
    fn a_batch_closes_a_window_after_the_one_before() {
        // Steady records all but without a pause between them.
        let steady = closings((0..200).map(|n| n * 8));
        assert!(
            steady[1..].iter().rev().skip(1).all(|(_, records)| (22..=23).contains(records)),
            "{steady:?}"
        );
    }

    #[test]
    fn batches_end_with_what_comes_together() {
        // Three records every 50 ms: three such groups a batch, and none is torn.
        let groups = closings((0..40).flat_map(|n| [n * 50, n * 50 + 1, n * 50 + 2]));
        assert_eq!(groups[..4], [(12, 3), (162, 9), (312, 9), (462, 9)]);
    }

    #[test]
    fn after_a_pause_a_record_hardly_waits() {
        assert_eq!(closings([0, 5000]), [(10, 1), (5010, 1)]);
        // But for company that goes on coming.
        assert_eq!(closings((5000..5030).step_by(3))[0], (5037, 10));
        assert_eq!(closings((5000..5300).step_by(3))[0].0, 5040);
    }

    #[test]
    fn a_batch_closes_when_full() {
        let limits = BatchLimits { max_records: 2, ..BatchLimits::default() };
        let mut batcher = Batcher::new(limits);
        assert_eq!(batcher.push(at(0), record(1, 1), true), None);
        assert_eq!(batcher.push(at(0), record(1, 2), true).unwrap().records().len(), 2);
        assert_eq!(batcher.close(at(0)), None);
    }

    #[test]
    fn an_urgent_record_does_not_wait_for_the_window_but_others_of_its_kind_do() {
        let window = Duration::from_millis(160);
        let mut batcher = Batcher::new(BatchLimits { window, ..BatchLimits::default() });
        let mut closings = Vec::new();
        let mut push = |time: u64, urgent| {
            while let Some(due) = batcher.poll_timeout().filter(|due| *due <= at(time)) {
                closings.push((due.0.as_millis(), batcher.handle_timeout(due).unwrap().records().len()));
            }
            assert_eq!(batcher.push(at(time), record(1, 1), urgent), None);
        };
        push(0, false);
        (50..=54).for_each(|time| push(time, true));
        (80..90).for_each(|time| push(time, true));
        push(230, true);
        push(1000, false);
        assert_eq!(closings, [(10, 1), (64, 5), (204, 10), (240, 1)]);
    }

    #[test]
    fn a_long_window_does_not_keep_urgent_records() {
        let mut batcher =
            Batcher::new(BatchLimits { window: Duration::from_secs(8), ..BatchLimits::default() });
        for time in [0, 1000, 2000] {
            assert_eq!(batcher.push(at(time), record(1, 1), true), None);
            assert_eq!(batcher.poll_timeout(), Some(at(time + 500)));
            assert!(batcher.handle_timeout(at(time + 500)).is_some());
        }
    }
}
