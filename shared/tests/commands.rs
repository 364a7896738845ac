//! Both ends of commands over a bad link, in virtual time.
//!
//! One seed makes one world: messages are lost, doubled and late, connections break, both ends restart, the vehicle's
//! clock is off and at times unknown, targets are slow, silent or unwilling. Through all of it a command runs at most
//! once, within its time to live, never after one that supersedes it has arrived, and never is a state claimed that
//! nobody gave.
//!
//! `TERN_SEEDS=100000` runs more worlds, `TERN_SEED=42` just that one.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tern_shared::command::ground::{Draft, Ground, Tracked};
use tern_shared::command::vehicle::{Entry, Task, Vehicle};
use tern_shared::command::{
    Action, Cancel, CancelReason, CommandId, CommandReport, DeviceCommand, Moment, Order, Reason, State, Step,
};
use tern_shared::message::ClockEstimate;
use tern_shared::time::{Instant, Now, Timestamp};

const STEP: Duration = Duration::from_millis(50);
const FAULTS_FOR: Duration = Duration::from_secs(120);
/// Long enough after the faults for every question to be asked again.
const SETTLE_FOR: Duration = Duration::from_secs(200);

#[test]
fn a_command_runs_once_in_time_or_not_at_all_whatever_happens() {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let seeds = match number("TERN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TERN_SEEDS").unwrap_or(1500),
    };
    let mut seen = Seen::default();
    for seed in seeds.clone() {
        let run = std::panic::catch_unwind(|| World::new(seed).run());
        match run {
            Ok(ended) => seen.add(&ended),
            Err(_) => {
                panic!("seed {seed} failed: TERN_SEED={seed} cargo test -p tern-shared --test commands")
            }
        }
    }
    // The worlds are worth something only if all of this happens in them.
    if seeds.end - seeds.start >= 100 {
        for state in [State::Done, State::Rejected, State::Failed, State::Expired, State::Cancelled] {
            assert!(seen.states.contains(&state), "{state:?} never came");
        }
        for reason in
            [Reason::NotDelivered, Reason::TooLate, Reason::Superseded, Reason::Asked, Reason::Interrupted]
        {
            assert!(seen.reasons.contains(&reason), "{reason:?} never came");
        }
    }
}

#[derive(Default)]
struct Seen {
    states: BTreeSet<State>,
    reasons: BTreeSet<Reason>,
}

impl Seen {
    fn add(&mut self, ended: &BTreeMap<CommandId, Tracked>) {
        for step in ended.values().flat_map(|tracked| &tracked.steps) {
            self.states.insert(step.state);
            self.reasons.extend(step.reason);
        }
    }
}

#[derive(Clone, Debug)]
enum Packet {
    Order(Order),
    Report(CommandReport),
}

struct World {
    random: StdRng,
    now: Duration,
    /// Vehicle clock minus ground clock, microseconds.
    skew: i64,
    /// Whether the vehicle knows the ground's clock.
    clock_known: bool,
    connected: bool,
    /// How bad the link is, from 0 to 1.
    badness: f64,
    link: Vec<(Duration, Packet)>,
    ground: Ground,
    vehicle: Vehicle,
    /// What the vehicle's target will say, and when.
    words: Vec<(Duration, CommandId, Step)>,
    /// On the disks.
    audit: BTreeMap<CommandId, Tracked>,
    journal: BTreeMap<CommandId, Entry>,
    truth: Truth,
}

/// What really happened.
#[derive(Default)]
struct Truth {
    issued: Vec<(CommandId, Option<String>)>,
    begun: BTreeMap<CommandId, Timestamp>,
    delivered: BTreeSet<CommandId>,
    /// What the target said.
    said: BTreeMap<CommandId, Vec<State>>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = StdRng::seed_from_u64(seed);
        World {
            skew: random.random_range(-7_200_000_000..7_200_000_000),
            badness: random.random_range(0.0..0.5),
            random,
            now: Duration::ZERO,
            clock_known: false,
            connected: false,
            link: Vec::new(),
            ground: Ground::default(),
            vehicle: Vehicle::default(),
            words: Vec::new(),
            audit: BTreeMap::new(),
            journal: BTreeMap::new(),
            truth: Truth::default(),
        }
    }

    fn run(mut self) -> BTreeMap<CommandId, Tracked> {
        while self.now < FAULTS_FOR {
            self.mischief();
            self.turn();
        }
        self.badness = 0.0;
        self.clock_known = true;
        if !self.connected {
            self.connect();
        }
        while self.now < FAULTS_FOR + SETTLE_FOR {
            self.turn();
        }
        self.judge();
        self.audit
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    fn ground_now(&self) -> Now {
        Now {
            instant: Instant(self.now),
            wall: Timestamp(1_700_000_000_000_000 + self.now.as_micros() as i64),
        }
    }

    /// The estimate is off by up to what it admits.
    fn moment(&mut self) -> Moment {
        let ground = self.ground_now();
        let now = Now { wall: ground.wall.offset_by(self.skew), ..ground };
        let error = self.random.random_range(-300_000..=300_000);
        let clock = ClockEstimate { offset_micros: error - self.skew, uncertainty_micros: 300_000 };
        Moment { now, clock: self.clock_known.then_some(clock) }
    }

    fn mischief(&mut self) {
        if self.chance(0.05) {
            self.issue();
        }
        if self.chance(0.005) && !self.truth.issued.is_empty() {
            let at = self.random.random_range(0..self.truth.issued.len());
            self.ground.cancel(self.ground_now(), self.truth.issued[at].0);
        }
        if self.chance(0.01) {
            if self.connected { self.disconnect() } else { self.connect() }
        }
        if self.chance(0.02) {
            self.clock_known = self.chance(0.7);
        }
        if self.chance(0.003) {
            // Only what was stored is left, and nothing is on its way any more.
            self.disconnect();
            self.words.clear();
            self.clock_known = false;
            let now = self.moment().now;
            self.vehicle = Vehicle::new(now, self.journal.values().cloned());
        }
        if self.chance(0.003) {
            self.disconnect();
            let stored = self.audit.values().filter(|tracked| !tracked.state().is_final()).cloned();
            self.ground = Ground::new(self.ground_now(), stored);
        }
    }

    fn issue(&mut self) {
        let id = CommandId(self.random.random());
        let key = self.chance(0.5).then(|| format!("key {}", self.random.random_range(0..2)));
        let device = format!("device {}", self.random.random_range(0..3));
        let draft = Draft {
            id,
            time_to_live: Duration::from_millis(self.random.random_range(500..20_000)),
            key: key.clone(),
            issuer: "ann".to_owned(),
            action: Action::Device(DeviceCommand {
                device,
                command: "switch".to_owned(),
                arguments: String::new(),
            }),
        };
        if self.ground.issue(self.ground_now(), draft).is_ok() {
            self.ground.release(self.ground_now(), id);
            self.truth.issued.push((id, key));
            // Whoever issued it is told so once it is on the disk.
            self.keep();
        }
    }

    fn connect(&mut self) {
        self.connected = true;
        self.ground.handle_connected();
    }

    fn disconnect(&mut self) {
        self.connected = false;
        self.ground.handle_disconnected();
        self.link.clear();
    }

    fn send(&mut self, packet: Packet) {
        while self.connected {
            let lost = self.chance(self.badness * 0.5);
            let late = Duration::from_millis(self.random.random_range(200..400));
            let later = if self.chance(self.badness * 0.3) { late * 10 } else { late };
            if !lost {
                self.link.push((self.now + later, packet.clone()));
            }
            if !self.chance(self.badness * 0.2) {
                break;
            }
        }
    }

    /// One step of time: everything that is due, then everything that there is to do.
    fn turn(&mut self) {
        self.now += STEP;
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.link).into_iter().partition(|(at, _)| *at <= self.now);
        self.link = later;
        for (_, packet) in due {
            self.deliver(packet);
        }
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.words).into_iter().partition(|(at, _, _)| *at <= self.now);
        self.words = later;
        for (_, id, step) in due {
            let moment = self.moment();
            self.truth.said.entry(id).or_default().push(step.state);
            self.vehicle.handle_words(moment, id, vec![step]);
        }
        let moment = self.moment();
        if self.vehicle.poll_timeout(moment).is_some_and(|at| at <= moment.now.instant) || self.clock_known {
            self.vehicle.handle_timeout(moment);
        }
        let now = self.ground_now();
        if self.ground.poll_timeout().is_some_and(|at| at <= now.instant) {
            self.ground.handle_timeout(now);
        }
        self.work();
    }

    fn deliver(&mut self, packet: Packet) {
        let moment = self.moment();
        match packet {
            Packet::Order(Order::Command(command)) => {
                self.truth.delivered.insert(command.id);
                let refusal = (command.id.0 % 16 == 0).then(|| (Reason::NotAllowed, String::new()));
                self.vehicle.handle_command(moment, command, refusal);
            }
            Packet::Order(Order::Cancel(cancel)) => self.vehicle.handle_cancel(moment, cancel),
            Packet::Order(Order::SetPoint(_)) => {}
            Packet::Report(report) => self.ground.handle_report(&report),
        }
    }

    fn work(&mut self) {
        while let Some(order) = self.ground.poll_order(self.ground_now()) {
            if let Order::Cancel(Cancel { why: CancelReason::Asked, id }) = &order {
                assert!(self.truth.issued.iter().any(|(issued, _)| issued == id));
            }
            self.send(Packet::Order(order));
        }
        self.keep();
        while let Some(task) = self.vehicle.poll_task() {
            match task {
                Task::Store(entry) => {
                    let stored = if self.chance(0.02) { Err("disk full".to_owned()) } else { Ok(()) };
                    let id = entry.id;
                    if stored.is_ok() {
                        self.journal.insert(id, entry);
                    }
                    let moment = self.moment();
                    self.vehicle.handle_stored(moment, id, stored);
                }
                Task::Forget(id) => _ = self.journal.remove(&id),
                Task::Begin { command, until } => {
                    assert!(until > Instant(self.now), "begun too late by its own clock");
                    self.begin(&command);
                }
                Task::Report(report) => self.send(Packet::Report(report)),
            }
        }
    }

    fn keep(&mut self) {
        while let Some(tracked) = self.ground.poll_change() {
            if let Some(before) = self.audit.get(&tracked.command.id) {
                assert!(!before.state().is_final(), "{before:?} became {tracked:?}");
            }
            self.audit.insert(tracked.command.id, tracked);
        }
    }

    fn begin(&mut self, command: &tern_shared::command::Command) {
        let wall = self.ground_now().wall;
        assert!(wall < command.expires(), "begun after its time to live");
        assert_eq!(self.truth.begun.insert(command.id, wall), None, "begun twice");
        if let Some(key) = &command.key {
            let position = |id| self.truth.issued.iter().position(|(issued, _)| *issued == id).unwrap();
            let newer = &self.truth.issued[position(command.id) + 1..];
            let superseders = newer.iter().filter(|(_, other)| other.as_ref() == Some(key));
            for (id, _) in superseders {
                assert!(!self.truth.delivered.contains(id), "begun after its superseder was delivered");
            }
        }
        let at = self.moment().now.wall;
        let soon = |random: &mut StdRng| Duration::from_millis(random.random_range(0..3_000));
        let mut when = self.now + soon(&mut self.random);
        let mut say = |when, state, reason: Option<Reason>| {
            let step = Step { reason, ..Step::new(state, at) };
            self.words.push((when, command.id, step));
        };
        match self.random.random_range(0..5) {
            0 => say(when, State::Rejected, Some(Reason::Denied)),
            1 => say(when, State::Failed, Some(Reason::NoAnswer)),
            _ => {
                say(when, State::Accepted, None);
                when += soon(&mut self.random);
                say(when, State::Done, None);
            }
        }
    }

    /// Everything has ended, and as it is told.
    fn judge(&self) {
        assert_eq!(self.audit.len(), self.truth.issued.len());
        assert_eq!(self.ground.open().count(), 0, "{:?}", self.ground.open().collect::<Vec<_>>());
        for (id, tracked) in &self.audit {
            let said = self.truth.said.get(id).map(Vec::as_slice).unwrap_or_default();
            let begun = self.truth.begun.contains_key(id);
            let last = tracked.steps.last().unwrap();
            let claims = tracked.steps.iter().map(|step| step.state);
            for claim in claims.filter(|state| matches!(state, State::Accepted | State::Done)) {
                assert!(said.contains(&claim), "{claim:?} was never said: {tracked:?}");
            }
            match (last.state, last.reason) {
                (State::Expired | State::Cancelled, _) => assert!(!begun, "{tracked:?}"),
                (State::Rejected, Some(Reason::Denied)) => assert!(said.contains(&State::Rejected)),
                (State::Rejected, _) => assert!(!begun, "{tracked:?}"),
                (State::Failed, Some(Reason::Interrupted)) => {}
                (State::Failed, _) => assert!(said.contains(&State::Failed)),
                (State::Done, _) => {}
                (other, _) => panic!("{other:?} is no end: {tracked:?}"),
            }
        }
    }
}
