//! What lies between the two ends: both directions of the link, and a transport's connections over it.

use std::num::NonZeroU64;

use rand::Rng;
use rand::rngs::StdRng;
use tern_shared::session::{Channel, Transmit};
use tern_shared::time::Instant;
use tern_testbed::link::{Link, Packet, PathSeeds};

use super::OVERHEAD_BYTES;
use super::faults::Faults;
use super::stream::Stream;

/// A message in a transport's packet.
#[derive(Clone, Debug)]
struct Carried {
    connection: u64,
    /// Of the vehicle: where it is from, or for.
    address: u64,
    /// The transport finds out and throws it away.
    corrupt: bool,
    message: Vec<u8>,
}

impl Packet for Carried {
    fn wire_bytes(&self) -> usize {
        self.message.len() + OVERHEAD_BYTES
    }

    fn flip_bit(&mut self, _: u64) {
        self.corrupt = true;
    }
}

pub(crate) struct Network {
    datagrams: bool,
    rate: u64,
    /// What may be lost.
    up: Link<Carried>,
    down: Link<Carried>,
    /// What is sent again until it arrives.
    up_stream: Stream,
    down_stream: Stream,
    /// The connection in use; what comes of an earlier one is thrown away.
    connection: u64,
    /// The vehicle's address, and where the ground takes it to be: from where its newest packet came.
    address: u64,
    known_address: u64,
    /// Nothing crosses any more, and nobody is told.
    pub(crate) severed: bool,
}

impl Network {
    pub(crate) fn new(faults: &Faults, seed: u64) -> Self {
        let seeds = PathSeeds::of(seed);
        Network {
            datagrams: faults.datagrams,
            rate: faults.rate,
            up_stream: Stream::new(&faults.up, &faults.up_outages),
            down_stream: Stream::new(&faults.down, &faults.down_outages),
            up: Link::new(faults.up.clone(), faults.up_outages.clone(), seeds.to_ground),
            down: Link::new(faults.down.clone(), faults.down_outages.clone(), seeds.to_vehicle),
            connection: 0,
            address: 0,
            known_address: 0,
            severed: false,
        }
    }

    /// Another connection, which begins with a handshake from the vehicle's address.
    pub(crate) fn connect(&mut self) {
        self.disconnect();
        self.known_address = self.address;
    }

    pub(crate) fn disconnect(&mut self) {
        self.connection += 1;
        self.up_stream.clear();
        self.down_stream.clear();
        self.severed = false;
    }

    /// The vehicle has another address: datagrams survive it, a stream does not, and does not know.
    pub(crate) fn change_address(&mut self, rng: &mut StdRng) {
        self.address += 1;
        self.severed |= !self.datagrams;
        if rng.random() {
            let delay_ms = rng.random_range(5.0..600.0);
            let rate = self.up.profile().rate_bits_per_second;
            self.up.change(rate, delay_ms);
            self.down.change(rate, delay_ms);
        }
    }

    /// The link carries `share` of what it carried at first.
    pub(crate) fn change_rate(&mut self, share: f64) {
        let rate = NonZeroU64::new((self.rate as f64 * share) as u64).unwrap();
        let (up, down) = (self.up.profile().delay_ms, self.down.profile().delay_ms);
        self.up.change(rate, up);
        self.down.change(rate, down);
    }

    /// Whether both directions are up.
    pub(crate) fn is_up(&self, now: Instant) -> bool {
        !self.severed && [&self.up, &self.down].iter().all(|link| link.outages().down_until(now).is_none())
    }

    pub(crate) fn up_has_room(&self) -> bool {
        !self.datagrams || self.up_stream.has_room()
    }

    pub(crate) fn send_up(&mut self, now: Instant, transmit: Transmit, rng: &mut StdRng) {
        if self.datagrams && transmit.channel == Channel::Stream {
            self.up_stream.send(now, self.connection, transmit.bytes, rng);
        } else {
            let packet = self.carried(transmit.bytes, self.address);
            self.up.send(now, packet);
        }
    }

    pub(crate) fn send_down(&mut self, now: Instant, transmit: Transmit, rng: &mut StdRng) {
        if self.datagrams && transmit.channel == Channel::Stream {
            self.down_stream.send(now, self.connection, transmit.bytes, rng);
        } else {
            let packet = self.carried(transmit.bytes, self.known_address);
            self.down.send(now, packet);
        }
    }

    /// The next message for the ground.
    pub(crate) fn poll_up(&mut self, now: Instant) -> Option<Vec<u8>> {
        while let Some((connection, message)) = self.up_stream.poll(now) {
            if connection == self.connection && !self.severed {
                return Some(message);
            }
        }
        while let Some(packet) = self.up.poll(now) {
            if packet.connection == self.connection && !packet.corrupt && !self.severed {
                self.known_address = self.known_address.max(packet.address);
                return Some(packet.message);
            }
        }
        None
    }

    /// The next message for the vehicle.
    pub(crate) fn poll_down(&mut self, now: Instant) -> Option<Vec<u8>> {
        while let Some((connection, message)) = self.down_stream.poll(now) {
            if connection == self.connection && !self.severed {
                return Some(message);
            }
        }
        while let Some(packet) = self.down.poll(now) {
            let arrives = packet.address == self.address && !packet.corrupt && !self.severed;
            if packet.connection == self.connection && arrives {
                return Some(packet.message);
            }
        }
        None
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let streams = [self.up_stream.poll_timeout(), self.down_stream.poll_timeout()];
        streams.into_iter().chain([self.up.poll_timeout(), self.down.poll_timeout()]).flatten().min()
    }

    fn carried(&self, message: Vec<u8>, address: u64) -> Carried {
        Carried { connection: self.connection, address, corrupt: false, message }
    }
}
