//! Whether a link is what was asked for, by a probe flow of our own through it.
//!
//! 1. Steady: small probes at a third of the rate, for at least 20 s and until the scenario's last single outage is
//!    over. Asked for are the delays that the model gives these very probes in virtual time, and the profile's share
//!    of loss and its outages.
//! 2. Saturated: half a queue at once and then as much as the link carries. The pace of arrivals is the rate.
//!
//! netem draws by itself, so its delay with jitter is held against the spread of many draws, and it is first measured
//! for 10 s without jitter, loss and outages, where nothing is left to chance. Then it is saturated, too: netem loses
//! packets before its rate, so with losses its queue would run dry.

mod flow;
mod judge;
mod plan;
mod socket;

use std::io;

use crate::link::{LinkProfile, Loss, OutageSchedule, PathProfile, PathSeeds};
use crate::path::{LinkKind, Path, PathError};
use crate::progress;
use flow::Seen;
use plan::Plan;

/// What to check.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// The link as asked for.
    pub profile: PathProfile,
    /// What makes it.
    pub link: LinkKind,
    /// Draws loss and jitter.
    pub seed: u64,
}

/// A link, measured beside what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    /// The profile's name.
    pub profile: String,
    /// What made the link.
    pub link: &'static str,
    /// What drew loss and jitter.
    pub seed: u64,
    /// Every figure.
    pub rows: Vec<CheckRow>,
    /// Numbers of the steady probes that were lost on the way to the ground; empty where loss is hidden.
    pub lost_to_ground: Vec<u64>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckRow {
    /// `to ground` or `to vehicle`.
    pub direction: &'static str,
    /// What it is, with its unit.
    pub what: &'static str,
    /// As asked for.
    pub asked: f64,
    /// As measured.
    pub measured: f64,
    /// The most that the two may differ.
    pub tolerance: f64,
}

/// Why a link could not be checked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum CheckError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("the probe flow failed: {0}")]
    Io(#[from] io::Error),
}

impl CheckReport {
    /// Whether every figure is within its tolerance.
    pub fn is_as_asked(&self) -> bool {
        self.rows.iter().all(CheckRow::is_as_asked)
    }
}

impl CheckRow {
    /// Whether what was measured is within the tolerance.
    pub fn is_as_asked(&self) -> bool {
        // A measurement that is no number is never as asked.
        (self.measured - self.asked).abs() <= self.tolerance
    }
}

/// Checks both directions of a link, at the same time.
pub async fn run(options: &CheckOptions) -> Result<CheckReport, CheckError> {
    let link = options.link.resolve();
    let CheckOptions { profile, seed, .. } = options;
    let (mut rows, mut plans) = (Vec::new(), plans(profile, *seed));
    let quiet = without_chance(profile);
    if link.is_netem() && quiet != *profile {
        let path = Path::open(link, &quiet, *seed)?;
        for (plan, seen) in observe(&path, &quiet.name, self::plans(&quiet, *seed).map(Plan::short)).await? {
            rows.extend(judge::quiet_rows(&plan, &seen));
        }
        plans = plans.map(Plan::unsaturated);
    }
    let path = Path::open(link, profile, *seed)?;
    let observed = observe(&path, &profile.name, plans).await?;
    for (plan, seen) in &observed {
        rows.extend(judge::rows(plan, seen, link));
    }
    // Whole directions one after the other.
    rows.sort_by_key(|row| row.direction);

    let mut notes = Vec::new();
    if let Some(status) = path.emulator_status() {
        let status = status?;
        notes.push(format!(
            "the emulator delivered {:.0} us late at p50, {:.0} us at p99{}",
            status.lateness_p50_us,
            status.lateness_p99_us,
            if status.realtime { "" } else { ", without SCHED_FIFO" }
        ));
    }
    if link.is_netem() {
        notes.push("netem draws for itself: delay tolerances count how far apart draws are".to_owned());
    }
    if link == LinkKind::Proxy {
        notes.push(
            "datagrams: what the proxy does to TCP is of another kind (`testbed/src/proxy`)".to_owned(),
        );
    }
    Ok(CheckReport {
        profile: profile.name.clone(),
        link: link.name(),
        seed: *seed,
        rows,
        lost_to_ground: observed[0].1.lost(),
        notes,
    })
}

fn plans(profile: &PathProfile, seed: u64) -> [Plan; 2] {
    let seeds = PathSeeds::of(seed);
    [
        Plan::new("to ground", &profile.to_ground, &profile.outages, seeds.to_ground),
        Plan::new("to vehicle", &profile.to_vehicle, &profile.outages, seeds.to_vehicle),
    ]
}

/// What of a profile is the same for each packet.
fn without_chance(profile: &PathProfile) -> PathProfile {
    let quiet = |link: &LinkProfile| LinkProfile { jitter_ms: 0.0, loss: Loss::None, ..link.clone() };
    PathProfile {
        name: profile.name.clone(),
        to_ground: quiet(&profile.to_ground),
        to_vehicle: quiet(&profile.to_vehicle),
        outages: OutageSchedule::default(),
    }
}

/// Sends what is planned to the ground and to the vehicle.
async fn observe(path: &Path, name: &str, plans: [Plan; 2]) -> io::Result<[(Plan, Seen); 2]> {
    let flows = socket::open(path).await?;
    let [mut to_ground, to_vehicle] = plans;
    to_ground.openings = flows.openings;
    let start = path.start_time();
    let both = async {
        tokio::join!(flows.to_ground.run(&to_ground, start), flows.to_vehicle.run(&to_vehicle, start))
    };
    let what = format!("probing {name} over {}", path.kind().name());
    let length = to_ground.length().max(to_vehicle.length());
    let (seen_at_ground, seen_at_vehicle) = progress::show(what, length, both).await;
    Ok([(to_ground, seen_at_ground?), (to_vehicle, seen_at_vehicle?)])
}
