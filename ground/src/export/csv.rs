//! Comma-separated values as RFC 4180 has them: one stream, a column a field, the capture time first.
//!
//! A stream that gained fields has all of them as columns; where a record lacks one, its cell is empty.

use std::collections::BTreeSet;
use std::io::{self, Write};

use tern_shared::codec::SchemaTable;
use tern_shared::record::{Record, Value};
use tern_shared::schema::Schema;

use super::{ExportError, Sink};
use crate::json::{hex, non_finite_text};

pub(super) struct Csv<W> {
    output: W,
    columns: Vec<String>,
}

/// The fields of all that match, oldest schema first, which must be one stream.
pub(super) fn columns(schemas: &[&Schema]) -> Result<Vec<String>, ExportError> {
    let streams: BTreeSet<&str> = schemas.iter().map(|schema| schema.stream.as_str()).collect();
    if streams.len() > 1 {
        return Err(ExportError::SeveralStreams {
            streams: streams.into_iter().map(str::to_owned).collect(),
        });
    }
    let mut columns: Vec<String> = Vec::new();
    for field in schemas.iter().flat_map(|schema| &schema.fields) {
        if !columns.contains(&field.name) {
            columns.push(field.name.clone());
        }
    }
    Ok(columns)
}

impl<W: Write> Csv<W> {
    /// Writes the header.
    pub(super) fn new(mut output: W, columns: Vec<String>) -> io::Result<Self> {
        write!(output, "t")?;
        for column in &columns {
            write!(output, ",{}", quoted(column))?;
        }
        output.write_all(b"\r\n")?;
        Ok(Csv { output, columns })
    }
}

impl<W: Write> Sink for Csv<W> {
    fn begin_epoch(&mut self, _: &SchemaTable) {}

    fn write(&mut self, schema: &Schema, record: &Record) -> io::Result<bool> {
        let micros = record.time.0;
        let sign = if micros < 0 { "-" } else { "" };
        let (seconds, rest) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
        write!(self.output, "{sign}{seconds}.{rest:06}")?;
        for (i, column) in self.columns.iter().enumerate() {
            // Mostly the schema's fields are the columns, in this order.
            let at = match schema.fields.get(i) {
                Some(field) if field.name == *column => Some(i),
                _ => schema.fields.iter().position(|field| field.name == *column),
            };
            let value = at.and_then(|at| record.values.get(at)).unwrap_or(&Value::Null);
            self.output.write_all(b",")?;
            write_value(&mut self.output, value)?;
        }
        self.output.write_all(b"\r\n")?;
        Ok(true)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn write_value(output: &mut impl Write, value: &Value) -> io::Result<()> {
    match value {
        Value::Null => Ok(()),
        Value::Bool(value) => write!(output, "{value}"),
        Value::Int(value) => write!(output, "{value}"),
        Value::UInt(value) => write!(output, "{value}"),
        Value::F32(value) if value.is_finite() => write!(output, "{value}"),
        Value::F32(value) => output.write_all(non_finite_text(f64::from(*value)).as_bytes()),
        Value::F64(value) if value.is_finite() => write!(output, "{value}"),
        Value::F64(value) => output.write_all(non_finite_text(*value).as_bytes()),
        Value::Text(text) => output.write_all(quoted(text).as_bytes()),
        Value::Bytes(bytes) => output.write_all(hex(bytes).as_bytes()),
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
