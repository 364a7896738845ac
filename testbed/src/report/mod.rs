//! Results to look at: a page that needs nothing but itself, the same as Markdown, and the plots as files beside it.

mod axis;
mod html;
mod markdown;
mod palette;
mod plot;
mod section;
mod table;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::provenance::Provenance;
use crate::run::RunResult;
use section::Section;

/// The page.
pub const HTML_FILE: &str = "report.html";
/// The same as Markdown.
pub const MARKDOWN_FILE: &str = "report.md";

/// What made the results of a report.
struct Maker<'a> {
    command: &'a str,
    /// Of the first result.
    provenance: Option<&'a Provenance>,
}

impl Maker<'_> {
    /// As the end of a sentence; empty when there are no results.
    fn origin(&self) -> String {
        self.provenance.map_or_else(String::new, |provenance| format!(": {provenance}"))
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum ReportError {
    #[error("cannot write the report {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot draw: {0}")]
    Draw(String),
}

/// Makes the folder of a report, and sees before anything is measured that files can be made in it.
pub fn prepare(folder: &Path) -> Result<(), ReportError> {
    let failed = |source| ReportError::Write { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    tempfile::tempfile_in(folder).map_err(failed)?;
    Ok(())
}

/// Writes [`HTML_FILE`], [`MARKDOWN_FILE`] and plots (`.svg`) into a folder that there is ([`prepare`]). `command` is what
/// made the results. Results whose scenarios differ only behind a `/` are beside each other.
pub fn write(folder: &Path, command: &str, results: &[RunResult]) -> Result<(), ReportError> {
    let sections =
        Section::of(results).into_iter().map(plot::illustrate).collect::<Result<Vec<_>, ReportError>>()?;
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|source| ReportError::Write { path, source })
    };
    for plot in sections.iter().flat_map(|section| &section.plots) {
        put(&plot.file, &plot.svg)?;
    }
    let maker = Maker { command, provenance: results.first().map(|result| &result.provenance) };
    put(MARKDOWN_FILE, &markdown::render(&maker, &sections))?;
    put(HTML_FILE, &html::render(&maker, &sections))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Traffic;
    use crate::run::{BoundResult, LatencyMs, OutageResult, Trace, TracedSample, UsageResult};
    use crate::scenario::{BoundName, Transport};

    fn result(scenario: &str, latency: f64) -> RunResult {
        let samples = (0..200).map(|n| TracedSample {
            sent_s: f64::from(n) / 10.0,
            latency_ms: (n % 50 != 7).then(|| latency + f64::from(n)),
        });
        RunResult {
            scenario: scenario.to_owned(),
            provenance: Provenance {
                version: "9.8.7".to_owned(),
                started: "2026-03-01T12:00:00Z".to_owned(),
                kernel: "Linux 6.1".to_owned(),
                cpus: 2,
            },
            seconds: 60,
            transport: Some(Transport::WebSocket),
            link: "tun".to_owned(),
            seed: 1,
            samples: 200,
            lost: 4,
            duplicates: 0,
            late_over_1s: 0.0123,
            latency_ms: Some(LatencyMs { p50: latency, p95: 450.0, p99: 480.0, p999: 499.0, max: 500.0 }),
            one_way_ms: 300.0,
            uplink: Traffic { bytes: 20_000, packets: 200 },
            downlink: Traffic { bytes: 1_000, packets: 20 },
            outages: vec![OutageResult {
                seconds: 5.0,
                first_fresh_ms: Some(340.0),
                fresh_under_1s_ms: Some(400.0),
                backlog_drained_s: None,
                spare_used: None,
                worst_fresh_age_ms: Some(700.0),
                fresh_age_p99_ms: Some(650.0),
            }],
            control_p99_ms: 0.5,
            edge: UsageResult { cpu_s: 0.5, rss_mb: 9.0 },
            ground: UsageResult::default(),
            bounds: vec![BoundResult { name: BoundName::Lost, limit: 0.0, value: Some(4.0), met: false }],
            trace: Trace { samples: samples.collect(), outages: vec![(5.0, 10.0)] },
        }
    }

    fn write_report(results: &[RunResult]) -> (tempfile::TempDir, String, String) {
        let folder = tempfile::tempdir().unwrap();
        prepare(&folder.path().join("new")).unwrap();
        write(&folder.path().join("new"), "tern-testbed peers <x>", results).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join("new").join(name)).unwrap();
        let (html, markdown) = (read(HTML_FILE), read(MARKDOWN_FILE));
        (folder, html, markdown)
    }

    #[test]
    fn systems_are_beside_each_other_and_the_page_needs_nothing_else() {
        let (_folder, html, markdown) =
            write_report(&[result("geo/tern", 320.0), result("geo/tcp", 390.0), result("leo", 60.0)]);
        for text in [&html, &markdown] {
            assert!(text.contains("tern") && text.contains("tcp") && text.contains("leo"));
            // Of 200 samples 20 kB.
            assert!(text.contains("100.0"), "bytes a sample");
            assert!(text.contains("never"), "a backlog that was never drained");
            assert!(text.contains("MISSED"));
            assert!(text.contains("Tern by websocket") && text.contains("60 s"));
            assert!(text.contains("version 9.8.7, begun 2026-03-01T12:00:00Z, on Linux 6.1 with 2 CPUs"));
        }
        // Distribution and bytes of each section, and the latency over time of each result.
        assert_eq!(html.matches("role=\"img\"").count(), 2 * 2 + 3);
        assert!(!html.contains("src=") && !html.contains("href="));
        assert!(html.contains("peers &lt;x&gt;") && !html.contains("peers <x>"));
    }

    #[test]
    fn markdown_refers_to_plots_that_are_there() {
        let (folder, _, markdown) = write_report(&[result("geo/tern", 320.0), result("geo/tcp", 390.0)]);
        let files: Vec<&str> =
            markdown.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)).collect();
        assert_eq!(files.len(), 4);
        for file in files {
            assert!(folder.path().join("new").join(file).is_file(), "{file}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_is_told_before_there_are_results() {
        let error = prepare(Path::new("/proc/report")).unwrap_err().to_string();
        assert!(error.contains("cannot write the report /proc/report"), "{error}");
    }

    #[test]
    fn what_has_no_samples_has_a_report_all_the_same() {
        let mut nothing = result("a|<b>", 1.0);
        nothing.trace = Trace::default();
        nothing.latency_ms = None;
        nothing.samples = 0;
        let (_folder, html, markdown) = write_report(&[nothing]);
        assert!(html.contains("a|&lt;b&gt;") && markdown.contains("a\\|"));
        write_report(&[]);
    }
}
