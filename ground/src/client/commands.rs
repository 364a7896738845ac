//! What a client asks of vehicles, and what it hears of it.

use std::sync::Arc;

use axum::extract::ws::Message;
use tern_shared::id::VehicleId;
use tern_shared::pattern::Pattern;
use tokio::sync::{broadcast, mpsc};

use super::Clients;
use super::operations::over_limit;
use super::session::Session;
use crate::access::Grant;
use crate::command::{Caller, CommandRequest, CommandStatus, Commands, ControlRequest, News};
use crate::publish::encode::Encoding;
use crate::publish::message::{ErrorCode, Problem, ToClient};
use crate::publish::operation::{CommandOperation, ControlOperation};
use crate::publish::{matches_any, patterns};

/// Requests of a connection that wait for the audit log.
const MAX_WAITING: usize = 16;
/// Commands that a client is shown of each vehicle when it begins to follow.
const SHOWN: usize = 20;
/// Vehicles of which it is shown them.
const MAX_SHOWN_VEHICLES: usize = 16;

/// A client's dealings with commands.
#[derive(Debug)]
pub(super) struct Desk {
    /// Tells this connection from others: one of them steers a control at a time.
    connection: u64,
    /// Most clients only watch: made for the first that is asked, so that ten thousand of them are served without it.
    done: Option<(mpsc::Sender<Done>, mpsc::Receiver<Done>)>,
    news: Option<broadcast::Receiver<News>>,
    /// Whose news are wanted.
    vehicles: Vec<Pattern>,
}

/// What came of a request.
#[derive(Debug)]
enum Done {
    Command(Box<CommandStatus>),
    Refused { id: Option<String>, problem: Problem },
}

impl Desk {
    pub(super) fn new(commands: &Commands) -> Self {
        Desk { connection: commands.connection(), done: None, news: None, vehicles: Vec::new() }
    }

    /// Where what came of a request goes.
    fn done(&mut self) -> mpsc::Sender<Done> {
        self.done.get_or_insert_with(|| mpsc::channel(MAX_WAITING)).0.clone()
    }

    /// The next message for the client. Cancel safe.
    pub(super) async fn next(&mut self, grant: Option<&Grant>, encoding: Encoding) -> Message {
        loop {
            tokio::select! {
                biased;
                done = next_done(&mut self.done) => return match done {
                    Done::Command(status) => encoding.encode(&ToClient::Command { status: &status }),
                    Done::Refused { id, problem } => encoding.encode(&ToClient::Error { problem, id }),
                },
                news = next_news(&mut self.news) => match news {
                    Some(news) => {
                        let vehicle = news.vehicle().as_str();
                        let may_view = grant.is_some_and(|grant| grant.may_view(vehicle));
                        if may_view && matches_any(&self.vehicles, vehicle) {
                            return match &news {
                                News::Command(status) => encoding.encode(&ToClient::Command { status }),
                                News::Control(status) => encoding.encode(&ToClient::ControlState { status }),
                            };
                        }
                    }
                    None => return encoding.encode(&ToClient::CommandsMissed {}),
                },
            }
        }
    }
}

impl Session {
    pub(super) fn command(&mut self, operation: CommandOperation) -> Result<(), Problem> {
        let CommandOperation { vehicle, id, ttl_ms, key, action } = operation;
        let vehicle = self.vehicle(&vehicle)?;
        let request = CommandRequest { id: id.clone(), ttl_ms, key, action };
        let (commands, grant, connection) = self.asking()?;
        self.ask(
            id,
            async move { commands.issue(caller(&grant, &vehicle, connection), &vehicle, request).await },
        )
    }

    pub(super) fn cancel_command(&mut self, vehicle: &str, id: &str) -> Result<(), Problem> {
        let vehicle = self.vehicle(vehicle)?;
        let malformed = |error: tern_shared::command::InvalidCommandId| {
            Problem::new(ErrorCode::Malformed, error.to_string())
        };
        let command = id.parse().map_err(malformed)?;
        let id = Some(id.to_owned());
        let (commands, grant, connection) = self.asking()?;
        self.ask(
            id,
            async move { commands.cancel(caller(&grant, &vehicle, connection), &vehicle, command).await },
        )
    }

    pub(super) fn control(&mut self, operation: &ControlOperation) -> Result<(), Problem> {
        let ControlOperation { vehicle, control, values, life_ms } = operation;
        let vehicle = self.vehicle(vehicle)?;
        let request = ControlRequest::new(control.clone(), values.clone(), *life_ms);
        let (commands, grant, connection) = self.asking()?;
        commands.control(caller(&grant, &vehicle, connection), &vehicle, &request)
    }

    pub(super) fn follow_commands(&mut self, vehicles: &[String]) -> Result<(), Problem> {
        self.desk.vehicles = patterns(vehicles).map_err(over_limit)?;
        // From here on, and then what was before: what happens in between comes twice rather than not.
        self.desk.news = (!vehicles.is_empty()).then(|| self.clients.commands.news());
        let named = vehicles.iter().filter(|name| !name.contains('*')).take(MAX_SHOWN_VEHICLES);
        let shown = named.filter(|name| self.grant.as_ref().is_some_and(|grant| grant.may_view(name)));
        let shown: Vec<VehicleId> = shown.filter_map(|name| name.parse().ok()).collect();
        let (commands, done) = (self.clients.commands.clone(), self.desk.done());
        tokio::spawn(async move {
            for vehicle in shown {
                let listed = match commands.list(&vehicle, SHOWN).await {
                    Ok(listed) => listed,
                    Err(problem) => return drop(done.send(Done::Refused { id: None, problem }).await),
                };
                for status in listed.into_iter().rev() {
                    if done.send(Done::Command(Box::new(status))).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(())
    }

    /// Asks in the background, as far as this client may have requests there.
    fn ask(
        &mut self,
        id: Option<String>,
        request: impl Future<Output = Result<CommandStatus, Problem>> + Send + 'static,
    ) -> Result<(), Problem> {
        let Ok(permit) = self.desk.done().try_reserve_owned() else {
            let text = format!("a connection has at most {MAX_WAITING} commands under way");
            return Err(Problem::new(ErrorCode::Limit, text));
        };
        tokio::spawn(async move {
            let done = match request.await {
                Ok(status) => Done::Command(Box::new(status)),
                Err(problem) => Done::Refused { id, problem },
            };
            permit.send(done);
        });
        Ok(())
    }

    /// Whom to ask, and for whom.
    fn asking(&self) -> Result<(Commands, Arc<Grant>, u64), Problem> {
        let missing = || Problem::new(ErrorCode::NotAuthorized, "no token has come");
        let grant = self.grant.clone().ok_or_else(missing)?;
        Ok((self.clients.commands.clone(), grant, self.desk.connection))
    }

    /// The vehicle of this name. Whoever may not command it does not learn whether it exists.
    fn vehicle(&self, name: &str) -> Result<VehicleId, Problem> {
        let (_, grant, _) = self.asking()?;
        known_vehicle(&self.clients, &grant, name)
    }
}

/// The vehicle of this name. Whoever may not command it does not learn whether it exists.
pub(crate) fn known_vehicle(clients: &Clients, grant: &Grant, name: &str) -> Result<VehicleId, Problem> {
    let unknown = || {
        let name: String = name.chars().take(80).collect();
        Problem::new(ErrorCode::UnknownVehicle, format!("this ground knows no vehicle {name}"))
    };
    let vehicle = name.parse().map_err(|_| unknown())?;
    if grant.may_command(name) && clients.hub.vehicles(|known| known == name).is_empty() {
        return Err(unknown());
    }
    Ok(vehicle)
}

/// Who asks, as the commands want to know it.
pub(crate) fn caller<'a>(grant: &'a Grant, vehicle: &VehicleId, connection: u64) -> Caller<'a> {
    let name = grant.name.as_deref().unwrap_or("anonymous");
    Caller { name, may_command: grant.may_command(vehicle.as_str()), connection }
}

/// What came of a request. Pends for ever when none was made.
async fn next_done(done: &mut Option<(mpsc::Sender<Done>, mpsc::Receiver<Done>)>) -> Done {
    let received = match done {
        Some((_, receiver)) => receiver.recv().await,
        None => None,
    };
    match received {
        Some(done) => done,
        None => std::future::pending().await,
    }
}

/// The next news; `None` when some were missed. Pends for ever when none are wanted.
async fn next_news(news: &mut Option<broadcast::Receiver<News>>) -> Option<News> {
    let received = match news {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    };
    match received {
        Ok(received) => Some(received),
        Err(broadcast::error::RecvError::Lagged(_)) => None,
        Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
    }
}
