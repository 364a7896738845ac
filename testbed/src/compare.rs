//! Two files of results: what changed, and whether it is more than what seeds make of it.
//!
//! Results of one scenario that differ in their seed are samples of a distribution. A change of the mean is beyond the
//! noise when Student's t-test with pooled variance takes it for one at 99 %: of fifteen figures that did not change,
//! one in seven comparisons shows one that seems to. A side with a single result borrows the other's variance; two
//! single results have none, and their noise is unknown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::run::RunResult;
use crate::scenario::{BoundName, Transport};

/// Quantiles of Student's distribution, two-sided 99 %, by degrees of freedom; between two the lesser number holds.
const T_99: [(usize, f64); 15] = [
    (1, 63.657),
    (2, 9.925),
    (3, 5.841),
    (4, 4.604),
    (5, 4.032),
    (6, 3.707),
    (7, 3.499),
    (8, 3.355),
    (9, 3.250),
    (10, 3.169),
    (12, 3.055),
    (15, 2.947),
    (20, 2.845),
    (30, 2.750),
    (120, 2.617),
];

/// A scenario of both files.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Its name.
    pub scenario: String,
    /// How the edge reached the ground; `None` when that is not the same in both, or not known.
    pub transport: Option<Transport>,
    /// How many results each file has of it.
    pub results: [usize; 2],
    /// What makes the two incomparable; for people.
    pub differences: Vec<String>,
    /// Every figure.
    pub rows: Vec<Row>,
}

/// A figure of both files. Less is better, whatever it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its key, as in scenarios' bounds.
    pub name: String,
    /// Of each file.
    pub sides: [Side; 2],
    /// What came of it.
    pub verdict: Verdict,
}

/// A figure of one file, over its results.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side {
    /// `None` when there is none of any result.
    pub mean: Option<f64>,
    /// The standard deviation between results; `None` of fewer than two.
    pub deviation: Option<f64>,
    /// Results in which it never came.
    pub never: usize,
}

/// Whether a figure changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not at all.
    Unchanged,
    /// No more than seeds make of it.
    WithinNoise,
    /// Less, beyond the noise.
    Better,
    /// More, beyond the noise.
    Worse,
    /// It did, but there are too few results to say what that means.
    NoiseUnknown,
}

/// Why files cannot be compared.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum CompareError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} holds no results of `run` or `peers` (--json): {source}", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
    #[error("{} and {} have no scenario in common", a.display(), b.display())]
    NothingInCommon { a: PathBuf, b: PathBuf },
}

/// A scenario and a transport: results of both are samples of one distribution.
type Key = (String, Option<Transport>);

/// Compares the scenarios that both files have: by the same transport where they have that, too, and else by different
/// ones.
pub fn compare(a: &Path, b: &Path) -> Result<Vec<Comparison>, CompareError> {
    let (in_a, mut in_b) = (read(a)?, read(b)?);
    let (mut comparisons, mut alone) = (Vec::new(), Vec::new());
    for (key, before) in in_a {
        match in_b.remove(&key) {
            Some(after) => comparisons.push(compare_scenario(&before, &after)),
            None => alone.push((key, before)),
        }
    }
    for ((scenario, _), before) in alone {
        let key = in_b.keys().find(|(name, _)| *name == scenario).cloned();
        let after = key.and_then(|key| in_b.remove(&key));
        comparisons.extend(after.map(|after| compare_scenario(&before, &after)));
    }
    if comparisons.is_empty() {
        return Err(CompareError::NothingInCommon { a: a.to_owned(), b: b.to_owned() });
    }
    Ok(comparisons)
}

fn read(path: &Path) -> Result<BTreeMap<Key, Vec<RunResult>>, CompareError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| CompareError::Read { path: path.to_owned(), source })?;
    let mut results: BTreeMap<Key, Vec<RunResult>> = BTreeMap::new();
    for result in serde_json::Deserializer::from_str(&text).into_iter::<RunResult>() {
        let result = result.map_err(|source| CompareError::Parse { path: path.to_owned(), source })?;
        results.entry((result.scenario.clone(), result.transport)).or_default().push(result);
    }
    Ok(results)
}

/// None of the two is empty.
fn compare_scenario(before: &[RunResult], after: &[RunResult]) -> Comparison {
    let row = |(name, pick): (String, Pick)| {
        let values = [before, after].map(|side| side.iter().map(&pick).collect::<Vec<_>>());
        let sides = values.each_ref().map(|values| Side::of(values));
        Row { name, verdict: judge(&values, &sides), sides }
    };
    let has_outages = before.iter().chain(after).any(|result| !result.outages.is_empty());
    Comparison {
        scenario: before[0].scenario.clone(),
        transport: before[0].transport.filter(|_| before[0].transport == after[0].transport),
        results: [before.len(), after.len()],
        differences: differences(before, after),
        rows: figures(has_outages).into_iter().map(row).collect(),
    }
}

/// Takes a figure of a result; `None` when it never came.
type Pick = Box<dyn Fn(&RunResult) -> Option<f64>>;

fn figures(has_outages: bool) -> Vec<(String, Pick)> {
    let mut figures: Vec<(String, Pick)> = BoundName::ALL
        .into_iter()
        .filter(|name| has_outages || !name.is_of_outages())
        .map(|name| (name.to_string(), Box::new(move |result: &RunResult| result.value(name)) as Pick))
        .collect();
    figures.push(("edge_cpu_s".to_owned(), Box::new(|result| Some(result.edge.cpu_s))));
    figures.push(("ground_cpu_s".to_owned(), Box::new(|result| Some(result.ground.cpu_s))));
    figures
}

fn differences(before: &[RunResult], after: &[RunResult]) -> Vec<String> {
    let of = |what: &str, pick: fn(&RunResult) -> String| {
        let [a, b] = [before, after].map(|side| {
            let mut values: Vec<String> = side.iter().map(pick).collect();
            values.sort();
            values.dedup();
            values.join(", ")
        });
        (a != b).then(|| format!("{what}: {a} against {b}"))
    };
    let transport = |result: &RunResult| result.transport.map_or("not said", Transport::name).to_owned();
    [
        of("transports", transport),
        of("links", |result| result.link.clone()),
        of("samples", |result| result.samples.to_string()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Side {
    fn of(values: &[Option<f64>]) -> Side {
        let came: Vec<f64> = values.iter().copied().flatten().collect();
        let count = came.len() as f64;
        let mean = (!came.is_empty()).then(|| came.iter().sum::<f64>() / count);
        let deviation = mean.filter(|_| came.len() > 1).map(|mean| {
            let squares: f64 = came.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (count - 1.0)).sqrt()
        });
        Side { mean, deviation, never: values.len() - came.len() }
    }
}

fn judge(values: &[Vec<Option<f64>>; 2], sides: &[Side; 2]) -> Verdict {
    if sides[0].mean == sides[1].mean && sides[0].never == sides[1].never {
        return Verdict::Unchanged;
    }
    let ([Some(before), Some(after)], [0, 0]) = (sides.map(|side| side.mean), sides.map(|side| side.never))
    else {
        return Verdict::NoiseUnknown;
    };
    let counts = values.each_ref().map(Vec::len);
    let freedom = counts[0] + counts[1] - 2;
    let Some(&(_, t)) = T_99.iter().rfind(|&&(degrees, _)| degrees <= freedom) else {
        return Verdict::NoiseUnknown;
    };
    let squares = |index: usize| sides[index].deviation.unwrap_or(0.0).powi(2) * (counts[index] - 1) as f64;
    let variance = (squares(0) + squares(1)) / freedom as f64;
    let error = (variance * (1.0 / counts[0] as f64 + 1.0 / counts[1] as f64)).sqrt();
    match after - before {
        change if change.abs() <= t * error => Verdict::WithinNoise,
        change if change < 0.0 => Verdict::Better,
        _ => Verdict::Worse,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A result as `--json` writes it.
    fn line(scenario: &str, seed: u64, p50: f64, lost: u64) -> String {
        format!(
            r#"{{"scenario":"{scenario}","link":"tun","seed":{seed},"samples":100,"lost":{lost},"duplicates":0,
            "late_over_1s":0.1,"latency_ms":{{"p50":{p50},"p95":2.0,"p99":3.0,"p999":4.0,"max":5.0}},
            "one_way_ms":300.0,"uplink":{{"bytes":100,"packets":1}},"downlink":{{"bytes":10,"packets":1}},
            "outages":[],"control_p99_ms":0.5,"edge":{{"cpu_s":0.1,"rss_mb":8.0}},
            "ground":{{"cpu_s":0.1,"rss_mb":8.0}},"bounds":[{{"name":"lost","limit":0.0,"value":1.0,"met":false}}]}}"#
        )
    }

    fn compare_texts(a: &[String], b: &[String]) -> Result<Vec<Comparison>, CompareError> {
        let folder = tempfile::tempdir().unwrap();
        let files = [("a.json", a), ("b.json", b)].map(|(name, lines)| {
            let path = folder.path().join(name);
            fs::write(&path, lines.join("\n")).unwrap();
            path
        });
        compare(&files[0], &files[1])
    }

    fn verdict(comparison: &Comparison, name: &str) -> Verdict {
        comparison.rows.iter().find(|row| row.name == name).unwrap().verdict
    }

    fn medians(values: &[f64]) -> Vec<String> {
        values.iter().zip(1..).map(|(&p50, seed)| line("geo", seed, p50, 0)).collect()
    }

    #[test]
    fn a_change_beyond_the_spread_of_the_seeds_is_told_from_one_within() {
        let before = medians(&[500.0, 505.0, 495.0]);
        let [better] = &compare_texts(&before, &medians(&[400.0, 404.0, 396.0])).unwrap()[..] else {
            panic!()
        };
        assert_eq!((&better.scenario[..], better.results), ("geo", [3, 3]));
        assert_eq!(verdict(better, "latency_p50_ms"), Verdict::Better);
        assert_eq!(verdict(better, "latency_p99_ms"), Verdict::Unchanged);
        assert!(better.rows.iter().all(|row| row.name != "first_fresh_ms"), "there was no outage");
        let [within] = &compare_texts(&before, &medians(&[503.0, 512.0, 497.0])).unwrap()[..] else {
            panic!()
        };
        assert_eq!(verdict(within, "latency_p50_ms"), Verdict::WithinNoise);
        let [worse] = &compare_texts(&before, &medians(&[600.0, 612.0, 590.0])).unwrap()[..] else {
            panic!()
        };
        assert_eq!(verdict(worse, "latency_p50_ms"), Verdict::Worse);
    }

    #[test]
    fn a_single_seed_a_side_leaves_the_noise_unknown() {
        let [single] = &compare_texts(&medians(&[500.0]), &medians(&[400.0])).unwrap()[..] else { panic!() };
        assert_eq!(verdict(single, "latency_p50_ms"), Verdict::NoiseUnknown);
        // One against several takes their spread.
        let several = medians(&[400.0, 401.0, 399.0, 400.0, 400.5]);
        let [several] = &compare_texts(&medians(&[500.0]), &several).unwrap()[..] else { panic!() };
        assert_eq!(verdict(several, "latency_p50_ms"), Verdict::Better);
    }

    #[test]
    fn what_never_came_is_no_number() {
        let nothing = |text: String| {
            let latency = r#"{"p50":500,"p95":2.0,"p99":3.0,"p999":4.0,"max":5.0}"#;
            assert!(text.contains(latency));
            text.replace(latency, "null")
        };
        let before = medians(&[500.0, 500.0]);
        let after: Vec<String> = medians(&[500.0, 500.0]).into_iter().map(nothing).collect();
        let [comparison] = &compare_texts(&before, &after).unwrap()[..] else { panic!() };
        let row = comparison.rows.iter().find(|row| row.name == "latency_p50_ms").unwrap();
        assert_eq!((row.sides[1].mean, row.sides[1].never, row.verdict), (None, 2, Verdict::NoiseUnknown));
    }

    #[test]
    fn transports_are_compared_with_themselves_first_and_else_with_each_other() {
        let by = |transport: &str, p50: f64| {
            let transport = format!(r#"{{"transport":"{transport}",""#);
            line("geo", 1, p50, 0).replacen("{\"", &transport, 1)
        };
        let [other] = &compare_texts(&[by("quic", 1.0)], &[by("websocket", 2.0)]).unwrap()[..] else {
            panic!()
        };
        assert_eq!(other.differences, ["transports: quic against websocket"]);
        let both = [by("quic", 1.0), by("websocket", 2.0)];
        let same = compare_texts(&both, &both).unwrap();
        let transports: Vec<_> = same.iter().map(|comparison| comparison.transport).collect();
        assert_eq!(transports, [Some(Transport::Quic), Some(Transport::WebSocket)]);
        for comparison in same {
            assert_eq!((comparison.results, comparison.differences.len()), ([1, 1], 0));
            assert_eq!(verdict(&comparison, "latency_p50_ms"), Verdict::Unchanged);
        }
    }

    #[test]
    fn where_a_result_comes_from_is_in_its_file() {
        let mut result: RunResult = serde_json::from_str(&line("geo", 1, 500.0, 0)).unwrap();
        assert_eq!(
            (result.provenance.version.as_str(), result.transport),
            ("", None),
            "an earlier release's"
        );
        result.provenance.version = "9.8.7".to_owned();
        result.provenance.cpus = 2;
        let file = serde_json::to_value(&result).unwrap();
        assert_eq!((&file["version"], &file["cpus"]), (&"9.8.7".into(), &2.into()));
        assert_eq!(serde_json::from_value::<RunResult>(file).unwrap(), result);
    }

    #[test]
    fn files_that_cannot_be_compared_say_why() {
        let one = [line("geo", 1, 500.0, 0)];
        let text = |result: Result<Vec<Comparison>, CompareError>| result.unwrap_err().to_string();
        assert!(text(compare_texts(&one, &[line("leo", 1, 1.0, 0)])).contains("no scenario in common"));
        assert!(text(compare_texts(&one, &["{}".to_owned()])).contains("holds no results"));
        assert!(text(compare(Path::new("none.json"), Path::new("none.json"))).contains("cannot read"));
        let other = [one[0].replace("\"samples\":100", "\"samples\":99")];
        let comparisons = compare_texts(&one, &other).unwrap();
        assert_eq!(comparisons[0].differences, ["samples: 100 against 99"]);
    }
}
