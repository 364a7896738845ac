//! The messages of `/ws`, from the ground. What clients send is in [`super::operation`].
//!
//! docs/API.md describes them, docs/asyncapi.yaml and the TypeScript types are held against them by tests.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use tern_shared::message::{ClockEstimate, Lane};
use tern_shared::schema::{Class, Schema};

use super::cursor::Cursor;
use super::filter::Selection;
use super::hub::PublishedRecord;
use crate::command::{CommandStatus, ControlStatus};
use crate::json::{Fields, epoch_seconds};

/// To a client. `sub` names the subscription it is of and is left out when that has no name.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToClient<'a> {
    /// First of all.
    Hello {
        /// The ground's clock, seconds since the Unix epoch.
        server_time: f64,
        /// The ground's version.
        version: &'a str,
        /// Whether `authenticate` has to come first.
        auth_required: bool,
    },
    /// What the client may do; whenever it changed.
    Access {
        /// Who it is taken for.
        name: Option<&'a str>,
        /// Patterns of the vehicles whose telemetry it may see.
        view: Vec<&'a str>,
        /// Patterns of the vehicles that it may command.
        command: Vec<&'a str>,
        /// Until when, seconds since the Unix epoch.
        expires: Option<f64>,
    },
    /// Every 5 s: a client that hears nothing for 12 s has lost its connection.
    Time {
        /// The ground's clock, seconds since the Unix epoch.
        server_time: f64,
        /// Everything up to here has been sent; absent while something waits.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional, type = "string"))]
        cursor: Option<Cursor>,
    },
    /// A vehicle's state, whenever it changed, at most once a second apart from connects and disconnects.
    Vehicle {
        /// Of which subscription.
        #[serde(skip_serializing_if = "str::is_empty")]
        #[cfg_attr(test, ts(optional, as = "Option<String>"))]
        sub: &'a str,
        /// Everything up to here has been sent.
        #[cfg_attr(test, ts(type = "string"))]
        cursor: Cursor,
        /// Its name.
        vehicle: &'a str,
        /// Its state.
        #[serde(flatten)]
        status: &'a VehicleStatus,
    },
    /// A stream and the units of its fields; before its first record.
    Stream {
        /// Of which subscription.
        #[serde(skip_serializing_if = "str::is_empty")]
        #[cfg_attr(test, ts(optional, as = "Option<String>"))]
        sub: &'a str,
        /// Everything up to here has been sent.
        #[cfg_attr(test, ts(type = "string"))]
        cursor: Cursor,
        /// Whose.
        vehicle: &'a str,
        /// The stream.
        #[serde(flatten)]
        about: StreamAbout<'a>,
    },
    /// One record.
    Record {
        /// Of which subscription.
        #[serde(skip_serializing_if = "str::is_empty")]
        #[cfg_attr(test, ts(optional, as = "Option<String>"))]
        sub: &'a str,
        /// How it came from the ground; absent for what the ground has just received.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        phase: Option<Phase>,
        /// Everything up to here has been sent.
        #[cfg_attr(test, ts(type = "string"))]
        cursor: Cursor,
        /// Whose.
        vehicle: &'a str,
        /// The record.
        #[serde(flatten)]
        sample: Sample<'a>,
    },
    /// The snapshot is complete; what follows is live.
    Ready {
        /// Of which subscription.
        #[serde(skip_serializing_if = "str::is_empty")]
        #[cfg_attr(test, ts(optional, as = "Option<String>"))]
        sub: &'a str,
        /// The ground's clock, seconds since the Unix epoch.
        server_time: f64,
        /// Everything up to here has been sent.
        #[cfg_attr(test, ts(type = "string"))]
        cursor: Cursor,
    },
    /// Nothing of this subscription follows.
    Unsubscribed {
        /// Of which subscription.
        #[serde(skip_serializing_if = "str::is_empty")]
        #[cfg_attr(test, ts(optional, as = "Option<String>"))]
        sub: &'a str,
    },
    /// The client was too slow; the newest values follow, then `ready`.
    Missed {
        /// Of which subscription.
        #[serde(skip_serializing_if = "str::is_empty")]
        #[cfg_attr(test, ts(optional, as = "Option<String>"))]
        sub: &'a str,
        /// How many records were skipped.
        #[cfg_attr(test, ts(type = "number"))]
        count: u64,
        /// What to resume from to have them all the same.
        #[cfg_attr(test, ts(type = "string"))]
        from: Cursor,
    },
    /// What `resume` cannot bring.
    Missing {
        /// Of which subscription.
        #[serde(skip_serializing_if = "str::is_empty")]
        #[cfg_attr(test, ts(optional, as = "Option<String>"))]
        sub: &'a str,
        /// Why, for programs.
        reason: MissingReason,
        /// Arrival of the first that is missing, seconds since the Unix epoch; `null` when unknown.
        from: Option<f64>,
        /// Arrival of the first behind it that is not, seconds since the Unix epoch.
        to: f64,
        /// Why, for people.
        message: String,
    },
    /// `resume` has brought everything up to here.
    Filled {
        /// Of which subscription.
        #[serde(skip_serializing_if = "str::is_empty")]
        #[cfg_attr(test, ts(optional, as = "Option<String>"))]
        sub: &'a str,
        /// Records of the fill.
        #[cfg_attr(test, ts(type = "number"))]
        records: u64,
        /// Nothing is missing up to here.
        #[cfg_attr(test, ts(type = "string"))]
        cursor: Cursor,
    },
    /// A chunk of a `history` request.
    Records {
        /// The request.
        id: &'a str,
        /// Whose.
        vehicle: &'a str,
        /// In the order of their sequence numbers.
        records: Vec<Sample<'a>>,
    },
    /// A chunk of a `history` request with buckets: columns, a row a bucket that is not empty.
    Buckets {
        /// The request.
        id: &'a str,
        /// Whose.
        vehicle: &'a str,
        /// Of which stream.
        stream: &'a str,
        /// Of a bucket, seconds.
        width: f64,
        /// Starts of the buckets, capture time, seconds since the Unix epoch.
        t: &'a [f64],
        /// Records in them.
        count: &'a [u32],
        /// Of these, how many came from the backlog.
        backlog: &'a [u32],
        /// By field.
        fields: BTreeMap<&'a str, BucketColumns>,
    },
    /// The end of a `history` request.
    HistoryEnd {
        /// The request.
        id: &'a str,
        /// Records that matched.
        #[cfg_attr(test, ts(type = "number"))]
        records: u64,
        /// What to give as `after` to go on, when the limit was reached.
        next: Option<&'a str>,
        /// Why it ended early.
        error: Option<Problem>,
    },
    /// Something that the client sent was refused.
    Error {
        /// What is wrong.
        #[serde(flatten)]
        problem: Problem,
        /// The `id` of what was refused, when it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(test, ts(optional))]
        id: Option<String>,
    },
    /// A command and all that is known of it, whenever that changed.
    Command {
        /// The command.
        #[serde(flatten)]
        status: &'a CommandStatus,
    },
    /// What a control of a vehicle does, whenever that changed.
    ControlState {
        /// The control.
        #[serde(flatten)]
        status: &'a ControlStatus,
    },
    /// The client was too slow for news of commands: ask again with `follow-commands`.
    CommandsMissed {},
}

/// How a record came from the ground to the client, when it is no news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The newest value of its stream, to be shown.
    Snapshot,
    /// What a resumed subscription had missed.
    Fill,
}

/// Why records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum MissingReason {
    /// More were missed than a fill brings.
    TooOld,
    /// The cursor is of another history.
    UnknownCursor,
    /// The history cannot be read or written.
    HistoryUnavailable,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[error("{message}")]
pub struct Problem {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// No message of this protocol.
    Malformed,
    /// A `type` that there is not.
    UnknownOperation,
    /// Over a limit.
    Limit,
    /// The text is no cursor.
    BadCursor,
    /// There is no subscription or request of this name.
    UnknownId,
    /// The history has no such vehicle.
    UnknownVehicle,
    /// The token has not the role that it takes.
    Forbidden,
    /// All readers of the history are taken.
    Busy,
    /// The history cannot be read.
    Unavailable,
    /// The token is missing or wrong. The connection ends.
    NotAuthorized,
    /// The token has expired. The connection ends.
    Expired,
    /// There was a command of this name.
    Duplicate,
    /// The vehicle is not connected, and what was asked for cannot wait.
    NotConnected,
    /// Somebody else steers.
    Taken,
    /// Messages come too fast. The connection ends.
    TooFast,
    /// The message is too large. The connection ends.
    TooLarge,
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StreamAbout<'a> {
    /// Its name.
    pub stream: &'a str,
    /// What goes first when the link is short.
    #[cfg_attr(test, ts(type = "\"critical\" | \"live\" | \"bulk\""))]
    pub class: Class,
    /// Unit by field, of the fields that have one.
    pub units: BTreeMap<&'a str, &'a str>,
}

/// A record without its vehicle.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Sample<'a> {
    /// Of which stream.
    pub stream: &'a str,
    /// Capture time by the vehicle's clock, seconds since the Unix epoch.
    pub t: f64,
    /// Arrival by the ground's clock, seconds since the Unix epoch.
    pub received: f64,
    /// Ground time minus vehicle time when it arrived, milliseconds; `null` until measured.
    pub clock_offset_ms: Option<f64>,
    /// The truth is within this of the offset, milliseconds.
    pub clock_uncertainty_ms: Option<f64>,
    /// How it crossed the satellite link.
    #[cfg_attr(test, ts(type = "\"live\" | \"backlog\""))]
    pub lane: Lane,
    /// Its sequence number.
    #[cfg_attr(test, ts(type = "number"))]
    pub seq: u64,
    /// The epoch of the sequence number: 16 digits, hexadecimal.
    #[cfg_attr(test, ts(type = "string"))]
    pub epoch: EpochText,
    /// Its values.
    #[cfg_attr(test, ts(type = "{ [field: string]: Value }"))]
    pub fields: Fields<'a>,
}

/// An epoch as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub struct EpochText(pub tern_shared::id::Epoch);

impl Serialize for EpochText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A field's columns in `buckets`; `null` where no record of a bucket has a number.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct BucketColumns {
    /// The smallest value.
    pub min: Vec<Option<f64>>,
    /// The largest value.
    pub max: Vec<Option<f64>>,
    /// The mean value.
    pub mean: Vec<Option<f64>>,
}

/// A vehicle's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct VehicleStatus {
    /// Whether it has a session.
    pub connected: bool,
    /// Since when it has had one, or none; seconds since the Unix epoch, by the ground's clock.
    pub since: Option<f64>,
    /// Name and version of its edge.
    pub agent: Option<String>,
    /// The epoch of its last session.
    pub epoch: Option<String>,
    /// When its last record arrived, seconds since the Unix epoch, by the ground's clock.
    pub last_received: Option<f64>,
    /// Ground time minus vehicle time, milliseconds.
    pub clock_offset_ms: Option<f64>,
    /// The truth is within this of the offset, milliseconds.
    pub clock_uncertainty_ms: Option<f64>,
    /// Records of it that arrived, over all epochs.
    #[cfg_attr(test, ts(type = "number"))]
    pub records: u64,
    /// Of these, how many came from its backlog since this ground started.
    #[cfg_attr(test, ts(type = "number"))]
    pub backlog_records: u64,
    /// Records known to be lost, over all epochs.
    #[cfg_attr(test, ts(type = "number"))]
    pub lost_records: u64,
}

impl VehicleStatus {
    /// Takes an estimate of the vehicle's clock in.
    pub fn set_clock(&mut self, estimate: ClockEstimate) {
        self.clock_offset_ms = Some(offset_ms(estimate));
        self.clock_uncertainty_ms = Some(uncertainty_ms(estimate));
    }
}

impl Problem {
    /// A problem.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Problem { code, message: message.into() }
    }
}

impl<'a> StreamAbout<'a> {
    /// The stream of a schema.
    pub fn new(schema: &'a Schema) -> Self {
        let units = schema.fields.iter().filter(|field| !field.unit.is_empty());
        StreamAbout {
            stream: &schema.stream,
            class: schema.class,
            units: units.map(|field| (field.name.as_str(), field.unit.as_str())).collect(),
        }
    }
}

impl<'a> Sample<'a> {
    /// A record with the fields of a selection.
    pub fn new(published: &'a PublishedRecord, selection: &'a Selection) -> Self {
        let wanted = match selection {
            Selection::All | Selection::None => None,
            Selection::Some(wanted) => Some(&**wanted),
        };
        Sample {
            stream: &published.schema.stream,
            t: epoch_seconds(published.record.time),
            received: epoch_seconds(published.received),
            clock_offset_ms: published.clock.map(offset_ms),
            clock_uncertainty_ms: published.clock.map(uncertainty_ms),
            lane: published.lane,
            seq: published.sequence,
            epoch: EpochText(published.epoch),
            fields: Fields { schema: &published.schema, values: &published.record.values, wanted },
        }
    }
}

/// The message of a record. Everything up to `cursor` has been sent with it.
pub fn record<'a>(
    cursor: Cursor,
    sub: &'a str,
    phase: Option<Phase>,
    published: &'a PublishedRecord,
    selection: &'a Selection,
) -> ToClient<'a> {
    ToClient::Record {
        sub,
        phase,
        cursor,
        vehicle: &published.vehicle,
        sample: Sample::new(published, selection),
    }
}

fn offset_ms(estimate: ClockEstimate) -> f64 {
    estimate.offset_micros as f64 / 1e3
}

fn uncertainty_ms(estimate: ClockEstimate) -> f64 {
    f64::from(estimate.uncertainty_micros) / 1e3
}

#[cfg(test)]
mod tests;
