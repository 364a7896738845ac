//! A vehicle's and a ground's network namespace with an emulated link between them.
//!
//! ```text
//! vehicle                                     ground
//!   link0  10.77.0.1 -- TUN, emulator, TUN -- link0  10.77.0.2
//!   side0  10.77.1.1 ---- pair of veths ----- side0  10.77.1.2    around the link: the control flow
//! ```
//!
//! Namespaces are apart from the host and from each other, so every path has the same addresses.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{PathError, PathTraffic, Place, Traffic};
use crate::emulator::{Emulator, MTU_BYTES, tun_device};
use crate::link::PathProfile;
use crate::namespace::{Namespace, NamespaceError, check_available, remove_leftovers};

const LINK: &str = "link0";
const SIDE: &str = "side0";
const VEHICLE: Ends = Ends { link: Ipv4Addr::new(10, 77, 0, 1), side: Ipv4Addr::new(10, 77, 1, 1) };
const GROUND: Ends = Ends { link: Ipv4Addr::new(10, 77, 0, 2), side: Ipv4Addr::new(10, 77, 1, 2) };
const GROUND_PORT: u16 = 8080;

/// A namespace's addresses.
struct Ends {
    link: Ipv4Addr,
    side: Ipv4Addr,
}

/// The path through TUN devices. Fields are dropped in this order: the link ends before its namespaces.
#[derive(Debug)]
pub struct TunnelPath {
    emulator: Emulator,
    vehicle_counters: DeviceCounters,
    ground_counters: DeviceCounters,
    vehicle: Place,
    ground: Place,
}

impl TunnelPath {
    pub(super) fn open(profile: &PathProfile, seed: u64) -> Result<Self, PathError> {
        check_available()?;
        remove_leftovers()?;
        let vehicle = Namespace::create("vehicle")?;
        let ground = Namespace::create("ground")?;
        vehicle.ip(&["link", "add", SIDE, "type", "veth", "peer", "name", SIDE, "netns", ground.name()])?;
        let vehicle_device = tun_device(LINK, &vehicle)?;
        let ground_device = tun_device(LINK, &ground)?;
        configure(&vehicle, &VEHICLE, &GROUND)?;
        configure(&ground, &GROUND, &VEHICLE)?;
        let vehicle_counters = DeviceCounters::open(&vehicle)?;
        let ground_counters = DeviceCounters::open(&ground)?;
        let emulator = Emulator::start(profile, seed, vehicle_device, ground_device)?;
        Ok(TunnelPath {
            emulator,
            vehicle_counters,
            ground_counters,
            vehicle: Place::Namespace(vehicle),
            ground: Place::Namespace(ground),
        })
    }

    pub(super) fn vehicle(&self) -> &Place {
        &self.vehicle
    }

    pub(super) fn ground(&self) -> &Place {
        &self.ground
    }

    pub(super) fn emulator(&self) -> &Emulator {
        &self.emulator
    }

    pub(super) fn ground_address(&self) -> SocketAddr {
        (GROUND.link, GROUND_PORT).into()
    }

    pub(super) fn vehicle_address(&self) -> IpAddr {
        VEHICLE.link.into()
    }

    pub(super) fn control_addresses(&self) -> (IpAddr, IpAddr) {
        (VEHICLE.side.into(), GROUND.side.into())
    }

    pub(super) fn traffic(&mut self) -> io::Result<PathTraffic> {
        self.emulator.status()?;
        Ok(PathTraffic { to_ground: self.vehicle_counters.sent()?, to_vehicle: self.ground_counters.sent()? })
    }
}

fn configure(namespace: &Namespace, own: &Ends, peer: &Ends) -> Result<(), NamespaceError> {
    let mtu = MTU_BYTES.to_string();
    namespace.ip(&["address", "add", &own.link.to_string(), "peer", &peer.link.to_string(), "dev", LINK])?;
    namespace.ip(&["link", "set", LINK, "mtu", &mtu, "multicast", "off", "up"])?;
    namespace.ip(&["address", "add", &own.side.to_string(), "peer", &peer.side.to_string(), "dev", SIDE])?;
    namespace.ip(&["link", "set", SIDE, "up"])
}

/// The counters of the link's device in one namespace.
#[derive(Debug)]
struct DeviceCounters {
    /// `/proc/net/dev` shows the namespace in which it was opened.
    file: File,
}

impl DeviceCounters {
    fn open(namespace: &Namespace) -> Result<Self, NamespaceError> {
        Ok(DeviceCounters { file: namespace.enter(|| File::open("/proc/thread-self/net/dev"))? })
    }

    fn sent(&mut self) -> io::Result<Traffic> {
        let mut text = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut text)?;
        parse_sent(&text).ok_or_else(|| io::Error::other(format!("/proc/net/dev has no counters of {LINK}")))
    }
}

/// Eight numbers of what was received, then eight of what was sent: bytes and packets first.
fn parse_sent(text: &str) -> Option<Traffic> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(LINK)?.strip_prefix(':'))?;
    let mut sent = line.split_whitespace().skip(8);
    Some(Traffic { bytes: sent.next()?.parse().ok()?, packets: sent.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_those_of_the_device() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets\n    lo: 1 2 3 4 5 6 7 8 9 10 0 0\n \
                    link0:11 12 0 0 0 0 0 0 1234 56 0 0 0 0 0 0\n";
        assert_eq!(parse_sent(text), Some(Traffic { bytes: 1234, packets: 56 }));
        assert_eq!(parse_sent("lo: 1 2 3"), None);
    }
}
