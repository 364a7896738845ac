//! A file or standard input, to its end.

use std::path::Path;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::wall_clock;
use crate::source::SourceError;
use crate::source::decoder::Decoder;
use crate::source::output::{Closed, Counts, Output, WhenFull};

/// Bytes read at once: a file goes through a blocking thread, whose hand-over costs more than the reading.
const READ_BYTES: usize = 64 * 1024;

/// Reads to the end, as fast as the relay takes it.
pub(super) async fn to_end(
    mut reader: impl AsyncRead + Unpin,
    path: &Path,
    decoder: &mut dyn Decoder,
    output: &Output,
) -> Result<(), SourceError> {
    let mut buffer = vec![0; READ_BYTES];
    let mut samples = Vec::new();
    loop {
        let length = reader
            .read(&mut buffer)
            .await
            .map_err(|error| SourceError::File { path: path.to_owned(), error })?;
        output.counters().add(Counts { bytes: length as u64, ..Counts::default() });
        let now = wall_clock();
        if length == 0 {
            decoder.finish(now, &mut samples);
        } else {
            decoder.push(&buffer[..length], now, &mut samples);
        }
        if let Err(Closed) = output.send(&mut samples, WhenFull::Wait).await {
            return Ok(());
        }
        if length == 0 {
            return Ok(());
        }
    }
}
