//! A run from the moment that everything is started until it is judged.

use tempfile::TempDir;

use super::control::Control;
use super::evaluate::{LinkFacts, evaluate};
use super::record::Recording;
use super::system::System;
use super::usage::UsageResult;
use super::workload::Feed;
use super::{CONTROL_P99_MAX, Outcome, RunError, record};
use crate::path::{LinkKind, Path};
use crate::provenance::Provenance;
use crate::scenario::Scenario;

/// Everything is started, and no sample is sent yet. Fields are dropped in this order.
pub(crate) struct Measurement {
    scenario: Scenario,
    control: Control,
    system: System,
    feed: Feed,
    recording: Recording,
    provenance: Provenance,
    usage: [UsageResult; 2],
    path: Path,
    /// Holds the files of the processes.
    _folder: TempDir,
}

impl Measurement {
    /// The link's time runs since `path` was opened.
    pub(crate) fn new(
        scenario: Scenario,
        folder: TempDir,
        path: Path,
        system: System,
        feed: Feed,
    ) -> Result<Measurement, RunError> {
        let control = Control::start(&path)?;
        let (recording, provenance, usage) = Default::default();
        Ok(Measurement {
            scenario,
            control,
            system,
            feed,
            recording,
            provenance,
            usage,
            path,
            _folder: folder,
        })
    }

    /// What makes the link.
    pub(crate) fn link(&self) -> LinkKind {
        self.path.kind()
    }

    /// Sends the samples and notes what arrives, until all has or nothing more does. Sees to nothing else, so that it
    /// does not disturb others that record at the same time.
    pub(crate) async fn record(&mut self) -> Result<(), RunError> {
        let length = self.scenario.length;
        self.provenance = Provenance::now();
        record(&mut self.path, &mut self.system, &mut self.feed, length, &mut self.recording).await?;
        self.usage = self.system.usage();
        Ok(())
    }

    /// Stops everything and says what came of it.
    pub(crate) async fn finish(self) -> Outcome {
        let control = self.control.finish();
        self.system.stop().await;
        if control.p99 > CONTROL_P99_MAX.as_secs_f64() * 1e3 {
            let reason = format!(
                "the control flow, which no link slows, took {:.1} ms at the 99th percentile ({} ms is the most): the \
                 machine is too busy to measure on",
                control.p99,
                CONTROL_P99_MAX.as_millis()
            );
            return Outcome::Rejected { reason };
        }
        let link = LinkFacts { kind: self.path.kind(), start: self.path.start_time() };
        let provenance = self.provenance;
        let result = evaluate(&self.scenario, provenance, link, &self.recording, control.p99, self.usage);
        Outcome::Measured(Box::new(result))
    }
}
