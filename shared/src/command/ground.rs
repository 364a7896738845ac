//! The ground's end of commands: one a vehicle, across all its sessions and with or without one.
//!
//! Drive it as a session: feed it what happened, make durable and publish what [`Ground::poll_change`] gives, send what
//! [`Ground::poll_order`] gives, and call [`Ground::handle_timeout`] when [`Ground::poll_timeout`] says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::{
    Action, Cancel, CancelReason, Command, CommandId, CommandReport, InvalidCommand, MAX_STEPS, Order,
    Reason, State, Step,
};
use crate::time::{Instant, Now, Timestamp};

/// Commands of a vehicle that have not ended; one more is refused.
pub const MAX_OPEN: usize = 64;
/// How long after its time to live the vehicle's last word may take before it is asked for.
const GRACE: Duration = Duration::from_secs(2);
/// How long between questions about one command.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// How long a command may go without a last word after its time to live. It stays in the state it is known to be in.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 3600);
/// A ground clock that was set back by more than this does not make commands wait for their turn.
const MAX_AHEAD_MICROS: i64 = 1_000_000;

/// A command to be issued.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Its name.
    pub id: CommandId,
    /// How long from here on it may begin.
    pub time_to_live: Duration,
    /// It cancels older ones with the same key, unless they have begun.
    pub key: Option<String>,
    /// Who asks.
    pub issuer: String,
    /// What to do.
    pub action: Action,
}

/// Why a command is not issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// It is over a limit.
    #[error(transparent)]
    Invalid(#[from] InvalidCommand),
    /// There is one of this name.
    #[error("command {0} was issued before")]
    Duplicate(CommandId),
    /// Too many have not ended.
    #[error("{MAX_OPEN} commands of this vehicle have not ended: wait, or cancel some")]
    Full,
}

/// A command and all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracked {
    /// What was asked.
    pub command: Command,
    /// What became of it, oldest first. Times of the vehicle's steps are by the vehicle's clock.
    pub steps: Vec<Step>,
    /// Whether and why it was taken back after it was sent.
    pub cancel: Option<CancelReason>,
}

/// The ground's end of the commands of one vehicle.
#[derive(Debug, Default)]
pub struct Ground {
    open: BTreeMap<CommandId, Open>,
    connected: bool,
    /// [`Command::issued`] of the newest.
    newest: Option<Timestamp>,
    /// What to send about which, in the order in which they were issued.
    outbox: BTreeSet<(Timestamp, CommandId)>,
    changes: VecDeque<Tracked>,
}

#[derive(Debug)]
struct Open {
    tracked: Tracked,
    /// Whether it was, or may have been, handed to a link.
    sent: bool,
    /// When its time to live ends.
    deadline: Instant,
    /// When the vehicle is asked what became of it.
    ask_at: Instant,
}

impl Ground {
    /// With the commands that had not ended when the process ended.
    pub fn new(now: Now, stored: impl IntoIterator<Item = Tracked>) -> Self {
        let mut ground = Ground::default();
        for mut tracked in stored {
            let issued = tracked.command.issued;
            ground.newest = ground.newest.max(Some(issued));
            let left = tracked.command.expires().micros_since(now.wall).max(0) as u64;
            let deadline = now.instant + Duration::from_micros(left).min(tracked.command.time_to_live());
            if tracked.steps.is_empty() {
                tracked.steps.push(Step::new(State::Queued, issued));
            }
            // What was written last may be older than what was sent last.
            let open = Open { tracked, sent: true, deadline, ask_at: deadline + GRACE };
            ground.open.insert(open.tracked.command.id, open);
        }
        let newest: Vec<_> = ground.open.values().map(|open| open.tracked.command.clone()).collect();
        for command in newest {
            ground.supersede(now, &command);
        }
        ground
    }

    /// Issues a command, which is not sent before [`release`](Self::release): make it durable in between.
    pub fn issue(&mut self, now: Now, draft: Draft) -> Result<Tracked, IssueError> {
        let Draft { id, time_to_live, key, issuer, action } = draft;
        let ttl_ms = u32::try_from(time_to_live.as_millis()).unwrap_or(u32::MAX);
        let command = Command { id, issued: self.next_issued(now.wall), ttl_ms, key, issuer, action };
        command.validate()?;
        if self.open.contains_key(&id) {
            return Err(IssueError::Duplicate(id));
        }
        if self.open.len() >= MAX_OPEN {
            return Err(IssueError::Full);
        }
        self.newest = Some(command.issued);
        let deadline = now.instant + command.time_to_live();
        let steps = vec![Step::new(State::Queued, command.issued)];
        let tracked = Tracked { command, steps, cancel: None };
        let open = Open { tracked: tracked.clone(), sent: false, deadline, ask_at: deadline + GRACE };
        self.open.insert(id, open);
        Ok(tracked)
    }

    /// Lets a command go that was issued, and takes back those that it supersedes.
    pub fn release(&mut self, now: Now, id: CommandId) {
        let Some(open) = self.open.get(&id) else { return };
        let tracked = open.tracked.clone();
        self.outbox.insert(open.place());
        self.supersede(now, &tracked.command);
        self.changes.push_back(tracked);
    }

    /// Takes a command back; `false` when it has ended or is not known.
    pub fn cancel(&mut self, now: Now, id: CommandId) -> bool {
        self.take_back(now, id, CancelReason::Asked)
    }

    /// A session is open: what is not settled is sent again.
    pub fn handle_connected(&mut self) {
        self.connected = true;
        self.outbox = self.open.values().map(Open::place).collect();
    }

    /// The session is gone.
    pub fn handle_disconnected(&mut self) {
        self.connected = false;
    }

    /// The vehicle said what became of a command.
    pub fn handle_report(&mut self, report: &CommandReport) {
        for step in report.steps.iter().take(MAX_STEPS) {
            let Some(open) = self.open.get_mut(&report.id) else { return };
            let known = open.tracked.steps.iter().position(|known| known.state == step.state);
            // Whatever the vehicle sends: texts have a limit, and some words are not the vehicle's.
            let step =
                Step { progress: step.progress.filter(|&p| p <= 100), ..step.clone() }.saying(&step.detail);
            match (step.state, known) {
                (State::Queued | State::Sent, _) => {}
                (State::Accepted, Some(at)) if open.tracked.steps[at] != step => {
                    open.tracked.steps[at] = step;
                    self.changes.push_back(open.tracked.clone());
                }
                (_, Some(_)) => {}
                (_, None) => self.step(report.id, step),
            }
        }
    }

    /// A timer is due.
    pub fn handle_timeout(&mut self, now: Now) {
        let mut over = Vec::new();
        for (&id, open) in &mut self.open {
            if !open.sent && open.deadline <= now.instant {
                let step = Step::new(State::Expired, now.wall).because(Reason::NotDelivered);
                over.push((id, Some(step)));
            } else if open.sent && open.deadline + GIVEN_UP_AFTER <= now.instant {
                over.push((id, None));
            } else if open.sent && open.ask_at <= now.instant {
                open.ask_at = now.instant + ASK_AGAIN;
                if self.connected {
                    self.outbox.insert(open.place());
                }
            }
        }
        for (id, step) in over {
            match step {
                Some(step) => self.step(id, step),
                None => self.close(id),
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.open.values().map(|open| if open.sent { open.ask_at } else { open.deadline }).min()
    }

    /// The next order for the vehicle, while there is a session.
    pub fn poll_order(&mut self, now: Now) -> Option<Order> {
        if !self.connected {
            return None;
        }
        while let Some((_, id)) = self.outbox.pop_first() {
            let Some(open) = self.open.get_mut(&id) else { continue };
            if let Some(why) = open.tracked.cancel {
                return Some(Order::Cancel(Cancel { id, why }));
            }
            if open.deadline > now.instant {
                let first = !std::mem::replace(&mut open.sent, true);
                let command = open.tracked.command.clone();
                if first {
                    self.step(id, Step::new(State::Sent, now.wall));
                }
                return Some(Order::Command(command));
            }
            if open.sent {
                return Some(Order::Cancel(Cancel { id, why: CancelReason::Overdue }));
            }
        }
        None
    }

    /// The next command of which something is known that was not known before.
    pub fn poll_change(&mut self) -> Option<Tracked> {
        self.changes.pop_front()
    }

    /// Commands that have not ended.
    pub fn open(&self) -> impl Iterator<Item = &Tracked> {
        self.open.values().map(|open| &open.tracked)
    }

    /// Forgets a command that could not be made durable, and so is not to be released.
    pub fn withdraw(&mut self, id: CommandId) {
        self.close(id);
    }

    /// Takes back whatever is older than this command and has its key.
    fn supersede(&mut self, now: Now, command: &Command) {
        let place = (command.issued, command.id);
        let older = self.open.values().filter(|open| {
            command.key.is_some() && open.tracked.command.key == command.key && open.place() < place
        });
        for id in older.map(|open| open.tracked.command.id).collect::<Vec<_>>() {
            self.take_back(now, id, CancelReason::Superseded);
        }
    }

    fn take_back(&mut self, now: Now, id: CommandId, why: CancelReason) -> bool {
        let Some(open) = self.open.get_mut(&id) else { return false };
        if !open.sent {
            let reason = if why == CancelReason::Superseded { Reason::Superseded } else { Reason::Asked };
            self.step(id, Step::new(State::Cancelled, now.wall).because(reason));
        } else if open.tracked.cancel.is_none() {
            open.tracked.cancel = Some(why);
            let place = open.place();
            self.changes.push_back(open.tracked.clone());
            if self.connected {
                self.outbox.insert(place);
            }
        }
        true
    }

    fn step(&mut self, id: CommandId, step: Step) {
        let Some(open) = self.open.get_mut(&id) else { return };
        let ends = step.state.is_final();
        open.tracked.steps.push(step);
        self.changes.push_back(open.tracked.clone());
        if ends {
            self.close(id);
        }
    }

    fn close(&mut self, id: CommandId) {
        if let Some(open) = self.open.remove(&id) {
            self.outbox.remove(&open.place());
        }
    }

    /// Later than every other, so that there is an order, as long as that does not stretch times to live.
    fn next_issued(&self, wall: Timestamp) -> Timestamp {
        let next = self.newest.map(|newest| newest.offset_by(1));
        next.filter(|next| (1..MAX_AHEAD_MICROS).contains(&next.micros_since(wall))).unwrap_or(wall)
    }
}

impl Open {
    fn place(&self) -> (Timestamp, CommandId) {
        (self.tracked.command.issued, self.tracked.command.id)
    }
}

impl Tracked {
    /// Where it is.
    pub fn state(&self) -> State {
        self.steps.last().map_or(State::Queued, |step| step.state)
    }
}
