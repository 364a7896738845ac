//! A reliable ordered stream over the bad link: what is lost is sent again, which takes its time.

use std::collections::VecDeque;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tern_shared::time::Instant;
use tern_testbed::link::{LinkProfile, OutageSchedule};

/// Messages that wait for the stream before it has no room.
const ROOM: usize = 8;

pub(crate) struct Stream {
    delay: Duration,
    outages: OutageSchedule,
    /// Oldest first, each with its arrival and its connection.
    messages: VecDeque<(Instant, u64, Vec<u8>)>,
}

impl Stream {
    pub(crate) fn new(profile: &LinkProfile, outages: &OutageSchedule) -> Self {
        Stream { delay: profile.delay(), outages: outages.clone(), messages: VecDeque::new() }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.messages.len() < ROOM
    }

    pub(crate) fn send(&mut self, now: Instant, connection: u64, message: Vec<u8>, rng: &mut StdRng) {
        let retries = if rng.random_bool(0.2) { rng.random_range(0..4) } else { 0 };
        let left = self.outages.down_until(now).unwrap_or(now);
        let arrives = left + self.delay * (1 + 2 * retries);
        let last = self.messages.back().map_or(arrives, |(at, _, _)| *at);
        self.messages.push_back((arrives.max(last), connection, message));
    }

    pub(crate) fn poll(&mut self, now: Instant) -> Option<(u64, Vec<u8>)> {
        self.messages
            .pop_front_if(|(at, _, _)| *at <= now)
            .map(|(_, connection, message)| (connection, message))
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.messages.front().map(|(at, _, _)| *at)
    }

    pub(crate) fn clear(&mut self) {
        self.messages.clear();
    }
}
