//! How much one address may ask for.
//!
//! Requests over loopback have no such bound: they come from this computer, or from a proxy on it that knows its clients.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::publish::message::{ErrorCode, Problem};

/// Requests a second of an address, and how many it may save up.
const REQUESTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
const MAX_REQUESTS_AT_ONCE: NonZeroU32 = NonZeroU32::new(60).expect("not zero");

type Instant = <MonotonicClock as governor::clock::Clock>::Instant;
type Requests = RateLimiter<IpAddr, DefaultKeyedStateStore<IpAddr>, MonotonicClock, NoOpMiddleware<Instant>>;

/// The bounds of all addresses.
#[derive(Debug)]
pub struct Limits {
    requests: Requests,
    max_clients_per_address: usize,
    clients: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// One of an address's places for clients; it is free again when this is dropped.
#[derive(Debug)]
pub struct AddressPlace {
    address: Option<IpAddr>,
    clients: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl Limits {
    /// So many clients an address.
    pub fn new(max_clients_per_address: usize) -> Self {
        let quota = Quota::per_second(REQUESTS_PER_SECOND).allow_burst(MAX_REQUESTS_AT_ONCE);
        let requests = RateLimiter::new(quota, DefaultKeyedStateStore::default(), MonotonicClock);
        Limits { requests, max_clients_per_address, clients: Arc::default() }
    }

    /// Whether an address may ask for something more.
    pub fn request(&self, address: IpAddr) -> Result<(), Problem> {
        let Some(network) = bounded(address) else { return Ok(()) };
        self.requests.check_key(&network).map_err(|_| {
            Problem::new(ErrorCode::TooFast, "too many requests from this address, wait a second")
        })
    }

    /// A place for a client that stays.
    pub fn client(&self, address: IpAddr) -> Result<AddressPlace, Problem> {
        let Some(network) = bounded(address) else {
            return Ok(AddressPlace { address: None, clients: self.clients.clone() });
        };
        let mut clients = lock(&self.clients);
        let count = clients.entry(network).or_default();
        if *count >= self.max_clients_per_address {
            let message = format!(
                "{count} clients of this address, which is as many as one may have (max_clients_per_address)"
            );
            return Err(Problem::new(ErrorCode::Limit, message));
        }
        *count += 1;
        Ok(AddressPlace { address: Some(network), clients: self.clients.clone() })
    }

    /// Forgets addresses that have asked for nothing lately.
    pub fn tidy(&self) {
        self.requests.retain_recent();
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut clients = lock(&self.clients);
        if let Some(count) = clients.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&address);
            }
        }
    }
}

/// What is bounded together: an IPv6 customer has a /64 of addresses.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

/// `None` for what has no bound.
fn bounded(address: IpAddr) -> Option<IpAddr> {
    (!address.to_canonical().is_loopback()).then(|| network(address))
}

fn lock(clients: &Mutex<BTreeMap<IpAddr, usize>>) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
    // No code under this lock can leave it half changed.
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_clients_and_a_network_counts_as_one() {
        let limits = Limits::new(2);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = limits.client(address("2001:db8::1")).unwrap();
        let _second = limits.client(address("2001:db8::2")).unwrap();
        assert_eq!(limits.client(address("2001:db8::3")).unwrap_err().code, ErrorCode::Limit);
        let _other = limits.client(address("2001:db8:0:1::1")).unwrap();
        drop(first);
        let _third = limits.client(address("2001:db8::3")).unwrap();
        let local: Vec<AddressPlace> =
            (0..100).map(|_| limits.client(address("::ffff:127.0.0.1")).unwrap()).collect();
        assert_eq!((local.len(), lock(&limits.clients).len()), (100, 2));
    }

    #[test]
    fn requests_beyond_what_was_saved_up_are_refused() {
        let limits = Limits::new(2);
        let address = "192.0.2.1".parse().unwrap();
        let refused = (0..1000).filter(|_| limits.request(address).is_err()).count();
        assert!((800..=940).contains(&refused), "{refused}");
        assert!((0..1000).all(|_| limits.request("127.0.0.1".parse().unwrap()).is_ok()));
    }
}
