//! Writes a vehicle's history out, a page of frames in memory at a time.
//!
//! Order: epochs as they first arrived; within one, frames by sequence number; within a frame, where records lie stream
//! by stream, merged by capture time with each stream's own order kept.

mod csv;
mod jsonl;
mod merge;
mod tlog;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tern_shared::codec::{self, SchemaTable};
use tern_shared::id::{SchemaId, VehicleId};
use tern_shared::pattern::{Pattern, PatternTooLong};
use tern_shared::record::Record;
use tern_shared::schema::Schema;

use crate::config::{ExportArgs, ExportFormat};
use crate::history::{EpochKey, HistoryError, HistoryReader, TimeSpan};
use crate::query::span;

/// What to write.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose history.
    pub vehicle: VehicleId,
    /// As what.
    pub format: ExportFormat,
    /// Which streams.
    pub streams: Pattern,
    /// Captured when.
    pub span: TimeSpan,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records written.
    pub records: u64,
    /// Records that the format has no way to write, by stream.
    pub left_out: BTreeMap<String, u64>,
    /// Frames that could not be read, and why the first of them could not.
    pub damaged_frames: u64,
    /// The first damaged frame.
    pub first_damage: Option<String>,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The history does not have the vehicle.
    #[error("the history has no vehicle {vehicle}; it has {}", list(known))]
    UnknownVehicle {
        /// Who was asked for.
        vehicle: VehicleId,
        /// Who is there.
        known: Vec<String>,
    },
    /// The span of time does not end after it starts.
    #[error("no record can be in this span: from has to be before to")]
    EmptySpan,
    /// A CSV file holds one stream.
    #[error("csv takes one stream; --stream matches {}", list(streams))]
    SeveralStreams {
        /// The streams that match.
        streams: Vec<String>,
    },
    /// No stream matches.
    #[error("no stream matches --stream; the vehicle has {}", list(streams))]
    NoStream {
        /// The streams there are.
        streams: Vec<String>,
    },
    /// The pattern is too long.
    #[error("--stream: {0}")]
    Pattern(#[from] PatternTooLong),
    /// The output file cannot be made.
    #[error("cannot write {}: {error}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Writing failed.
    #[error("cannot write the export: {0}")]
    Write(#[from] io::Error),
}

/// How a format writes records.
trait Sink {
    /// Records that follow use these schemas.
    fn begin_epoch(&mut self, schemas: &SchemaTable);

    /// Writes a record; `false` when the format has no way to.
    fn write(&mut self, schema: &Schema, record: &Record) -> io::Result<bool>;

    /// Everything has been written.
    fn finish(&mut self) -> io::Result<()>;
}

/// Exports from the history at `history` to a file or standard output.
pub fn run(history: &Path, args: &ExportArgs) -> Result<Summary, ExportError> {
    let request = Request {
        vehicle: args.vehicle.clone(),
        format: args.format,
        streams: Pattern::new(args.stream.as_str())?,
        span: span(args.from, args.to),
    };
    let reader = HistoryReader::open(history)?;
    export(&reader, &request, || -> Result<Box<dyn Write>, ExportError> {
        let Some(path) = &args.output else { return Ok(Box::new(BufWriter::new(io::stdout().lock()))) };
        let file = File::create(path).map_err(|error| ExportError::Create { path: path.clone(), error })?;
        Ok(Box::new(BufWriter::new(file)))
    })
}

/// Exports to any writer, which is opened when there is something to export: a mistake empties no file.
pub fn export<W: Write>(
    reader: &HistoryReader,
    request: &Request,
    open: impl FnOnce() -> Result<W, ExportError>,
) -> Result<Summary, ExportError> {
    if request.span.is_empty() {
        return Err(ExportError::EmptySpan);
    }
    let epochs = reader.epochs(&request.vehicle)?;
    if epochs.is_empty() {
        let known = reader.vehicles()?;
        return Err(ExportError::UnknownVehicle { vehicle: request.vehicle.clone(), known });
    }
    let tables =
        epochs.iter().map(|&epoch| reader.schemas(epoch)).collect::<Result<Vec<SchemaTable>, _>>()?;
    let schemas = || tables.iter().flat_map(SchemaTable::values).map(|schema| &**schema);
    let all: BTreeSet<&str> = schemas().map(|schema| schema.stream.as_str()).collect();
    let wanted: Vec<&Schema> = schemas().filter(|schema| request.streams.matches(&schema.stream)).collect();
    if wanted.is_empty() {
        return Err(ExportError::NoStream { streams: all.into_iter().map(str::to_owned).collect() });
    }
    let mut sink: Box<dyn Sink + '_> = match request.format {
        ExportFormat::Tlog => Box::new(tlog::Tlog::new(open()?)),
        ExportFormat::Jsonl => Box::new(jsonl::Jsonl::new(open()?, request.vehicle.clone())),
        ExportFormat::Csv => {
            let columns = csv::columns(&wanted)?;
            Box::new(csv::Csv::new(open()?, columns)?)
        }
    };
    let mut summary = Summary::default();
    for (&epoch, schemas) in epochs.iter().zip(&tables) {
        export_epoch(reader, request, epoch, schemas, &mut *sink, &mut summary)?;
    }
    sink.finish()?;
    Ok(summary)
}

fn export_epoch(
    reader: &HistoryReader,
    request: &Request,
    epoch: EpochKey,
    schemas: &SchemaTable,
    sink: &mut dyn Sink,
    summary: &mut Summary,
) -> Result<(), ExportError> {
    let wanted: BTreeSet<SchemaId> = schemas
        .iter()
        .filter(|(_, schema)| request.streams.matches(&schema.stream))
        .map(|(&id, _)| id)
        .collect();
    sink.begin_epoch(schemas);
    let Some((first, last)) = reader.frame_span(epoch, &request.span)? else { return Ok(()) };
    let mut next = Some(first);
    while let Some(from) = next {
        let page = reader.frames(epoch, from, last, &request.span)?;
        next = page.next;
        for frame in page.frames {
            let mut records = match codec::decode(&frame.bytes, schemas) {
                Ok(records) => records,
                Err(error) => {
                    summary.damaged_frames += 1;
                    summary.first_damage.get_or_insert_with(|| format!("frame {}: {error}", frame.first));
                    continue;
                }
            };
            records.retain(|record| wanted.contains(&record.schema) && request.span.contains(&record.time));
            for record in merge::by_time(records, schemas) {
                let Some(schema) = schemas.get(&record.schema) else { continue };
                if sink.write(schema, &record)? {
                    summary.records += 1;
                } else {
                    *summary.left_out.entry(schema.stream.clone()).or_default() += 1;
                }
            }
        }
    }
    Ok(())
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
