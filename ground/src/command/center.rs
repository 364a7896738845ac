//! The task that owns every vehicle's queue of commands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tern_shared::command::ground::{Draft, Ground, IssueError, Tracked};
use tern_shared::command::{Answer, CommandId, Order};
use tern_shared::id::VehicleId;
use tern_shared::time::Instant;
use tokio::sync::{broadcast, mpsc, oneshot};
use tracing::warn;

use super::audit::Audit;
use super::view::{CommandStatus, ControlStatus, News};
use crate::clock::Clock;
use crate::publish::message::{ErrorCode, Problem};
use crate::vehicle::SessionNumber;

/// Vehicles that have commands which have not ended.
const MAX_VEHICLES: usize = 10_000;

/// What the center is asked and told.
#[derive(Debug)]
pub(super) enum Message {
    Issue {
        vehicle: VehicleId,
        draft: Draft,
        reply: oneshot::Sender<Result<CommandStatus, Problem>>,
    },
    Cancel {
        vehicle: VehicleId,
        id: CommandId,
        who: String,
        reply: oneshot::Sender<Result<CommandStatus, Problem>>,
    },
    Connected {
        vehicle: VehicleId,
        session: SessionNumber,
        orders: mpsc::Sender<Order>,
    },
    Disconnected {
        vehicle: VehicleId,
        session: SessionNumber,
    },
    Close {
        reply: oneshot::Sender<()>,
    },
    Answered {
        vehicle: VehicleId,
        answer: Answer,
    },
}

/// The task.
pub(super) struct Center {
    clock: Clock,
    audit: Arc<Audit>,
    news: broadcast::Sender<News>,
    vehicles: BTreeMap<VehicleId, Vehicle>,
}

#[derive(Default)]
struct Vehicle {
    commands: Ground,
    link: Option<(SessionNumber, mpsc::Sender<Order>)>,
}

impl Center {
    pub(super) fn new(
        clock: Clock,
        audit: Arc<Audit>,
        news: broadcast::Sender<News>,
        open: Vec<(VehicleId, Tracked)>,
    ) -> Self {
        let mut stored: BTreeMap<VehicleId, Vec<Tracked>> = BTreeMap::new();
        for (vehicle, tracked) in open {
            stored.entry(vehicle).or_default().push(tracked);
        }
        let now = clock.now();
        let vehicles = stored
            .into_iter()
            .map(|(vehicle, tracked)| (vehicle, Vehicle { commands: Ground::new(now, tracked), link: None }));
        let vehicles = vehicles.collect();
        Center { clock, audit, news, vehicles }
    }

    /// Runs until nobody can ask any more.
    pub(super) async fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        loop {
            let timeout = self.poll_timeout().map(|at| self.clock.deadline(at));
            tokio::select! {
                biased;
                // Priority 1: what is over is over.
                () = sleep_until(timeout) => {
                    let now = self.clock.now();
                    for vehicle in self.vehicles.values_mut() {
                        vehicle.commands.handle_timeout(now);
                    }
                    self.work_all().await;
                }
                // Priority 2: everything else.
                message = messages.recv() => match message {
                    Some(message) => self.handle(message).await,
                    None => return,
                },
            }
        }
    }

    async fn handle(&mut self, message: Message) {
        match message {
            Message::Issue { vehicle, draft, reply } => {
                let result = self.issue(&vehicle, draft).await;
                let _ = reply.send(result);
                self.work(&vehicle).await;
            }
            Message::Cancel { vehicle, id, who, reply } => {
                let result = self.cancel(&vehicle, id, who).await;
                self.work(&vehicle).await;
                let _ = reply.send(result);
            }
            Message::Connected { vehicle, session, orders } => {
                let entry = self.vehicles.entry(vehicle.clone()).or_default();
                entry.link = Some((session, orders));
                entry.commands.handle_connected();
                self.work(&vehicle).await;
            }
            Message::Disconnected { vehicle, session } => {
                if let Some(entry) = self.vehicles.get_mut(&vehicle) {
                    entry.disconnect(session);
                }
                self.tidy(&vehicle);
            }
            Message::Close { reply } => {
                self.audit.close().await;
                let _ = reply.send(());
            }
            Message::Answered { vehicle, answer: Answer::Report(report) } => {
                if let Some(entry) = self.vehicles.get_mut(&vehicle) {
                    entry.commands.handle_report(&report);
                }
                self.work(&vehicle).await;
            }
            Message::Answered { vehicle, answer: Answer::Control(report) } => {
                let status = ControlStatus::new(&vehicle, report);
                let _ = self.news.send(News::Control(Arc::new(status)));
            }
        }
    }

    async fn issue(&mut self, vehicle: &VehicleId, draft: Draft) -> Result<CommandStatus, Problem> {
        if self.vehicles.len() >= MAX_VEHICLES && !self.vehicles.contains_key(vehicle) {
            let message = format!("{MAX_VEHICLES} vehicles have commands that have not ended");
            return Err(Problem::new(ErrorCode::Limit, message));
        }
        let entry = self.vehicles.entry(vehicle.clone()).or_default();
        let tracked = entry.commands.issue(self.clock.now(), draft).map_err(|error| {
            let kind = match error {
                IssueError::Invalid(_) => ErrorCode::Malformed,
                IssueError::Duplicate(_) => ErrorCode::Duplicate,
                IssueError::Full => ErrorCode::Limit,
            };
            Problem::new(kind, error.to_string())
        })?;
        let id = tracked.command.id;
        match self.audit.issued(vehicle.clone(), tracked.clone()).await {
            Ok(()) => {
                entry.commands.release(self.clock.now(), id);
                Ok(CommandStatus::new(vehicle, &tracked))
            }
            Err(error) => {
                entry.commands.withdraw(id);
                Err(error)
            }
        }
    }

    async fn cancel(
        &mut self,
        vehicle: &VehicleId,
        id: CommandId,
        who: String,
    ) -> Result<CommandStatus, Problem> {
        let unknown = || {
            let message = format!("vehicle {vehicle} has no command {id} that has not ended");
            Problem::new(ErrorCode::UnknownId, message)
        };
        let entry = self.vehicles.get_mut(vehicle).ok_or_else(unknown)?;
        let before =
            entry.commands.open().find(|tracked| tracked.command.id == id).cloned().ok_or_else(unknown)?;
        entry.commands.cancel(self.clock.now(), id);
        self.audit.cancelled(id, who).await;
        let after = entry.commands.open().find(|tracked| tracked.command.id == id);
        Ok(CommandStatus::new(vehicle, after.unwrap_or(&before)))
    }

    async fn work_all(&mut self) {
        let vehicles: Vec<VehicleId> = self.vehicles.keys().cloned().collect();
        for vehicle in vehicles {
            self.work(&vehicle).await;
        }
    }

    /// Sends what is to be sent, then writes down and publishes what has changed.
    async fn work(&mut self, vehicle: &VehicleId) {
        let Some(entry) = self.vehicles.get_mut(vehicle) else { return };
        if let Some((session, orders)) = entry.link.clone() {
            while let Some(order) = entry.commands.poll_order(self.clock.now()) {
                if orders.try_send(order).is_err() {
                    warn!(%vehicle, "the connection takes no commands: they wait for the next session");
                    entry.disconnect(session);
                    break;
                }
            }
        }
        while let Some(tracked) = entry.commands.poll_change() {
            let status = CommandStatus::new(vehicle, &tracked);
            self.audit.changed(tracked).await;
            let _ = self.news.send(News::Command(Arc::new(status)));
        }
        self.tidy(vehicle);
    }

    /// Forgets a vehicle about which there is nothing to know.
    fn tidy(&mut self, vehicle: &VehicleId) {
        let is_idle = |entry: &Vehicle| entry.link.is_none() && entry.commands.open().next().is_none();
        if self.vehicles.get(vehicle).is_some_and(is_idle) {
            self.vehicles.remove(vehicle);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.vehicles.values().filter_map(|vehicle| vehicle.commands.poll_timeout()).min()
    }
}

impl Vehicle {
    fn disconnect(&mut self, session: SessionNumber) {
        if self.link.take_if(|(current, _)| *current == session).is_some() {
            self.commands.handle_disconnected();
        }
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        // A timer that is due and finds nothing to do must not keep the task from everything else.
        Some(deadline) => {
            let soon = tokio::time::Instant::now() + Duration::from_millis(1);
            tokio::time::sleep_until(deadline.max(soon)).await;
        }
        None => std::future::pending().await,
    }
}
