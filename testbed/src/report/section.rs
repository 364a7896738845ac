//! Results that are beside each other.

use crate::run::RunResult;

/// What a result without a system's name is of.
pub(super) const OURS: &str = "tern";

/// A scenario and what came of it.
pub(super) struct Section<'a> {
    pub(super) scenario: &'a str,
    pub(super) rows: Vec<Row<'a>>,
    pub(super) plots: Vec<Plot>,
}

/// A system of a section.
pub(super) struct Row<'a> {
    pub(super) system: &'a str,
    pub(super) result: &'a RunResult,
}

/// A picture.
pub(super) struct Plot {
    pub(super) file: String,
    pub(super) title: String,
    /// How to read it; empty when that was said before.
    pub(super) caption: &'static str,
    pub(super) svg: String,
}

/// How the edge reached the ground, where it is one that did, within a sentence.
pub(super) fn by_transport(result: &RunResult) -> String {
    result.transport.map_or_else(String::new, |transport| format!(", Tern by {}", transport.name()))
}

impl<'a> Section<'a> {
    /// In the order of the results.
    pub(super) fn of(results: &'a [RunResult]) -> Vec<Section<'a>> {
        let mut sections: Vec<Section<'a>> = Vec::new();
        for result in results {
            let (scenario, system) = result.scenario.split_once('/').unwrap_or((&result.scenario, OURS));
            let row = Row { system, result };
            match sections.last_mut() {
                // The same system again is another run.
                Some(last) if last.scenario == scenario && last.rows.iter().all(|r| r.system != system) => {
                    last.rows.push(row);
                }
                _ => sections.push(Section { scenario, rows: vec![row], plots: Vec::new() }),
            }
        }
        sections
    }
}
