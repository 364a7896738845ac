//! One vehicle of the demo: an edge, a satellite link of its own, and a device to command.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use super::{DemoError, OUTAGE, STOP_GRACE, binary, free_address};
use crate::link::{Outage, OutageSchedule, builtin_profile};
use crate::process::Process;
use crate::proxy::{Proxy, ProxyOptions, ProxyStatus};

/// What makes one vehicle differ from another.
pub(super) struct About {
    /// Its name, and its processes'.
    pub(super) name: &'static str,
    pub(super) edge: &'static str,
    /// As `tern-testbed device` calls it.
    pub(super) device: &'static str,
    /// A source of telemetry beside the device.
    pub(super) source: Option<String>,
    /// The part of the edge's configuration about commands, with `{source}` for the device's.
    pub(super) commands: &'static str,
    pub(super) seed: u64,
}

/// Where the ground is, and how vehicles know it.
pub(super) struct GroundAt {
    pub(super) address: SocketAddr,
    pub(super) certificate: PathBuf,
}

pub(super) struct Vehicle {
    pub(super) edge: Process,
    pub(super) link: watch::Receiver<ProxyStatus>,
    device: Process,
    link_task: tokio::task::JoinHandle<()>,
}

impl Vehicle {
    pub(super) fn start(about: &About, ground: &GroundAt, folder: &Path) -> Result<Vehicle, DemoError> {
        let device_address = free_address(Some(0))?;
        let device = Process::spawn(
            about.device,
            &std::env::current_exe()?,
            ["device", about.device, "--listen", &device_address.to_string()],
        )?;
        let source = format!("jsonl+tcpout:{device_address}");
        let config = folder.join(format!("{}.toml", about.name));
        std::fs::write(&config, about.commands.replace("{source}", &source))?;

        let (start, length, every) = OUTAGE;
        let outages = OutageSchedule::new(vec![Outage::periodic(start, length, every)])
            .expect("the demo's outage is a valid one");
        let proxy = Proxy::bind(ProxyOptions {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            forward_to: ground.address,
            profile: builtin_profile("geo-bgan")?.with_outages(outages),
            cut_every: None,
            seed: about.seed,
        })?;
        let link = proxy.status();
        let mut arguments: Vec<String> = ["--vehicle", about.name, "--config"].map(str::to_owned).into();
        arguments.push(config.display().to_string());
        arguments.extend(["--ground".to_owned(), format!("quic://{}", proxy.local_addr()?)]);
        arguments.extend(["--certificates".to_owned(), ground.certificate.display().to_string()]);
        for source in about.source.iter().chain([&source]) {
            arguments.extend(["--source".to_owned(), source.clone()]);
        }
        let spool = folder.join(format!("{}.sqlite", about.name)).display().to_string();
        arguments.extend(["--spool".to_owned(), spool]);
        arguments
            .extend(["--rate-bits-per-second", "64000", "--status-interval-ms", "1000"].map(str::to_owned));
        let edge = Process::spawn(about.edge, &binary("tern-edge")?, arguments)?;
        let link_task = tokio::spawn(proxy.run());
        Ok(Vehicle { edge, link, device, link_task })
    }

    pub(super) fn children(&mut self) -> [&mut Process; 2] {
        [&mut self.edge, &mut self.device]
    }

    /// The edge first, so that it can say goodbye.
    pub(super) async fn stop(mut self) {
        for child in self.children() {
            if let Err(error) = child.stop(STOP_GRACE).await {
                tracing::warn!(process = child.name(), %error, "cannot stop it");
            }
        }
        self.link_task.abort();
    }
}
