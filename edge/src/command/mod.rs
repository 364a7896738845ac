//! Commands at the edge: what may pass, its execution, and what became of it.
//!
//! [`Vehicle`] decides what runs when; this module gives it a disk ([`journal`]), a list of what may pass (`policy`)
//! and targets: an autopilot (`mavlink`), devices and programs (`device`). Set-points take the short way through
//! `control`. Whoever asks, and whatever the ground lets pass, the lists here decide.
//!
//! | Queue | Bound | When it is full |
//! |---|---|---|
//! | commands that wait | 16 | one more is rejected |
//! | commands -> journal | 64 entries | the command is rejected |
//! | targets, journal -> relay | 64 pieces of news | targets wait |

pub mod config;
mod control;
mod device;
mod journal;
mod mavlink;
mod policy;
mod reply;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tern_shared::command::control::{ControlReport, ControlState, SetPoint};
use tern_shared::command::vehicle::{Task, Vehicle};
use tern_shared::command::{
    Action, Answer, Command, CommandId, MAX_NAME_BYTES, Moment, Order, Reason, State, Step,
};
use tern_shared::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use self::config::{CommandConfig, DeviceTarget};
use self::control::{Control, Output};
use self::journal::Journal;
use self::mavlink::Autopilot;
use self::policy::Policy;
use crate::clock::wall_now;
use crate::source::{Format, Port};

pub use self::journal::JournalError;

/// What happened to a command, for [`Commands::handle_happened`].
#[derive(Debug)]
pub enum Happened {
    /// The journal has it, or has not.
    Stored {
        /// Which.
        id: CommandId,
        /// Why not.
        result: Result<(), String>,
    },
    /// Its target said something.
    Words {
        /// Which.
        id: CommandId,
        /// What.
        words: Vec<Step>,
    },
}

/// Commands at the edge.
pub struct Commands {
    vehicle: Vehicle,
    policy: Policy,
    /// `None` when there is nothing to keep or no disk to keep it on.
    journal: Option<Journal>,
    /// Why there is no journal though there should be.
    unavailable: Option<String>,
    autopilot: Option<Arc<Autopilot>>,
    devices: BTreeMap<String, Device>,
    controls: BTreeMap<String, Control>,
    answers: VecDeque<Answer>,
    /// Commands that run.
    running: JoinSet<()>,
    happened: mpsc::Sender<Happened>,
}

#[derive(Clone, Debug)]
struct Device {
    way: Way,
    result_limit: Duration,
}

#[derive(Clone, Debug)]
enum Way {
    Port(Port),
    Program(Arc<[String]>),
}

/// Says what a target says.
#[derive(Clone, Debug)]
struct Say {
    id: CommandId,
    happened: mpsc::Sender<Happened>,
}

impl Say {
    async fn word(&self, word: Step) {
        self.words(vec![word]).await;
    }

    async fn words(&self, words: Vec<Step>) {
        // Nobody is left to be told when the process ends.
        let _ = self.happened.send(Happened::Words { id: self.id, words }).await;
    }
}

impl Commands {
    /// Opens the journal and gets ready. `port` is the way back into each source that commands need, by its URL.
    pub fn new(
        config: &CommandConfig,
        moment: Moment,
        port: impl Fn(&str) -> Port,
        happened: mpsc::Sender<Happened>,
    ) -> Self {
        let (mut journal, mut unavailable, mut entries) = (None, None, Vec::new());
        if config.is_enabled() {
            match Journal::open(&config.journal, happened.clone()) {
                Ok((opened, stored)) => (journal, entries) = (Some(opened), stored),
                Err(failure) => {
                    error!("no command will run: {failure}; if what it holds may be forgotten, move it away");
                    unavailable = Some(failure.to_string());
                }
            }
        }
        let autopilot = config.mavlink.as_ref().map(|mavlink| {
            Arc::new(Autopilot::new(port(&mavlink.source.to_string()), mavlink.system, mavlink.component))
        });
        let devices = config.devices.iter().map(|(name, device)| {
            let way = match &device.target {
                DeviceTarget::Source(source) => Way::Port(port(&source.to_string())),
                DeviceTarget::Program(argv) => Way::Program(argv.clone().into()),
            };
            (name.clone(), Device { way, result_limit: device.result_limit })
        });
        let controls = config.controls.iter().map(|(name, control)| {
            let port = port(&control.source.to_string());
            let output = match config::speaks(&control.source) {
                Some(Format::Mavlink { .. }) => {
                    let own = config.mavlink.as_ref().map(|mavlink| (mavlink.system, mavlink.component));
                    let (system, component) = own.unwrap_or(config::GROUND_STATION);
                    Output::Autopilot(Arc::new(Autopilot::new(port, system, component)))
                }
                _ => Output::Device(port),
            };
            (name.clone(), Control::new(name, control, output))
        });
        let mut commands = Commands {
            vehicle: Vehicle::new(moment.now, entries),
            policy: Policy::new(config),
            journal,
            unavailable,
            autopilot,
            devices: devices.collect(),
            controls: controls.collect(),
            answers: VecDeque::new(),
            running: JoinSet::new(),
            happened,
        };
        commands.work(moment);
        commands
    }

    /// The ground asks for something.
    pub fn handle_order(&mut self, moment: Moment, order: Order) {
        match order {
            Order::Command(command) => {
                let refusal = self.refusal(&command);
                info!(id = %command.id, issuer = command.issuer, action = ?command.action, ?refusal, "command");
                self.vehicle.handle_command(moment, command, refusal);
            }
            Order::Cancel(cancel) => self.vehicle.handle_cancel(moment, cancel),
            Order::SetPoint(set_point) => self.handle_set_point(moment, &set_point),
        }
        self.work(moment);
    }

    /// The journal or a target has news.
    pub fn handle_happened(&mut self, moment: Moment, happened: Happened) {
        match happened {
            Happened::Stored { id, result } => self.vehicle.handle_stored(moment, id, result),
            Happened::Words { id, words } => {
                for word in &words {
                    info!(%id, state = ?word.state, reason = ?word.reason, detail = word.detail, "command");
                }
                self.vehicle.handle_words(moment, id, words);
            }
        }
        self.work(moment);
    }

    /// The connection to the ground is gone.
    pub fn handle_disconnected(&mut self) {
        self.controls.values_mut().for_each(Control::handle_disconnected);
    }

    /// A timer is due, or the ground's clock has become known.
    pub fn handle_timeout(&mut self, moment: Moment) {
        self.vehicle.handle_timeout(moment);
        let reports = self.controls.values_mut().filter_map(|control| control.handle_timeout(moment));
        self.answers.extend(reports.map(Answer::Control));
        self.work(moment);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self, moment: Moment) -> Option<Instant> {
        let controls = self.controls.values().filter_map(Control::poll_timeout).min();
        [self.vehicle.poll_timeout(moment), controls].into_iter().flatten().min()
    }

    /// The next thing to tell the ground.
    pub fn poll_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    fn refusal(&self, command: &Command) -> Option<(Reason, String)> {
        let refusal = self.policy.refusal(command);
        refusal.or_else(|| self.unavailable.clone().map(|reason| (Reason::Unavailable, reason)))
    }

    fn handle_set_point(&mut self, moment: Moment, set_point: &SetPoint) {
        let report = match self.controls.get_mut(&set_point.control) {
            Some(control) => control.handle(moment, set_point),
            None if set_point.control.len() > MAX_NAME_BYTES => None,
            None => Some(ControlReport {
                control: set_point.control.clone(),
                state: ControlState::Refused,
                at: moment.now.wall,
                reason: Some(Reason::UnknownTarget),
            }),
        };
        self.answers.extend(report.map(Answer::Control));
    }

    fn work(&mut self, moment: Moment) {
        while self.running.try_join_next().is_some() {}
        while let Some(task) = self.vehicle.poll_task() {
            match task {
                Task::Store(entry) => {
                    let id = entry.id;
                    let journal = self.journal.as_ref().ok_or_else(|| "there is no journal".to_owned());
                    if let Err(error) = journal.and_then(|journal| journal.store(entry)) {
                        warn!(%id, error, "command not stored");
                        self.vehicle.handle_stored(moment, id, Err(error));
                    }
                }
                Task::Forget(id) => self.journal.iter().for_each(|journal| journal.forget(id)),
                Task::Begin { command, until } => self.begin(moment, command, until),
                Task::Report(report) => self.answers.push_back(Answer::Report(report)),
            }
        }
    }

    fn begin(&mut self, moment: Moment, command: Command, until: Instant) {
        let until = tokio::time::Instant::now() + until.since(moment.now.instant);
        let say = Say { id: command.id, happened: self.happened.clone() };
        match command.action {
            Action::Mavlink(action) => {
                let autopilot = self.autopilot.clone();
                self.running.spawn(async move {
                    match autopilot {
                        Some(autopilot) => autopilot.execute(action, until, &say).await,
                        None => say.word(unknown_target()).await,
                    }
                });
            }
            Action::Device(action) => {
                let device = self.devices.get(&action.device).cloned();
                self.running.spawn(async move {
                    match device {
                        Some(Device { way: Way::Port(port), result_limit }) => {
                            device::ask(&port, say.id, &action, until, result_limit, &say).await;
                        }
                        Some(Device { way: Way::Program(argv), result_limit }) => {
                            device::start(&argv, say.id, &action, until, result_limit, &say).await;
                        }
                        None => say.word(unknown_target()).await,
                    }
                });
            }
        }
    }
}

/// The policy has let it pass, so this is for the compiler's peace.
fn unknown_target() -> Step {
    Step::new(State::Rejected, wall_now()).because(Reason::UnknownTarget)
}

#[cfg(test)]
mod tests;
