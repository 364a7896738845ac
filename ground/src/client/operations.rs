//! What a client may ask for: an arm of [`Session::operate`] an operation.

use super::session::Session;
use crate::clock::wall_now;
use crate::json::epoch_seconds;
use crate::publish::cursor::Cursor;
use crate::publish::message::{ErrorCode, MissingReason, Problem, ToClient};
use crate::publish::operation::{FromClient, HistoryRequest, MAX_ID_BYTES, Subscribe};
use crate::publish::{Filter, InvalidFilter, Shape};
use crate::query::{Fill, HistoryQuery};

/// Subscriptions a connection.
const MAX_SUBSCRIPTIONS: usize = 16;
/// History requests a connection.
const MAX_REQUESTS: usize = 4;

impl Session {
    /// Does what a client asks for.
    pub fn operate(&mut self, operation: FromClient) -> Result<(), Problem> {
        match operation {
            FromClient::Subscribe(subscribe) => self.subscribe(subscribe, None),
            FromClient::Resume(resume) => {
                let bad = |error: crate::publish::cursor::InvalidCursor| {
                    Problem::new(ErrorCode::BadCursor, error.to_string())
                };
                let (subscribe, cursor, live) = resume.split().map_err(bad)?;
                self.subscribe(subscribe, Some((cursor, live)))
            }
            FromClient::Unsubscribe { id } => self.unsubscribe(&id),
            FromClient::History(request) => self.history(request),
            FromClient::Cancel { id } => self.cancel(&id),
            FromClient::Command(command) => self.command(command),
            FromClient::CancelCommand { vehicle, id } => self.cancel_command(&vehicle, &id),
            FromClient::Control(control) => self.control(&control),
            FromClient::FollowCommands { vehicles } => self.follow_commands(&vehicles),
            // The connection has dealt with it.
            FromClient::Authenticate { .. } => Ok(()),
            FromClient::Unknown => Err(Problem::new(
                ErrorCode::UnknownOperation,
                "there is no operation of this type; docs/API.md lists them",
            )),
        }
    }

    fn subscribe(
        &mut self,
        subscribe: Subscribe,
        resume: Option<(Cursor, Option<Cursor>)>,
    ) -> Result<(), Problem> {
        let Subscribe { id: sub, vehicles, streams, fields, max_rate_hz, backlog } = subscribe;
        check_id(&sub)?;
        let filter = Filter::new(&vehicles, &streams, self.scope())
            .and_then(|filter| filter.with_fields(&fields))
            .and_then(|filter| filter.with_max_rate(max_rate_hz))
            .map_err(over_limit)?
            .with_backlog(backlog);
        if let Some(vehicle) = filter.forbidden_vehicle() {
            return Err(forbidden(vehicle));
        }
        self.drop_subscription(&sub);
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS {
            let text = format!("a connection has at most {MAX_SUBSCRIPTIONS} subscriptions");
            return Err(Problem::new(ErrorCode::Limit, text));
        }
        let shape = Shape { sub, encoding: self.encoding, filter };
        let hub = &self.clients.hub;
        let mut subscription = hub.subscribe(shape.clone(), self.line.clone());
        if let Some((cursor, live)) = resume {
            let until = subscription.live_after();
            let own = hub.cursor(until);
            if cursor.history != own.history || cursor.up_to > own.up_to {
                let (reason, now) = (MissingReason::UnknownCursor, epoch_seconds(wall_now()));
                let text = "the cursor is of another history: what came since then is not known";
                self.work.tell(Fill::impossible(&shape, reason, text, now));
            } else {
                let mut have = cursor;
                if let (Some(after), Some(live)) = (have.live_after.take(), live) {
                    have.add(after, live.up_to);
                }
                subscription.set_filling(Some(have.clone()));
                self.work.fill(Fill::new(shape, have, until));
            }
        }
        self.subscriptions.push(subscription);
        Ok(())
    }

    fn unsubscribe(&mut self, id: &str) -> Result<(), Problem> {
        if !self.drop_subscription(id) {
            let text = format!("there is no subscription {id:?}");
            return Err(Problem::new(ErrorCode::UnknownId, text));
        }
        self.work.tell(self.encoding.encode(&ToClient::Unsubscribed { sub: id }));
        Ok(())
    }

    fn drop_subscription(&mut self, id: &str) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|subscription| subscription.feed().shape.sub != id);
        self.work.end_fill(id);
        self.subscriptions.len() < before
    }

    fn history(&mut self, request: HistoryRequest) -> Result<(), Problem> {
        check_id(&request.id)?;
        if !self.grant.as_ref().is_some_and(|grant| grant.may_view(&request.vehicle)) {
            return Err(forbidden(&request.vehicle));
        }
        if self.work.has_request(&request.id) {
            let text = format!("a history request {:?} is going on", request.id);
            return Err(Problem::new(ErrorCode::Limit, text));
        }
        if self.work.requests() >= MAX_REQUESTS {
            let text = format!("a connection has at most {MAX_REQUESTS} history requests at a time");
            return Err(Problem::new(ErrorCode::Limit, text));
        }
        let filter = Filter::new(std::slice::from_ref(&request.vehicle), &request.streams, self.scope())
            .and_then(|filter| filter.with_fields(&request.fields))
            .map_err(over_limit)?;
        self.work.history(HistoryQuery::new(request, filter)?);
        Ok(())
    }

    fn cancel(&mut self, id: &str) -> Result<(), Problem> {
        if self.work.cancel(id, self.encoding) {
            return Ok(());
        }
        Err(Problem::new(ErrorCode::UnknownId, format!("there is no history request {id:?}")))
    }
}

fn check_id(id: &str) -> Result<(), Problem> {
    if id.len() > MAX_ID_BYTES {
        let text = format!("an id of {} bytes, more than {MAX_ID_BYTES}", id.len());
        return Err(Problem::new(ErrorCode::Limit, text));
    }
    Ok(())
}

pub(super) fn over_limit(error: InvalidFilter) -> Problem {
    Problem::new(ErrorCode::Limit, error.to_string())
}

fn forbidden(vehicle: &str) -> Problem {
    let vehicle: String = vehicle.chars().take(80).collect();
    Problem::new(ErrorCode::Forbidden, format!("this token does not show vehicle {vehicle}"))
}
