//! Commands to an autopilot: MAVLink's command protocol.
//!
//! A command is sent until it is answered, `confirmation` counting up, and not after its time. Its answer, COMMAND_ACK,
//! names the command by its number only: so of each number one is under way at a time, and after one that had to be
//! repeated, further answers to it are let pass before the next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tern_shared::command::mavlink::{MavlinkCommand, Position};
use tern_shared::command::{Reason, State, Step};
use tern_shared::mavlink::dialect;
use tern_shared::mavlink::frame::encode_v2;
use tern_shared::mavlink::payload;
use tern_shared::record::Value;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Say;
use crate::clock::wall_now;
use crate::source::{Ack, Heard, Port, compose};

/// How long an autopilot has for an answer before it is told again.
const ANSWER_LIMIT: Duration = Duration::from_millis(1500);
/// How often it is told again.
const REPEATS: u8 = 4;
/// How long it may be silent about something that it said is in progress.
const PROGRESS_LIMIT: Duration = Duration::from_secs(600);

/// The way to an autopilot.
#[derive(Debug)]
pub(super) struct Autopilot {
    port: Port,
    system: u8,
    component: u8,
    sequence: AtomicU8,
    /// One at a time of each number.
    turns: Mutex<BTreeMap<u16, Arc<tokio::sync::Mutex<()>>>>,
}

impl Autopilot {
    /// Reached by `port`; we are `component` of `system`.
    pub(super) fn new(port: Port, system: u8, component: u8) -> Self {
        Autopilot { port, system, component, sequence: AtomicU8::new(0), turns: Mutex::default() }
    }

    /// Has a command executed, and says what the autopilot answers.
    pub(super) async fn execute(&self, command: MavlinkCommand, until: Instant, say: &Say) {
        let turn = self.turn(command.command);
        let Ok(_turn) = timeout_at(until, turn.lock_owned()).await else {
            return say.word(Step::new(State::Expired, wall_now()).because(Reason::TooLate)).await;
        };
        let asked = (command.system != 0).then_some(command.system);
        let Some(system) = asked.or_else(|| self.port.autopilot()) else {
            let step = Step::new(State::Rejected, wall_now()).because(Reason::Unreachable);
            return say.word(step.saying("no autopilot has been heard")).await;
        };
        let mut heard = self.port.listen();
        let mut sent = 0;
        let mut answer = None;
        while answer.is_none() && sent <= REPEATS && Instant::now() < until {
            if !self.port.send(self.frame(&command, system, sent)) {
                break;
            }
            sent += 1;
            answer = timeout(ANSWER_LIMIT, self.answer(&mut heard, &command, system)).await.ok();
        }
        let Some(ack) = answer else {
            let step = |state, reason| Step::new(state, wall_now()).because(reason);
            return say
                .word(match sent {
                    0 if Instant::now() >= until => step(State::Expired, Reason::TooLate),
                    0 => step(State::Rejected, Reason::Unreachable).saying("the autopilot's link is down"),
                    _ => step(State::Failed, Reason::NoAnswer)
                        .saying("the autopilot did not answer: it may have done it"),
                })
                .await;
        };
        self.follow(ack, &mut heard, &command, system, say).await;
        if sent > 1 {
            sleep(ANSWER_LIMIT).await;
        }
    }

    /// Sends MANUAL_CONTROL or RC_CHANNELS_OVERRIDE; `false` when nobody would get it.
    pub(super) fn set(&self, message: &str, values: &[(&str, i64)]) -> bool {
        let Some(system) = self.port.autopilot() else { return false };
        let target = if message == "MANUAL_CONTROL" { "target" } else { "target_system" };
        let values = values.iter().map(|&(name, value)| (name, Value::Int(value)));
        self.port.send(self.message(message, values.chain([(target, Value::Int(system.into()))])))
    }

    /// Says what an answer means, and those that follow one that is not the last.
    async fn follow(
        &self,
        first: Ack,
        heard: &mut Receiver<Heard>,
        command: &MavlinkCommand,
        system: u8,
        say: &Say,
    ) {
        let mut ack = first;
        loop {
            let words = words(ack);
            let ended = words.iter().any(|word| word.state.is_final());
            say.words(words).await;
            if ended {
                return;
            }
            match timeout(PROGRESS_LIMIT, self.answer(heard, command, system)).await {
                Ok(next) => ack = next,
                Err(_) => {
                    let step = Step::new(State::Failed, wall_now()).because(Reason::NoResult);
                    return say.word(step.saying("in progress, and then no word of it")).await;
                }
            }
        }
    }

    /// The next answer to this command.
    async fn answer(&self, heard: &mut Receiver<Heard>, command: &MavlinkCommand, system: u8) -> Ack {
        loop {
            match heard.recv().await {
                Ok(Heard::Ack(ack))
                    if ack.command == command.command
                        && ack.system == system
                        && (command.component == 0 || ack.component == command.component)
                        && (ack.target_system == 0 || ack.target_system == self.system) =>
                {
                    return ack;
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    fn turn(&self, command: u16) -> Arc<tokio::sync::Mutex<()>> {
        // Nothing that is done while it is held can panic half-way.
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(command).or_default().clone()
    }

    fn frame(&self, command: &MavlinkCommand, system: u8, confirmation: u8) -> Vec<u8> {
        let params = command.all_params();
        let int = |name, value: u8| (name, Value::Int(value.into()));
        let common = [
            ("command", Value::Int(command.command.into())),
            int("target_system", system),
            int("target_component", command.component),
            ("param1", Value::F32(params[0])),
            ("param2", Value::F32(params[1])),
            ("param3", Value::F32(params[2])),
            ("param4", Value::F32(params[3])),
        ];
        match command.position {
            Some(Position { frame, x, y }) => self.message(
                "COMMAND_INT",
                common.into_iter().chain([
                    int("frame", frame),
                    ("x", Value::Int(x.into())),
                    ("y", Value::Int(y.into())),
                    ("z", Value::F32(params[4])),
                ]),
            ),
            None => self.message(
                "COMMAND_LONG",
                common.into_iter().chain([
                    ("param5", Value::F32(params[4])),
                    ("param6", Value::F32(params[5])),
                    ("param7", Value::F32(params[6])),
                    int("confirmation", confirmation),
                ]),
            ),
        }
    }

    fn message<'a>(&self, name: &str, named: impl IntoIterator<Item = (&'a str, Value)>) -> Vec<u8> {
        let Some(layout) = dialect::message_named(name) else { return Vec::new() };
        let payload = payload::encode(layout, &compose(layout, named));
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        encode_v2(sequence, self.system, self.component, layout, &payload)
    }
}

/// `MAV_RESULT` in our words.
fn words(ack: Ack) -> Vec<Step> {
    let step = |state| Step::new(state, wall_now());
    let rejected = |reason, detail: &str| vec![step(State::Rejected).because(reason).saying(detail)];
    match ack.result {
        // "Valid, and was executed."
        0 => vec![step(State::Accepted), step(State::Done)],
        1 => rejected(Reason::TemporarilyDenied, "MAV_RESULT_TEMPORARILY_REJECTED"),
        2 => rejected(Reason::Denied, "MAV_RESULT_DENIED"),
        3 => rejected(Reason::Unsupported, "MAV_RESULT_UNSUPPORTED"),
        4 => vec![step(State::Failed).because(Reason::TargetFailed).saying("MAV_RESULT_FAILED")],
        5 => vec![Step { progress: Some(ack.progress).filter(|&p| p <= 100), ..step(State::Accepted) }],
        6 => vec![step(State::Failed).because(Reason::TargetFailed).saying("MAV_RESULT_CANCELLED")],
        other => rejected(Reason::Denied, &format!("MAV_RESULT {other}")),
    }
}

#[cfg(test)]
mod tests;
