//! The JSON messages of `/ws`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tern_shared::id::{Epoch, Token, VehicleId};
use tern_shared::message::{ClockEstimate, Lane};
use tern_shared::record::Record;
use tern_shared::schema::{Class, Schema};
use tern_shared::time::Timestamp;

use crate::json::{Fields, epoch_seconds};

/// From a client.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum FromClient {
    /// The viewer token, for clients that cannot set headers.
    Auth {
        /// The token.
        token: Token,
    },
    /// What to send from here on; replaces an earlier subscription and brings a snapshot.
    Subscribe {
        /// Patterns of vehicle names.
        #[serde(default = "anything")]
        vehicles: Vec<String>,
        /// Patterns of stream names.
        #[serde(default = "anything")]
        streams: Vec<String>,
    },
}

fn anything() -> Vec<String> {
    vec!["*".to_owned()]
}

/// To a client, apart from [`Publication`]s.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ToClient<'a> {
    /// First of all.
    Hello {
        /// The ground's clock, seconds since the Unix epoch.
        server_time: f64,
        /// The ground's version.
        version: &'static str,
        /// Whether a viewer token has to come first.
        auth_required: bool,
    },
    /// The snapshot is complete; what follows is live.
    Ready {
        /// The ground's clock, seconds since the Unix epoch.
        server_time: f64,
    },
    /// Every 5 s: a client that hears nothing for longer has lost its connection.
    Time {
        /// The ground's clock, seconds since the Unix epoch.
        server_time: f64,
    },
    /// The client was too slow for at least `count` updates, wanted or not; a snapshot follows.
    Missed {
        /// How many.
        count: u64,
    },
    /// Something that the client sent was refused.
    Error {
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: &'a str,
    },
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// No message of this protocol.
    Malformed,
    /// Over a limit.
    Limit,
    /// The viewer token is missing or wrong. The connection ends.
    NotAuthorized,
    /// The ground cannot serve: try again later. The connection ends.
    Unavailable,
}

/// What is published to all clients that want it.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Publication<'a> {
    /// One record.
    Record {
        /// Whose.
        vehicle: &'a VehicleId,
        /// Of which stream.
        stream: &'a str,
        /// Capture time by the vehicle's clock, seconds since the Unix epoch.
        t: f64,
        /// Arrival by the ground's clock, seconds since the Unix epoch.
        received: f64,
        /// How it came.
        lane: Lane,
        /// Its sequence number.
        seq: u64,
        /// The epoch of the sequence number.
        epoch: String,
        /// Its values.
        fields: Fields<'a>,
    },
    /// A stream and the units of its fields; before its first record.
    Stream {
        /// Whose.
        vehicle: &'a VehicleId,
        /// Its name.
        stream: &'a str,
        /// What goes first when the link is short.
        class: Class,
        /// Unit by field, of the fields that have one.
        units: BTreeMap<&'a str, &'a str>,
    },
    /// A vehicle's state, whenever it changed, at most once a second apart from connects and disconnects.
    Vehicle {
        /// Its name.
        vehicle: &'a VehicleId,
        /// Its state.
        #[serde(flatten)]
        status: &'a VehicleStatus,
    },
}

/// A vehicle's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    pub records: u64,
    /// Of these, how many came from its backlog since this ground started.
    pub backlog_records: u64,
    /// Records known to be lost, over all epochs.
    pub lost_records: u64,
}

impl VehicleStatus {
    /// Takes an estimate of the vehicle's clock in.
    pub fn set_clock(&mut self, estimate: ClockEstimate) {
        self.clock_offset_ms = Some(estimate.offset_micros as f64 / 1e3);
        self.clock_uncertainty_ms = Some(f64::from(estimate.uncertainty_micros) / 1e3);
    }
}

/// Where and how a frame came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// From whom.
    pub vehicle: &'a VehicleId,
    /// The epoch of its sequence numbers.
    pub epoch: Epoch,
    /// When, by the ground's clock.
    pub received: Timestamp,
    /// On which lane.
    pub lane: Lane,
}

/// The text of a record's message.
pub fn record(arrival: Arrival<'_>, schema: &Schema, sequence: u64, record: &Record) -> String {
    text(&Publication::Record {
        vehicle: arrival.vehicle,
        stream: &schema.stream,
        t: epoch_seconds(record.time),
        received: epoch_seconds(arrival.received),
        lane: arrival.lane,
        seq: sequence,
        epoch: arrival.epoch.to_string(),
        fields: Fields { schema, values: &record.values },
    })
}

/// The text of a stream's message.
pub fn stream(vehicle: &VehicleId, schema: &Schema) -> String {
    let units = schema.fields.iter().filter(|field| !field.unit.is_empty());
    text(&Publication::Stream {
        vehicle,
        stream: &schema.stream,
        class: schema.class,
        units: units.map(|field| (field.name.as_str(), field.unit.as_str())).collect(),
    })
}

/// The text of a message.
pub fn text<T: Serialize>(message: &T) -> String {
    serde_json::to_string(message).expect("messages have text keys and plain values, which JSON always takes")
}

#[cfg(test)]
mod tests {
    use tern_shared::id::SchemaId;
    use tern_shared::record::Value;
    use tern_shared::schema::{Field, FieldKind, Origin};

    use super::*;

    #[test]
    fn messages_are_what_the_documentation_says() {
        let vehicle: VehicleId = "alpha".parse().unwrap();
        let schema = Schema {
            stream: "humidity".to_owned(),
            origin: Origin::Sensor,
            class: Class::Live,
            fields: vec![
                Field::new("percent", FieldKind::F32).with_unit("%"),
                Field::new("n", FieldKind::U8),
            ],
        };
        let arrival = Arrival {
            vehicle: &vehicle,
            epoch: Epoch(10),
            received: Timestamp(2_000_000),
            lane: Lane::Backlog,
        };
        let sample = Record {
            schema: SchemaId(0),
            time: Timestamp(1_500_000),
            values: vec![Value::F32(41.3), Value::Int(1)],
        };
        assert_eq!(
            record(arrival, &schema, 7, &sample),
            r#"{"type":"record","vehicle":"alpha","stream":"humidity","t":1.5,"received":2.0,"lane":"backlog","seq":7,"epoch":"000000000000000a","fields":{"percent":41.3,"n":1}}"#
        );
        assert_eq!(
            stream(&vehicle, &schema),
            r#"{"type":"stream","vehicle":"alpha","stream":"humidity","class":"live","units":{"percent":"%"}}"#
        );
        let status = VehicleStatus { connected: true, records: 3, ..VehicleStatus::default() };
        let json = text(&Publication::Vehicle { vehicle: &vehicle, status: &status });
        assert!(json.starts_with(r#"{"type":"vehicle","vehicle":"alpha","connected":true,"#), "{json}");
        assert_eq!(
            text(&ToClient::Error { code: ErrorCode::NotAuthorized, message: "m" }),
            r#"{"type":"error","code":"not-authorized","message":"m"}"#
        );
        assert_eq!(text(&ToClient::Missed { count: 3 }), r#"{"type":"missed","count":3}"#);
    }

    #[test]
    fn what_clients_send_is_checked() {
        let parse = serde_json::from_str::<FromClient>;
        let any = vec!["*".to_owned()];
        assert_eq!(
            parse(r#"{"type":"subscribe","streams":["h*"]}"#).unwrap(),
            FromClient::Subscribe { vehicles: any, streams: vec!["h*".to_owned()] }
        );
        for bad in [
            "",
            "null",
            "[]",
            r#"{"type":"subscribe","vehicles":"*"}"#,
            r#"{"type":"subscribe","vehicle":["*"]}"#,
            r#"{"type":"publish"}"#,
            &"[".repeat(10_000),
            &(r#"{"type":"subscribe","vehicles":"#.to_owned() + &"[".repeat(10_000)),
        ] {
            parse(bad).unwrap_err();
        }
    }
}
