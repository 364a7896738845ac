//! A span of capture times cut into buckets of equal width: smallest, largest and mean value of every numeric field.

use std::collections::BTreeMap;
use std::ops::Range;

use tern_shared::id::VehicleId;
use tern_shared::message::Lane;
use tern_shared::record::Value;
use tern_shared::time::Timestamp;

use super::records::epochs_of;
use super::source::{Epochs, wants};
use super::{Archive, Emit};
use crate::json::epoch_seconds;
use crate::publish::message::{BucketColumns, ErrorCode, Problem, ToClient};
use crate::publish::{Filter, PublishedRecord};

/// Rows of a message.
const MAX_ROWS: usize = 500;
/// Values that a request may have in memory: 16 MB.
const MAX_VALUES: usize = 500_000;

/// A request for buckets.
#[derive(Debug)]
pub struct BucketQuery {
    id: String,
    vehicle: VehicleId,
    filter: Filter,
    span: Range<Timestamp>,
    count: u32,
    epochs: Option<Epochs>,
    /// Which epoch is read, counted from the oldest, and from which sequence number on.
    next: (usize, u64),
    /// By stream and bucket.
    streams: BTreeMap<String, BTreeMap<u32, Bucket>>,
    values: usize,
    records: u64,
}

#[derive(Debug, Default)]
struct Bucket {
    records: u32,
    backlog: u32,
    fields: BTreeMap<String, Values>,
}

#[derive(Clone, Copy, Debug)]
struct Values {
    min: f64,
    max: f64,
    sum: f64,
    count: u32,
    /// Whether all of them are 32-bit floats.
    are_f32: bool,
}

impl BucketQuery {
    pub(super) fn new(
        id: String,
        vehicle: VehicleId,
        filter: Filter,
        span: Range<Timestamp>,
        count: u32,
    ) -> Self {
        let (epochs, next, streams) = (None, (0, 0), BTreeMap::new());
        BucketQuery { id, vehicle, filter, span, count, epochs, next, streams, values: 0, records: 0 }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn step(&mut self, archive: &Archive, emit: Emit<'_>) -> Result<bool, Problem> {
        let mut epochs = match self.epochs.take() {
            Some(epochs) => epochs,
            None => {
                let epochs = epochs_of(archive, &self.vehicle)?;
                self.close_span(archive, &epochs)?;
                epochs
            }
        };
        let (at, from) = self.next;
        let Some(&epoch) = epochs.keys().get(at) else { return Ok(self.emit_next(emit)) };
        let span = &self.span;
        let (records, next) = archive.read(|reader| {
            let last = reader.frame_span(epoch, span)?.map_or(0, |(_, last)| last);
            let page = reader.frames(epoch, from, last, span)?;
            let mut records = Vec::new();
            for frame in &page.frames {
                records.append(&mut epochs.records(reader, frame)?);
            }
            Ok((records, page.next))
        })?;
        self.next = next.map_or((at + 1, 0), |next| (at, next));
        self.epochs = Some(epochs);
        records.iter().try_for_each(|published| self.add(published))?;
        Ok(false)
    }

    /// Ends an open span where the vehicle's records end.
    fn close_span(&mut self, archive: &Archive, epochs: &Epochs) -> Result<(), Problem> {
        if self.span.start.0 != i64::MIN && self.span.end.0 != i64::MAX {
            return Ok(());
        }
        let bounds = archive.read(|reader| {
            let of_epochs = epochs.keys().iter().map(|epoch| reader.time_bounds(*epoch));
            of_epochs.collect::<Result<Vec<_>, _>>()
        })?;
        let first = bounds.iter().flatten().map(|bounds| bounds.0).min().unwrap_or_default();
        let last = bounds.iter().flatten().map(|bounds| bounds.1).max().unwrap_or_default();
        if self.span.start.0 == i64::MIN {
            self.span.start = first.min(self.span.end.offset_by(-1));
        }
        if self.span.end.0 == i64::MAX {
            self.span.end = last.max(self.span.start).offset_by(1);
        }
        Ok(())
    }

    fn width_micros(&self) -> u64 {
        self.span.end.0.abs_diff(self.span.start.0).div_ceil(u64::from(self.count)).max(1)
    }

    fn add(&mut self, published: &PublishedRecord) -> Result<(), Problem> {
        let (time, schema) = (published.record.time, &published.schema);
        if !self.span.contains(&time) || !wants(&self.filter, published) {
            return Ok(());
        }
        let selection = self.filter.selection(schema);
        let at = (time.0.abs_diff(self.span.start.0) / self.width_micros()) as u32;
        self.records += 1;
        let buckets = match self.streams.get_mut(&schema.stream) {
            Some(buckets) => buckets,
            None => self.streams.entry(schema.stream.clone()).or_default(),
        };
        let bucket = buckets.entry(at).or_insert_with(|| {
            self.values += 1;
            Bucket::default()
        });
        bucket.records += 1;
        bucket.backlog += u32::from(published.lane == Lane::Backlog);
        for (i, (field, value)) in schema.fields.iter().zip(&published.record.values).enumerate() {
            let Some(number) = number(value).filter(|_| selection.includes(i)) else { continue };
            let values = match bucket.fields.get_mut(&field.name) {
                Some(values) => values,
                None => {
                    self.values += 1;
                    bucket.fields.entry(field.name.clone()).or_default()
                }
            };
            values.add(number, matches!(value, Value::F32(_)));
        }
        if self.values > MAX_VALUES {
            let message = format!(
                "more than {MAX_VALUES} values (streams x fields x buckets): ask for fewer streams, fields or buckets"
            );
            return Err(Problem::new(ErrorCode::Limit, message));
        }
        Ok(())
    }

    /// A stream a step. True when all have been told.
    fn emit_next(&mut self, emit: Emit<'_>) -> bool {
        let Some((stream, buckets)) = self.streams.pop_first() else {
            let end = ToClient::HistoryEnd { id: &self.id, records: self.records, next: None, error: None };
            emit(&end);
            return true;
        };
        let width_micros = self.width_micros();
        let rows: Vec<(u32, Bucket)> = buckets.into_iter().collect();
        for rows in rows.chunks(MAX_ROWS) {
            let start = |at: u32| {
                let micros = u64::from(at).saturating_mul(width_micros);
                epoch_seconds(self.span.start.offset_by(i64::try_from(micros).unwrap_or(i64::MAX)))
            };
            let names: std::collections::BTreeSet<&str> =
                rows.iter().flat_map(|(_, bucket)| bucket.fields.keys().map(String::as_str)).collect();
            let columns = |name: &str| {
                let values = || rows.iter().map(|(_, bucket)| bucket.fields.get(name));
                BucketColumns {
                    min: values().map(|values| values.map(|values| values.measured(values.min))).collect(),
                    max: values().map(|values| values.map(|values| values.measured(values.max))).collect(),
                    mean: values().map(|values| values.map(Values::mean)).collect(),
                }
            };
            let (t, count, backlog): (Vec<f64>, Vec<u32>, Vec<u32>) = {
                let t = rows.iter().map(|(at, _)| start(*at)).collect();
                let count = rows.iter().map(|(_, bucket)| bucket.records).collect();
                (t, count, rows.iter().map(|(_, bucket)| bucket.backlog).collect())
            };
            emit(&ToClient::Buckets {
                id: &self.id,
                vehicle: self.vehicle.as_str(),
                stream: &stream,
                width: width_micros as f64 / 1e6,
                t: &t,
                count: &count,
                backlog: &backlog,
                fields: names.into_iter().map(|name| (name, columns(name))).collect(),
            });
        }
        false
    }
}

impl Default for Values {
    fn default() -> Self {
        Values { min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, count: 0, are_f32: true }
    }
}

impl Values {
    fn add(&mut self, value: f64, is_f32: bool) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += value;
        self.count += 1;
        self.are_f32 &= is_f32;
    }

    /// One of the values, with the digits that its record has: those of a 32-bit float are fewer than those of the number
    /// that holds it here.
    fn measured(&self, value: f64) -> f64 {
        if self.are_f32 { (value as f32).to_string().parse().unwrap_or(value) } else { value }
    }

    fn mean(&self) -> f64 {
        self.sum / f64::from(self.count)
    }
}

fn number(value: &Value) -> Option<f64> {
    let number = match *value {
        Value::Int(value) => value as f64,
        Value::UInt(value) => value as f64,
        Value::F32(value) => f64::from(value),
        Value::F64(value) => value,
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::Bytes(_) => return None,
    };
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_have_the_digits_of_their_records() {
        let mut values = Values::default();
        for value in [0.1_f32, f32::MAX] {
            values.add(f64::from(value), true);
        }
        assert_eq!(values.measured(values.min), 0.1);
        assert_eq!(values.measured(values.max) as f32, f32::MAX);
        // A field that was of 32 bits and is of 64 now.
        values.add(f64::from(0.1_f32), false);
        assert_eq!(values.measured(values.min), f64::from(0.1_f32));
    }
}
