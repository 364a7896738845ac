//! Which links are tried when: a state machine without sockets or clock.
//!
//! Links are in order of preference. While none is in use, the one used last and all before it are tried at once, and
//! each further one [`HEAD_START`] after the one before it, or as soon as that is refused; the first that stands is used.
//! Only the one used last may send ahead of its handshake: it is the likeliest to answer, and two that do so would take the
//! connection from each other before the ground can answer either. While one is in use, better ones are tried now and
//! then. While it is silent it stays in use, and it itself and those after it are tried, too.

use std::time::Duration;

use tern_shared::backoff::Backoff;
use tern_shared::time::Instant;

/// What a link has before the next one is tried. A handshake by QUIC takes under 1 s over one geostationary hop; by TCP,
/// TLS and WebSocket 2.5 s: together under 5 s where UDP does not pass.
const HEAD_START: Duration = Duration::from_secs(2);
/// A connection that one of the ends closed within this time was not wanted (a refusal takes a round trip or two), so
/// the next one waits longer.
const SHORT_LIFE: Duration = Duration::from_secs(3);
/// A connection that falls silent within this time may be on a link that lets handshakes through and nothing else.
const YOUNG: Duration = Duration::from_secs(30);
/// Waits after a connection that was not wanted.
const UNWANTED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Waits after an attempt that failed or a connection that soon broke: a ground that restarts is found again soon, and
/// one that stays away costs little.
const FAILED: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));
/// Waits between attempts to replace a silent connection. Each costs some 4 kB, and the connection in use delivers as
/// soon as the link does.
const SILENT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// Waits between attempts of a better link than the one in use.
const BETTER: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// One of the ends did not want it any more.
    Closed,
    /// Something between them broke.
    Broken,
}

/// The plan.
#[derive(Debug)]
pub(super) struct Plan {
    links: Vec<LinkPlan>,
    state: State,
    unwanted: Backoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down { last: usize },
    InUse { link: usize, since: Instant, silent: bool },
}

#[derive(Debug)]
struct LinkPlan {
    /// When to try it; `None` while it is tried, and while it need not be.
    due: Option<Instant>,
    trying: bool,
    failed: Backoff,
    silent: Backoff,
    better: Backoff,
}

impl Plan {
    /// A plan for so many links, none of which is in use.
    pub(super) fn new(links: usize, now: Instant) -> Self {
        let backoff = |(first, cap)| Backoff::new(first, cap);
        let links = (0..links).map(|_| LinkPlan {
            due: None,
            trying: false,
            failed: backoff(FAILED),
            silent: backoff(SILENT),
            better: backoff(BETTER),
        });
        let mut plan =
            Plan { links: links.collect(), state: State::Down { last: 0 }, unwanted: backoff(UNWANTED) };
        plan.stagger(0, 0, now);
        plan
    }

    /// When to call [`start_due`](Self::start_due) next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.links.iter().filter_map(|link| link.due).min()
    }

    /// The next link to be tried, if one is due: it is from here on.
    pub(super) fn start_due(&mut self, now: Instant) -> Option<usize> {
        let index = self.links.iter().position(|link| link.due.is_some_and(|due| due <= now))?;
        let link = &mut self.links[index];
        (link.due, link.trying) = (None, true);
        Some(index)
    }

    /// Whether an attempt of this link is to go on.
    pub(super) fn is_trying(&self, link: usize) -> bool {
        self.links[link].trying
    }

    /// While no connection is in use, the link that was used last.
    pub(super) fn last_used(&self) -> Option<usize> {
        match self.state {
            State::Down { last } => Some(last),
            State::InUse { .. } => None,
        }
    }

    /// An attempt was given up without having failed: the link is due again.
    pub(super) fn given_up(&mut self, link: usize, now: Instant) {
        (self.links[link].due, self.links[link].trying) = (Some(now), false);
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, link: usize, now: Instant, random: u32) {
        let Some(waits) = self.waits(link) else { return };
        let due = now + waits.next_delay(random);
        (self.links[link].due, self.links[link].trying) = (Some(due), false);
        if self.last_used().is_some()
            && let Some(next) = self.links.get_mut(link + 1)
        {
            // No more head start for one that is refused.
            next.due = next.due.map(|due| due.min(now));
        }
    }

    /// A connection of this link is in use.
    pub(super) fn connected(&mut self, link: usize, now: Instant, random: u32) {
        self.state = State::InUse { link, since: now, silent: false };
        for (index, plan) in self.links.iter_mut().enumerate() {
            plan.trying &= index < link;
            plan.due = (index < link && !plan.trying).then(|| now + plan.better.next_delay(random));
        }
    }

    /// The connection in use has ended.
    pub(super) fn disconnected(&mut self, ending: Ending, now: Instant, random: u32) {
        let State::InUse { link, since, .. } = self.state else { return };
        self.state = State::Down { last: link };
        let life = now.since(since);
        let plan = &mut self.links[link];
        let wait = if life >= SHORT_LIFE {
            self.unwanted.reset();
            plan.failed.reset();
            // One that was begun beside it, while it was silent, has to go all the way: a new one sends at once.
            plan.trying = false;
            Duration::ZERO
        } else if ending == Ending::Closed {
            self.unwanted.next_delay(random)
        } else {
            // A link that flaps is no refusal.
            plan.failed.next_delay(random)
        };
        if life >= YOUNG {
            plan.better.reset();
            plan.silent.reset();
        }
        self.stagger(0, link, now + wait);
    }

    /// Whether the connection in use is silent.
    pub(super) fn silent(&mut self, is_silent: bool, now: Instant, random: u32) {
        let State::InUse { link, since, silent } = &mut self.state else { return };
        if *silent == is_silent {
            return;
        }
        *silent = is_silent;
        let (link, young) = (*link, now.since(*since) < YOUNG);
        if !is_silent {
            for plan in &mut self.links[link..] {
                (plan.due, plan.trying) = (None, false);
                plan.silent.reset();
            }
            return;
        }
        self.stagger(link, link, now);
        if young {
            let plan = &mut self.links[link];
            plan.due = Some(now + plan.silent.next_delay(random));
        }
    }

    /// Plans all links from `first` on that are not being tried: those up to `near` at `start`, the others later.
    fn stagger(&mut self, first: usize, near: usize, start: Instant) {
        for (index, plan) in self.links.iter_mut().enumerate().skip(first) {
            let head_start = HEAD_START * index.saturating_sub(near) as u32;
            plan.due = (!plan.trying).then_some(start + head_start);
        }
    }

    /// The waits between attempts of a link, as things are; `None` when it is not to be tried at all.
    fn waits(&mut self, link: usize) -> Option<&mut Backoff> {
        let plan = &mut self.links[link];
        match self.state {
            State::Down { .. } => Some(&mut plan.failed),
            State::InUse { link: used, .. } if link < used => Some(&mut plan.better),
            State::InUse { silent: true, .. } => Some(&mut plan.silent),
            State::InUse { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits are as long as they can be.
    const LONGEST: u32 = u32::MAX;

    fn at(seconds: f64) -> Instant {
        Instant(Duration::from_secs_f64(seconds))
    }

    /// Starts all that is due until then, and tells what and when.
    fn run(plan: &mut Plan, until: f64) -> Vec<(usize, f64)> {
        let mut started = Vec::new();
        while let Some(due) = plan.next_due().filter(|&due| due <= at(until)) {
            started.push((plan.start_due(due).unwrap(), due.0.as_secs_f64()));
        }
        started
    }

    #[test]
    fn the_next_link_is_tried_after_a_head_start_and_the_first_to_stand_is_used() {
        let mut plan = Plan::new(3, at(0.0));
        assert_eq!(run(&mut plan, 3.0), [(0, 0.0), (1, 2.0)]);
        plan.connected(1, at(4.5), LONGEST);
        assert!(plan.is_trying(0) && !plan.is_trying(1) && plan.last_used().is_none());
        // The attempt of the better one goes on, fails, and comes again at growing intervals.
        plan.failed(0, at(8.0), LONGEST);
        let mut gaps = Vec::new();
        let mut now = 8.0;
        for _ in 0..6 {
            let [(0, started)] = run(&mut plan, 1e4)[..] else { panic!("only the better one is tried") };
            gaps.push(started - now);
            now = started + 8.0;
            plan.failed(0, at(now), LONGEST);
        }
        assert_eq!(gaps, [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]);
        run(&mut plan, 1e5);
        plan.connected(0, at(1e5), LONGEST);
        assert_eq!(plan.next_due(), None);
    }

    #[test]
    fn only_the_link_used_last_sends_early_and_one_that_gave_way_has_not_failed() {
        let mut plan = Plan::new(3, at(0.0));
        run(&mut plan, 3.0);
        plan.connected(1, at(3.0), LONGEST);
        assert_eq!(plan.last_used(), None);
        plan.disconnected(Ending::Broken, at(100.0), LONGEST);
        // The better one, tried since the start, goes on beside it.
        assert_eq!((plan.last_used(), run(&mut plan, 102.0)), (Some(1), vec![(1, 100.0), (2, 102.0)]));
        // What was sent early is not answered when another stands: it comes again as any better link.
        plan.given_up(1, at(103.0));
        plan.connected(2, at(103.0), LONGEST);
        assert_eq!((plan.is_trying(0), plan.is_trying(1), plan.next_due()), (true, false, Some(at(133.0))));
        // Where a better one stands, not at all.
        plan.disconnected(Ending::Broken, at(110.0), LONGEST);
        run(&mut plan, 110.0);
        plan.given_up(2, at(110.6));
        plan.connected(0, at(110.6), LONGEST);
        assert_eq!(plan.next_due(), None);
    }

    #[test]
    fn a_refusal_ends_the_head_start() {
        let mut plan = Plan::new(2, at(0.0));
        assert_eq!(run(&mut plan, 0.1), [(0, 0.0)]);
        plan.failed(0, at(0.2), LONGEST);
        assert_eq!(run(&mut plan, 1.0), [(1, 0.2), (0, 0.7)]);
    }

    #[test]
    fn a_connection_that_ends_is_replaced_at_once_and_one_that_is_not_wanted_later_and_later() {
        let mut plan = Plan::new(1, at(0.0));
        let mut now = 0.0;
        for _ in 0..2 {
            run(&mut plan, now);
            plan.connected(0, at(now), LONGEST);
            now += 100.0;
            plan.disconnected(Ending::Broken, at(now), LONGEST);
            assert_eq!(plan.next_due(), Some(at(now)));
        }
        let mut waits = Vec::new();
        for _ in 0..7 {
            let [(0, started)] = run(&mut plan, 1e4)[..] else { panic!("one link") };
            waits.push(started - now);
            plan.connected(0, at(started), LONGEST);
            now = started + 1.0;
            plan.disconnected(Ending::Closed, at(now), LONGEST);
        }
        assert_eq!(waits, [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]);
    }

    #[test]
    fn a_silent_connection_is_replaced_beside_its_use_until_it_speaks() {
        let mut plan = Plan::new(2, at(0.0));
        run(&mut plan, 0.0);
        plan.connected(0, at(1.0), LONGEST);
        plan.silent(true, at(100.0), LONGEST);
        assert_eq!(run(&mut plan, 100.0), [(0, 100.0)]);
        plan.failed(0, at(100.5), LONGEST);
        assert_eq!(run(&mut plan, 106.0), [(1, 102.0), (0, 105.5)]);
        plan.silent(false, at(107.0), LONGEST);
        assert!(!plan.is_trying(0) && !plan.is_trying(1) && plan.last_used().is_none());
        assert_eq!(plan.next_due(), None);
        // What fails now was called off.
        plan.failed(0, at(108.0), LONGEST);
        assert_eq!(plan.next_due(), None);
        // A reset comes instead of what was missed: the ground is there.
        plan.silent(true, at(120.0), LONGEST);
        assert_eq!(run(&mut plan, 121.0), [(0, 120.0)]);
        plan.disconnected(Ending::Broken, at(121.0), LONGEST);
        assert_eq!(run(&mut plan, 121.0), [(0, 121.0)]);
    }

    #[test]
    fn a_link_that_lets_only_handshakes_through_makes_room_for_the_next() {
        let mut plan = Plan::new(2, at(0.0));
        run(&mut plan, 0.0);
        plan.connected(0, at(1.0), LONGEST);
        plan.silent(true, at(6.0), LONGEST);
        assert_eq!(run(&mut plan, 12.0), [(1, 8.0), (0, 11.0)]);
        plan.connected(1, at(12.0), LONGEST);
        assert!(plan.is_trying(0));
    }
}
