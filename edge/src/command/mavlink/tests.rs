use tern_shared::command::CommandId;
use tern_shared::command::mavlink::Verb;
use tern_shared::mavlink::frame::{Candidate, inspect};
use tokio::sync::mpsc;

use super::*;
use crate::command::Happened;

/// A frame that the autopilot was sent: its message, and values by name.
type Seen = (&'static str, BTreeMap<String, Value>);

fn read(bytes: &[u8]) -> Seen {
    let Candidate::Certain(frame) = inspect(bytes) else { panic!("no frame: {bytes:?}") };
    assert_eq!((frame.system, frame.component), (255, 190));
    let layout = frame.layout.unwrap();
    let names = layout.fields().into_iter().map(|field| field.name);
    (layout.name, names.zip(payload::decode(layout, frame.payload).unwrap()).collect())
}

/// Has the autopilot (system 7) say something.
fn say(port: &Port, name: &str, values: &[(&str, i64)]) {
    let layout = dialect::message_named(name).unwrap();
    let values = values.iter().map(|&(name, value)| (name, Value::Int(value)));
    let raw = encode_v2(0, 7, 1, layout, &payload::encode(layout, &compose(layout, values)));
    let Candidate::Certain(frame) = inspect(&raw) else { panic!("no frame") };
    port.handle_frame(&frame);
}

fn acknowledge(port: &Port, command: u16, result: i64, progress: i64) {
    let values =
        [("command", command.into()), ("result", result), ("progress", progress), ("target_system", 255)];
    say(port, "COMMAND_ACK", &values);
}

/// Executes a command that has 10 s, and returns what was said of it.
async fn execute(autopilot: &Autopilot, verb: Verb) -> Vec<(State, Option<Reason>, Option<u8>)> {
    let (sender, mut happened) = mpsc::channel(64);
    let say = Say { id: CommandId(1), happened: sender };
    let until = Instant::now() + Duration::from_secs(10);
    autopilot.execute(MavlinkCommand::of(verb), until, &say).await;
    let mut said = Vec::new();
    while let Ok(Happened::Words { words, .. }) = happened.try_recv() {
        said.extend(words.into_iter().map(|word| (word.state, word.reason, word.progress)));
    }
    said
}

fn heard_autopilot() -> (Port, Autopilot) {
    let port = Port::new();
    say(&port, "HEARTBEAT", &[("autopilot", 3)]);
    (port.clone(), Autopilot::new(port, 255, 190))
}

#[tokio::test(start_paused = true)]
async fn a_command_is_repeated_until_it_is_answered() {
    let (port, autopilot) = heard_autopilot();
    let mut outgoing = port.outgoing();
    let replies = async {
        for confirmation in 0..3 {
            let (name, values) = read(&outgoing.next().await);
            assert_eq!(name, "COMMAND_LONG");
            assert_eq!(values["confirmation"], Value::Int(confirmation));
            assert_eq!((&values["target_system"], &values["command"]), (&Value::Int(7), &Value::Int(400)));
            assert_eq!(values["param1"], Value::F32(1.0));
        }
        // Of another command, for another station, and then the one.
        acknowledge(&port, 20, 0, 0);
        say(&port, "COMMAND_ACK", &[("command", 400), ("result", 2), ("target_system", 99)]);
        acknowledge(&port, 400, 0, 0);
    };
    let (said, ()) = tokio::join!(execute(&autopilot, Verb::Arm), replies);
    assert_eq!(said, [(State::Accepted, None, None), (State::Done, None, None)]);
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_until_the_end() {
    let (port, autopilot) = heard_autopilot();
    let mut outgoing = port.outgoing();
    let replies = async {
        let (name, values) = read(&outgoing.next().await);
        assert_eq!(name, "COMMAND_INT");
        assert_eq!((&values["x"], &values["frame"]), (&Value::Int(473_977_420), &Value::Int(6)));
        assert_eq!(values["z"], Value::F32(20.0));
        acknowledge(&port, 192, 5, 255);
        sleep(Duration::from_secs(30)).await;
        acknowledge(&port, 192, 5, 60);
        sleep(Duration::from_secs(300)).await;
        acknowledge(&port, 192, 4, 0);
    };
    let verb = Verb::Reposition { latitude_e7: 473_977_420, longitude_e7: 85_455_940, altitude_m: 20.0 };
    let (said, ()) = tokio::join!(execute(&autopilot, verb), replies);
    let expected = [
        (State::Accepted, None, None),
        (State::Accepted, None, Some(60)),
        (State::Failed, Some(Reason::TargetFailed), None),
    ];
    assert_eq!(said, expected);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_autopilots_own() {
    for (result, reason) in
        [(1, Reason::TemporarilyDenied), (2, Reason::Denied), (3, Reason::Unsupported), (77, Reason::Denied)]
    {
        let (port, autopilot) = heard_autopilot();
        let mut outgoing = port.outgoing();
        let replies = async {
            outgoing.next().await;
            acknowledge(&port, 20, result, 0);
        };
        let (said, ()) = tokio::join!(execute(&autopilot, Verb::ReturnToLaunch), replies);
        assert_eq!(said, [(State::Rejected, Some(reason), None)]);
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_told_as_silence() {
    let (port, autopilot) = heard_autopilot();
    let mut outgoing = port.outgoing();
    let mut sent = 0;
    let start = Instant::now();
    let said = {
        let execute = execute(&autopilot, Verb::ReturnToLaunch);
        tokio::pin!(execute);
        loop {
            tokio::select! {
                said = &mut execute => break said,
                _ = outgoing.next() => sent += 1,
            }
        }
    };
    assert_eq!(said, [(State::Failed, Some(Reason::NoAnswer), None)]);
    assert_eq!((sent, start.elapsed().as_millis()), (5, 7500));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_sent_was_not_told() {
    // Nobody at the port, then nobody heard.
    let (_port, autopilot) = heard_autopilot();
    let unreachable = [(State::Rejected, Some(Reason::Unreachable), None)];
    assert_eq!(execute(&autopilot, Verb::Arm).await, unreachable);
    let port = Port::new();
    let _outgoing = port.outgoing();
    assert_eq!(execute(&Autopilot::new(port, 255, 190), Verb::Arm).await, unreachable);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_to_a_repeated_command_is_not_taken_for_the_next() {
    let (port, autopilot) = heard_autopilot();
    let mut outgoing = port.outgoing();
    let replies = async {
        outgoing.next().await;
        outgoing.next().await;
        // Both were heard, and both are answered.
        acknowledge(&port, 400, 0, 0);
        sleep(Duration::from_millis(500)).await;
        acknowledge(&port, 400, 0, 0);
        let (_, values) = read(&outgoing.next().await);
        assert_eq!(values["param1"], Value::F32(0.0));
        acknowledge(&port, 400, 2, 0);
    };
    let both = async {
        tokio::join!(execute(&autopilot, Verb::Arm), async {
            // It comes while the other is under way.
            sleep(Duration::from_millis(10)).await;
            execute(&autopilot, Verb::Disarm).await
        })
    };
    let ((first, second), ()) = tokio::join!(both, replies);
    assert_eq!(first.last().unwrap().0, State::Done);
    assert_eq!(second, [(State::Rejected, Some(Reason::Denied), None)]);
}
