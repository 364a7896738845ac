//! A proxy for TCP and UDP on loopback between a vehicle and a ground that share this machine's network.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Instant;

use tokio::sync::watch;

use super::{PathError, PathTraffic, Traffic};
use crate::link::PathProfile;
use crate::proxy::{DirectionStatus, Proxy, ProxyOptions, ProxyStatus};

/// The path through the proxy.
#[derive(Debug)]
pub struct ProxiedPath {
    ground: SocketAddr,
    proxy: SocketAddr,
    start: Instant,
    status: watch::Receiver<ProxyStatus>,
    task: tokio::task::JoinHandle<()>,
}

impl ProxiedPath {
    pub(super) fn open(profile: &PathProfile, seed: u64) -> Result<Self, PathError> {
        // Free a moment ago: the ground binds it anew.
        let ground = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let proxy = Proxy::bind(ProxyOptions {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            forward_to: ground,
            profile: profile.clone(),
            cut_every: None,
            seed,
        })?;
        let (address, status) = (proxy.local_addr()?, proxy.status());
        let start = Instant::now();
        Ok(ProxiedPath { ground, proxy: address, start, status, task: tokio::spawn(proxy.run()) })
    }

    pub(super) fn ground_address(&self) -> SocketAddr {
        self.ground
    }

    pub(super) fn proxy_address(&self) -> SocketAddr {
        self.proxy
    }

    pub(super) fn start_time(&self) -> Instant {
        self.start
    }

    pub(super) fn traffic(&self) -> PathTraffic {
        let status = *self.status.borrow();
        let traffic =
            |status: DirectionStatus| Traffic { bytes: status.wire_bytes, packets: status.segments };
        PathTraffic { to_ground: traffic(status.to_ground), to_vehicle: traffic(status.to_vehicle) }
    }
}

impl Drop for ProxiedPath {
    fn drop(&mut self) {
        self.task.abort();
    }
}
