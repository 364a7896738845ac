//! Where a run takes place: a vehicle's side, a ground's side, a link between them, and a way around the link.

mod place;
mod proxied;
mod routed;
mod sides;
mod tunnel;

use std::io;
use std::net::{IpAddr, SocketAddr};

pub use place::Place;
use proxied::ProxiedPath;
use routed::RoutedPath;
use sides::Sides;
use tunnel::TunnelPath;

use crate::emulator::{EmulatorError, EmulatorStatus};
use crate::guest;
use crate::link::PathProfile;
use crate::namespace::{self, NamespaceError};
use crate::netem::{self, NetemError};
use crate::proxy::ProxyError;

/// What makes the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LinkKind {
    /// The most faithful one that this machine allows.
    Auto,
    /// Real netem on a router between network namespaces. Takes root and a kernel with `sch_netem`.
    Netem,
    /// The same in the kernel of user-mode Linux, which boots for it (see [`crate::guest`]). Takes root.
    Uml,
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
    /// [`LinkKind::Netem`], also within user-mode Linux.
    Routed(RoutedPath),
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
    Netem(#[from] NetemError),
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
        if self != LinkKind::Auto {
            return self;
        }
        let Err(no_netem) = netem::check_available() else { return LinkKind::Netem };
        let Err(why) = namespace::check_tun() else {
            tracing::debug!(%no_netem, "using the emulator");
            return LinkKind::Tun;
        };
        tracing::warn!(
            %why,
            "using the proxy: it shows delay, rate, queue and outages, and loss to datagrams, but not what a real TCP \
             makes of them (slow start, back-off after an outage), and no bytes of acknowledgements"
        );
        LinkKind::Proxy
    }

    /// Whether the kernel's own netem makes it, whose draws no seed fixes.
    pub fn is_netem(self) -> bool {
        matches!(self, LinkKind::Netem | LinkKind::Uml)
    }

    /// Its name on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            LinkKind::Auto => "auto",
            LinkKind::Netem => "netem",
            LinkKind::Uml => "uml",
            LinkKind::Tun => "tun",
            LinkKind::Proxy => "proxy",
        }
    }
}

impl Path {
    /// Makes the path and starts the link's time. Needs a tokio runtime. netem's draws do not follow `seed`.
    /// [`LinkKind::Uml`] is netem here: whoever wants it is in user-mode Linux by now.
    pub fn open(kind: LinkKind, profile: &PathProfile, seed: u64) -> Result<Path, PathError> {
        match kind.resolve() {
            LinkKind::Proxy => ProxiedPath::open(profile, seed).map(Path::Proxied),
            LinkKind::Netem | LinkKind::Uml => RoutedPath::open(profile).map(Path::Routed),
            LinkKind::Auto | LinkKind::Tun => TunnelPath::open(profile, seed).map(Path::Tunnel),
        }
    }

    /// What makes its link.
    pub fn kind(&self) -> LinkKind {
        match self {
            Path::Tunnel(_) => LinkKind::Tun,
            Path::Routed(_) if guest::is_inside() => LinkKind::Uml,
            Path::Routed(_) => LinkKind::Netem,
            Path::Proxied(_) => LinkKind::Proxy,
        }
    }

    /// The vehicle's side.
    pub fn vehicle(&self) -> &Place {
        self.sides().map_or(&Place::Host, Sides::vehicle)
    }

    /// The ground's side.
    pub fn ground(&self) -> &Place {
        self.sides().map_or(&Place::Host, Sides::ground)
    }

    /// Where a server on the ground has to listen.
    pub fn ground_address(&self) -> SocketAddr {
        match self {
            Path::Tunnel(TunnelPath { sides, .. }) | Path::Routed(RoutedPath { sides, .. }) => {
                sides.ground_address()
            }
            Path::Proxied(path) => path.ground_address(),
        }
    }

    /// Where the vehicle reaches that server across the link.
    pub fn address_across_link(&self) -> SocketAddr {
        match self {
            Path::Tunnel(_) | Path::Routed(_) => self.ground_address(),
            Path::Proxied(path) => path.proxy_address(),
        }
    }

    /// The vehicle's address on the link; behind the proxy there is none of its own.
    pub fn vehicle_address(&self) -> IpAddr {
        self.sides().map_or_else(|| self.ground_address().ip(), Sides::vehicle_address)
    }

    /// Addresses of the vehicle and the ground on the way around the link.
    pub fn control_addresses(&self) -> (IpAddr, IpAddr) {
        let host = || (self.ground_address().ip(), self.ground_address().ip());
        self.sides().map_or_else(host, Sides::control_addresses)
    }

    /// When the link's time began, on which its outages are.
    pub fn start_time(&self) -> std::time::Instant {
        match self {
            Path::Tunnel(path) => path.emulator().start_time(),
            Path::Routed(path) => path.netem().start_time(),
            Path::Proxied(path) => path.start_time(),
        }
    }

    /// What crossed the link so far. Fails when the link has ended.
    pub fn traffic(&mut self) -> io::Result<PathTraffic> {
        match self {
            Path::Tunnel(path) => {
                path.emulator().status()?;
                path.sides.traffic()
            }
            Path::Routed(path) => {
                path.netem().check()?;
                path.sides.traffic()
            }
            Path::Proxied(path) => Ok(path.traffic()),
        }
    }

    /// The emulator's own account, where there is one.
    pub fn emulator_status(&self) -> Option<io::Result<EmulatorStatus>> {
        match self {
            Path::Tunnel(path) => Some(path.emulator().status()),
            Path::Routed(_) | Path::Proxied(_) => None,
        }
    }

    fn sides(&self) -> Option<&Sides> {
        match self {
            Path::Tunnel(path) => Some(&path.sides),
            Path::Routed(path) => Some(&path.sides),
            Path::Proxied(_) => None,
        }
    }
}
