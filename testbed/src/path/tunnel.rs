//! The emulated link between the two namespaces: the link model between TUN devices.

use super::PathError;
use super::sides::{LINK, Sides};
use crate::emulator::{Emulator, MTU_BYTES, tun_device};
use crate::link::PathProfile;
use crate::namespace::check_tun;

/// The path through TUN devices. Fields are dropped in this order: the link ends before its namespaces.
#[derive(Debug)]
pub struct TunnelPath {
    emulator: Emulator,
    pub(super) sides: Sides,
}

impl TunnelPath {
    pub(super) fn open(profile: &PathProfile, seed: u64) -> Result<Self, PathError> {
        check_tun()?;
        let namespaces = Sides::namespaces()?;
        let [vehicle, ground] = &namespaces;
        let devices = [tun_device(LINK, vehicle)?, tun_device(LINK, ground)?];
        for namespace in &namespaces {
            namespace.ip(&["link", "set", LINK, "mtu", &MTU_BYTES.to_string(), "multicast", "off"])?;
        }
        let sides = Sides::new(namespaces, 0)?;
        let [vehicle_device, ground_device] = devices;
        let emulator = Emulator::start(profile, seed, vehicle_device, ground_device)?;
        Ok(TunnelPath { emulator, sides })
    }

    pub(super) fn emulator(&self) -> &Emulator {
        &self.emulator
    }
}
