//! Real netem (`sch_netem`) as the link: a qdisc for each direction, and outages by the clock.
//!
//! Its draws are the kernel's own: a seed does not fix them. `tc` (package iproute2) sets it up; one `tc` that reads
//! from a pipe makes the changes, as starting one for each takes too long for an outage of 150 ms.

mod outages;
mod qdisc;

use std::io;

use outages::Outages;
use tern_shared::time::Instant;

use crate::link::PathProfile;
use crate::namespace::{self, Namespace, NamespaceError};

/// A running link; dropping it ends its outages.
#[derive(Debug)]
pub struct Netem {
    start: std::time::Instant,
    /// `None` when there are none.
    outages: Option<Outages>,
}

/// Why there is no link through netem.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum NetemError {
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error(
        "this kernel has no netem (module sch_netem): --link uml boots one that has, --link tun emulates it ({0})"
    )]
    NotInKernel(NamespaceError),
    #[error("netem cannot hold up reordered packets: a profile with reorder_percent takes --link tun")]
    Reordering,
    #[error("cannot start the outages of netem: {0}")]
    Io(#[from] io::Error),
}

/// Whether this process can make namespaces with netem in them; else what is missing.
pub fn check_available() -> Result<(), NetemError> {
    namespace::check_available()?;
    let probe = Namespace::create("probe")?;
    probe.tc(&["qdisc", "add", "dev", "lo", "root", "netem"]).map_err(NetemError::NotInKernel)
}

impl Netem {
    /// Starts the link's time. `devices`: the router's towards the ground and the vehicle, up and without a qdisc.
    pub fn start(
        profile: &PathProfile,
        router: &Namespace,
        devices: [&'static str; 2],
    ) -> Result<Netem, NetemError> {
        for command in qdisc::commands("add", devices, profile, Instant::default())? {
            router.tc(&command.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        let start = std::time::Instant::now();
        let has_outages = profile.outages.next_change(Instant::default()).is_some();
        let outages =
            has_outages.then(|| Outages::start(profile.clone(), router, devices, start)).transpose()?;
        Ok(Netem { start, outages })
    }

    /// When the link's time began.
    pub fn start_time(&self) -> std::time::Instant {
        self.start
    }

    /// Fails with the reason when outages no longer come as scheduled.
    pub fn check(&self) -> io::Result<()> {
        self.outages.as_ref().map_or(Ok(()), Outages::check)
    }
}
