//! The places that connections of vehicles have.
//!
//! A connection is a stranger's until it has said a hello that is authorized, and takes a vehicle's place only then. When
//! strangers are too many, one gives way: the oldest of the address that has the most (of an IPv6 customer's /64). So
//! whoever comes alone from an address has the time that a hello takes, unless more than [`MAX_STRANGERS`] addresses send
//! strangers at once; those who share one, behind a proxy say, keep half of the places at least against one other.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::access::network;

/// The most connections that have not said a hello that is authorized, QUIC handshakes among them.
pub const MAX_STRANGERS: usize = 256;
/// Connections beyond one a vehicle: those that are about to be superseded or refused.
const SPARE: usize = 64;

/// All places.
#[derive(Debug)]
pub struct Places {
    max_known: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// The oldest first.
    strangers: VecDeque<Arc<Stranger>>,
    known: usize,
}

#[derive(Debug)]
struct Stranger {
    network: IpAddr,
    gives_way: Notify,
}

/// A connection's place, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    stranger: Arc<Stranger>,
    is_known: bool,
}

impl Places {
    /// Places for the connections of so many vehicles.
    pub fn new(max_vehicles: usize) -> Self {
        Places { max_known: max_vehicles + SPARE, taken: Mutex::default() }
    }

    /// A stranger's place.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Place {
        let stranger = Arc::new(Stranger { network: network(address), gives_way: Notify::new() });
        let mut taken = self.lock();
        taken.strangers.push_back(stranger.clone());
        if taken.strangers.len() > MAX_STRANGERS {
            taken.make_room();
        }
        Place { places: self.clone(), stranger, is_known: false }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // No code under this lock can leave it half changed.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn make_room(&mut self) {
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for stranger in &self.strangers {
            *counts.entry(stranger.network).or_default() += 1;
        }
        let most = counts.values().max();
        let one_of_most = |stranger: &Arc<Stranger>| counts.get(&stranger.network) == most;
        if let Some(at) = self.strangers.iter().position(one_of_most)
            && let Some(stranger) = self.strangers.remove(at)
        {
            stranger.gives_way.notify_one();
        }
    }

    fn remove(&mut self, stranger: &Arc<Stranger>) {
        self.strangers.retain(|other| !Arc::ptr_eq(other, stranger));
    }
}

impl Place {
    /// Waits until the connection has to end for another; for ever once it is known.
    pub(super) fn gives_way(&self) -> impl Future<Output = ()> + use<> {
        let stranger = self.stranger.clone();
        async move { stranger.gives_way.notified().await }
    }

    /// Takes a vehicle's place instead. Returns whether there was one.
    pub(super) fn become_known(&mut self) -> bool {
        let mut taken = self.places.lock();
        if taken.known >= self.places.max_known {
            return false;
        }
        taken.known += 1;
        taken.remove(&self.stranger);
        self.is_known = true;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if self.is_known {
            taken.known -= 1;
        } else {
            taken.remove(&self.stranger);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn address(n: usize) -> IpAddr {
        IpAddr::from([10, 0, (n >> 8) as u8, n as u8])
    }

    fn has_to_end(place: &Place) -> bool {
        place.gives_way().now_or_never().is_some()
    }

    #[test]
    fn an_address_that_floods_pushes_out_its_own() {
        let places = Arc::new(Places::new(1));
        let (alone, two) = (places.enter(address(1)), [(); 2].map(|()| places.enter(address(2))));
        let flood: Vec<Place> = (0..2 * MAX_STRANGERS).map(|_| places.enter(address(3))).collect();
        assert!(![&alone, &two[0], &two[1]].into_iter().any(has_to_end));
        let ended = flood.iter().map(has_to_end).collect::<Vec<_>>();
        let newest = MAX_STRANGERS - 3;
        assert_eq!(ended, (0..flood.len()).map(|n| n < flood.len() - newest).collect::<Vec<_>>());
    }

    #[test]
    fn of_addresses_with_one_each_the_oldest_gives_way() {
        let places = Arc::new(Places::new(1));
        let strangers: Vec<Place> = (0..=MAX_STRANGERS).map(|n| places.enter(address(n))).collect();
        let ended = strangers.iter().map(has_to_end).collect::<Vec<_>>();
        assert_eq!(ended, (0..=MAX_STRANGERS).map(|n| n == 0).collect::<Vec<_>>());
    }

    #[test]
    fn who_is_known_gives_way_to_nobody_while_there_are_places_for_it() {
        let places = Arc::new(Places::new(1));
        let mut known: Vec<Place> = (0..1 + SPARE).map(|_| places.enter(address(1))).collect();
        assert!(known.iter_mut().all(Place::become_known));
        assert!(!places.enter(address(1)).become_known());
        let _flood: Vec<Place> = (0..2 * MAX_STRANGERS).map(|_| places.enter(address(1))).collect();
        assert!(!known.iter().any(has_to_end));
        known.pop();
        assert!(places.enter(address(1)).become_known());
    }
}
