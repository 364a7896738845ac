//! Commands to vehicles: who asked, on their way, what became of them.
//!
//! [`Commands`] is what the API and the vehicles' tasks call. A command goes to the audit log first, then to the
//! vehicle's queue ([`Ground`](tern_shared::command::ground::Ground), one a vehicle, all owned by the task in `center`),
//! and from there to the vehicle's connection ([`Downlink`]). Set-points go straight to the connection, where a newer one
//! takes the place of one that has not left.
//!
//! | Queue | Bound | When it is full |
//! |---|---|---|
//! | API, vehicles -> center | 1024 messages | the API waits; a vehicle's answer is dropped and asked for again |
//! | commands of a vehicle that have not ended | 64 | one more is refused |
//! | center -> connection | 256 orders | the connection counts as gone, its orders are sent again in the next session |
//! | set-points of a connection | the newest of 16 controls | a seventeenth control is refused |
//! | news -> each client | 256 | the client is told that it missed some |

mod audit;
mod center;
mod downlink;
mod refusals;
mod request;
mod steering;
mod view;

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tern_shared::command::control::SetPoint;
use tern_shared::command::{Answer, CommandId};
use tern_shared::id::VehicleId;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;
use tracing::warn;

use self::audit::Audit;
use self::center::{Center, Message};
use self::refusals::Refusals;
use self::steering::{Rates, Steering};
use crate::clock::Clock;
use crate::publish::message::{ErrorCode, Problem};
use crate::vehicle::SessionNumber;

pub use self::audit::AuditError;
pub use self::downlink::Downlink;
pub use self::request::{ActionRequest, CommandRequest, ControlRequest, PositionRequest};
pub use self::view::{CommandStatus, ControlStatus, News, StepStatus};

const INBOX: usize = 1024;
/// News that a client may be behind.
const NEWS: usize = 256;

/// Who asks for something.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// For the audit log and the vehicle.
    pub name: &'a str,
    /// Whether it may command the vehicle that it asks for.
    pub may_command: bool,
    /// Its connection: one control is steered from one connection at a time.
    pub connection: u64,
}

/// The way to everything about commands. Clones are the same.
#[derive(Clone, Debug)]
pub struct Commands {
    inbox: mpsc::Sender<Message>,
    news: broadcast::Sender<News>,
    audit: Arc<Audit>,
    steering: Arc<Steering>,
    rates: Arc<Rates>,
    refusals: Arc<Refusals>,
    connections: Arc<AtomicU64>,
}

impl Commands {
    /// Opens the audit log and starts the task, which ends when the last clone is dropped.
    pub fn start(audit: &Path, clock: Clock) -> Result<Commands, AuditError> {
        let (audit, open) = Audit::open(audit, clock.now().wall)?;
        let audit = Arc::new(audit);
        let (news, _) = broadcast::channel(NEWS);
        let (inbox, messages) = mpsc::channel(INBOX);
        let center = Center::new(clock, audit.clone(), news.clone(), open);
        tokio::spawn(center.run(messages));
        let (steering, rates) = (Arc::new(Steering::default()), Arc::new(Rates::default()));
        let (refusals, connections) = (Arc::default(), Arc::default());
        Ok(Commands { inbox, news, audit, steering, rates, refusals, connections })
    }

    /// Issues a command. Once it has returned, the command is in the audit log.
    pub async fn issue(
        &self,
        caller: Caller<'_>,
        vehicle: &VehicleId,
        request: CommandRequest,
    ) -> Result<CommandStatus, Problem> {
        let issued = async {
            check(caller, vehicle)?;
            self.rates.command(caller.name)?;
            let draft = request.draft(caller.name)?;
            let vehicle = vehicle.clone();
            self.ask(|reply| Message::Issue { vehicle, draft, reply }).await?
        };
        self.note_refusal(caller, vehicle, "command", issued.await)
    }

    /// Takes a command back, which works as long as the vehicle has not begun it.
    pub async fn cancel(
        &self,
        caller: Caller<'_>,
        vehicle: &VehicleId,
        id: CommandId,
    ) -> Result<CommandStatus, Problem> {
        let cancelled = async {
            check(caller, vehicle)?;
            self.rates.command(caller.name)?;
            let (vehicle, who) = (vehicle.clone(), caller.name.to_owned());
            self.ask(|reply| Message::Cancel { vehicle, id, who, reply }).await?
        };
        self.note_refusal(caller, vehicle, "cancel", cancelled.await)
    }

    /// The newest commands of a vehicle, newest first.
    pub async fn list(&self, vehicle: &VehicleId, limit: usize) -> Result<Vec<CommandStatus>, Problem> {
        self.audit.list(vehicle.clone(), limit).await.map_err(unavailable)
    }

    /// Steers: sends a set-point to the vehicle if it is connected.
    pub fn control(
        &self,
        caller: Caller<'_>,
        vehicle: &VehicleId,
        request: &ControlRequest,
    ) -> Result<(), Problem> {
        self.note_refusal(caller, vehicle, "control", check(caller, vehicle))?;
        self.rates.set_point(caller.name)?;
        let set_point: SetPoint = request.set_point();
        set_point.validate().map_err(malformed)?;
        self.steering.send(vehicle, caller.connection, set_point)
    }

    /// Numbers a connection, so that a control is steered from one at a time.
    pub fn connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// What becomes of commands and controls, of all vehicles, from here on.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// A vehicle's session is open. What is to be sent in it comes by the downlink.
    pub fn connected(&self, vehicle: &VehicleId, session: SessionNumber) -> Downlink {
        let (orders, set_points, downlink) = downlink::channel();
        self.steering.connected(vehicle, session, set_points);
        self.tell(Message::Connected { vehicle: vehicle.clone(), session, orders });
        downlink
    }

    /// A vehicle's session is over.
    pub fn disconnected(&self, vehicle: &VehicleId, session: SessionNumber) {
        self.steering.disconnected(vehicle, session);
        self.tell(Message::Disconnected { vehicle: vehicle.clone(), session });
    }

    /// A vehicle answered.
    pub fn answered(&self, vehicle: &VehicleId, answer: Answer) {
        self.tell(Message::Answered { vehicle: vehicle.clone(), answer });
    }

    /// Waits until everything that is known so far is in the audit log, and that is closed. No command is taken after that.
    pub async fn close(&self) {
        self.refusals.rest().into_iter().for_each(|refusal| self.audit.refused(refusal));
        let _ = self.ask(|reply| Message::Close { reply }).await;
    }

    /// Puts into the audit log what has been counted for long enough.
    pub fn tidy(&self, now: Instant) {
        self.refusals.due(now).into_iter().for_each(|refusal| self.audit.refused(refusal));
    }

    /// Commands, cancellations and set-points that were refused since the start.
    pub fn refused(&self) -> u64 {
        self.refusals.total()
    }

    fn note_refusal<T>(
        &self,
        caller: Caller<'_>,
        vehicle: &VehicleId,
        operation: &'static str,
        result: Result<T, Problem>,
    ) -> Result<T, Problem> {
        if let Err(problem) = &result
            && let Some(refusal) = self.refusals.note(caller, vehicle, operation, problem)
        {
            warn!(caller = caller.name, %vehicle, operation, reason = problem.message, "refused");
            self.audit.refused(refusal);
        }
        result
    }

    fn tell(&self, message: Message) {
        if self.inbox.try_send(message).is_err() {
            warn!("the commands' task does not keep up: what a vehicle said is asked for again");
        }
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let gone = || unavailable("the ground is shutting down");
        self.inbox.send(message(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

fn check(caller: Caller<'_>, vehicle: &VehicleId) -> Result<(), Problem> {
    if caller.may_command {
        return Ok(());
    }
    Err(Problem::new(ErrorCode::Forbidden, format!("{} may not command vehicle {vehicle}", caller.name)))
}

fn malformed(error: impl Display) -> Problem {
    Problem::new(ErrorCode::Malformed, error.to_string())
}

fn unavailable(error: impl Display) -> Problem {
    Problem::new(ErrorCode::Unavailable, error.to_string())
}

#[cfg(test)]
mod tests;
