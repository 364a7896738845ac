//! One connection of a vehicle: drives its [`GroundSession`] between the socket and the vehicle's task.
//!
//! The socket is not read while [`MAX_OUTSTANDING`] frames wait for their commit: a vehicle that sends faster than the
//! history takes is slowed down by its own transport.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tern_shared::command::Order;
use tern_shared::message::{Hello, Refusal, RefusalReason};
use tern_shared::range::SequenceRange;
use tern_shared::session::{GroundEvent, GroundSession};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tracing::{debug, info, trace, warn};

use super::Accept;
use super::places::Place;
use super::socket::{Received, Socket};
use crate::command::Downlink;
use crate::history::{Health, Outcome};
use crate::relay::until_true;
use crate::vehicle::{Arrived, Attach, SessionNumber, ToVehicleTask, Verdict};

/// Frames and gaps of a connection that may wait for their commit.
const MAX_OUTSTANDING: usize = 128;
/// From the connection to the hello. On the narrowest link, one that is lost comes again after ten seconds and more.
const HELLO_LIMIT: Duration = Duration::from_secs(30);
/// A vehicle that does not take its acknowledgements for this long is gone.
const SEND_LIMIT: Duration = Duration::from_secs(30);
/// How long an ending session waits for its last commits, then for the vehicle to take the last messages.
const END_LIMIT: Duration = Duration::from_secs(5);
/// The same when the process ends: for the commits...
const SHUTDOWN_COMMIT_LIMIT: Duration = Duration::from_millis(300);
/// ... and for everything. Commits that come later are acknowledged by the next welcome.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(700);
/// Sequence numbers end here: the history's are 63 bits wide.
const MAX_SEQUENCE: u64 = i64::MAX as u64;

/// Ends with a handshake, or says why the connection does.
pub(super) type Handshake = BoxFuture<'static, Result<(), String>>;

pub(super) struct Connection {
    socket: Socket,
    session: GroundSession,
    accept: Arc<Accept>,
    shutdown: watch::Receiver<bool>,
    health: watch::Receiver<Health>,
    place: Place,
    /// The handshake, where the first messages may come ahead of its end.
    handshake: Option<Handshake>,
    /// What the vehicle's task is to be asked again after it.
    postponed: Option<Attach>,
    peer: SocketAddr,
    number: SessionNumber,
    /// The vehicle's task, from the hello on.
    vehicle: Option<mpsc::Sender<ToVehicleTask>>,
    verdicts: (mpsc::Sender<Verdict>, mpsc::Receiver<Verdict>),
    outcomes: (mpsc::Sender<Outcome>, mpsc::Receiver<Outcome>),
    /// Commands and set-points, once the session is welcome.
    downlink: Option<Downlink>,
    /// Frames and gaps whose outcome is open.
    outstanding: usize,
    /// Whether the history lacks something that the session has accepted, and so will not ask for again.
    has_holes: bool,
    state: State,
    /// When the last message came.
    arrived: Arrived,
    /// When the connection ends if nothing happens, for the reason that `state` implies.
    deadline: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No hello yet.
    Silent,
    /// The vehicle's task has not decided yet.
    Asked,
    /// Welcome.
    Open,
    /// Nothing more is read; what was accepted is acknowledged first.
    Leaving {
        /// Whether the ground is the one that leaves.
        shutdown: bool,
    },
    /// What is left to send is sent, then the connection ends.
    Ended,
}

impl Connection {
    pub(super) fn new(
        socket: Socket,
        accept: Arc<Accept>,
        place: Place,
        handshake: Option<Handshake>,
        peer: SocketAddr,
        number: SessionNumber,
    ) -> Self {
        Connection {
            session: GroundSession::new(accept.agent.clone(), socket.carrier()),
            socket,
            shutdown: accept.shutdown.clone(),
            health: accept.health.clone(),
            place,
            handshake,
            postponed: None,
            peer,
            number,
            vehicle: None,
            verdicts: mpsc::channel(4),
            outcomes: mpsc::channel(MAX_OUTSTANDING),
            downlink: None,
            outstanding: 0,
            has_holes: false,
            state: State::Silent,
            arrived: Arrived::now(),
            deadline: Instant::now() + HELLO_LIMIT,
            accept,
        }
    }

    pub(super) async fn run(mut self) {
        let _alive = self.accept.alive.clone();
        debug!(peer = %self.peer, "vehicle connection");
        let (peer, mut shutdown) = (self.peer, self.shutdown.clone());
        let gives_way = self.place.gives_way();
        let to_the_end = async {
            match self.drive().await {
                Ok(()) => self.close().await,
                Err(error) => debug!(%peer, error, "vehicle connection lost"),
            }
        };
        let cut_short = async {
            until_true(&mut shutdown).await;
            tokio::time::sleep(SHUTDOWN_LIMIT).await;
        };
        tokio::select! {
            biased;
            () = to_the_end => {}
            () = cut_short => debug!(%peer, "the vehicle does not take the last messages in time"),
            () = gives_way => debug!(%peer, "a connection without a hello gives way to newer ones"),
        }
        self.tell_vehicle(ToVehicleTask::Detach(self.number)).await;
    }

    async fn drive(&mut self) -> Result<(), String> {
        let mut outcomes = Vec::with_capacity(MAX_OUTSTANDING);
        loop {
            // One message can bring many events: a frame over many holes comes in as many parts. A refusal waits for no
            // commit: there may be none any more.
            while (self.outstanding < MAX_OUTSTANDING || self.session.is_ended())
                && let Some(event) = self.session.poll_event()
            {
                self.handle_event(event).await;
            }
            if self.handshake.is_none()
                && let Some(attach) = self.postponed.take()
            {
                self.tell_vehicle(ToVehicleTask::Attach(Attach { is_early: false, ..attach })).await;
            }
            if let State::Leaving { shutdown } = self.state
                && self.outstanding == 0
            {
                if shutdown {
                    self.session.close();
                }
                self.state = State::Ended;
            }
            self.transmit().await?;
            if self.state == State::Ended {
                return Ok(());
            }
            let has_room = self.outstanding < MAX_OUTSTANDING;
            let reads = matches!(self.state, State::Silent | State::Open) && has_room;
            let ends = reads || matches!(self.state, State::Leaving { .. });
            let is_served = matches!(self.state, State::Asked | State::Open);
            let shuts_down = matches!(self.state, State::Leaving { shutdown: true });
            let timer = self.session.poll_timeout().map(|at| self.accept.clock.deadline(at));
            tokio::select! {
                biased;
                // Priority 1: the process ends.
                () = until_true(&mut self.shutdown), if !shuts_down => self.leave(true),
                // Priority 2: whether the vehicle is there, or what it once sent.
                ended = until_ended(&mut self.handshake) => {
                    ended?;
                    self.handshake = None;
                }
                // Priority 3: whether the session is wanted.
                Some(verdict) = self.verdicts.1.recv() => self.handle_verdict(verdict),
                // Priority 4: nobody is left to say so, or to take what comes.
                () = until_closed(&self.vehicle), if is_served => self.session.refuse(Refusal::new(
                    RefusalReason::Unavailable,
                    "the ground's history failed: connect again",
                )),
                // Priority 5: acknowledgements, which let the vehicle forget.
                _ = self.outcomes.1.recv_many(&mut outcomes, MAX_OUTSTANDING) => {
                    self.handle_outcomes(&mut outcomes);
                }
                // Priority 6: commands.
                order = next_order(&mut self.downlink), if self.state == State::Open => self.session.order(order),
                // Priority 7: a history that failed this session works again.
                Ok(()) = self.health.changed(), if self.has_holes => self.mend(),
                // Priority 8: the session's timers.
                () = sleep_until(timer) => self.session.handle_timeout(self.accept.clock.now()),
                // Priority 9: what the vehicle sends.
                received = self.socket.receive(), if reads => self.handle_received(received)?,
                // Priority 10: nothing for too long.
                () = tokio::time::sleep_until(self.deadline), if ends => self.handle_deadline(),
            }
        }
    }

    async fn handle_event(&mut self, event: GroundEvent) {
        match event {
            GroundEvent::Hello(hello) => self.handle_hello(hello).await,
            GroundEvent::Frame { range, .. } | GroundEvent::Gap { range, .. } if range.end > MAX_SEQUENCE => {
                let message = format!("sequence numbers {range} are beyond 2^63");
                self.session.refuse(Refusal::new(RefusalReason::Malformed, message));
            }
            GroundEvent::Frame { .. } | GroundEvent::Gap { .. } => {
                self.outstanding += 1;
                self.forward(event).await;
            }
            GroundEvent::Schema { .. } | GroundEvent::Clock(_) | GroundEvent::Answer(_) => {
                self.forward(event).await;
            }
            GroundEvent::Goodbye => {
                info!(peer = %self.peer, "the vehicle says goodbye");
                self.leave(false);
            }
            GroundEvent::Refused(refusal) => {
                warn!(peer = %self.peer, reason = ?refusal.reason, message = refusal.message, "session refused");
                self.state = State::Ended;
            }
        }
    }

    async fn handle_hello(&mut self, hello: Hello) {
        debug!(peer = %self.peer, ?hello, "hello");
        let Hello { vehicle, epoch, token, agent, .. } = hello;
        let authorized = match self.socket.names(&vehicle) {
            Some(named) => named,
            None => self.accept.tokens.check(&vehicle, &token),
        };
        if let Err(refusal) = authorized {
            return self.session.refuse(refusal);
        }
        if !self.place.become_known() {
            let message = "too many connections of vehicles, try again later";
            return self.session.refuse(Refusal::new(RefusalReason::Unavailable, message));
        }
        let task = match self.accept.vehicles.task(&vehicle) {
            Ok(task) => task,
            Err(refusal) => return self.session.refuse(refusal),
        };
        let attach = Attach {
            session: self.number,
            epoch,
            is_early: self.handshake.is_some(),
            // For logs and web pages; nobody needs more of it.
            agent: agent.chars().filter(|c| !c.is_control()).take(80).collect(),
            verdicts: self.verdicts.0.clone(),
            outcomes: self.outcomes.0.clone(),
        };
        self.vehicle = Some(task);
        self.state = State::Asked;
        self.tell_vehicle(ToVehicleTask::Attach(attach)).await;
    }

    async fn forward(&mut self, event: GroundEvent) {
        let (session, arrived) = (self.number, self.arrived);
        self.tell_vehicle(ToVehicleTask::Event { session, event, arrived }).await;
    }

    async fn tell_vehicle(&mut self, message: ToVehicleTask) {
        if let Some(vehicle) = &self.vehicle {
            // In vain when its task has ended, which is seen beside.
            let _ = vehicle.send(message).await;
        }
    }

    fn handle_verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Welcome { committed, schemas, downlink } => {
                self.downlink = Some(downlink);
                if self.state == State::Asked {
                    self.state = State::Open;
                    self.deadline = Instant::now() + self.accept.idle_timeout;
                }
                self.session.welcome(self.accept.clock.now(), committed, schemas);
            }
            Verdict::Postpone(attach) => self.postponed = Some(attach),
            Verdict::Refuse(refusal) => self.session.refuse(refusal),
        }
    }

    fn handle_outcomes(&mut self, outcomes: &mut Vec<Outcome>) {
        self.outstanding = self.outstanding.saturating_sub(outcomes.len());
        let mut committed: Vec<SequenceRange> = Vec::with_capacity(outcomes.len());
        for outcome in outcomes.drain(..) {
            match outcome {
                Outcome::Committed(range) => committed.push(range),
                Outcome::NotCommitted(_) => self.has_holes = true,
            }
        }
        self.session.handle_committed(self.accept.clock.now(), &committed);
        self.mend();
    }

    /// Ends a session with holes as soon as the history can fill them: the next one is sent what is missing.
    fn mend(&mut self) {
        if self.has_holes && *self.health.borrow_and_update() == Health::Good {
            self.session.refuse(Refusal::new(
                RefusalReason::Unavailable,
                "the history could not store a part of this session, and can again: connect again",
            ));
        }
    }

    fn handle_received(&mut self, received: Received) -> Result<(), String> {
        if self.state == State::Open {
            self.deadline = Instant::now() + self.accept.idle_timeout;
        }
        match received {
            Received::Message(bytes) => {
                self.arrived = Arrived::now();
                trace!(peer = %self.peer, bytes = bytes.len(), "message");
                self.session.handle_message(self.accept.clock.now(), &bytes);
            }
            Received::Nothing => {}
            Received::Unreadable(refusal) => self.session.refuse(refusal),
            Received::Closed(reason) => return Err(reason),
        }
        Ok(())
    }

    fn handle_deadline(&mut self) {
        match self.state {
            State::Leaving { shutdown } => {
                if shutdown {
                    self.session.close();
                }
                self.state = State::Ended;
            }
            State::Silent => {
                let message = format!("no hello within {} s", HELLO_LIMIT.as_secs());
                self.session.refuse(Refusal::new(RefusalReason::Malformed, message));
            }
            _ => {
                let message = format!("no message for {} s", self.accept.idle_timeout.as_secs());
                self.session.refuse(Refusal::new(RefusalReason::Unavailable, message));
            }
        }
    }

    fn leave(&mut self, shutdown: bool) {
        self.state = State::Leaving { shutdown };
        self.deadline = Instant::now() + if shutdown { SHUTDOWN_COMMIT_LIMIT } else { END_LIMIT };
    }

    async fn transmit(&mut self) -> Result<(), String> {
        while let Some(transmit) = self.session.poll_transmit() {
            match timeout(SEND_LIMIT, self.socket.send(transmit)).await {
                Ok(sent) => sent?,
                Err(_) => return Err("the vehicle does not take what is sent".to_owned()),
            }
        }
        Ok(())
    }

    /// Closes once the vehicle has the last messages.
    async fn close(&mut self) {
        if timeout(END_LIMIT, self.socket.close()).await.is_err() {
            debug!(peer = %self.peer, "the vehicle does not close its end");
        }
    }
}

async fn until_ended(handshake: &mut Option<Handshake>) -> Result<(), String> {
    match handshake {
        Some(handshake) => handshake.await,
        None => pending().await,
    }
}

async fn until_closed(vehicle: &Option<mpsc::Sender<ToVehicleTask>>) {
    match vehicle {
        Some(vehicle) => vehicle.closed().await,
        None => pending().await,
    }
}

async fn next_order(downlink: &mut Option<Downlink>) -> Order {
    match downlink {
        Some(downlink) => downlink.next().await,
        None => pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}
