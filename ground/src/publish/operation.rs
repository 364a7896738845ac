//! The messages of `/ws`, from clients.

use serde::Deserialize;
use tern_shared::id::Token;

use super::cursor::{Cursor, InvalidCursor};
use crate::command::ActionRequest;

/// The longest name of a subscription or request, bytes.
pub const MAX_ID_BYTES: usize = 32;

/// From a client.
#[derive(Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FromClient {
    /// The token, for clients that cannot set headers, and to renew access.
    Authenticate {
        /// The token.
        #[cfg_attr(test, ts(type = "string"))]
        token: Token,
    },
    /// What to send from here on.
    Subscribe(Subscribe),
    /// What to send, from where an earlier connection ended.
    Resume(Resume),
    /// The end of a subscription.
    Unsubscribe {
        /// Which.
        #[serde(default)]
        id: String,
    },
    /// Records of the past.
    History(HistoryRequest),
    /// The end of a history request.
    Cancel {
        /// Which.
        #[serde(default)]
        id: String,
    },
    /// Something for a vehicle to do.
    Command(CommandOperation),
    /// A command is not wanted any more.
    CancelCommand {
        /// Whose.
        vehicle: String,
        /// Which.
        id: String,
    },
    /// Where a control is to be, right now.
    Control(ControlOperation),
    /// News of commands and controls are wanted from here on; an empty list ends them.
    FollowCommands {
        /// Patterns of vehicle names. Of vehicles that are named without `*`, the newest commands come first.
        vehicles: Vec<String>,
    },
    /// What this release does not know.
    #[serde(other)]
    #[cfg_attr(test, ts(skip))]
    Unknown,
}

/// What to send.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// Names the subscription; the same name again replaces it.
    #[serde(default)]
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub id: String,
    /// Patterns of vehicle names.
    #[serde(default = "anything")]
    #[cfg_attr(test, ts(as = "Option<Vec<String>>"))]
    pub vehicles: Vec<String>,
    /// Patterns of stream names.
    #[serde(default = "anything")]
    #[cfg_attr(test, ts(as = "Option<Vec<String>>"))]
    pub streams: Vec<String>,
    /// Patterns of field names.
    #[serde(default = "anything")]
    #[cfg_attr(test, ts(as = "Option<Vec<String>>"))]
    pub fields: Vec<String>,
    /// The most records a second of a stream.
    pub max_rate_hz: Option<f64>,
    /// Whether records of the backlog are wanted.
    #[serde(default = "yes")]
    #[cfg_attr(test, ts(as = "Option<bool>"))]
    pub backlog: bool,
}

/// What to send, and where to go on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// As in `subscribe`.
    #[serde(default)]
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub id: String,
    /// As in `subscribe`.
    #[serde(default = "anything")]
    #[cfg_attr(test, ts(as = "Option<Vec<String>>"))]
    pub vehicles: Vec<String>,
    /// As in `subscribe`.
    #[serde(default = "anything")]
    #[cfg_attr(test, ts(as = "Option<Vec<String>>"))]
    pub streams: Vec<String>,
    /// As in `subscribe`.
    #[serde(default = "anything")]
    #[cfg_attr(test, ts(as = "Option<Vec<String>>"))]
    pub fields: Vec<String>,
    /// As in `subscribe`.
    pub max_rate_hz: Option<f64>,
    /// As in `subscribe`.
    #[serde(default = "yes")]
    #[cfg_attr(test, ts(as = "Option<bool>"))]
    pub backlog: bool,
    /// The last that the client has without a hole before it.
    pub cursor: String,
    /// The last live one, when that cursor is of an interrupted fill.
    pub live: Option<String>,
}

/// Something for a vehicle to do.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
#[serde(deny_unknown_fields)]
pub struct CommandOperation {
    /// Whose.
    pub vehicle: String,
    /// Names the command: 16 hexadecimal digits at random. Asking again with the same name never runs it twice.
    pub id: Option<String>,
    /// How long it may take until it begins, milliseconds.
    pub ttl_ms: Option<u32>,
    /// It cancels older commands with the same key that have not begun.
    pub key: Option<String>,
    /// What to do.
    pub action: ActionRequest,
}

/// Where a control is to be.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
#[serde(deny_unknown_fields)]
pub struct ControlOperation {
    /// Whose.
    pub vehicle: String,
    /// Which.
    pub control: String,
    /// One an axis, from -1 to 1.
    pub values: Vec<f64>,
    /// How long it counts from here on, milliseconds.
    pub life_ms: Option<u16>,
}

/// Records of the past.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(optional_fields))]
#[serde(deny_unknown_fields)]
pub struct HistoryRequest {
    /// Names the request.
    #[serde(default)]
    #[cfg_attr(test, ts(as = "Option<String>"))]
    pub id: String,
    /// Whose.
    pub vehicle: String,
    /// Patterns of stream names.
    #[serde(default = "anything")]
    #[cfg_attr(test, ts(as = "Option<Vec<String>>"))]
    pub streams: Vec<String>,
    /// Patterns of field names.
    #[serde(default = "anything")]
    #[cfg_attr(test, ts(as = "Option<Vec<String>>"))]
    pub fields: Vec<String>,
    /// Captured at or after this, seconds since the Unix epoch.
    pub from: Option<f64>,
    /// Captured before this, seconds since the Unix epoch.
    pub to: Option<f64>,
    /// Into how many buckets the span is downsampled.
    pub buckets: Option<u32>,
    /// Where an earlier request ended.
    pub after: Option<String>,
}

/// What can be said of a message that is none of [`FromClient`].
#[derive(Debug, Default, Deserialize)]
pub struct Named {
    /// Its name.
    pub id: Option<String>,
}

impl Resume {
    /// The subscription itself, and what the client has of it.
    pub fn split(self) -> Result<(Subscribe, Cursor, Option<Cursor>), InvalidCursor> {
        let Resume { id, vehicles, streams, fields, max_rate_hz, backlog, cursor, live } = self;
        let live = live.map(|live| live.parse()).transpose()?;
        Ok((Subscribe { id, vehicles, streams, fields, max_rate_hz, backlog }, cursor.parse()?, live))
    }
}

/// The patterns of a client that wants everything.
pub fn anything() -> Vec<String> {
    vec!["*".to_owned()]
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use axum::extract::ws::Message;

    use super::super::encode::decode;
    use super::*;

    fn parse(json: &str) -> Result<FromClient, String> {
        decode(&Message::text(json))
    }

    #[test]
    fn what_clients_send_is_checked() {
        let Ok(FromClient::Subscribe(subscribe)) = parse(r#"{"type":"subscribe","streams":["h*"]}"#) else {
            panic!("no subscription");
        };
        assert_eq!((subscribe.vehicles, subscribe.streams), (anything(), vec!["h*".to_owned()]));
        assert!(subscribe.id.is_empty() && subscribe.backlog && subscribe.max_rate_hz.is_none());
        for bad in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"type":5}"#,
            r#"{"type":"subscribe","vehicles":"*"}"#,
            r#"{"type":"subscribe","vehicle":["*"]}"#,
            r#"{"type":"resume"}"#,
            r#"{"type":"authenticate","token":"a","b":1}"#,
            &"[".repeat(10_000),
            &(r#"{"type":"subscribe","vehicles":"#.to_owned() + &"[".repeat(10_000)),
        ] {
            parse(bad).unwrap_err();
        }
        assert_eq!(parse(r#"{"type":"dance","with":["me"]}"#), Ok(FromClient::Unknown));
    }

    #[test]
    fn message_pack_is_read_as_json_is_and_no_deeper() {
        let message = serde_json::json!({"type": "unsubscribe", "id": "map"});
        let bytes = rmp_serde::to_vec_named(&message).unwrap();
        let read = decode::<FromClient>(&Message::Binary(bytes.into()));
        assert_eq!(read, Ok(FromClient::Unsubscribe { id: "map".to_owned() }));
        // Arrays of one in each other, without an end.
        decode::<FromClient>(&Message::Binary(vec![0x91; 30_000].into())).unwrap_err();
    }

    #[test]
    fn secrets_are_not_shown() {
        let message = parse(r#"{"type":"authenticate","token":"s3cret"}"#);
        assert!(!format!("{message:?}").contains("s3cret"));
        let error = parse(r#"{"type":"authenticate","token":["s3cret"]}"#).unwrap_err();
        assert!(!error.contains("s3cret"), "{error}");
    }
}
