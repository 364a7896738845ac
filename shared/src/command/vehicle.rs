//! The vehicle's end of commands: one a process, across all its connections.
//!
//! A command that arrives waits until the ground's clock is known and its target is free, is made durable, and is begun;
//! what its target says is reported. Drive it as a session: feed it what happened, do what [`Vehicle::poll_task`] gives,
//! call [`Vehicle::handle_timeout`] when [`Vehicle::poll_timeout`] says so and whenever the ground's clock becomes known.

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Action, Cancel, CancelReason, Command, CommandId, CommandReport, MAX_NAME_BYTES, MAX_STEPS,
    MAX_TIME_TO_LIVE, Moment, Reason, State, Step,
};
use crate::time::{Instant, Now, Timestamp};

/// Commands that wait for the clock, the disk or their target; one more is rejected.
pub const MAX_WAITING: usize = 16;
/// Commands remembered. None is forgotten before [`KEPT_AFTER`], so beyond it new ones are rejected.
pub const MAX_REMEMBERED: usize = 4096;
/// How long a command is remembered after its time to live, by the ground's clock.
const KEPT_AFTER: Duration = MAX_TIME_TO_LIVE;

/// What the vehicle has to do about commands, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// Make this durable, synced to the disk, then call [`Vehicle::handle_stored`]. Replaces what was stored under its
    /// id.
    Store(Entry),
    /// Remove what was stored under this id.
    Forget(CommandId),
    /// Begin the command, unless it is later than `until`; then call [`Vehicle::handle_words`].
    Begin {
        /// What to do.
        command: Command,
        /// Not to be told to the target, not even again, from here on.
        until: Instant,
    },
    /// Tell the ground. A report that does not reach it is asked for.
    Report(CommandReport),
}

/// What is remembered of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub id: CommandId,
    /// When it was issued, by the ground's clock.
    pub issued: Timestamp,
    /// When its time to live ends, by the ground's clock.
    pub expires: Timestamp,
    /// Its supersede key.
    pub key: Option<String>,
    /// What became of it.
    pub steps: Vec<Step>,
}

/// The vehicle's end of commands.
#[derive(Debug, Default)]
pub struct Vehicle {
    entries: BTreeMap<CommandId, Entry>,
    waiting: BTreeMap<CommandId, Waiting>,
    /// Begun, and not ended.
    running: BTreeMap<CommandId, Target>,
    /// Whom each target is to answer first.
    asked: BTreeMap<Target, CommandId>,
    tasks: VecDeque<Task>,
    /// Commands that the ground is to hear of.
    news: BTreeSet<CommandId>,
}

#[derive(Debug)]
struct Waiting {
    command: Command,
    received: Instant,
    /// On its way to the disk, after which it begins.
    storing: bool,
}

/// What takes one command at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Mavlink,
    Device(String),
}

/// How much is left of a time to live.
enum Left {
    Some(Duration),
    Over,
    /// The ground's clock is not known.
    Unknown,
}

impl Vehicle {
    /// With what was stored. What had begun and not ended when the process ended is reported so.
    pub fn new(now: Now, stored: impl IntoIterator<Item = Entry>) -> Self {
        let mut vehicle = Vehicle::default();
        for mut entry in stored {
            if !entry.state().is_final() {
                let step = Step::new(State::Failed, now.wall).because(Reason::Interrupted);
                entry.push(step.saying("the edge was restarted while it ran: it may have been done"));
                vehicle.tasks.push_back(Task::Store(entry.clone()));
            }
            vehicle.entries.insert(entry.id, entry);
        }
        vehicle
    }

    /// A command arrived. `refusal` is why this vehicle does not take it, by its configuration.
    pub fn handle_command(&mut self, moment: Moment, command: Command, refusal: Option<(Reason, String)>) {
        let id = command.id;
        let older = self.waiting.values().map(|waiting| &waiting.command).filter(|other| {
            other.key.is_some() && other.key == command.key && (other.issued, other.id) < (command.issued, id)
        });
        // Also when it is not to be run itself: its issuer does not want the older ones any more.
        for other in older.map(|other| other.id).collect::<Vec<_>>() {
            self.finish(other, Step::new(State::Cancelled, moment.now.wall).because(Reason::Superseded));
        }
        let key = command.key.clone().filter(|key| key.len() <= MAX_NAME_BYTES);
        if let Some(known) = self.entries.get_mut(&id) {
            // One that was taken back before it came is known by its id only.
            (known.issued, known.expires, known.key) = (command.issued, command.expires(), key);
            self.news.insert(id);
            return;
        }
        let full = !self.make_room(moment);
        let refusal = match command.validate() {
            Err(error) => Some((Reason::Malformed, error.to_string())),
            Ok(()) if refusal.is_some() => refusal,
            Ok(()) if full || self.waiting.len() >= MAX_WAITING => {
                Some((Reason::Busy, "too many commands at once".to_owned()))
            }
            Ok(()) => None,
        };
        let entry = Entry { id, issued: command.issued, expires: command.expires(), key, steps: Vec::new() };
        let newer = |other: &Entry| other.key == entry.key && (other.issued, other.id) > (entry.issued, id);
        let superseded = entry.key.is_some() && self.entries.values().any(newer);
        if !full {
            self.entries.insert(id, entry);
        }
        if let Some((reason, detail)) = refusal {
            let step = Step::new(State::Rejected, moment.now.wall).because(reason).saying(&detail);
            if full {
                // It is not remembered, for want of room; asked again, it is told the same.
                self.tasks.push_back(Task::Report(CommandReport { id, steps: vec![step] }));
            } else {
                self.finish(id, step);
            }
            return;
        }
        if superseded {
            let step = Step::new(State::Cancelled, moment.now.wall).because(Reason::Superseded);
            return self.finish(id, step);
        }
        let waiting = Waiting { command, received: moment.now.instant, storing: false };
        if matches!(waiting.left(moment), Left::Over) {
            let step = Step::new(State::Expired, moment.now.wall).because(Reason::TooLate);
            return self.finish(id, step);
        }
        self.waiting.insert(id, waiting);
        self.step(id, Step::new(State::AtVehicle, moment.now.wall));
        self.advance(moment);
    }

    /// The ground takes a command back, or asks what became of it.
    pub fn handle_cancel(&mut self, moment: Moment, cancel: Cancel) {
        let Cancel { id, why } = cancel;
        let (state, reason) = match why {
            CancelReason::Asked => (State::Cancelled, Reason::Asked),
            CancelReason::Superseded => (State::Cancelled, Reason::Superseded),
            CancelReason::Overdue if self.waiting.contains_key(&id) => (State::Expired, Reason::TooLate),
            CancelReason::Overdue => (State::Expired, Reason::NotDelivered),
        };
        let step = Step::new(state, moment.now.wall).because(reason);
        if self.waiting.contains_key(&id) {
            self.finish(id, step);
            self.advance(moment);
        } else if self.entries.contains_key(&id) {
            self.news.insert(id);
        } else {
            // Should it still arrive, it is known as taken back.
            let ground = moment.ground_latest().unwrap_or(moment.now.wall);
            let entry = Entry { id, issued: ground, expires: ground, key: None, steps: Vec::new() };
            if self.make_room(moment) {
                self.entries.insert(id, entry);
                self.finish(id, step);
            } else {
                self.tasks.push_back(Task::Report(CommandReport { id, steps: vec![step] }));
            }
        }
    }

    /// [`Task::Store`] is done, or could not be.
    pub fn handle_stored(&mut self, moment: Moment, id: CommandId, stored: Result<(), String>) {
        let Some(waiting) = self.waiting.get_mut(&id).filter(|waiting| waiting.storing) else { return };
        match (stored, waiting.left(moment)) {
            (Ok(()), Left::Some(left)) => {
                let until = moment.now.instant + left;
                let Some(Waiting { command, .. }) = self.waiting.remove(&id) else { return };
                self.running.insert(id, Target::of(&command));
                self.tasks.push_back(Task::Begin { command, until });
            }
            (Ok(()), Left::Unknown) => {
                // The estimate grew too old in between: it waits for the next one.
                waiting.storing = false;
                self.release(id);
            }
            (Ok(()), Left::Over) => {
                self.finish(id, Step::new(State::Expired, moment.now.wall).because(Reason::TooLate));
            }
            (Err(error), _) => {
                let step = Step::new(State::Rejected, moment.now.wall).because(Reason::Unavailable);
                self.finish(id, step.saying(&error));
            }
        }
        self.advance(moment);
    }

    /// What the target said, or what became of the attempt to tell it: `Accepted` (again and again, with progress),
    /// `Rejected`, `Failed`, `Done`, or `Expired` when it could not be told in time.
    pub fn handle_words(&mut self, moment: Moment, id: CommandId, words: Vec<Step>) {
        if !self.running.contains_key(&id) {
            return;
        }
        for word in words {
            if word.state.is_final() {
                self.finish(id, word);
                break;
            }
            if word.state == State::Accepted {
                self.step(id, word);
                self.release(id);
            }
        }
        if let Some(entry) = self.entries.get(&id) {
            self.tasks.push_back(Task::Store(entry.clone()));
        }
        self.advance(moment);
    }

    /// A timer is due, or the ground's clock has become known.
    pub fn handle_timeout(&mut self, moment: Moment) {
        self.advance(moment);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self, moment: Moment) -> Option<Instant> {
        let ends = self.waiting.values().filter(|waiting| !waiting.storing).map(|waiting| {
            match waiting.left(moment) {
                Left::Some(left) => moment.now.instant + left,
                Left::Over => moment.now.instant,
                Left::Unknown => waiting.received + waiting.command.time_to_live(),
            }
        });
        ends.min()
    }

    /// The next thing to do. [`poll_timeout`](Self::poll_timeout) is right once this has returned `None`.
    pub fn poll_task(&mut self) -> Option<Task> {
        if let Some(task) = self.tasks.pop_front() {
            return Some(task);
        }
        let entry = self.entries.get(&self.news.pop_first()?)?;
        Some(Task::Report(CommandReport { id: entry.id, steps: entry.steps.clone() }))
    }

    /// How many commands have begun and not ended.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Ends what is over and begins what can begin, oldest first.
    fn advance(&mut self, moment: Moment) {
        let mut ids: Vec<(Timestamp, CommandId)> =
            self.waiting.values().map(|waiting| (waiting.command.issued, waiting.command.id)).collect();
        ids.sort_unstable();
        for (_, id) in ids {
            let Some(waiting) = self.waiting.get_mut(&id).filter(|waiting| !waiting.storing) else {
                continue;
            };
            match waiting.left(moment) {
                Left::Over => {
                    self.finish(id, Step::new(State::Expired, moment.now.wall).because(Reason::TooLate));
                }
                Left::Unknown => {}
                Left::Some(_) => {
                    let target = Target::of(&waiting.command);
                    if let btree_map::Entry::Vacant(free) = self.asked.entry(target) {
                        waiting.storing = true;
                        free.insert(id);
                        self.tasks.extend(self.entries.get(&id).cloned().map(Task::Store));
                    }
                }
            }
        }
    }

    fn step(&mut self, id: CommandId, step: Step) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.push(step);
            self.news.insert(id);
        }
    }

    fn finish(&mut self, id: CommandId, step: Step) {
        self.step(id, step);
        let was_storing = self.waiting.remove(&id).is_some_and(|waiting| waiting.storing);
        if was_storing {
            // The disk has it, or will, as one that was about to begin.
            self.tasks.extend(self.entries.get(&id).cloned().map(Task::Store));
        }
        self.release(id);
        self.running.remove(&id);
    }

    /// Its target can be asked something else.
    fn release(&mut self, id: CommandId) {
        self.asked.retain(|_, asked| *asked != id);
    }

    /// Whether one more can be remembered.
    fn make_room(&mut self, moment: Moment) -> bool {
        if self.entries.len() < MAX_REMEMBERED {
            return true;
        }
        let Some(ground) = moment.ground_latest() else { return false };
        let old = ground.offset_by(-(KEPT_AFTER.as_micros() as i64));
        let waiting = &self.waiting;
        let running = &self.running;
        let forgotten: Vec<CommandId> = self
            .entries
            .values()
            .filter(|entry| entry.expires < old)
            .map(|entry| entry.id)
            .filter(|id| !waiting.contains_key(id) && !running.contains_key(id))
            .collect();
        for id in forgotten {
            self.entries.remove(&id);
            self.tasks.push_back(Task::Forget(id));
        }
        self.entries.len() < MAX_REMEMBERED
    }
}

impl Entry {
    /// Where it is; `AtVehicle` before the first step.
    pub fn state(&self) -> State {
        self.steps.last().map_or(State::AtVehicle, |step| step.state)
    }

    /// Adds a step. Of several acceptances the newest is kept.
    fn push(&mut self, step: Step) {
        self.steps.pop_if(|last| last.state == step.state);
        if self.steps.len() < MAX_STEPS {
            self.steps.push(step);
        }
    }
}

impl Target {
    fn of(command: &Command) -> Target {
        match &command.action {
            Action::Mavlink(_) => Target::Mavlink,
            Action::Device(device) => Target::Device(device.device.clone()),
        }
    }
}

impl Waiting {
    /// By the ground's clock, and never longer than the time to live after its arrival.
    fn left(&self, moment: Moment) -> Left {
        let here = self.command.time_to_live().saturating_sub(moment.now.instant.since(self.received));
        if here.is_zero() {
            return Left::Over;
        }
        let Some(ground) = moment.ground_latest() else { return Left::Unknown };
        match u64::try_from(self.command.expires().micros_since(ground)) {
            Ok(micros) if micros > 0 => Left::Some(here.min(Duration::from_micros(micros))),
            _ => Left::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::DeviceCommand;
    use crate::message::ClockEstimate;

    fn at(millis: u64) -> Moment {
        let now = Now {
            instant: Instant(Duration::from_millis(millis)),
            wall: Timestamp::from_millis(millis as i64),
        };
        // The ground's clock shows the same, known to 280 ms and the drift of 20.
        Moment { now, clock: Some(ClockEstimate { offset_micros: 0, uncertainty_micros: 280_000 }) }
    }

    fn blind(millis: u64) -> Moment {
        Moment { clock: None, ..at(millis) }
    }

    fn command(id: u64, issued: i64, device: &str, key: Option<&str>) -> Command {
        Command {
            id: CommandId(id),
            issued: Timestamp::from_millis(issued),
            ttl_ms: 10_000,
            key: key.map(str::to_owned),
            issuer: "ann".to_owned(),
            action: Action::Device(DeviceCommand {
                device: device.to_owned(),
                command: "switch".to_owned(),
                arguments: "{}".to_owned(),
            }),
        }
    }

    /// What is to be done, in short; what is to be stored is stored at once.
    fn tasks(vehicle: &mut Vehicle, moment: Moment) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(task) = vehicle.poll_task() {
            seen.push(match task {
                Task::Store(entry) => {
                    vehicle.handle_stored(moment, entry.id, Ok(()));
                    format!("store {}", entry.id.0)
                }
                Task::Forget(id) => format!("forget {}", id.0),
                Task::Begin { command, until } => format!("begin {} until {until}", command.id.0),
                Task::Report(report) => {
                    let states: Vec<_> = report
                        .steps
                        .iter()
                        .map(|step| match step.reason {
                            Some(reason) => format!("{:?} {reason:?}", step.state),
                            None => format!("{:?}", step.state),
                        })
                        .collect();
                    format!("report {}: {}", report.id.0, states.join(", "))
                }
            });
        }
        seen
    }

    fn word(state: State) -> Vec<Step> {
        vec![Step::new(state, Timestamp(0))]
    }

    #[test]
    fn a_command_is_stored_before_it_begins_and_begins_once() {
        let mut vehicle = Vehicle::default();
        vehicle.handle_command(at(500), command(1, 200, "lamp", None), None);
        assert_eq!(tasks(&mut vehicle, at(510)), ["store 1", "begin 1 until 9.900s", "report 1: AtVehicle"]);
        vehicle.handle_command(at(900), command(1, 200, "lamp", None), None);
        assert_eq!(tasks(&mut vehicle, at(900)), ["report 1: AtVehicle"]);
        vehicle.handle_words(at(1000), CommandId(1), word(State::Accepted));
        vehicle.handle_words(at(1100), CommandId(1), word(State::Done));
        let done = "report 1: AtVehicle, Accepted, Done";
        assert_eq!(tasks(&mut vehicle, at(1100)), ["store 1", "store 1", done]);
        vehicle.handle_command(at(1200), command(1, 200, "lamp", None), None);
        vehicle.handle_words(at(1200), CommandId(1), word(State::Failed));
        assert_eq!(tasks(&mut vehicle, at(1200)), [done]);
        assert_eq!(vehicle.running(), 0);
    }

    #[test]
    fn one_that_may_be_late_does_not_begin() {
        let mut vehicle = Vehicle::default();
        // It could still be in time, if the clocks agreed as well as they may.
        vehicle.handle_command(at(9_750), command(1, 0, "lamp", None), None);
        assert_eq!(tasks(&mut vehicle, at(9_750)), ["report 1: Expired TooLate"]);
        // The disk takes too long.
        vehicle.handle_command(at(9_600), command(2, 0, "lamp", None), None);
        assert_eq!(
            tasks(&mut vehicle, at(9_700)),
            ["store 2", "store 2", "report 2: AtVehicle, Expired TooLate"]
        );
    }

    #[test]
    fn without_the_clock_it_waits_and_no_longer_than_its_time_to_live() {
        let mut vehicle = Vehicle::default();
        vehicle.handle_command(blind(500), command(1, 200, "lamp", None), None);
        vehicle.handle_command(blind(500), command(2, 200, "horn", None), None);
        assert_eq!(tasks(&mut vehicle, blind(500)), ["report 1: AtVehicle", "report 2: AtVehicle"]);
        assert_eq!(vehicle.poll_timeout(blind(500)), Some(Instant(Duration::from_millis(10_500))));
        vehicle.handle_cancel(blind(600), Cancel { id: CommandId(2), why: CancelReason::Asked });
        assert_eq!(tasks(&mut vehicle, blind(600)), ["report 2: AtVehicle, Cancelled Asked"]);
        let mut blinded = Vehicle::default();
        blinded.handle_command(blind(500), command(1, 200, "lamp", None), None);
        blinded.handle_timeout(blind(10_500));
        assert_eq!(tasks(&mut blinded, blind(10_500)), ["report 1: AtVehicle, Expired TooLate"]);
        vehicle.handle_timeout(at(1_200));
        assert_eq!(tasks(&mut vehicle, at(1_200)), ["store 1", "begin 1 until 9.900s"]);
    }

    #[test]
    fn a_target_is_asked_one_thing_at_a_time_and_a_newer_key_cancels_what_waits() {
        let mut vehicle = Vehicle::default();
        for (id, issued) in [(1, 100), (2, 200), (3, 300)] {
            let key = (id > 1).then_some("light");
            vehicle.handle_command(at(500), command(id, issued, "lamp", key), None);
        }
        vehicle.handle_command(at(500), command(9, 100, "horn", None), None);
        assert_eq!(
            tasks(&mut vehicle, at(500)),
            [
                "store 1",
                "store 9",
                "begin 1 until 9.800s",
                "begin 9 until 9.800s",
                "report 1: AtVehicle",
                "report 2: AtVehicle, Cancelled Superseded",
                "report 3: AtVehicle",
                "report 9: AtVehicle"
            ]
        );
        vehicle.handle_words(at(600), CommandId(1), word(State::Accepted));
        assert_eq!(
            tasks(&mut vehicle, at(600)),
            ["store 1", "store 3", "begin 3 until 10.000s", "report 1: AtVehicle, Accepted"]
        );
        // An older one that comes late.
        vehicle.handle_command(at(700), command(4, 250, "lamp", Some("light")), None);
        assert_eq!(tasks(&mut vehicle, at(700)), ["report 4: Cancelled Superseded"]);
    }

    #[test]
    fn after_a_restart_nothing_runs_twice_and_what_ran_is_in_doubt() {
        let mut vehicle = Vehicle::default();
        vehicle.handle_command(at(500), command(1, 200, "lamp", None), None);
        let Some(Task::Store(stored)) = vehicle.poll_task() else { panic!("nothing to store") };
        let mut vehicle = Vehicle::new(at(0).now, [stored]);
        assert_eq!(tasks(&mut vehicle, at(0)), ["store 1"]);
        vehicle.handle_command(at(600), command(1, 200, "lamp", None), None);
        assert_eq!(tasks(&mut vehicle, at(600)), ["report 1: AtVehicle, Failed Interrupted"]);
    }

    #[test]
    fn what_was_taken_back_before_it_came_does_not_run() {
        let mut vehicle = Vehicle::default();
        vehicle.handle_cancel(at(100), Cancel { id: CommandId(1), why: CancelReason::Overdue });
        vehicle.handle_command(at(200), command(1, 100, "lamp", None), None);
        assert_eq!(tasks(&mut vehicle, at(200)), ["report 1: Expired NotDelivered"]);
    }

    #[test]
    fn what_the_edge_does_not_take_is_rejected_with_the_reason() {
        let mut vehicle = Vehicle::default();
        let refusal = Some((Reason::NotAllowed, "not on the list".to_owned()));
        vehicle.handle_command(at(100), command(1, 100, "lamp", None), refusal);
        vehicle.handle_command(at(100), Command { ttl_ms: 0, ..command(2, 100, "lamp", None) }, None);
        for id in 10..30 {
            vehicle.handle_command(at(100), command(id, 100, "horn", None), None);
        }
        let seen = tasks(&mut vehicle, at(100));
        assert!(seen.contains(&"report 1: Rejected NotAllowed".to_owned()), "{seen:?}");
        assert!(seen.contains(&"report 2: Rejected Malformed".to_owned()), "{seen:?}");
        assert_eq!(seen.iter().filter(|task| task.ends_with("Rejected Busy")).count(), 4, "{seen:?}");
        // The disk is full.
        let mut vehicle = Vehicle::default();
        vehicle.handle_command(at(100), command(1, 100, "lamp", None), None);
        assert!(matches!(vehicle.poll_task(), Some(Task::Store(_))));
        vehicle.handle_stored(at(100), CommandId(1), Err("disk full".to_owned()));
        assert!(
            tasks(&mut vehicle, at(100)).contains(&"report 1: AtVehicle, Rejected Unavailable".to_owned())
        );
    }

    #[test]
    fn ids_are_kept_until_long_after_their_time_and_then_make_room() {
        let mut vehicle = Vehicle::default();
        for id in 0..=MAX_REMEMBERED as u64 {
            let refusal = (id < MAX_REMEMBERED as u64).then(|| (Reason::NotAllowed, String::new()));
            vehicle.handle_command(at(0), command(id, 0, "lamp", None), refusal);
        }
        let last = tasks(&mut vehicle, at(0));
        assert_eq!(last[0], format!("report {MAX_REMEMBERED}: Rejected Busy"));
        assert_eq!(last.len(), MAX_REMEMBERED + 1);
        let later = 2 * 3_600_000;
        vehicle.handle_command(at(later), command(7_000, later as i64, "lamp", None), None);
        assert_eq!(vehicle.entries.len(), 1);
    }
}
