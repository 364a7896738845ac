//! Commands to a device at the other end of a JSON-lines source, or to a program.

use std::process::Stdio;
use std::time::Duration;

use tern_shared::command::{CommandId, DeviceCommand, Reason, State, Step};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout};

use super::{Say, reply};
use crate::clock::wall_now;
use crate::source::{Heard, Port};

/// How long a device has for its first answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// What is read of a program's output at most, bytes.
const MAX_OUTPUT_BYTES: u64 = 64 * 1024;

/// Asks a device, once: nobody knows what it makes of being asked again.
pub(super) async fn ask(
    port: &Port,
    id: CommandId,
    command: &DeviceCommand,
    until: Instant,
    result_limit: Duration,
    say: &Say,
) {
    let line = match reply::request(id, command) {
        Ok(line) => line,
        Err(refused) => return say.word(refused).await,
    };
    let mut heard = port.listen();
    if Instant::now() >= until {
        return say.word(Step::new(State::Expired, wall_now()).because(Reason::TooLate)).await;
    }
    if !port.send(line.into_bytes()) {
        let step = Step::new(State::Rejected, wall_now()).because(Reason::Unreachable);
        return say.word(step.saying("the device is not connected")).await;
    }
    let mut accepted = false;
    loop {
        let limit = if accepted { result_limit } else { ANSWER_LIMIT };
        let word = timeout(limit, async {
            loop {
                match heard.recv().await {
                    Ok(Heard::Line(line)) => {
                        if let Some(word) = reply::word(id, &line) {
                            return word;
                        }
                    }
                    Ok(Heard::Ack(_)) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        });
        let word = word.await.unwrap_or_else(|_| {
            let reason = if accepted { Reason::NoResult } else { Reason::NoAnswer };
            let step = Step::new(State::Failed, wall_now()).because(reason);
            step.saying(&format!("no word of it for {} s: it may have been done", limit.as_secs_f64()))
        });
        accepted = true;
        let ended = word.state.is_final();
        say.word(word).await;
        if ended {
            return;
        }
    }
}

/// Starts a program, gives it the command as a line of JSON on its standard input, and says what it writes. Its exit
/// status is its last word, unless it wrote one.
pub(super) async fn start(
    argv: &[String],
    id: CommandId,
    command: &DeviceCommand,
    until: Instant,
    limit: Duration,
    say: &Say,
) {
    let line = match reply::request(id, command) {
        Ok(line) => line,
        Err(refused) => return say.word(refused).await,
    };
    if Instant::now() >= until {
        return say.word(Step::new(State::Expired, wall_now()).because(Reason::TooLate)).await;
    }
    let Some((program, arguments)) = argv.split_first() else { return };
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let word = match child {
        Err(error) => {
            let step = Step::new(State::Rejected, wall_now()).because(Reason::Unreachable);
            Some(step.saying(&format!("cannot start {program}: {error}")))
        }
        // A program that takes too long is killed.
        Ok(child) => timeout(limit, follow(child, id, &line, say)).await.unwrap_or_else(|_| {
            let step = Step::new(State::Failed, wall_now()).because(Reason::NoResult);
            Some(step.saying(&format!("killed after {} s", limit.as_secs_f64())))
        }),
    };
    if let Some(word) = word {
        say.word(word).await;
    }
}

/// Says what the program writes; returns its last word, if it has not been said.
async fn follow(mut child: Child, id: CommandId, line: &str, say: &Say) -> Option<Step> {
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read it has its arguments.
        let _ = stdin.write_all(line.as_bytes()).await;
    }
    let mut last_line = String::new();
    let mut ended = false;
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout.take(MAX_OUTPUT_BYTES)).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            match serde_json::from_str(&line).ok().and_then(|answer| reply::word(id, &answer)) {
                Some(word) if !ended => {
                    ended = word.state.is_final();
                    say.word(word).await;
                }
                Some(_) => {}
                None => last_line = line,
            }
        }
    }
    let status = child.wait().await;
    if ended {
        return None;
    }
    Some(match status {
        Ok(status) if status.success() => Step::new(State::Done, wall_now()).saying(&last_line),
        Ok(status) => {
            let step = Step::new(State::Failed, wall_now()).because(Reason::TargetFailed);
            step.saying(&format!("{status}: {last_line}"))
        }
        Err(error) => {
            let step = Step::new(State::Failed, wall_now()).because(Reason::NoResult);
            step.saying(&error.to_string())
        }
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::command::Happened;

    async fn run_program(script: &str, limit: Duration) -> Vec<(State, Option<Reason>, String)> {
        let argv = ["sh", "-c", script].map(str::to_owned);
        let command = DeviceCommand {
            device: "d".to_owned(),
            command: "c".to_owned(),
            arguments: "{\"n\":7}".to_owned(),
        };
        let (sender, mut happened) = mpsc::channel(16);
        let say = Say { id: CommandId(255), happened: sender };
        let until = Instant::now() + Duration::from_secs(60);
        start(&argv, CommandId(255), &command, until, limit, &say).await;
        drop(say);
        let mut said = Vec::new();
        while let Some(Happened::Words { words, .. }) = happened.recv().await {
            said.extend(words.into_iter().map(|word| (word.state, word.reason, word.detail)));
        }
        said
    }

    #[tokio::test]
    async fn a_program_is_asked_on_its_standard_input_and_its_exit_status_counts() {
        let long = Duration::from_secs(60);
        let said = run_program("grep -o '\"n\":[0-9]*'", long).await;
        assert_eq!(said, [(State::Done, None, "\"n\":7".to_owned())]);
        let said = run_program("echo no power; exit 3", long).await;
        assert_eq!(said[0].1, Some(Reason::TargetFailed));
        assert!(said[0].2.contains('3') && said[0].2.contains("no power"), "{said:?}");
        let words =
            r#"echo '{"state":"accepted","progress":1}'; echo '{"state":"rejected","detail":"locked"}'"#;
        let states: Vec<State> = run_program(words, long).await.into_iter().map(|word| word.0).collect();
        assert_eq!(states, [State::Accepted, State::Rejected]);
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_killed() {
        let said = run_program("exec sleep 600", Duration::from_millis(50)).await;
        assert_eq!((said[0].0, said[0].1), (State::Failed, Some(Reason::NoResult)));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_was_not_told() {
        let (sender, mut happened) = mpsc::channel(16);
        let say = Say { id: CommandId(255), happened: sender };
        let command =
            DeviceCommand { device: "d".to_owned(), command: "c".to_owned(), arguments: "{}".to_owned() };
        let argv = ["/nowhere/program".to_owned()];
        let soon = Duration::from_secs(60);
        start(&argv, CommandId(255), &command, Instant::now() + soon, soon, &say).await;
        let Some(Happened::Words { words, .. }) = happened.recv().await else { panic!("nothing said") };
        assert_eq!((words[0].state, words[0].reason), (State::Rejected, Some(Reason::Unreachable)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_answers_by_id_or_is_given_up() {
        let port = Port::new();
        let mut outgoing = port.outgoing();
        let (sender, mut happened) = mpsc::channel(16);
        let say = Say { id: CommandId(255), happened: sender };
        let command =
            DeviceCommand { device: "d".to_owned(), command: "c".to_owned(), arguments: "{}".to_owned() };
        let until = Instant::now() + Duration::from_secs(10);
        let device = async {
            let asked: serde_json::Value = serde_json::from_slice(&outgoing.next().await).unwrap();
            for (id, state) in [("00000000000000fe", "done"), (asked["id"].as_str().unwrap(), "accepted")] {
                port.handle_line(serde_json::json!({ "id": id, "state": state }));
            }
        };
        let asking = ask(&port, CommandId(255), &command, until, Duration::from_secs(60), &say);
        tokio::join!(asking, device);
        let mut said = Vec::new();
        while let Ok(Happened::Words { words, .. }) = happened.try_recv() {
            said.extend(words.into_iter().map(|word| (word.state, word.reason)));
        }
        assert_eq!(said, [(State::Accepted, None), (State::Failed, Some(Reason::NoResult))]);
    }
}
