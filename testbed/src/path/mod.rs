//! Where a run takes place: a vehicle's side, a ground's side, a link between them, and a way around the link.

mod place;
mod proxied;
mod tunnel;

use std::io;
use std::net::{IpAddr, SocketAddr};

pub use place::Place;
use proxied::ProxiedPath;
use tunnel::TunnelPath;

use crate::emulator::{EmulatorError, EmulatorStatus};
use crate::link::PathProfile;
use crate::namespace::{self, NamespaceError};
use crate::proxy::ProxyError;

/// What makes the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LinkKind {
    /// The most faithful one that this machine allows.
    Auto,
    /// The link model on TUN devices between network namespaces: real TCP and UDP. Takes root.
    Tun,
    /// The link model in a TCP proxy on loopback.
    Proxy,
}

/// An open path. Dropping it removes everything that it made.
#[derive(Debug)]
pub enum Path {
    /// [`LinkKind::Tun`].
    Tunnel(TunnelPath),
    /// [`LinkKind::Proxy`].
    Proxied(ProxiedPath),
}

/// What crossed a link in one direction, IP headers included, lost packets included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
}

/// What crossed a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathTraffic {
    /// From the vehicle to the ground.
    pub to_ground: Traffic,
    /// From the ground to the vehicle.
    pub to_vehicle: Traffic,
}

impl PathTraffic {
    /// What crossed between `earlier` and this.
    pub fn since(self, earlier: PathTraffic) -> PathTraffic {
        let since = |now: Traffic, then: Traffic| Traffic {
            bytes: now.bytes.saturating_sub(then.bytes),
            packets: now.packets.saturating_sub(then.packets),
        };
        PathTraffic {
            to_ground: since(self.to_ground, earlier.to_ground),
            to_vehicle: since(self.to_vehicle, earlier.to_vehicle),
        }
    }
}

/// Why there is no path.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum PathError {
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error(transparent)]
    Profile(#[from] crate::link::InvalidProfile),
    #[error("cannot open the path: {0}")]
    Io(#[from] io::Error),
}

impl LinkKind {
    /// What `Auto` comes to on this machine; says what a lesser choice cannot show.
    pub fn resolve(self) -> LinkKind {
        match (self, namespace::check_available()) {
            (LinkKind::Auto, Ok(())) => LinkKind::Tun,
            (LinkKind::Auto, Err(why)) => {
                tracing::warn!(
                    %why,
                    "using the proxy: it shows delay, rate, queue and outages, but not what a real TCP makes of them \
                     (slow start, back-off after an outage), no UDP, and no bytes of acknowledgements"
                );
                LinkKind::Proxy
            }
            (kind, _) => kind,
        }
    }

    /// Its name on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            LinkKind::Auto => "auto",
            LinkKind::Tun => "tun",
            LinkKind::Proxy => "proxy",
        }
    }
}

impl Path {
    /// Makes the path and starts the link's time. Needs a tokio runtime.
    pub fn open(kind: LinkKind, profile: &PathProfile, seed: u64) -> Result<Path, PathError> {
        match kind.resolve() {
            LinkKind::Proxy => ProxiedPath::open(profile, seed).map(Path::Proxied),
            LinkKind::Auto | LinkKind::Tun => TunnelPath::open(profile, seed).map(Path::Tunnel),
        }
    }

    /// What makes its link.
    pub fn kind(&self) -> LinkKind {
        match self {
            Path::Tunnel(_) => LinkKind::Tun,
            Path::Proxied(_) => LinkKind::Proxy,
        }
    }

    /// The vehicle's side.
    pub fn vehicle(&self) -> &Place {
        match self {
            Path::Tunnel(path) => path.vehicle(),
            Path::Proxied(_) => &Place::Host,
        }
    }

    /// The ground's side.
    pub fn ground(&self) -> &Place {
        match self {
            Path::Tunnel(path) => path.ground(),
            Path::Proxied(_) => &Place::Host,
        }
    }

    /// Where a server on the ground has to listen.
    pub fn ground_address(&self) -> SocketAddr {
        match self {
            Path::Tunnel(path) => path.ground_address(),
            Path::Proxied(path) => path.ground_address(),
        }
    }

    /// Where the vehicle reaches that server across the link.
    pub fn address_across_link(&self) -> SocketAddr {
        match self {
            Path::Tunnel(path) => path.ground_address(),
            Path::Proxied(path) => path.proxy_address(),
        }
    }

    /// The vehicle's address on the link; behind the proxy there is none of its own.
    pub fn vehicle_address(&self) -> IpAddr {
        match self {
            Path::Tunnel(path) => path.vehicle_address(),
            Path::Proxied(path) => path.ground_address().ip(),
        }
    }

    /// Addresses of the vehicle and the ground on the way around the link.
    pub fn control_addresses(&self) -> (IpAddr, IpAddr) {
        match self {
            Path::Tunnel(path) => path.control_addresses(),
            Path::Proxied(path) => (path.ground_address().ip(), path.ground_address().ip()),
        }
    }

    /// When the link's time began, on which its outages are.
    pub fn start_time(&self) -> std::time::Instant {
        match self {
            Path::Tunnel(path) => path.emulator().start_time(),
            Path::Proxied(path) => path.start_time(),
        }
    }

    /// What crossed the link so far. Fails when the link has ended.
    pub fn traffic(&mut self) -> io::Result<PathTraffic> {
        match self {
            Path::Tunnel(path) => path.traffic(),
            Path::Proxied(path) => Ok(path.traffic()),
        }
    }

    /// The emulator's own account, where there is one.
    pub fn emulator_status(&self) -> Option<io::Result<EmulatorStatus>> {
        match self {
            Path::Tunnel(path) => Some(path.emulator().status()),
            Path::Proxied(_) => None,
        }
    }
}
