//! Whether a link is what was asked for, by a probe flow of our own through it.
//!
//! 1. Steady: small probes at a third of the rate, for at least 20 s and until the scenario's last single outage is
//!    over. Asked for are the delays that the model gives these very probes in virtual time, and the profile's share
//!    of loss and its outages.
//! 2. Saturated: half a queue at once and then as much as the link carries. The pace of arrivals is the rate.
//!
//! The proxy hides loss and hands bytes on in order, so it is checked without loss and by TCP.

mod flow;
mod judge;
mod plan;
mod socket;

use std::io;

use crate::link::{Loss, PathProfile, PathSeeds};
use crate::path::{LinkKind, Path, PathError};
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
    let mut profile = options.profile.clone();
    if link == LinkKind::Proxy {
        profile.to_ground.loss = Loss::None;
        profile.to_vehicle.loss = Loss::None;
        profile.outages = Default::default();
    }
    let seeds = PathSeeds::of(options.seed);
    let path = Path::open(link, &profile, options.seed)?;
    let flows = match link {
        LinkKind::Proxy => socket::streams(&path).await?,
        LinkKind::Auto | LinkKind::Netem | LinkKind::Uml | LinkKind::Tun => socket::datagrams(&path)?,
    };
    let header_bytes = flows[0].header_bytes();
    let plan = |direction, link, seed| Plan::new(direction, link, &profile.outages, seed, header_bytes);
    let plans = [
        plan("to ground", &profile.to_ground, seeds.to_ground),
        plan("to vehicle", &profile.to_vehicle, seeds.to_vehicle),
    ];
    let [to_ground, to_vehicle] = flows;
    let start = path.start_time();
    let (to_ground, to_vehicle) =
        tokio::join!(to_ground.run(plans[0].clone(), start), to_vehicle.run(plans[1].clone(), start));
    let (to_ground, to_vehicle) = (to_ground?, to_vehicle?);

    let mut report = CheckReport {
        profile: options.profile.name.clone(),
        link: link.name(),
        seed: options.seed,
        rows: [judge::rows(&plans[0], &to_ground, link), judge::rows(&plans[1], &to_vehicle, link)].concat(),
        lost_to_ground: to_ground.lost(),
        notes: Vec::new(),
    };
    if let Some(status) = path.emulator_status() {
        let status = status?;
        report.notes.push(format!(
            "the emulator delivered {:.0} us late at p50, {:.0} us at p99{}",
            status.lateness_p50_us,
            status.lateness_p99_us,
            if status.realtime { "" } else { ", without SCHED_FIFO" }
        ));
    }
    if link == LinkKind::Proxy {
        report
            .notes
            .push("the proxy hides loss and holds bytes back in outages: checked without either".to_owned());
    }
    Ok(report)
}
