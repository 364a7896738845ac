//! Commands from the ground to the vehicle, through the sessions: each runs once and in time, or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tern_shared::command::ground::{Draft, Ground, Tracked};
use tern_shared::command::vehicle::{Entry, Task, Vehicle};
use tern_shared::command::{Action, Answer, CommandId, DeviceCommand, Moment, Order, State, Step};
use tern_shared::session::{EdgeSession, GroundSession};
use tern_shared::time::{Instant, Now};

/// What a disk takes to make something durable, and a device to answer.
const DISK: Duration = Duration::from_millis(40);
const DEVICE: Duration = Duration::from_millis(700);

#[derive(Default)]
pub(crate) struct Orders {
    ground: Ground,
    vehicle: Vehicle,
    /// On the disks.
    audit: BTreeMap<CommandId, Tracked>,
    journal: BTreeMap<CommandId, Entry>,
    /// On their way to the vehicle's disk.
    storing: Vec<(Instant, Entry)>,
    /// What the device will say, and when.
    words: Vec<(Instant, CommandId)>,
    begun: BTreeSet<CommandId>,
    done: BTreeSet<CommandId>,
    /// The ground's clock was set: what the vehicle knows of it is wrong for a while.
    pub(crate) clock_is_wrong: bool,
}

impl Orders {
    pub(crate) fn issue(&mut self, now: Now, rng: &mut StdRng) {
        let id = CommandId(rng.random());
        let draft = Draft {
            id,
            time_to_live: Duration::from_millis(rng.random_range(500..20_000)),
            key: None,
            issuer: "ann".to_owned(),
            action: Action::Device(DeviceCommand {
                device: format!("device {}", rng.random_range(0..3)),
                command: "switch".to_owned(),
                arguments: String::new(),
            }),
        };
        if self.ground.issue(now, draft).is_ok() {
            self.ground.release(now, id);
            if rng.random_bool(0.1) {
                self.ground.cancel(now, id);
            }
            self.keep();
        }
    }

    pub(crate) fn handle_connected(&mut self) {
        self.ground.handle_connected();
    }

    pub(crate) fn handle_disconnected(&mut self) {
        self.ground.handle_disconnected();
    }

    pub(crate) fn restart_vehicle(&mut self, now: Now) {
        self.storing.clear();
        self.words.clear();
        self.vehicle = Vehicle::new(now, self.journal.values().cloned());
    }

    pub(crate) fn restart_ground(&mut self, now: Now) {
        self.keep();
        let stored = self.audit.values().filter(|tracked| !tracked.state().is_final()).cloned();
        self.ground = Ground::new(now, stored);
    }

    pub(crate) fn handle_order(&mut self, moment: Moment, order: Order) {
        match order {
            Order::Command(command) => self.vehicle.handle_command(moment, command, None),
            Order::Cancel(cancel) => self.vehicle.handle_cancel(moment, cancel),
            Order::SetPoint(_) => {}
        }
    }

    pub(crate) fn handle_answer(&mut self, answer: &Answer) {
        if let Answer::Report(report) = answer {
            self.ground.handle_report(report);
        }
    }

    /// The vehicle has heard of the ground's clock.
    pub(crate) fn handle_clock(&mut self, moment: Moment) {
        self.vehicle.handle_timeout(moment);
    }

    /// Everything that is due at the ground.
    pub(crate) fn run_ground(&mut self, now: Now, session: Option<&mut GroundSession>) {
        if self.ground.poll_timeout().is_some_and(|at| at <= now.instant) {
            self.ground.handle_timeout(now);
        }
        if let Some(session) = session {
            while let Some(order) = self.ground.poll_order(now) {
                session.order(order);
            }
        }
        self.keep();
    }

    /// Everything that is due at the vehicle.
    pub(crate) fn run_vehicle(&mut self, moment: Moment, ground: Now, session: &mut EdgeSession) {
        let now = moment.now.instant;
        for (_, entry) in self.storing.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
            let id = entry.id;
            self.journal.insert(id, entry);
            self.vehicle.handle_stored(moment, id, Ok(()));
        }
        for (_, id) in self.words.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
            self.done.insert(id);
            self.vehicle.handle_words(moment, id, vec![Step::new(State::Done, moment.now.wall)]);
        }
        if self.vehicle.poll_timeout(moment).is_some_and(|at| at <= now) {
            self.vehicle.handle_timeout(moment);
        }
        while let Some(task) = self.vehicle.poll_task() {
            match task {
                Task::Store(entry) => self.storing.push((now + DISK, entry)),
                Task::Forget(id) => _ = self.journal.remove(&id),
                Task::Begin { command, until } => {
                    assert!(until > now, "{command:?} begins too late by the vehicle's own clock");
                    let in_time = ground.wall < command.expires() || self.clock_is_wrong;
                    assert!(in_time, "{command:?} begins after its time to live, at {:?}", ground.wall);
                    assert!(self.begun.insert(command.id), "{command:?} begins twice");
                    self.words.push((now + DEVICE, command.id));
                }
                Task::Report(report) => session.answer(Answer::Report(report)),
            }
        }
    }

    pub(crate) fn poll_timeout(&self, moment: Moment) -> Option<Instant> {
        let due = self.storing.iter().map(|(at, _)| *at).chain(self.words.iter().map(|(at, _)| *at));
        due.chain(self.ground.poll_timeout()).chain(self.vehicle.poll_timeout(moment)).min()
    }

    /// Whether of everything it is known how it ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.ground.open().next().is_none()
    }

    /// No end is claimed that was not.
    pub(crate) fn check(&self) {
        assert!(self.is_settled(), "not settled: {:?}", self.ground.open().collect::<Vec<_>>());
        for (id, tracked) in &self.audit {
            match tracked.state() {
                State::Done => assert!(self.done.contains(id), "never done: {tracked:?}"),
                // It may have begun, and may not: the vehicle was restarted.
                State::Failed => {}
                State::Expired | State::Cancelled | State::Rejected => {
                    assert!(!self.begun.contains(id), "it had begun: {tracked:?}");
                }
                other => panic!("{other:?} is no end: {tracked:?}"),
            }
        }
    }

    fn keep(&mut self) {
        while let Some(tracked) = self.ground.poll_change() {
            self.audit.insert(tracked.command.id, tracked);
        }
    }
}
