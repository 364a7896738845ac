//! The tickets by which a vehicle sends with its first packet (0-RTT).
//!
//! Each is good once, and a connection brings two. An attempt that does not send early would use one up for nothing: a
//! ground that is silent for long would be found again without any.

use std::sync::atomic::{AtomicBool, Ordering};

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;

/// Tickets of the grounds of one link: two connections' worth.
const MAX_TICKETS: usize = 4;

/// A store that gives tickets only to attempts that send early.
#[derive(Debug)]
pub(super) struct Tickets {
    store: ClientSessionMemoryCache,
    gives: AtomicBool,
}

impl Tickets {
    pub(super) fn new() -> Self {
        Tickets { store: ClientSessionMemoryCache::new(MAX_TICKETS), gives: AtomicBool::new(false) }
    }

    /// Whether the attempt that begins next may have one.
    pub(super) fn give(&self, gives: bool) {
        self.gives.store(gives, Ordering::Relaxed);
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.store.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.store.kx_hint(server_name)
    }

    // QUIC has TLS 1.3 only.
    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.store.insert_tls13_ticket(server_name, ticket);
    }

    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        if self.gives.load(Ordering::Relaxed) { self.store.take_tls13_ticket(server_name) } else { None }
    }
}
