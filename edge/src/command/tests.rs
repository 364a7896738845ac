//! Orders in, answers out, with a device that the test plays and a journal on disk.

use std::collections::BTreeMap;
use std::path::Path;

use tern_shared::command::mavlink::{MavlinkCommand, Verb};
use tern_shared::command::{Cancel, CancelReason, DeviceCommand};
use tern_shared::message::ClockEstimate;
use tern_shared::time::{Now, Timestamp};

use super::config::{DeviceConfig, RESULT_LIMIT};
use super::*;

/// The vehicle shows the ground's time, known to 80 ms (and the drift of 20).
fn at(millis: u64) -> Moment {
    let now =
        Now { instant: Instant(Duration::from_millis(millis)), wall: Timestamp::from_millis(millis as i64) };
    Moment { now, clock: Some(ClockEstimate { offset_micros: 0, uncertainty_micros: 80_000 }) }
}

struct Bench {
    commands: Commands,
    happened: mpsc::Receiver<Happened>,
    port: Port,
}

fn bench(journal: &Path) -> Bench {
    let source = "jsonl+tcpout:127.0.0.1:7100";
    let lamp = DeviceConfig {
        target: DeviceTarget::Source(source.parse().unwrap()),
        allow: vec!["switch".to_owned()],
        result_limit: RESULT_LIMIT,
    };
    let config = CommandConfig {
        devices: BTreeMap::from([("lamp".to_owned(), lamp)]),
        journal: journal.to_owned(),
        ..CommandConfig::default()
    };
    let (sender, happened) = mpsc::channel(64);
    let port = Port::new();
    let commands = Commands::new(&config, at(0), |_| port.clone(), sender);
    Bench { commands, happened, port }
}

fn switch(id: u64, issued: i64) -> Command {
    Command {
        id: CommandId(id),
        issued: Timestamp::from_millis(issued),
        ttl_ms: 10_000,
        key: None,
        issuer: "ann".to_owned(),
        action: Action::Device(DeviceCommand {
            device: "lamp".to_owned(),
            command: "switch".to_owned(),
            arguments: "{\"on\":true}".to_owned(),
        }),
    }
}

impl Bench {
    fn order(&mut self, moment: Moment, command: Command) {
        self.commands.handle_order(moment, Order::Command(command));
    }

    /// The last state that was told of a command, and why.
    fn told(&mut self) -> Option<(State, Option<Reason>)> {
        let mut last = None;
        while let Some(answer) = self.commands.poll_answer() {
            let Answer::Report(report) = answer else { panic!("no report: {answer:?}") };
            last = report.steps.last().map(|step| (step.state, step.reason));
        }
        last
    }

    /// Until the next thing happens, and what is told of it.
    async fn next(&mut self, moment: Moment) -> Option<(State, Option<Reason>)> {
        let happened = self.happened.recv().await.unwrap();
        self.commands.handle_happened(moment, happened);
        self.told()
    }
}

#[tokio::test]
async fn a_command_runs_once_however_often_it_comes_and_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("commands.sqlite");
    let mut bench = bench(&journal);
    let mut outgoing = bench.port.outgoing();
    bench.order(at(500), switch(1, 100));
    assert_eq!(bench.told(), Some((State::AtVehicle, None)));
    bench.order(at(510), switch(1, 100));
    // The journal has it, and it begins.
    bench.next(at(520)).await;
    let asked: serde_json::Value = serde_json::from_slice(&outgoing.next().await).unwrap();
    assert_eq!(asked["arguments"]["on"], true);
    bench.port.handle_line(serde_json::json!({ "id": asked["id"], "state": "done" }));
    assert_eq!(bench.next(at(600)).await, Some((State::Done, None)));
    // Its end is in the journal as well.
    bench.next(at(600)).await;
    drop(bench);

    let mut again = self::bench(&journal);
    let mut outgoing = again.port.outgoing();
    again.order(at(700), switch(1, 100));
    assert_eq!(again.told(), Some((State::Done, None)));
    again.order(at(700), switch(2, 600));
    again.next(at(710)).await;
    let asked: serde_json::Value = serde_json::from_slice(&outgoing.next().await).unwrap();
    assert_eq!(asked["id"], "0000000000000002", "the first was not told again");
    drop(again);

    // It was killed while the lamp had not answered.
    let mut last = self::bench(&journal);
    last.order(at(800), switch(2, 600));
    assert_eq!(last.told(), Some((State::Failed, Some(Reason::Interrupted))));
}

#[tokio::test]
async fn what_is_not_on_the_list_late_or_malformed_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = bench(&folder.path().join("commands.sqlite"));
    let mut outgoing = bench.port.outgoing();
    let device = |device: &str, command: &str, arguments: &str| {
        let (device, command, arguments) = (device.to_owned(), command.to_owned(), arguments.to_owned());
        Action::Device(DeviceCommand { device, command, arguments })
    };
    let rtl = Action::Mavlink(MavlinkCommand::of(Verb::ReturnToLaunch));
    let refused = [
        (switch(1, 100), device("lamp", "explode", "{}"), Reason::NotAllowed),
        (switch(2, 100), device("horn", "switch", "{}"), Reason::UnknownTarget),
        (switch(3, 100), rtl, Reason::UnknownTarget),
        (switch(4, 100), device("lamp", "switch", &"x".repeat(4000)), Reason::Malformed),
        (Command { ttl_ms: u32::MAX, ..switch(5, 100) }, switch(5, 100).action, Reason::Malformed),
    ];
    for (command, action, reason) in refused {
        bench.order(at(500), Command { action, ..command });
        assert_eq!(bench.told(), Some((State::Rejected, Some(reason))));
    }
    bench.order(at(11_000), switch(6, 100));
    assert_eq!(bench.told(), Some((State::Expired, Some(Reason::TooLate))));
    let cancel = Cancel { id: CommandId(7), why: CancelReason::Asked };
    bench.commands.handle_order(at(500), Order::Cancel(cancel));
    assert_eq!(bench.told(), Some((State::Cancelled, Some(Reason::Asked))));
    bench.order(at(500), switch(7, 100));
    assert_eq!(bench.told(), Some((State::Cancelled, Some(Reason::Asked))));
    // Arguments are the target's business, and found out on the way to it.
    bench.order(at(500), Command { action: device("lamp", "switch", "[1]"), ..switch(8, 100) });
    bench.next(at(500)).await;
    assert_eq!(bench.next(at(500)).await, Some((State::Rejected, Some(Reason::Malformed))));
    let quiet = tokio::time::timeout(Duration::from_millis(50), outgoing.next());
    assert!(quiet.await.is_err(), "the lamp was told something");
}

#[tokio::test]
async fn without_a_journal_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("commands.sqlite");
    std::fs::write(&journal, [1; 4096]).unwrap();
    let mut bench = bench(&journal);
    bench.order(at(500), switch(1, 100));
    assert_eq!(bench.told(), Some((State::Rejected, Some(Reason::Unavailable))));
}

#[tokio::test]
async fn set_points_for_a_control_that_is_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = bench(&folder.path().join("commands.sqlite"));
    let set_point = SetPoint {
        control: "drive".to_owned(),
        issued: Timestamp::from_millis(100),
        life_ms: 1000,
        values: vec![0],
    };
    bench.commands.handle_order(at(400), Order::SetPoint(set_point));
    let Some(Answer::Control(report)) = bench.commands.poll_answer() else { panic!("no report") };
    assert_eq!((report.state, report.reason), (ControlState::Refused, Some(Reason::UnknownTarget)));
}
