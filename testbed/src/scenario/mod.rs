//! What a run does, as TOML: a link, a workload, the edge's settings, and the bounds that the result must keep.
//!
//! The built-in scenarios are the files of `testbed/scenarios`, one a link. Each stands for three: `NAME`,
//! `NAME-outage30` and `NAME-outage300` have the same link, which is down for so many seconds from
//! [`OUTAGE_START`] on in the latter two, and bounds of their own for it.

mod bound;
mod link;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use bound::{BoundName, Bounds};
use serde::{Deserialize, Serialize};
use tern_shared::intake::StreamRules;

use crate::link::{InvalidOutage, InvalidProfile, Outage, OutageSchedule, PathProfile};

/// When the link of an outage variant goes down, on the link's time.
pub const OUTAGE_START: Duration = Duration::from_secs(30);
/// The outages that every scenario has variants with.
const OUTAGES: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(300)];
/// How long samples go on after an outage at least.
const AFTER_OUTAGE: Duration = Duration::from_secs(60);

/// The text of every built-in scenario, reference first.
const BUILTIN: [&str; 7] = [
    include_str!("../../scenarios/geo-bgan.toml"),
    include_str!("../../scenarios/geo-bgan-loss5.toml"),
    include_str!("../../scenarios/geo-bgan-burst5.toml"),
    include_str!("../../scenarios/geo-clean.toml"),
    include_str!("../../scenarios/leo-certus.toml"),
    include_str!("../../scenarios/leo-starlink.toml"),
    include_str!("../../scenarios/iridium-2400.toml"),
];

/// What a run does.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// What it is, for people.
    pub about: String,
    /// The link.
    pub link: PathProfile,
    /// The samples.
    pub workload: Workload,
    /// How long samples are sent.
    pub length: Duration,
    /// Draws loss and jitter.
    pub seed: u64,
    /// How the edge is set up.
    pub edge: EdgeSettings,
    /// What the result must keep.
    pub bounds: Bounds,
}

/// The samples of a run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Samples of random content, which no codec shrinks.
    Synthetic(Synthetic),
    /// A recorded flight (`.tlog`) as MAVLink, again and again. A relative path is within the folder of the start.
    Flight(PathBuf),
}

/// Samples of random content at a steady pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Synthetic {
    /// How many a second, 1 to 1000.
    pub samples_per_second: NonZeroU32,
    /// The content of each, bytes: a number of 8 and a text. 9 to 4096.
    pub sample_bytes: u32,
}

/// How the edge is set up.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSettings {
    /// Its `--rate-bits-per-second`.
    pub rate_bits_per_second: u64,
    /// Its `--batch-window-ms`.
    pub batch_window_ms: Option<u32>,
    /// Its `--streams`: what it leaves out is no sample of the run.
    #[serde(default)]
    pub streams: StreamRules,
    /// How it reaches the ground.
    #[serde(default)]
    pub transport: Transport,
}

/// How an edge reaches the ground.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams and a stream over UDP, encrypted.
    #[default]
    Quic,
    /// WebSocket over TCP, not encrypted.
    #[value(name = "websocket")]
    WebSocket,
}

impl Transport {
    /// Its name on the command line, in scenarios and in results.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Quic => "quic",
            Transport::WebSocket => "websocket",
        }
    }
}

/// A scenario's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    about: String,
    #[serde(deserialize_with = "link::profile")]
    link: PathProfile,
    seconds: u64,
    #[serde(default = "first_seed")]
    seed: u64,
    edge: EdgeSettings,
    workload: Workload,
    #[serde(default)]
    bounds: BTreeMap<BoundName, f64>,
    /// Bounds of the variants with an outage, instead of `bounds`.
    #[serde(default)]
    outage_bounds: BTreeMap<BoundName, f64>,
}

/// Why there is no such scenario.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum ScenarioError {
    #[error(
        "no scenario is called {name:?}; `tern-testbed list` shows those there are, and a file ends in .toml"
    )]
    Unknown { name: String },
    #[error("cannot read the scenario {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the scenario {origin} is not understood: {source}")]
    Parse { origin: String, source: Box<toml::de::Error> },
    #[error(transparent)]
    InvalidProfile(#[from] InvalidProfile),
    #[error(transparent)]
    InvalidOutage(#[from] InvalidOutage),
    #[error("the scenario {scenario}: {key} = {value} is not within {expected}")]
    Value { scenario: String, key: &'static str, value: u64, expected: &'static str },
}

impl Scenario {
    /// Every built-in scenario with its variants.
    pub fn builtin() -> Vec<Scenario> {
        let parsed =
            BUILTIN.iter().map(|text| parse("built in", text).expect("built-in scenarios are tested"));
        parsed.flatten().collect()
    }

    /// A built-in scenario by its name, or the one of a file that ends in `.toml`.
    pub fn load(name: &str) -> Result<Scenario, ScenarioError> {
        if !name.ends_with(".toml") {
            let found = Scenario::builtin().into_iter().find(|scenario| scenario.name == name);
            return found.ok_or_else(|| ScenarioError::Unknown { name: name.to_owned() });
        }
        let path = Path::new(name);
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        let [plain, ..] = parse(name, &text)?;
        Ok(plain)
    }
}

/// The scenario of a file, then its variants with an outage.
fn parse(origin: &str, text: &str) -> Result<[Scenario; 3], ScenarioError> {
    let file: File = toml::from_str(text)
        .map_err(|source| ScenarioError::Parse { origin: origin.to_owned(), source: Box::new(source) })?;
    file.link.validate()?;
    let range = |key, value: u64, range: std::ops::RangeInclusive<u64>, expected| {
        let invalid = || ScenarioError::Value { scenario: file.name.clone(), key, value, expected };
        if range.contains(&value) { Ok(()) } else { Err(invalid()) }
    };
    range("seconds", file.seconds, 1..=86_400, "1 to 86400")?;
    if let Workload::Synthetic(synthetic) = file.workload {
        let per_second = synthetic.samples_per_second.get().into();
        range("workload.synthetic.samples_per_second", per_second, 1..=1000, "1 to 1000")?;
        range("workload.synthetic.sample_bytes", synthetic.sample_bytes.into(), 9..=4096, "9 to 4096")?;
    }
    let plain = Scenario {
        name: file.name,
        about: file.about,
        link: file.link,
        workload: file.workload,
        length: Duration::from_secs(file.seconds),
        seed: file.seed,
        edge: file.edge,
        bounds: Bounds::new(file.bounds),
    };
    let outage_bounds = Bounds::new(file.outage_bounds);
    let [short, long] = OUTAGES.map(|outage| with_outage(&plain, outage, outage_bounds.clone()));
    Ok([plain, short?, long?])
}

fn with_outage(plain: &Scenario, outage: Duration, bounds: Bounds) -> Result<Scenario, ScenarioError> {
    let seconds = outage.as_secs();
    let schedule = OutageSchedule::new(vec![Outage::once(OUTAGE_START, outage)])?;
    Ok(Scenario {
        name: format!("{}-outage{seconds}", plain.name),
        about: format!("{}; down for {seconds} s", plain.about),
        link: plain.link.clone().with_outages(schedule),
        length: OUTAGE_START + outage + AFTER_OUTAGE.max(outage),
        bounds,
        ..plain.clone()
    })
}

fn first_seed() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use tern_shared::time::Instant;

    use super::*;

    #[test]
    fn every_built_in_profile_has_its_scenario_with_bounds() {
        let scenarios = Scenario::builtin();
        assert_eq!(scenarios.len(), 21);
        for profile in crate::link::builtin_profiles() {
            let scenario = scenarios.iter().find(|scenario| scenario.name == profile.name).unwrap();
            assert_eq!(scenario.link, profile);
        }
        for scenario in &scenarios {
            assert!(scenario.bounds.iter().count() > 0, "{} has no bounds", scenario.name);
            assert_eq!(Scenario::load(&scenario.name).unwrap(), *scenario);
        }
    }

    #[test]
    fn an_outage_variant_is_down_once_and_ends_after_it() {
        let scenario = Scenario::load("leo-starlink-outage300").unwrap();
        let end = Instant(scenario.length);
        let down = [(Instant(Duration::from_secs(30)), Instant(Duration::from_secs(330)))];
        assert_eq!(scenario.link.outages.down_times(end), down);
        assert!(scenario.length >= Duration::from_secs(390));
        // The handovers are still there.
        let handover = Instant(Duration::from_millis(15_010));
        assert_eq!(scenario.link.outages.loss_probability(handover, handover), 0.6);
    }

    #[test]
    fn a_wrong_scenario_says_what_is_wrong() {
        assert!(Scenario::load("geo").unwrap_err().to_string().contains("`tern-testbed list`"));
        assert!(Scenario::load("none.toml").unwrap_err().to_string().contains("cannot read"));
        let wrong = |from: &str, to: &str| parse("x", &BUILTIN[0].replace(from, to)).unwrap_err().to_string();
        assert!(wrong("\"geo-bgan\"", "\"mars\"").contains("no link profile"));
        assert!(wrong("samples_per_second = 50", "samples_per_second = 5000").contains("1 to 1000"));
        assert!(wrong("[edge]", "[edge]\ntransport = \"tcp\"").contains("`quic` or `websocket`"));
        assert!(wrong("[edge]", "[edge]\nstreams = [\"*=often\"]").contains("0.001 to 1000"));
        assert!(wrong("latency_p50_ms", "latency_p49_ms").contains("latency_p49_ms"));
    }

    /// The example of docs/EXPERIMENTS.md.
    fn example() -> &'static str {
        let (_, example) = include_str!("../../../docs/EXPERIMENTS.md").split_once("```toml\n").unwrap();
        example.split_once("```").unwrap().0
    }

    #[test]
    fn a_link_of_its_own_is_read_and_what_is_wrong_with_it_is_told_with_its_line() {
        let [scenario, ..] = parse("my.toml", example()).unwrap();
        assert_eq!(scenario.link.to_vehicle.rate_bits_per_second.get(), 100_000);
        assert_eq!(scenario.link.outages.down_times(Instant(scenario.length)).len(), 1);
        for (from, to, word) in [
            ("delay_ms = 40", "delay = 40", "unknown field `delay`"),
            ("delay_ms = 40\n", "", "missing field `delay_ms`"),
            ("delay_ms = 40", "delay_ms = \"40\"", "expected f64"),
            ("percent = 2", "percentage = 2", "percentage"),
        ] {
            let text = example().replacen(from, to, 1);
            assert_ne!(text, example(), "{from}");
            let line = example()[..example().find(from).unwrap()].matches('\n').count() + 1;
            let error = parse("my.toml", &text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
            // Of what is missing, the table's.
            let line = if to.is_empty() { line - 3 } else { line };
            assert!(error.contains(&format!("line {line}")), "line {line}: {error}");
        }
        let number = parse("my.toml", &BUILTIN[0].replace("link = \"geo-bgan\"", "link = 5")).unwrap_err();
        assert!(number.to_string().contains("a table [link]"), "{number}");
    }
}
