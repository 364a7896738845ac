//! Moves segments between the connections and the two directions of the link.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tern_shared::time::Instant;
use tokio::sync::mpsc;

use super::carrier::{Carrier, Content};
use super::connection::{Connection, Uplinks};
use super::flow::{self, Flows};
use super::{DirectionStatus, Proxy, ProxyOptions, ProxyStatus};
use crate::link::{LinkProfile, PathSeeds};

/// How many of the ground's datagrams wait for the link.
const DATAGRAMS_MAX: usize = 64;
/// How long a failed accept (too many open files) or receive pauses everything.
const RETRY: Duration = Duration::from_millis(100);

pub(super) async fn run(proxy: Proxy) {
    let Proxy { listener, datagrams, datagrams_to, options, timer, status } = proxy;
    let datagrams = Arc::new(datagrams);
    let start = std::time::Instant::now();
    let now = || Instant(start.elapsed());
    // One segment is on its way from a reader to the link; all others wait in their sockets.
    let (to_ground_inlet, mut to_ground_segments) = mpsc::channel(1);
    let (to_vehicle_inlet, mut to_vehicle_segments) = mpsc::channel(1);
    let uplinks = Uplinks { to_ground: to_ground_inlet, to_vehicle: to_vehicle_inlet };
    let (datagrams_inlet, mut datagrams_to_vehicle) = mpsc::channel(DATAGRAMS_MAX);
    let flows = Flows::new(Arc::clone(&datagrams), datagrams_to, datagrams_inlet);
    let mut buffer = flow::buffer();
    let mut engine = Engine::new(&options, flows);
    loop {
        engine.advance(now());
        status.send_replace(engine.status(now()));
        let wake = engine.poll_timeout(now()).map(|at| at.since(now()));
        tokio::select! {
            biased;
            // Priority 1: what has crossed the link is not held up by what has not.
            result = timer.wait(wake.unwrap_or_default()), if wake.is_some() => if let Err(error) = result {
                tracing::error!(%error, "the proxy's timer fails");
                return;
            },
            // Priority 2: datagrams, which do not wait for room.
            received = flow::receive(&datagrams, &mut buffer) => match received {
                Ok((bytes, source)) => {
                    if let Some(datagram) = engine.flows.take_from_vehicle(now(), source, &buffer[..bytes]) {
                        engine.to_ground.send(now(), datagram);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot receive datagrams");
                    tokio::time::sleep(RETRY).await;
                }
            },
            Some(datagram) = datagrams_to_vehicle.recv() => {
                engine.flows.touch(now(), datagram.connection);
                engine.to_vehicle.send(now(), datagram);
            }
            // Priority 3: new connections.
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    engine.add_connection(|id| Connection::start(id, socket, options.forward_to, uplinks.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(RETRY).await;
                }
            },
            // Priority 4: the narrow direction first.
            Some(segment) = to_ground_segments.recv(), if engine.to_ground.has_room(now()) => {
                engine.to_ground.send(now(), segment);
            }
            Some(segment) = to_vehicle_segments.recv(), if engine.to_vehicle.has_room(now()) => {
                engine.to_vehicle.send(now(), segment);
            }
        }
    }
}

struct Engine {
    to_ground: Carrier,
    to_vehicle: Carrier,
    connections: BTreeMap<u64, Connection>,
    flows: Flows,
    cuts: Option<CutSchedule>,
    accepted: u64,
    cut_connections: u64,
    delivered_to_ground_bytes: u64,
    delivered_to_vehicle_bytes: u64,
}

impl Engine {
    fn new(options: &ProxyOptions, flows: Flows) -> Self {
        let profile = &options.profile;
        let seeds = PathSeeds::of(options.seed);
        let carrier = |direction: &LinkProfile, seed| {
            Carrier::new(direction.clone(), profile.outages.clone(), profile.round_trip(), seed)
        };
        Engine {
            to_ground: carrier(&profile.to_ground, seeds.to_ground),
            to_vehicle: carrier(&profile.to_vehicle, seeds.to_vehicle),
            connections: BTreeMap::new(),
            flows,
            cuts: options.cut_every.map(|every| CutSchedule::new(every, !options.seed)),
            accepted: 0,
            cut_connections: 0,
            delivered_to_ground_bytes: 0,
            delivered_to_vehicle_bytes: 0,
        }
    }

    /// Delivers what has arrived, and cuts when it is time to.
    fn advance(&mut self, now: Instant) {
        if self.cuts.as_mut().is_some_and(|cuts| cuts.is_due(now)) {
            self.cut_connections += self.connections.len() as u64;
            self.connections.clear();
        }
        self.flows.expire(now);
        // Segments of connections that were cut find nobody.
        while let Some(segment) = self.to_ground.poll(now) {
            if let Content::Datagram(bytes) = &segment.content {
                self.delivered_to_ground_bytes += self.flows.deliver_to_ground(segment.connection, bytes);
            } else if let Some(connection) = self.connections.get_mut(&segment.connection) {
                let id = segment.connection;
                self.delivered_to_ground_bytes += connection.deliver_to_ground(segment);
                self.retire_if_finished(id);
            }
        }
        while let Some(segment) = self.to_vehicle.poll(now) {
            if let Content::Datagram(bytes) = &segment.content {
                self.delivered_to_vehicle_bytes += self.flows.deliver_to_vehicle(segment.connection, bytes);
            } else if let Some(connection) = self.connections.get_mut(&segment.connection) {
                let id = segment.connection;
                self.delivered_to_vehicle_bytes += connection.deliver_to_vehicle(segment);
                self.retire_if_finished(id);
            }
        }
    }

    fn add_connection(&mut self, start: impl FnOnce(u64) -> Connection) {
        let id = self.accepted;
        self.accepted += 1;
        self.connections.insert(id, start(id));
    }

    fn retire_if_finished(&mut self, id: u64) {
        if self.connections.get(&id).is_some_and(Connection::is_finished)
            && let Some(connection) = self.connections.remove(&id)
        {
            connection.finish();
        }
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let cut = self.cuts.as_ref().map(|cuts| cuts.next);
        let links = [self.to_ground.poll_timeout(now), self.to_vehicle.poll_timeout(now)];
        links.into_iter().chain([cut, self.flows.poll_timeout()]).flatten().min()
    }

    fn status(&self, now: Instant) -> ProxyStatus {
        ProxyStatus {
            to_ground: direction_status(&self.to_ground, self.delivered_to_ground_bytes),
            to_vehicle: direction_status(&self.to_vehicle, self.delivered_to_vehicle_bytes),
            connections: self.accepted,
            flows: self.flows.opened(),
            cut_connections: self.cut_connections,
            down_until: self.to_ground.down_until(now),
        }
    }
}

fn direction_status(carrier: &Carrier, delivered_bytes: u64) -> DirectionStatus {
    let counters = carrier.counters();
    DirectionStatus {
        segments: counters.sent_packets,
        wire_bytes: counters.sent_bytes,
        lost_segments: counters.lost_packets,
        delivered_bytes,
    }
}

/// When connections are cut.
struct CutSchedule {
    every: Duration,
    next: Instant,
    rng: StdRng,
}

impl CutSchedule {
    fn new(every: Duration, seed: u64) -> Self {
        let mut schedule = CutSchedule { every, next: Instant::default(), rng: StdRng::seed_from_u64(seed) };
        schedule.advance_from(Instant::default());
        schedule
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.next <= now;
        if due {
            self.advance_from(now);
        }
        due
    }

    fn advance_from(&mut self, now: Instant) {
        self.next = now + self.every.mul_f64(self.rng.random_range(0.5..1.5));
    }
}
