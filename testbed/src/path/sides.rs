//! A vehicle's and a ground's network namespace, with a way around the link that a path puts between them.
//!
//! ```text
//! vehicle                                     ground
//!   link0  10.77.0.1 -------- link ---------- link0  10.77.0.2
//!   side0  10.77.1.1 ---- pair of veths ----- side0  10.77.1.2    around the link: the control flow
//! ```
//!
//! Namespaces are apart from the host and from each other, so every path has the same addresses.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{PathTraffic, Place, Traffic};
use crate::namespace::{Namespace, NamespaceError, remove_leftovers};

/// The device of the link in either namespace.
pub(super) const LINK: &str = "link0";
/// The vehicle's address on the link.
pub(super) const VEHICLE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The ground's address on the link.
pub(super) const GROUND: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

const SIDE: &str = "side0";
const VEHICLE_SIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
const GROUND_SIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
const GROUND_PORT: u16 = 8080;

/// Both ends of a path whose link has its devices.
#[derive(Debug)]
pub(super) struct Sides {
    vehicle_counters: DeviceCounters,
    ground_counters: DeviceCounters,
    vehicle: Place,
    ground: Place,
}

impl Sides {
    /// The vehicle's and the ground's namespace, with the way around the link, and without the link.
    pub(super) fn namespaces() -> Result<[Namespace; 2], NamespaceError> {
        remove_leftovers()?;
        let vehicle = Namespace::create("vehicle")?;
        let ground = Namespace::create("ground")?;
        vehicle.ip(&["link", "add", SIDE, "type", "veth", "peer", "name", SIDE, "netns", ground.name()])?;
        set_up(&vehicle, SIDE, VEHICLE_SIDE, GROUND_SIDE)?;
        set_up(&ground, SIDE, GROUND_SIDE, VEHICLE_SIDE)?;
        Ok([vehicle, ground])
    }

    /// Both have the link's device by now. `frame_bytes`: the device's own header of each packet.
    pub(super) fn new([vehicle, ground]: [Namespace; 2], frame_bytes: u64) -> Result<Sides, NamespaceError> {
        set_up(&vehicle, LINK, VEHICLE, GROUND)?;
        set_up(&ground, LINK, GROUND, VEHICLE)?;
        Ok(Sides {
            vehicle_counters: DeviceCounters::open(&vehicle, frame_bytes)?,
            ground_counters: DeviceCounters::open(&ground, frame_bytes)?,
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

    pub(super) fn ground_address(&self) -> SocketAddr {
        (GROUND, GROUND_PORT).into()
    }

    pub(super) fn vehicle_address(&self) -> IpAddr {
        VEHICLE.into()
    }

    pub(super) fn control_addresses(&self) -> (IpAddr, IpAddr) {
        (VEHICLE_SIDE.into(), GROUND_SIDE.into())
    }

    pub(super) fn traffic(&mut self) -> io::Result<PathTraffic> {
        Ok(PathTraffic { to_ground: self.vehicle_counters.sent()?, to_vehicle: self.ground_counters.sent()? })
    }
}

fn set_up(namespace: &Namespace, device: &str, own: Ipv4Addr, peer: Ipv4Addr) -> Result<(), NamespaceError> {
    namespace.ip(&["address", "add", &own.to_string(), "peer", &peer.to_string(), "dev", device])?;
    namespace.ip(&["link", "set", device, "up"])
}

/// The counters of the link's device in one namespace.
#[derive(Debug)]
struct DeviceCounters {
    /// `/proc/net/dev` shows the namespace in which it was opened.
    file: File,
    /// What the device adds to each packet.
    frame_bytes: u64,
}

impl DeviceCounters {
    fn open(namespace: &Namespace, frame_bytes: u64) -> Result<Self, NamespaceError> {
        let file = namespace.enter(|| File::open("/proc/thread-self/net/dev"))?;
        Ok(DeviceCounters { file, frame_bytes })
    }

    fn sent(&mut self) -> io::Result<Traffic> {
        let mut text = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut text)?;
        let Traffic { bytes, packets } = parse_sent(&text)
            .ok_or_else(|| io::Error::other(format!("/proc/net/dev has no counters of {LINK}")))?;
        Ok(Traffic { bytes: bytes.saturating_sub(packets * self.frame_bytes), packets })
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
