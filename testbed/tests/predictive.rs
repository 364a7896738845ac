//! Freezes the frames of the predictive codec, and has a decoder in Python, written from `docs/CODEC.md`, decode them.
//!
//! The bytes are the protocol: a change here is a new version of it. `TERN_UPDATE_GOLDEN=1` writes the file anew.

#![allow(clippy::unwrap_used)] // Helpers of tests fail as tests do.

mod golden;

use std::path::PathBuf;
use std::process::Command;

use golden::cases;

fn testbed(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn frames_keep_their_bytes() {
    let cases: Vec<String> = cases::all().iter().map(|case| case.to_json().to_string()).collect();
    let made = format!("[\n{}\n]\n", cases.join(",\n"));
    let file = testbed("golden/predictive.json");
    if std::env::var_os("TERN_UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap();
    for (made, golden) in made.lines().zip(golden.lines()) {
        let name = made.get(..60).unwrap_or(made);
        assert!(made == golden, "{name}... differs from {}", file.display());
    }
    assert_eq!(made.lines().count(), golden.lines().count());
}

#[test]
fn a_decoder_written_from_the_document_agrees() {
    let output = Command::new("python3")
        .arg(testbed("decoder/check.py"))
        .arg(testbed("golden/predictive.json"))
        .output()
        .expect("python3 is missing: apt-get install python3");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("frames agree"), "{said}");
}
