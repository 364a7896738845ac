//! Holds the TypeScript types of the messages against the Rust ones.
//!
//! The file is generated and committed, so that the page builds without Rust and a change of a message shows in a review.
//! `TERN_UPDATE=1 cargo test -p tern-ground typescript` writes it.

use std::path::PathBuf;

use ts_rs::{Config, TS};

use super::message::{
    BucketColumns, ErrorCode, MissingReason, Phase, Problem, Sample, StreamAbout, ToClient, VehicleStatus,
};
use super::operation::{CommandOperation, ControlOperation, FromClient, HistoryRequest, Resume, Subscribe};
use crate::command::{ActionRequest, CommandStatus, ControlStatus, PositionRequest, StepStatus};

const HEAD: &str = "\
// Generated from the Rust types (ground/src/publish): TERN_UPDATE=1 cargo test -p tern-ground typescript
// What the messages mean is in docs/API.md.

/** The value of a field: bytes are hexadecimal; NaN and infinities are \"NaN\", \"Infinity\" and \"-Infinity\". */
export type Value = number | string | boolean | null;

/** Where a command is; the last five are final. */
export type CommandState =
  | \"queued\" | \"sent\" | \"at-vehicle\" | \"accepted\"
  | \"rejected\" | \"failed\" | \"done\" | \"expired\" | \"cancelled\";

/** What was asked, as the audit log has it. */
export type ActionStatus =
  | { kind: \"mavlink\", name: string | null, command: number, params: (number | null)[], system: number, component: number,
      position: { frame: number, x: number, y: number } | null }
  | { kind: \"device\", device: string, command: string, arguments: { [name: string]: unknown } };
";

fn export<T: TS>(text: &mut String) {
    let config = Config::new().with_large_int("number");
    let docs = T::docs().unwrap_or_default();
    *text += &format!("\n{docs}export {}\n", T::decl(&config));
}

fn generated() -> String {
    let mut text = HEAD.to_owned();
    export::<ToClient<'_>>(&mut text);
    export::<FromClient>(&mut text);
    export::<Subscribe>(&mut text);
    export::<Resume>(&mut text);
    export::<HistoryRequest>(&mut text);
    export::<Sample<'_>>(&mut text);
    export::<StreamAbout<'_>>(&mut text);
    export::<VehicleStatus>(&mut text);
    export::<BucketColumns>(&mut text);
    export::<Phase>(&mut text);
    export::<MissingReason>(&mut text);
    export::<Problem>(&mut text);
    export::<CommandOperation>(&mut text);
    export::<ControlOperation>(&mut text);
    export::<ActionRequest>(&mut text);
    export::<PositionRequest>(&mut text);
    export::<CommandStatus>(&mut text);
    export::<StepStatus>(&mut text);
    export::<ControlStatus>(&mut text);
    export::<ErrorCode>(&mut text);
    text
}

fn names(text: &str, before: &str) -> Vec<String> {
    let parts = text.split(before).skip(1);
    parts.filter_map(|part| part.split_once('"').map(|(name, _)| name.to_owned())).collect()
}

#[test]
fn typescript_types_are_those_of_the_messages() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/web/client/src/messages.ts"));
    let generated = generated();
    if std::env::var_os("TERN_UPDATE").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} is not what the Rust types say: TERN_UPDATE=1 cargo test -p tern-ground typescript writes it",
        path.display()
    );
}

#[test]
fn every_message_and_error_is_documented() {
    let generated = generated();
    let [reference, machine_readable] = ["API.md", "asyncapi.yaml"].map(|name| {
        std::fs::read_to_string(format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    });
    let kinds = names(&generated, "\"type\": \"");
    assert!(kinds.len() > 20, "{kinds:?}");
    for kind in kinds {
        let is_told =
            [format!("`{kind}`"), format!("\"type\":\"{kind}\"")].iter().any(|text| reference.contains(text));
        assert!(is_told, "docs/API.md lacks {kind}");
        assert!(machine_readable.contains(&format!("const: {kind}\n")), "docs/asyncapi.yaml lacks {kind}");
    }
    let (_, codes) = generated.split_once("type ErrorCode = ").unwrap();
    let codes: Vec<&str> = codes.split('"').skip(1).step_by(2).collect();
    assert!(codes.len() > 10, "{codes:?}");
    for code in codes {
        assert!(reference.contains(&format!("`{code}`")), "docs/API.md lacks {code}");
        assert!(machine_readable.contains(&format!("- {code}\n")), "docs/asyncapi.yaml lacks {code}");
    }
}
