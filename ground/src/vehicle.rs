//! One vehicle: whichever connection it comes by, its records pass here, to the clients at once and to the history.
//!
//! At most one session of a vehicle is current. A new one takes its place before the history is asked what is
//! committed, and nothing of a former session is let through after that: so the answer holds all that the former
//! session will ever bring, and no record can be committed twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tern_shared::codec::SchemaTable;
use tern_shared::id::{Epoch, SchemaId, VehicleId};
use tern_shared::message::{ClockEstimate, Lane, Refusal, RefusalReason};
use tern_shared::range::RangeSet;
use tern_shared::session::GroundEvent;
use tern_shared::time::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::clock::wall_now;
use crate::command::{Commands, Downlink};
use crate::history::{Content, Entry, EpochKey, History, HistoryError, Outcome};
use crate::json::epoch_seconds;
use crate::publish::message::VehicleStatus;
use crate::publish::{Arrival, Hub};

/// How often clients hear of a vehicle's counters while they change. Then the next records bring them, or they come by
/// themselves when there are none for as long again.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Numbers the sessions of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionNumber(pub u64);

/// What a connection tells its vehicle.
#[derive(Debug)]
pub enum ToVehicleTask {
    /// An authorized session wants to be the current one.
    Attach(Attach),
    /// Something came in a session.
    Event {
        /// In which.
        session: SessionNumber,
        /// What: a schema, frame, gap or clock estimate.
        event: GroundEvent,
        /// When its message came.
        arrived: Arrived,
    },
    /// The session's connection has ended.
    Detach(SessionNumber),
}

/// When a message came.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// By the clock that nobody sets.
    pub at: Instant,
    /// By the ground's clock.
    pub wall: Timestamp,
}

impl Arrived {
    /// Now.
    pub fn now() -> Self {
        Arrived { at: Instant::now(), wall: wall_now() }
    }
}

/// A session that wants to be current.
#[derive(Debug)]
pub struct Attach {
    /// Its number.
    pub session: SessionNumber,
    /// Its sequence numbers' epoch.
    pub epoch: Epoch,
    /// Whether it comes ahead of its handshake, and so may be what somebody withheld and sends now.
    pub is_early: bool,
    /// Name and version of the edge.
    pub agent: String,
    /// The way back; it must have room for a postponement, a verdict and a refusal.
    pub verdicts: mpsc::Sender<Verdict>,
    /// Where the history tells what became of frames and gaps; it must have room for all that are on their way.
    pub outcomes: mpsc::Sender<Outcome>,
}

/// What a vehicle tells a connection.
#[derive(Debug)]
pub enum Verdict {
    /// The session is current.
    Welcome {
        /// What the history holds of its epoch.
        committed: RangeSet,
        /// The epoch's schemas.
        schemas: SchemaTable,
        /// What is to be sent beside.
        downlink: Downlink,
    },
    /// Another session is current: ask again after the handshake.
    Postpone(Attach),
    /// The session is not, or no longer, wanted.
    Refuse(Refusal),
}

/// The task of one vehicle.
pub struct VehicleTask {
    id: VehicleId,
    hub: Arc<Hub>,
    history: History,
    commands: Commands,
    connected: Arc<AtomicUsize>,
    status: VehicleStatus,
    /// Whether clients have yet to hear of `status`.
    changed: bool,
    /// When they last did.
    told: Instant,
    current: Option<CurrentSession>,
    clock: Option<ClockEstimate>,
}

struct CurrentSession {
    number: SessionNumber,
    epoch: Epoch,
    key: EpochKey,
    schemas: SchemaTable,
    verdicts: mpsc::Sender<Verdict>,
    outcomes: mpsc::Sender<Outcome>,
}

impl VehicleTask {
    /// A vehicle without a session. `connected` counts the vehicles that have one.
    pub fn new(
        id: VehicleId,
        hub: Arc<Hub>,
        history: History,
        commands: Commands,
        connected: Arc<AtomicUsize>,
    ) -> Self {
        VehicleTask {
            id,
            hub,
            history,
            commands,
            connected,
            status: VehicleStatus::default(),
            changed: false,
            told: Instant::now(),
            current: None,
            clock: None,
        }
    }

    /// Runs until all senders of `messages` are gone or the history is closed.
    pub async fn run(mut self, mut messages: mpsc::Receiver<ToVehicleTask>) {
        if let Err(error) = self.serve(&mut messages).await {
            warn!(vehicle = %self.id, %error, "the vehicle's task ends");
        }
        self.end_session();
    }

    async fn serve(&mut self, messages: &mut mpsc::Receiver<ToVehicleTask>) -> Result<(), HistoryError> {
        let totals = self.history.totals(self.id.clone()).await?;
        self.status.records = totals.records;
        self.status.lost_records = totals.lost_records;
        loop {
            tokio::select! {
                biased;
                // Priority 1: clients see that a flooding vehicle's counters move.
                () = sleep_until(self.told + 2 * STATUS_INTERVAL), if self.changed => self.publish_status(),
                // Priority 2: what the vehicle sends.
                message = messages.recv() => match message {
                    Some(ToVehicleTask::Attach(attach)) => self.attach(attach).await,
                    Some(ToVehicleTask::Event { session, event, arrived }) => {
                        if self.current.as_ref().is_some_and(|current| current.number == session) {
                            self.handle_event(event, arrived).await?;
                        }
                    }
                    Some(ToVehicleTask::Detach(session)) => {
                        if self.current.as_ref().is_some_and(|current| current.number == session) {
                            self.end_session();
                            self.publish_status();
                        }
                    }
                    None => return Ok(()),
                },
            }
        }
    }

    async fn attach(&mut self, attach: Attach) {
        if attach.is_early && self.current.is_some() {
            return tell(&attach.verdicts.clone(), Verdict::Postpone(attach));
        }
        let Attach { session, epoch, agent, verdicts, outcomes, .. } = attach;
        if let Some(former) = self.end_session() {
            info!(vehicle = %self.id, "a new session takes over");
            let refusal = Refusal::new(
                RefusalReason::Superseded,
                format!("another session of vehicle {} took over; is its name in use twice?", self.id),
            );
            tell(&former.verdicts, Verdict::Refuse(refusal));
        }
        let state = match self.history.open_epoch(self.id.clone(), epoch, wall_now()).await {
            Ok(state) => state,
            Err(error) => {
                warn!(vehicle = %self.id, %error, "no session without the history");
                let refusal = Refusal::new(
                    RefusalReason::Unavailable,
                    format!("the ground's history is unavailable: {error}"),
                );
                tell(&verdicts, Verdict::Refuse(refusal));
                self.publish_status();
                return;
            }
        };
        info!(vehicle = %self.id, %epoch, agent, committed = state.committed.len(), "session");
        self.connected.fetch_add(1, Ordering::Relaxed);
        self.status.connected = true;
        self.status.since = Some(epoch_seconds(wall_now()));
        self.status.agent = Some(agent);
        self.status.epoch = Some(epoch.to_string());
        self.publish_status();
        let schemas = state.schemas.clone();
        let downlink = self.commands.connected(&self.id, session);
        tell(&verdicts, Verdict::Welcome { committed: state.committed, schemas, downlink });
        self.current = Some(CurrentSession {
            number: session,
            epoch,
            key: state.key,
            schemas: state.schemas,
            verdicts,
            outcomes,
        });
    }

    async fn handle_event(&mut self, event: GroundEvent, arrived: Arrived) -> Result<(), HistoryError> {
        let Some(session) = &mut self.current else { return Ok(()) };
        let received = arrived.wall;
        let content = match event {
            GroundEvent::Schema { id, schema } => {
                session.schemas.insert(id, schema.clone());
                Content::Schema { id, schema }
            }
            GroundEvent::Frame { lane, range, records, frame } => {
                let times = || records.iter().map(|record| record.time);
                let started = times().min().unwrap_or_default();
                let ended = times().max().unwrap_or_default();
                self.status.records += range.len();
                self.status.backlog_records += if lane == Lane::Backlog { range.len() } else { 0 };
                self.status.last_received = Some(epoch_seconds(received));
                let is_due = self.told.elapsed() >= STATUS_INTERVAL;
                if is_due {
                    self.told = Instant::now();
                }
                self.changed = !is_due;
                self.hub.publish_counters(&self.id, &self.status, is_due);
                let schemas: BTreeSet<SchemaId> = records.iter().map(|record| record.schema).collect();
                let arrival = Arrival {
                    vehicle: &self.id,
                    epoch: session.epoch,
                    range,
                    received,
                    lane,
                    clock: self.clock,
                };
                let position = self.hub.publish_records(arrival, &session.schemas, records);
                self.hub.counters().published(lane, range.len(), arrived.at.elapsed());
                let schemas = schemas.into_iter().collect();
                Content::Frame { range, lane, position, schemas, started, ended, bytes: frame }
            }
            GroundEvent::Gap { range, reason } => {
                if reason.is_loss() {
                    warn!(vehicle = %self.id, %range, ?reason, "records are lost");
                    self.hub.counters().lost(range.len());
                    self.status.lost_records = self.status.lost_records.saturating_add(range.len());
                    self.changed = true;
                }
                Content::Gap { range, reason }
            }
            GroundEvent::Clock(estimate) => {
                if self.clock.replace(estimate) == Some(estimate) {
                    return Ok(());
                }
                self.status.set_clock(estimate);
                self.changed = true;
                Content::Clock(estimate)
            }
            GroundEvent::Answer(answer) => {
                self.commands.answered(&self.id, answer);
                return Ok(());
            }
            // These end a connection, which has dealt with them.
            GroundEvent::Hello(_) | GroundEvent::Goodbye | GroundEvent::Refused(_) => return Ok(()),
        };
        let outcome = content.range().map(|_| session.outcomes.clone());
        self.history.write(Entry { epoch: session.key, received, content, outcome }).await
    }

    fn end_session(&mut self) -> Option<CurrentSession> {
        let former = self.current.take()?;
        self.commands.disconnected(&self.id, former.number);
        self.connected.fetch_sub(1, Ordering::Relaxed);
        self.status.connected = false;
        self.status.since = Some(epoch_seconds(wall_now()));
        Some(former)
    }

    fn publish_status(&mut self) {
        (self.changed, self.told) = (false, Instant::now());
        self.hub.publish_vehicle(&self.id, &self.status);
    }
}

/// Tells a connection, unless it is gone.
fn tell(verdicts: &mpsc::Sender<Verdict>, verdict: Verdict) {
    let _ = verdicts.try_send(verdict);
}

#[cfg(test)]
mod tests {
    use axum::extract::ws::Message;
    use tern_shared::pattern::Pattern;
    use tern_shared::range::SequenceRange;
    use tern_shared::record::{Record, Value};
    use tern_shared::schema::{Class, Field, FieldKind, Origin, Schema};
    use tokio::sync::watch;
    use tokio::time::sleep;

    use super::*;
    use crate::clock::Clock;
    use crate::config::Synchronous;
    use crate::history::{Command, Health, Store, Totals};
    use crate::publish::cursor::{HistoryTag, Position};
    use crate::publish::encode::Encoding;
    use crate::publish::{Filter, Positions, Shape, Subscription};

    /// A vehicle in a session, and a client that wants everything.
    struct Flight {
        events: mpsc::Sender<ToVehicleTask>,
        client: Subscription,
        records: u64,
        _folder: tempfile::TempDir,
    }

    impl Flight {
        fn start() -> Flight {
            let folder = tempfile::tempdir().unwrap();
            let mut store = Store::open(&folder.path().join("history.sqlite"), Synchronous::Normal).unwrap();
            let (id, epoch): (VehicleId, _) = ("alpha".parse().unwrap(), Epoch(1));
            let key = store.open_epoch(&id, epoch, wall_now()).unwrap().key;
            let (commits, mut written) = mpsc::channel(1);
            tokio::spawn(async move {
                while let Some(command) = written.recv().await {
                    if let Command::Totals { reply, .. } = command {
                        reply.send(Ok(Totals::default())).unwrap();
                    }
                }
            });
            let history = History::new(commits, watch::channel(Health::Good).1);
            let commands = Commands::start(&folder.path().join("commands.sqlite"), Clock::start()).unwrap();
            let hub = Arc::new(Hub::new(Arc::new(Positions::new(HistoryTag(1), Position(0)))));
            let mut task =
                VehicleTask::new(id, hub.clone(), history, commands, Arc::new(AtomicUsize::new(1)));
            let schema = Schema {
                stream: "humidity".to_owned(),
                origin: Origin::Sensor,
                class: Class::Live,
                fields: vec![Field::new("n", FieldKind::I64)],
            };
            task.current = Some(CurrentSession {
                number: SessionNumber(1),
                epoch,
                key,
                schemas: SchemaTable::from([(SchemaId(0), Arc::new(schema))]),
                verdicts: mpsc::channel(1).0,
                outcomes: mpsc::channel(1).0,
            });
            let (events, messages) = mpsc::channel(1);
            tokio::spawn(task.run(messages));
            let any = ["*".to_owned()];
            let filter = Filter::new(&any, &any, Arc::from([Pattern::anything()])).unwrap();
            let shape = Shape { sub: String::new(), encoding: Encoding::Json, filter };
            let client = hub.subscribe(shape, Arc::new(tokio::sync::Notify::new()));
            Flight { events, client, records: 0, _folder: folder }
        }

        /// Sends a record.
        async fn send(&mut self) {
            let range = SequenceRange::new(self.records, self.records + 1);
            let values = vec![Value::Int(range.start.cast_signed())];
            let record = Record { schema: SchemaId(0), time: Timestamp(0), values };
            let event =
                GroundEvent::Frame { lane: Lane::Live, range, records: vec![record], frame: Arc::default() };
            let event = ToVehicleTask::Event { session: SessionNumber(1), event, arrived: Arrived::now() };
            self.events.send(event).await.unwrap();
            self.records = range.end;
        }

        /// What the client is told until then, in whole writes: the type of each message.
        async fn told_within(&mut self, millis: u64) -> Vec<Vec<String>> {
            sleep(Duration::from_millis(millis)).await;
            let writes = std::iter::from_fn(|| self.client.next(Instant::now(), &mut 0));
            let kind = |message: &Message| {
                let Message::Text(text) = message else { panic!("no text but {message:?}") };
                let json: serde_json::Value = serde_json::from_str(text).unwrap();
                json["type"].as_str().unwrap().to_owned()
            };
            writes.map(|write| write.iter().map(kind).collect()).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ahead_of_its_handshake_takes_over_from_none() {
        let mut flight = Flight::start();
        let (verdicts, mut verdict) = mpsc::channel(4);
        let attach = Attach {
            session: SessionNumber(2),
            epoch: Epoch(1),
            is_early: true,
            agent: String::new(),
            verdicts,
            outcomes: mpsc::channel(1).0,
        };
        flight.events.send(ToVehicleTask::Attach(attach)).await.unwrap();
        let Some(Verdict::Postpone(attach)) = verdict.recv().await else { panic!("it is not postponed") };
        flight.send().await;
        assert_eq!(flight.told_within(900).await, [vec!["vehicle"], vec!["ready"], vec!["stream", "record"]]);
        flight.events.send(ToVehicleTask::Attach(Attach { is_early: false, ..attach })).await.unwrap();
        // Of the history that this test has, nothing more can be asked.
        assert!(matches!(verdict.recv().await, Some(Verdict::Refuse(_))));
        flight.send().await;
        assert!(!flight.told_within(900).await.concat().contains(&"record".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn counters_come_with_the_records_of_each_second_and_by_themselves_after_the_last() {
        let mut flight = Flight::start();
        flight.send().await;
        assert_eq!(flight.told_within(900).await, [vec!["vehicle"], vec!["ready"], vec!["stream", "record"]]);
        for _ in 0..3 {
            flight.send().await;
            assert_eq!(flight.told_within(500).await, [["record"]]);
            flight.send().await;
            assert_eq!(flight.told_within(500).await, [["vehicle", "record"]]);
        }
        flight.send().await;
        assert_eq!(flight.told_within(1490).await, [["record"]]);
        assert_eq!(flight.told_within(20).await, [["vehicle"]]);
        assert_eq!(flight.told_within(60_000).await, [[""; 0]; 0]);
    }
}
