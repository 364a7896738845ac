//! JSON lines: an object a record.

use std::io::{self, Write};

use serde::Serialize;
use tern_shared::codec::SchemaTable;
use tern_shared::id::VehicleId;
use tern_shared::record::Record;
use tern_shared::schema::Schema;

use super::Sink;
use crate::json::{Fields, epoch_seconds};

pub(super) struct Jsonl<W> {
    output: W,
    vehicle: VehicleId,
}

#[derive(Serialize)]
struct Line<'a> {
    vehicle: &'a VehicleId,
    stream: &'a str,
    t: f64,
    fields: Fields<'a>,
}

impl<W: Write> Jsonl<W> {
    pub(super) fn new(output: W, vehicle: VehicleId) -> Self {
        Jsonl { output, vehicle }
    }
}

impl<W: Write> Sink for Jsonl<W> {
    fn begin_epoch(&mut self, _: &SchemaTable) {}

    fn write(&mut self, schema: &Schema, record: &Record) -> io::Result<bool> {
        let line = Line {
            vehicle: &self.vehicle,
            stream: &schema.stream,
            t: epoch_seconds(record.time),
            fields: Fields { schema, values: &record.values, wanted: None },
        };
        serde_json::to_writer(&mut self.output, &line)?;
        self.output.write_all(b"\n")?;
        Ok(true)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
