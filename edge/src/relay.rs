//! The relay: sources in, session out, spool beside it. Starts what runs beside it, and makes the channels to it.
//!
//! ```text
//! sources -> samples (4096, the source waits or drops) -> relay -> connection (1 message)
//!                                                           |  ^
//!                                                           v  | events (64, newest status wins)
//!                                                          spool
//! ```
//!
//! One task owns the session; everything that happens reaches it through one `select!`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tern_shared::batch::{Batch, BatchLimits, Batcher};
use tern_shared::codec;
use tern_shared::command::Moment;
use tern_shared::intake::Intake;
use tern_shared::range::SequenceRange;
use tern_shared::record::{MAX_RECORD_BYTES, Record};
use tern_shared::schema::Class;
use tern_shared::session::{
    BudgetChange, EdgeEvent, EdgeSession, Frame, Identity, MonthSpent, SendConfig, Thinning, Transmit,
};
use tern_shared::time::{Instant, Now};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

use crate::clock::{Clock, wall_now};
use crate::command::{Commands, Happened};
use crate::config::Config;
use crate::link::{Connection, LinkError, Links, WireCounter};
use crate::link_state::LinkState;
use crate::metrics::{self, Scrape};
use crate::microseconds::Microseconds;
use crate::registry::Registry;
use crate::source::{self, Counters, Port, Sample, SourceError};
use crate::spool::{OpenError, SpoolEvent, SpoolHandle, SpoolState};
use crate::status::{self, Printer, RelayStats, WatchedSource};

/// Samples that wait for the relay: a tenth of a second of the fastest sources.
const SAMPLES: usize = 4096;
/// Samples taken at once.
const SAMPLES_AT_ONCE: usize = 256;
/// Events that wait for the relay: answers to fetches, of which one is out at a time, and statuses.
const SPOOL_EVENTS: usize = 64;
/// News of commands that wait for the relay.
const COMMAND_NEWS: usize = 64;
/// Requests for metrics that wait for the relay.
const SCRAPES: usize = 4;
/// How long the last records may take to be acknowledged when the edge is told to end: what is not is in the spool, and
/// the next start learns from the ground's welcome what arrived.
const CLOSING_LIMIT: Duration = Duration::from_millis(750);

/// How often budgets are set right.
const ACCOUNTS_INTERVAL: Duration = Duration::from_secs(1);
/// How long a record of the link's state waits for others to share a packet, in its intervals: by itself it costs some 700
/// bytes by QUIC, with the symbols that protect it and what answers it.
const LINK_STATE_PATIENCE: u32 = 5;
/// How often at most the spool is told what the month has cost: a page of its log each.
const SPENT_INTERVAL: Duration = Duration::from_secs(10);
/// How long the goodbye may take to be taken by the connection, and the links to end.
const GOODBYE_LIMIT: Duration = Duration::from_millis(50);
const LINKS_LIMIT: Duration = Duration::from_millis(150);

/// Why the edge cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The links cannot be set up.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The spool belongs to another process, or to a newer release.
    #[error(transparent)]
    Spool(#[from] OpenError),
    /// The address for `/metrics` cannot be listened on.
    #[error("metrics = {address}: {error}")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// Not even a thread can be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// All sources failed.
    #[error("no source is left: {0}")]
    NoSource(SourceError),
}

/// Runs the edge until `shutdown` is done.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), RelayError> {
    let links = Links::new(config.link.clone())?;
    let (spool_sender, spool_events) = mpsc::channel(SPOOL_EVENTS);
    let (spool, opened) = match SpoolHandle::open(&config.spool, wall_now(), spool_sender.clone()) {
        Ok((spool, opened)) => {
            info!(epoch = %opened.epoch, base = opened.base, held_records = opened.held.records, "spool open");
            (spool, opened)
        }
        Err(OpenError::Unavailable { path, reason }) => {
            let unavailable = OpenError::Unavailable { path, reason };
            error!("relaying live only, nothing is kept: {unavailable}");
            SpoolHandle::unavailable(&unavailable, spool_sender)?
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(moved) = &opened.moved_aside {
        warn!(to = %moved.to.display(), reason = moved.reason, "the spool was damaged: moved aside, a new one begun");
    }

    let identity = Identity {
        vehicle: config.vehicle.clone(),
        epoch: opened.epoch,
        base: opened.base,
        token: config.token.clone(),
        agent: concat!("tern-edge ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let send = SendConfig {
        rate_bits_per_second: config.link.rate_bits_per_second,
        auto_rate: config.link.auto_rate,
        budgets: config.budgets,
        overhead_bytes: config.link.overhead_bytes,
        silence_limit: config.link.silence_limit,
        batch_window: config.batch_window,
        pins: config.pins,
    };
    let mut session = EdgeSession::new(identity, send);
    let microseconds = Microseconds::new(config.microseconds);
    let intake = Intake::new(config.streams);
    for (&id, schema) in &opened.schemas {
        // Only frames of an earlier start can use the schema of a stream that is never taken.
        if opened.held.records == 0 && intake.due(&schema.stream, schema.class).is_none() {
            continue;
        }
        if microseconds.are_wanted_of(&schema.stream) {
            session.carry_microseconds(id);
        }
        session.handle_schema(id, schema.clone());
    }
    session.handle_month_spent(opened.spent);
    let (silent_sender, silent) = watch::channel(false);
    let (unpaid_sender, unpaid) = watch::channel(false);
    let wire = links.wire();
    let clock = Clock::start();
    let (happened_sender, command_news) = mpsc::channel(COMMAND_NEWS);
    let ports: BTreeMap<String, Port> =
        config.sources.iter().map(|source| (source.to_string(), Port::new())).collect();
    let port = |source: &str| ports.get(source).cloned().unwrap_or_default();
    let moment = Moment { now: clock.now(), clock: None };
    let mut relay = Relay {
        clock,
        commands: Commands::new(&config.commands, moment, port, happened_sender),
        batcher: Batcher::new(BatchLimits::default()),
        intake,
        registry: Registry::new(config.precision, opened.schemas),
        microseconds,
        next: opened.base,
        session,
        spool,
        spool_state: SpoolState::Ok,
        connection: None,
        sources: Vec::new(),
        stats: RelayStats::default(),
        printer: Printer::start(status::print)?,
        silent: silent_sender,
        unpaid: unpaid_sender,
        wire,
        link_state: config.link_state_interval.map(LinkStates::new),
        kept_spent: (opened.spent, Instant::default()),
        closed: false,
    };

    let (samples_sender, samples) = mpsc::channel(SAMPLES);
    let mut sources = JoinSet::new();
    for (index, url) in config.sources.into_iter().enumerate() {
        let counters = Arc::new(Counters::default());
        relay.sources.push(WatchedSource { url: url.clone(), counters: counters.clone(), ended: None });
        let samples = samples_sender.clone();
        let port = port(&url.to_string());
        sources.spawn(async move { (index, source::run(&url, samples, counters, port).await) });
    }
    drop(samples_sender);
    let (connection_sender, connections) = mpsc::channel(1);
    let mut links = tokio::spawn(links.run(connection_sender, silent, unpaid));

    let (scrape_sender, scrapes) = mpsc::channel(SCRAPES);
    let metrics = match config.metrics {
        Some(address) => {
            let failed = |error| RelayError::Metrics { address, error };
            let listener = metrics::listen(address).await.map_err(failed)?;
            Some(tokio::spawn(metrics::serve(listener, scrape_sender)))
        }
        None => None,
    };

    let inputs = Inputs { samples, sources, connections, spool_events, command_news, scrapes };
    let result = relay.run(inputs, config.status_interval, shutdown).await;
    // The last messages and the end of the connection are on their way.
    let _incoming = relay.connection.take().map(|connection| connection.incoming);
    let _ = tokio::time::timeout(LINKS_LIMIT, &mut links).await;
    links.abort();
    metrics.into_iter().for_each(|metrics| metrics.abort());
    let status = relay.close();
    info!(held_records = status.held.records, "ended");
    result
}

/// What the relay listens to.
struct Inputs {
    samples: mpsc::Receiver<Sample>,
    sources: JoinSet<(usize, Result<(), SourceError>)>,
    connections: mpsc::Receiver<Connection>,
    spool_events: mpsc::Receiver<SpoolEvent>,
    command_news: mpsc::Receiver<Happened>,
    scrapes: mpsc::Receiver<Scrape>,
}

/// The one owner of the session, and all that it decides with.
struct Relay {
    clock: Clock,
    commands: Commands,
    batcher: Batcher,
    intake: Intake,
    registry: Registry,
    microseconds: Microseconds,
    /// The next record's sequence number.
    next: u64,
    session: EdgeSession,
    spool: SpoolHandle,
    /// As last reported to the log.
    spool_state: SpoolState,
    connection: Option<Connection>,
    sources: Vec<WatchedSource>,
    stats: RelayStats,
    printer: Printer,
    /// Tells the links whether nothing is heard on the connection in use.
    silent: watch::Sender<bool>,
    /// Tells the links whether nothing is left to pay another connection with.
    unpaid: watch::Sender<bool>,
    /// What the links have cost.
    wire: WireCounter,
    link_state: Option<LinkStates>,
    /// What the spool was last told of the month's budget, and when.
    kept_spent: (MonthSpent, Instant),
    closed: bool,
}

/// Records of the link's state.
struct LinkStates {
    state: LinkState,
    interval: Duration,
    next: Instant,
}

impl LinkStates {
    fn new(interval: Duration) -> Self {
        LinkStates { state: LinkState::new(), interval, next: Instant(interval) }
    }
}

impl Relay {
    async fn run(
        &mut self,
        mut inputs: Inputs,
        status_interval: Option<Duration>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RelayError> {
        tokio::pin!(shutdown);
        let mut status_timer = tokio::time::interval(status_interval.unwrap_or(Duration::from_secs(3600)));
        let mut accounts_timer = tokio::time::interval(ACCOUNTS_INTERVAL);
        let mut samples = Vec::with_capacity(SAMPLES_AT_ONCE);
        let closing = tokio::time::sleep(Duration::MAX);
        tokio::pin!(closing);
        let mut is_closing = false;
        // When the session said that it has no message, if nothing has happened since.
        let mut polled = None;
        // Whether there is a source left.
        let mut may_sample = true;
        while !self.closed {
            self.handle_session_events();
            // As of when it was polled: what fell due since has to wake it at once.
            let timeout =
                self.timeout(polled.unwrap_or_else(|| self.clock.now())).map(|at| self.clock.deadline(at));
            let outgoing = self.connection.as_ref().map(|connection| connection.outgoing.clone());
            let stream = self.connection.as_ref().map(|connection| connection.stream_has_room.clone());
            tokio::select! {
                biased;
                // Priority 1: being told to end.
                () = &mut shutdown, if !is_closing => {
                    is_closing = true;
                    while let Ok(sample) = inputs.samples.try_recv() {
                        self.handle_sample(self.clock.now(), sample);
                    }
                    closing.as_mut().reset(tokio::time::Instant::now() + CLOSING_LIMIT);
                    self.flush(self.clock.now());
                    self.session.close();
                }
                () = &mut closing, if is_closing => {
                    warn!("the ground did not acknowledge everything in time: the rest is in the spool");
                    return Ok(());
                }
                // Priority 2: what the ground says frees room for what follows.
                message = receive(&mut self.connection) => match message {
                    Some(message) => self.session.handle_message(self.clock.now(), &message),
                    None => self.disconnect(),
                },
                Some(connection) = inputs.connections.recv() => self.connect(connection),
                // Priority 3: what became of commands.
                Some(happened) = inputs.command_news.recv() => {
                    let moment = self.moment();
                    self.commands.handle_happened(moment, happened);
                }
                // Priority 4: the link can take a message.
                permit = room(outgoing), if polled.is_none() => {
                    let now = self.clock.now();
                    self.session.handle_counted(now, self.wire.sent_bytes(), self.wire.received_bytes());
                    // A closed channel is noticed by `receive`.
                    let stream_has_room = self.connection.as_ref().is_some_and(Connection::stream_has_room);
                    let transmit =
                        permit.and_then(|permit| Some((permit, self.session.poll_transmit(now, stream_has_room)?)));
                    match transmit {
                        Some((permit, transmit)) => _ = permit.send(transmit),
                        None => polled = Some(now),
                    }
                    continue;
                }
                () = more_room(stream) => {}
                // Priority 5: the disk and the timers.
                Some(event) = inputs.spool_events.recv() => self.handle_spool_event(event),
                () = sleep_until(timeout) => self.handle_timeout(self.clock.now()),
                _ = accounts_timer.tick() => self.handle_accounts(self.clock.now()),
                _ = status_timer.tick(), if status_interval.is_some() => self.print_status(),
                Some(scrape) = inputs.scrapes.recv() => self.tell(scrape),
                // Priority 6: new samples.
                count = inputs.samples.recv_many(&mut samples, SAMPLES_AT_ONCE), if may_sample && !is_closing => {
                    may_sample = count > 0;
                    let now = self.clock.now();
                    for sample in samples.drain(..count) {
                        self.handle_sample(now, sample);
                    }
                }
                Some(ended) = inputs.sources.join_next() => {
                    self.handle_source_end(ended, inputs.sources.is_empty())?;
                }
            }
            polled = None;
        }
        // The goodbye is on its way once the connection has room again.
        if let Some(connection) = &self.connection {
            let _ = tokio::time::timeout(GOODBYE_LIMIT, connection.outgoing.reserve()).await;
        }
        Ok(())
    }

    /// Ends what the relay owns; blocks as long as the disk takes.
    fn close(mut self) -> crate::spool::SpoolStatus {
        self.flush(self.clock.now());
        self.spool.put_spent(self.session.stats().month_to_keep);
        self.spool.close()
    }

    fn timeout(&mut self, now: Now) -> Option<Instant> {
        self.batcher.set_window(self.session.batch_window());
        let moment = Moment { now, clock: self.session.clock(now) };
        let commands = self.commands.poll_timeout(moment);
        [self.session.poll_timeout(now), self.batcher.poll_timeout(), commands].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Now) {
        if let Some(batch) = self.batcher.handle_timeout(now.instant) {
            self.handle_batch(now, batch);
        }
        self.session.handle_timeout(now);
        self.commands.handle_timeout(Moment { now, clock: self.session.clock(now) });
    }

    fn moment(&self) -> Moment {
        let now = self.clock.now();
        Moment { now, clock: self.session.clock(now) }
    }

    /// Sets the budgets right by what the links have cost, keeps what the month has cost, and tells of the link.
    fn handle_accounts(&mut self, now: Now) {
        self.session.handle_counted(now, self.wire.sent_bytes(), self.wire.received_bytes());
        for stream in self.microseconds.unknown(now.instant) {
            warn!(
                stream,
                "microseconds: no source has sent such a stream; known are {}",
                self.registry.names()
            );
        }
        let stats = self.session.stats();
        let (kept, at) = self.kept_spent;
        let month = stats.month_to_keep;
        if month != kept && now.instant.since(at) >= SPENT_INTERVAL {
            self.kept_spent = (month, now.instant);
            self.spool.put_spent(month);
        }
        self.tell_of_link(now, true);
    }

    /// Takes in a record of the link's state, if one is due with others, or has been for long enough to go alone.
    fn tell_of_link(&mut self, now: Now, alone: bool) {
        let is_due = |states: &&mut LinkStates| {
            let patience = if alone { states.interval * LINK_STATE_PATIENCE } else { Duration::ZERO };
            states.next + patience <= now.instant
        };
        let Some(link_state) = self.link_state.as_mut().filter(is_due) else { return };
        let next = link_state.next + link_state.interval;
        link_state.next = if next > now.instant { next } else { now.instant + link_state.interval };
        let stats = self.session.stats();
        if self.stats.connected && stats.thinning < Thinning::CriticalOnly {
            let backlog_records = status::backlog_records(&stats, &self.spool.status());
            let sample = link_state.state.sample(now.wall, &stats, backlog_records);
            self.handle_sample(now, sample);
        }
    }

    fn handle_sample(&mut self, now: Now, sample: Sample) {
        if !self.intake.takes(now.instant, &sample.schema.stream, sample.schema.class) {
            self.stats.left_out_records += 1;
            return;
        }
        let registration = match self.registry.register(&sample.schema) {
            Ok(registration) => registration,
            Err(error) => return self.refuse(&error.to_string()),
        };
        self.microseconds.handle_stream(&sample.schema.stream);
        let record = Record { schema: registration.id, time: sample.time, values: sample.values };
        if record.size_hint() > MAX_RECORD_BYTES {
            let stream = &sample.schema.stream;
            return self.refuse(&format!("a record of {stream:?} is over {MAX_RECORD_BYTES} bytes"));
        }
        if registration.changed {
            self.flush(now);
        }
        if let Some(schema) = registration.new {
            if self.microseconds.are_wanted_of(&schema.stream) {
                self.session.carry_microseconds(record.schema);
            }
            self.spool.put_schema(record.schema, schema.clone());
            self.session.handle_schema(record.schema, schema);
        }
        let urgent = sample.schema.class == Class::Critical;
        match self.batcher.push(now.instant, record, urgent) {
            Some(batch) => self.handle_batch(now, batch),
            // In one packet with others, it costs no headers.
            None => self.tell_of_link(now, false),
        }
    }

    fn refuse(&mut self, reason: &str) {
        self.stats.refused_records += 1;
        if self.stats.refused_records.is_power_of_two() {
            warn!(refused_records = self.stats.refused_records, "{reason}");
        }
    }

    /// Closes the open batch.
    fn flush(&mut self, now: Now) {
        if let Some(batch) = self.batcher.close(now.instant) {
            self.handle_batch(now, batch);
        }
    }

    fn handle_batch(&mut self, now: Now, batch: Batch) {
        let (rest, live) = self.session.divide(now, batch);
        if let Some(frame) = self.store(&rest) {
            self.session.handle_stored(frame.range);
        }
        if let Some(frame) = self.store(&live) {
            self.session.handle_frame(frame);
        }
    }

    /// Numbers the records and gives them to the spool; `None` when there are none.
    fn store(&mut self, batch: &Batch) -> Option<Frame> {
        let newest = batch.records().iter().map(|record| record.time).max()?;
        let records = batch.records().len() as u64;
        let range = SequenceRange::new(self.next, self.next + records);
        self.next = range.end;
        self.stats.accepted_records += records;
        let frame = Frame { range, newest, bytes: codec::encode(batch, self.registry.table()).into() };
        if self.spool.append(frame.clone()).is_err() {
            debug!(%range, "the disk does not keep up: not stored");
        }
        Some(frame)
    }

    fn handle_session_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                EdgeEvent::Established { agent } => {
                    info!(agent, "session open");
                    self.stats.connected = true;
                }
                EdgeEvent::Refused(refusal) => {
                    error!(reason = ?refusal.reason, "the ground refused this vehicle: {}", refusal.message);
                    self.disconnect();
                }
                EdgeEvent::Disconnect { reason } => {
                    warn!(reason, "connecting anew");
                    self.disconnect();
                }
                EdgeEvent::Acknowledged(ranges) => self.spool.acknowledge(&ranges),
                EdgeEvent::FetchBacklog { range, max_bytes } => self.spool.fetch(range, max_bytes),
                EdgeEvent::Silent(is_silent) => {
                    info!(is_silent, "the link in use");
                    self.silent.send_replace(is_silent);
                }
                EdgeEvent::Budget(change) => self.handle_budget(change),
                EdgeEvent::Clock(estimate) => {
                    self.stats.clock = Some(estimate);
                    self.commands.handle_timeout(self.moment());
                }
                EdgeEvent::Order(order) => {
                    let moment = self.moment();
                    self.commands.handle_order(moment, order);
                }
                EdgeEvent::Closed => self.closed = true,
            }
        }
        while let Some(answer) = self.commands.poll_answer() {
            self.session.answer(answer);
        }
    }

    fn handle_budget(&mut self, change: BudgetChange) {
        let BudgetChange { kind, thinning, spent_bytes, limit_bytes } = change;
        let told = match thinning {
            Thinning::None => "a new month's budget",
            Thinning::NoBacklog => "80 % of the budget are spent: no backlog and no bulk from here on",
            Thinning::HalfLive => "90 % of the budget are spent: half of what is live from here on",
            Thinning::CriticalOnly => "97 % of the budget are spent: only what is critical from here on",
            Thinning::Spent => "the budget is spent: nothing is sent from here on, all is kept",
        };
        if thinning == Thinning::None {
            info!(?kind, limit_bytes, "{told}");
        } else {
            warn!(?kind, spent_bytes, limit_bytes, "{told}");
        }
        self.unpaid.send_replace(self.session.stats().thinning == Thinning::Spent);
    }

    fn handle_spool_event(&mut self, event: SpoolEvent) {
        match event {
            SpoolEvent::Fetched(fetched) => {
                self.session.handle_backlog(fetched.covered, fetched.frames, fetched.absent);
            }
            SpoolEvent::Spooled(status) => {
                if status.state != self.spool_state {
                    match &status.state {
                        SpoolState::Ok => info!("the spool stores again"),
                        SpoolState::Full => {
                            error!("the disk is full: relaying live, new frames are not kept");
                        }
                        SpoolState::Failed(error) => error!(error, "the spool failed: relaying live only"),
                    }
                    self.spool_state = status.state;
                }
            }
        }
    }

    fn handle_source_end(
        &mut self,
        ended: Result<(usize, Result<(), SourceError>), tokio::task::JoinError>,
        last: bool,
    ) -> Result<(), RelayError> {
        let (index, result) = match ended {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let source = &mut self.sources[index];
        let url = source.url.to_string();
        match result {
            Ok(()) => {
                info!(url, "source ended");
                source.ended = Some("ended".to_owned());
                Ok(())
            }
            Err(error) => {
                error!(url, "source failed: {error}");
                source.ended = Some(error.to_string());
                // One broken sensor must not take the others down.
                if last && self.stats.accepted_records == 0 {
                    Err(RelayError::NoSource(error))
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Begins a session on a connection, in place of the one in use.
    fn connect(&mut self, connection: Connection) {
        self.disconnect();
        self.stats.ground = Some(connection.ground.clone());
        self.session.handle_connected(self.clock.now(), connection.carrier);
        self.connection = Some(connection);
    }

    fn disconnect(&mut self) {
        self.connection = None;
        self.silent.send_replace(false);
        self.stats.connected = false;
        self.stats.ground = None;
        self.session.handle_disconnected();
        self.commands.handle_disconnected();
    }

    fn print_status(&self) {
        self.printer.print(self.status_line());
    }

    fn tell(&self, scrape: Scrape) {
        // Fails when whoever asked has gone.
        let _ = scrape.send(self.status_line());
    }

    fn status_line(&self) -> String {
        status::line(&self.stats, &self.session.stats(), &self.spool.status(), &self.sources)
    }
}

/// The next message of the connection; `None` when it broke; never without one.
async fn receive(connection: &mut Option<Connection>) -> Option<Vec<u8>> {
    match connection {
        Some(connection) => connection.incoming.recv().await,
        None => std::future::pending().await,
    }
}

/// Room for a message on the connection, `None` when it broke; never without one.
async fn room(outgoing: Option<mpsc::Sender<Transmit>>) -> Option<mpsc::OwnedPermit<Transmit>> {
    match outgoing {
        Some(outgoing) => outgoing.reserve_owned().await.ok(),
        None => std::future::pending().await,
    }
}

/// Done when the connection's stream has room again; never while it has.
async fn more_room(stream_has_room: Option<watch::Receiver<bool>>) {
    match stream_has_room {
        Some(mut stream) if !*stream.borrow() => {
            if stream.wait_for(|has_room| *has_room).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        _ => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
