//! Brings a frame's records, which lie stream by stream, into one order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use tern_shared::codec::SchemaTable;
use tern_shared::record::Record;

/// Merges by capture time. Each stream keeps its own order, also where its times run backwards; streams with equal
/// times go by name.
pub(super) fn by_time(records: Vec<Record>, schemas: &SchemaTable) -> Vec<Record> {
    let mut streams: BTreeMap<&str, VecDeque<Record>> = BTreeMap::new();
    let mut merged = Vec::with_capacity(records.len());
    for record in records {
        let stream = schemas.get(&record.schema).map_or("", |schema| schema.stream.as_str());
        streams.entry(stream).or_default().push_back(record);
    }
    let mut streams: Vec<VecDeque<Record>> = streams.into_values().collect();
    let mut heads: BinaryHeap<_> = streams
        .iter()
        .enumerate()
        .filter_map(|(i, stream)| stream.front().map(|record| Reverse((record.time, i))))
        .collect();
    while let Some(Reverse((_, i))) = heads.pop() {
        merged.extend(streams[i].pop_front());
        heads.extend(streams[i].front().map(|record| Reverse((record.time, i))));
    }
    merged
}
