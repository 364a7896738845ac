//! How devices and programs are asked, and how they answer: one line of JSON each way.
//!
//! Asked: `{"id":"00000000000000ff","command":"switch","arguments":{"on":true}}`. Answered, with the same id, once or
//! several times: `{"id":"00000000000000ff","state":"accepted","progress":50,"detail":"warming up"}`, where `state` is
//! `accepted`, `rejected`, `failed` or `done`; the last three end it.

use serde::Deserialize;
use serde_json::Value as Json;
use tern_shared::command::{CommandId, DeviceCommand, Reason, State, Step};

use crate::clock::wall_now;

/// An answer as a device writes it.
#[derive(Debug, Deserialize)]
struct Reply {
    /// A program, which is asked one thing, may leave it out.
    id: Option<String>,
    state: ReplyState,
    progress: Option<u8>,
    #[serde(default)]
    detail: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReplyState {
    Accepted,
    Rejected,
    Failed,
    Done,
}

/// The line that asks; an error when the arguments are no JSON object.
pub(super) fn request(id: CommandId, command: &DeviceCommand) -> Result<String, Step> {
    let malformed =
        |detail: String| Step::new(State::Rejected, wall_now()).because(Reason::Malformed).saying(&detail);
    let arguments = match serde_json::from_str(&command.arguments) {
        Ok(Json::Object(arguments)) => arguments,
        Ok(_) => return Err(malformed("the arguments are no JSON object".to_owned())),
        Err(error) => return Err(malformed(format!("the arguments are no JSON: {error}"))),
    };
    let request =
        serde_json::json!({ "id": id.to_string(), "command": command.command, "arguments": arguments });
    Ok(format!("{request}\n"))
}

/// What an answer says about this command; `None` when it is about another, or makes no sense.
pub(super) fn word(id: CommandId, answer: &Json) -> Option<Step> {
    let reply = Reply::deserialize(answer).ok()?;
    if reply.id.is_some_and(|theirs| theirs.parse() != Ok(id)) {
        return None;
    }
    let step = match reply.state {
        ReplyState::Accepted => Step::new(State::Accepted, wall_now()),
        ReplyState::Rejected => Step::new(State::Rejected, wall_now()).because(Reason::Denied),
        ReplyState::Failed => Step::new(State::Failed, wall_now()).because(Reason::TargetFailed),
        ReplyState::Done => Step::new(State::Done, wall_now()),
    };
    Some(Step { progress: reply.progress.filter(|&progress| progress <= 100), ..step }.saying(&reply.detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(arguments: &str) -> DeviceCommand {
        DeviceCommand {
            device: "lamp".to_owned(),
            command: "switch".to_owned(),
            arguments: arguments.to_owned(),
        }
    }

    #[test]
    fn a_request_is_one_line_whatever_is_in_it() {
        let line = request(CommandId(255), &command("{\"text\":\"a\\nb\",\n\"on\":true}")).unwrap();
        let expected = "{\"arguments\":{\"on\":true,\"text\":\"a\\nb\"},\"command\":\"switch\",\"id\":\"00000000000000ff\"}\n";
        assert_eq!(line, expected);
        for wrong in ["", "[1]", "{", "{\"a\":1} x"] {
            let step = request(CommandId(255), &command(wrong)).unwrap_err();
            assert_eq!((step.state, step.reason), (State::Rejected, Some(Reason::Malformed)), "{wrong}");
        }
    }

    #[test]
    fn an_answer_counts_for_its_own_command_only() {
        let word = |text: &str| word(CommandId(255), &serde_json::from_str(text).unwrap());
        let step =
            word(r#"{"id":"00000000000000ff","state":"accepted","progress":50,"detail":"warm"}"#).unwrap();
        assert_eq!((step.state, step.progress, step.detail.as_str()), (State::Accepted, Some(50), "warm"));
        assert_eq!(word(r#"{"state":"failed"}"#).unwrap().reason, Some(Reason::TargetFailed));
        for other in [
            r#"{"id":"00000000000000fe","state":"done"}"#,
            r#"{"id":"00000000000000ff","state":"exploded"}"#,
            r#"{"id":7,"state":"done"}"#,
            "[]",
        ] {
            assert_eq!(word(other), None, "{other}");
        }
    }
}
