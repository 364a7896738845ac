//! The figures for people.

use std::fmt;

use super::Report;

/// Prints as a table, a line a file and their mean.
#[derive(Debug)]
pub struct Table<'a>(pub &'a [Report]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.0.first() else { return Ok(()) };
        writeln!(
            f,
            "{} ms frames, {} precision, {}, {} streams; bytes and nanoseconds are per sample",
            first.window_ms, first.precision, first.policy, first.streams
        )?;
        writeln!(
            f,
            "{:28} {:>8} {:>7} {:>7} {:>8} {:>7} {:>8} {:>7} {:>7}  round trip",
            "file", "samples", "frames", "bytes", "mavlink2", "json", "pc+lz4", "enc ns", "dec ns"
        )?;
        for r in self.0 {
            writeln!(
                f,
                "{:28} {:8} {:7} {:7.3} {:8.2} {:7.1} {:8.2} {:7.0} {:7.0}  {}",
                r.file.file_name().unwrap_or_default().to_string_lossy(),
                r.samples,
                r.frames,
                r.bytes_per_sample,
                r.mavlink2_bytes_per_sample,
                r.json_bytes_per_sample,
                r.postcard_lz4_bytes_per_sample,
                r.encode_ns_per_sample,
                r.decode_ns_per_sample,
                r.roundtrip
            )?;
        }
        let mean = |figure: fn(&Report) -> f64| self.0.iter().map(figure).sum::<f64>() / self.0.len() as f64;
        writeln!(
            f,
            "{:28} {:8} {:7} {:7.3} {:8.2} {:7.1} {:8.2} {:7.0} {:7.0}",
            "mean",
            "",
            "",
            mean(|r| r.bytes_per_sample),
            mean(|r| r.mavlink2_bytes_per_sample),
            mean(|r| r.json_bytes_per_sample),
            mean(|r| r.postcard_lz4_bytes_per_sample),
            mean(|r| r.encode_ns_per_sample),
            mean(|r| r.decode_ns_per_sample)
        )
    }
}
