//! Real netem between the two namespaces, on a router of its own.
//!
//! ```text
//! vehicle                router                    ground
//!   link0 --- veth --- vehicle0    ground0 --- veth --- link0
//!             <= netem              netem =>
//! ```
//!
//! The qdiscs are not on the ends' own devices, where TCP would feel them as back-pressure: it learns of a full queue
//! by loss, as behind a modem. Packets are not gathered to larger ones (`gso_max_segs`), and nobody asks for hardware
//! addresses across the link.

use std::net::Ipv4Addr;

use super::PathError;
use super::sides::{GROUND, LINK, Sides, VEHICLE};
use crate::link::PathProfile;
use crate::namespace::{Namespace, NamespaceError};
use crate::netem::{Netem, check_available};

/// An Ethernet header, which veths count.
const FRAME_BYTES: u64 = 14;

/// The router's device towards one end, and hardware addresses of both.
struct Port {
    device: &'static str,
    hardware: &'static str,
    end_hardware: &'static str,
    end: Ipv4Addr,
}

const TO_VEHICLE: Port = Port {
    device: "vehicle0",
    hardware: "02:00:00:00:01:02",
    end_hardware: "02:00:00:00:01:01",
    end: VEHICLE,
};
const TO_GROUND: Port =
    Port { device: "ground0", hardware: "02:00:00:00:02:02", end_hardware: "02:00:00:00:02:01", end: GROUND };

/// The path through netem. Fields are dropped in this order: the link ends before its namespaces.
#[derive(Debug)]
pub struct RoutedPath {
    netem: Netem,
    _router: Namespace,
    pub(super) sides: Sides,
}

impl RoutedPath {
    pub(super) fn open(profile: &PathProfile) -> Result<Self, PathError> {
        check_available()?;
        let namespaces = Sides::namespaces()?;
        let [vehicle, ground] = &namespaces;
        let router = Namespace::create("router")?;
        plug_in(&router, &TO_VEHICLE, vehicle, GROUND)?;
        plug_in(&router, &TO_GROUND, ground, VEHICLE)?;
        router.enter(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?;
        let sides = Sides::new(namespaces, FRAME_BYTES)?;
        let netem = Netem::start(profile, &router, [TO_GROUND.device, TO_VEHICLE.device])?;
        Ok(RoutedPath { netem, _router: router, sides })
    }

    pub(super) fn netem(&self) -> &Netem {
        &self.netem
    }
}

/// Joins an end to the router. `peer`: the address of the other end.
fn plug_in(router: &Namespace, port: &Port, end: &Namespace, peer: Ipv4Addr) -> Result<(), NamespaceError> {
    router.ip(&[
        "link",
        "add",
        port.device,
        "address",
        port.hardware,
        "type",
        "veth",
        "peer",
        "name",
        LINK,
        "address",
        port.end_hardware,
        "netns",
        end.name(),
    ])?;
    for (namespace, device) in [(router, port.device), (end, LINK)] {
        namespace.ip(&["link", "set", device, "gso_max_segs", "1", "up"])?;
    }
    let address = port.end.to_string();
    router.ip(&["route", "add", &address, "dev", port.device])?;
    know(router, &address, port.end_hardware, port.device)?;
    know(end, &peer.to_string(), port.hardware, LINK)
}

/// Sees to it that nobody has to ask for the hardware address.
fn know(namespace: &Namespace, address: &str, hardware: &str, device: &str) -> Result<(), NamespaceError> {
    namespace.ip(&["neighbour", "add", address, "lladdr", hardware, "nud", "permanent", "dev", device])
}
