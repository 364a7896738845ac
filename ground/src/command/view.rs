//! Commands as clients see them.

use serde::Serialize;
use serde_json::{Value as Json, json};
use tern_shared::command::control::{ControlReport, ControlState};
use tern_shared::command::ground::Tracked;
use tern_shared::command::{Action, Reason, State};
use tern_shared::id::VehicleId;

use crate::json::epoch_seconds;

/// Something that became known.
#[derive(Clone, Debug)]
pub enum News {
    /// Of a command.
    Command(std::sync::Arc<CommandStatus>),
    /// Of a control.
    Control(std::sync::Arc<ControlStatus>),
}

impl News {
    /// Of which vehicle.
    pub fn vehicle(&self) -> &VehicleId {
        match self {
            News::Command(status) => &status.vehicle,
            News::Control(status) => &status.vehicle,
        }
    }
}

/// A command and all that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CommandStatus {
    /// Whose.
    #[cfg_attr(test, ts(type = "string"))]
    pub vehicle: VehicleId,
    /// Its name.
    pub id: String,
    /// Who asked.
    pub issuer: String,
    /// When, by the ground's clock, seconds since the Unix epoch.
    pub issued: f64,
    /// When it must have begun, by the ground's clock.
    pub expires: f64,
    /// Its supersede key.
    pub key: Option<String>,
    /// What was asked.
    #[cfg_attr(test, ts(type = "ActionStatus"))]
    pub action: Json,
    /// Where it is.
    #[cfg_attr(test, ts(type = "CommandState"))]
    pub state: State,
    /// What became of it, oldest first.
    pub steps: Vec<StepStatus>,
}

/// One step of a command.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StepStatus {
    /// To what.
    #[cfg_attr(test, ts(type = "CommandState"))]
    pub state: State,
    /// When, by the clock of `by`, seconds since the Unix epoch.
    pub t: f64,
    /// Whose word it is: `ground` or `vehicle`.
    #[cfg_attr(test, ts(type = "\"ground\" | \"vehicle\""))]
    pub by: &'static str,
    /// How much is done, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub progress: Option<u8>,
    /// Why, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, type = "string"))]
    pub reason: Option<Reason>,
    /// In the vehicle's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<String>"))]
    pub detail: String,
}

/// What a control does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ControlStatus {
    /// Whose.
    #[cfg_attr(test, ts(type = "string"))]
    pub vehicle: VehicleId,
    /// Which.
    pub control: String,
    /// What it does.
    #[cfg_attr(test, ts(type = "\"active\" | \"stopped\" | \"refused\""))]
    pub state: ControlState,
    /// Since when, by the vehicle's clock, seconds since the Unix epoch.
    pub t: f64,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional, type = "string"))]
    pub reason: Option<Reason>,
}

impl CommandStatus {
    pub(super) fn new(vehicle: &VehicleId, tracked: &Tracked) -> Self {
        let command = &tracked.command;
        // What was never sent ends by the ground's word, everything else by the vehicle's.
        let sent = tracked.steps.iter().any(|step| step.state == State::Sent);
        let steps = tracked.steps.iter().map(|step| StepStatus {
            state: step.state,
            t: epoch_seconds(step.at),
            by: if sent && !matches!(step.state, State::Queued | State::Sent) { "vehicle" } else { "ground" },
            progress: step.progress,
            reason: step.reason,
            detail: step.detail.clone(),
        });
        CommandStatus {
            vehicle: vehicle.clone(),
            id: command.id.to_string(),
            issuer: command.issuer.clone(),
            issued: epoch_seconds(command.issued),
            expires: epoch_seconds(command.expires()),
            key: command.key.clone(),
            action: action(&command.action),
            state: tracked.state(),
            steps: steps.collect(),
        }
    }
}

impl ControlStatus {
    pub(super) fn new(vehicle: &VehicleId, report: ControlReport) -> Self {
        let ControlReport { control, state, at, reason } = report;
        ControlStatus { vehicle: vehicle.clone(), control, state, t: epoch_seconds(at), reason }
    }
}

/// What was asked, as the audit log and clients show it.
pub(super) fn action(action: &Action) -> Json {
    match action {
        Action::Mavlink(command) => {
            let params: Vec<_> =
                command.params.iter().map(|param| param.is_finite().then_some(*param)).collect();
            let position = command.position.map(|at| json!({ "frame": at.frame, "x": at.x, "y": at.y }));
            json!({
                "kind": "mavlink",
                "name": command.name(),
                "command": command.command,
                "params": params,
                "system": command.system,
                "component": command.component,
                "position": position,
            })
        }
        Action::Device(device) => {
            let arguments: Json = serde_json::from_str(&device.arguments).unwrap_or_default();
            json!({
                "kind": "device",
                "device": device.device,
                "command": device.command,
                "arguments": arguments,
            })
        }
    }
}
