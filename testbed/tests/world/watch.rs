//! What is held against the vehicle's session while it runs: its rate, its budgets, what goes first, its queues.

use std::time::Duration;

use tern_shared::message::{Lane, ToGround};
use tern_shared::session::{BudgetChange, BudgetKind, EdgeSession, QueueFill, SendStats, Thinning};
use tern_shared::time::Instant;

use super::OVERHEAD_BYTES;
use super::faults::Faults;

/// What an idle link or a budget saves up at most, bytes...
const BURST: f64 = 1500.0;
/// ... and a link of configured rate besides, seconds.
const BURST_S: f64 = 0.5;
/// What the session takes for a packet of a long message, bytes.
const PACKET_BYTES: usize = 1400;
/// The smallest piece of backlog with its headers, and the longest time that one may take, on datagrams.
const PIECE: (usize, f64) = (200 + PIECE_HEADERS, 0.075);
const PIECE_HEADERS: usize = OVERHEAD_BYTES + 16;
/// How far a rate that is followed may be from the one that is told.
const RATE_STEP: f64 = 1.021;
/// Sums of fractions of bytes.
const ROUNDING: f64 = 4.0;
/// What may come down after the last packet that a budget allowed has reached the ground, which does not know that it is the
/// last. What stands in the link's queue until then is answered as it arrives.
const LAST_WORDS: u64 = 4_000;

/// A bucket that leaks at a rate: what is in it when more is poured is what was sent beyond the rate, over any time.
#[derive(Debug, Default)]
struct Bucket {
    bytes: f64,
    at: Instant,
}

impl Bucket {
    fn leak(&mut self, now: Instant, bits_per_second: u64) {
        let leaked = now.since(self.at).as_secs_f64() * bits_per_second as f64 / 8.0;
        self.bytes = (self.bytes - leaked).max(0.0);
        self.at = now;
    }
}

/// One start of the edge, under observation.
#[derive(Debug)]
pub(crate) struct Watch {
    rate: u64,
    is_auto: bool,
    /// As it was when the link was last asked for.
    paced: u64,
    budget_rate: Option<u64>,
    link: Bucket,
    budget: Bucket,
    flight_bytes: u64,
    flight_limit: Option<u64>,
    month_limit: Option<u64>,
    /// What the flight and the month had spent when a packet last reached the ground.
    spent_on_arrival: [u64; 2],
    thinning: [Thinning; 2],
    /// When the live frame that waits has to have left, if it may leave at all.
    live_due: Option<Instant>,
}

/// What a message is, for the order in which they leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Control,
    Live,
    /// What waits for everything live.
    Rest,
}

impl Watch {
    pub(crate) fn new(faults: &Faults, now: Instant) -> Self {
        let budgets = faults.budgets;
        Watch {
            rate: faults.auto_rate_max.unwrap_or(faults.rate),
            is_auto: faults.auto_rate_max.is_some(),
            paced: u64::MAX,
            budget_rate: budgets.bytes_per_second.map(|bytes| bytes * 8),
            link: Bucket { bytes: 0.0, at: now },
            budget: Bucket { bytes: 0.0, at: now },
            flight_bytes: 0,
            flight_limit: budgets.flight_bytes,
            month_limit: budgets.month_bytes,
            spent_on_arrival: [0; 2],
            thinning: [Thinning::None; 2],
            live_due: None,
        }
    }

    /// A live frame was given to a session that has a connection (`may_leave`) and nothing else that is live.
    pub(crate) fn handle_live(&mut self, now: Instant, may_leave: bool) {
        // Where the rate or what is spent is not known to this side exactly, only the order is.
        if may_leave && !self.is_auto && self.budget_rate.is_none() {
            self.link.leak(now, self.rate);
            self.live_due =
                Some(now + transmission((self.link.bytes - self.link_burst()).max(0.0), self.rate));
        }
    }

    /// What waited may wait longer, or has left.
    pub(crate) fn forget_live(&mut self) {
        self.live_due = None;
    }

    /// Live data leaves as soon as the message before it is off the modem, unless what was heard meanwhile has spent a budget.
    pub(crate) fn check_live(&self, now: Instant, session: &EdgeSession) {
        if let Some(due) = self.live_due {
            let stats = session.stats();
            let in_time = now <= due + Duration::from_millis(2) || stats.thinning == Thinning::Spent;
            assert!(in_time, "a live frame waits since {due:?}: {stats:?}");
        }
    }

    pub(crate) fn handle_heard(&mut self, now: Instant, message_bytes: usize) {
        let bytes = message_bytes + OVERHEAD_BYTES;
        self.flight_bytes += bytes as u64;
        if let Some(rate) = self.budget_rate {
            self.budget.leak(now, rate);
            self.budget.bytes += bytes as f64;
        }
    }

    /// A packet of the edge reached the ground.
    pub(crate) fn handle_arrived(&mut self, stats: &SendStats) {
        self.spent_on_arrival = [stats.flight_bytes, stats.month.bytes];
    }

    /// A message leaves. `before` is how the session stood until then.
    pub(crate) fn handle_sent(
        &mut self,
        now: Instant,
        message: &ToGround,
        message_bytes: usize,
        before: &SendStats,
        session: &EdgeSession,
    ) {
        let bytes = message_bytes + (1 + message_bytes / PACKET_BYTES) * OVERHEAD_BYTES;
        let kind = Kind::of(message);
        self.check_rate(now, bytes);
        self.check_budgets(message, kind, before);
        let live = session.queues().into_iter().find(|queue| queue.name == "live frames").unwrap();
        assert!(
            kind != Kind::Rest || live.held == 0,
            "sent while {} live frames waited: {message:?}",
            live.held
        );
        if let (ToGround::Backlog(_) | ToGround::Parity(_), false) = (message, self.is_auto) {
            let rate = self.budget_rate.map_or(self.rate, |budget| budget.min(self.rate));
            let most = (rate as f64 / 8.0 * PIECE.1 + 16.0).max(PIECE.0 as f64);
            assert!(bytes as f64 <= most + ROUNDING, "{bytes} bytes of backlog at once at {rate} bit/s");
        }
        self.flight_bytes += bytes as u64;
        match (kind, &mut self.live_due) {
            (Kind::Control, Some(due)) => *due = *due + transmission(bytes as f64, self.rate),
            _ => self.live_due = None,
        }
    }

    /// Nothing more leaves at present.
    pub(crate) fn handle_idle(&mut self, now: Instant, session: &EdgeSession) {
        self.link.leak(now, self.paced_rate());
        self.paced = session.stats().rate_bits_per_second.unwrap_or(u64::MAX);
        check_queues(&session.queues());
        let stats = session.stats();
        assert_eq!(stats.flight_bytes, self.flight_bytes, "bytes of this flight");
        let told = self.thinning.into_iter().max().unwrap_or_default();
        assert!(told >= stats.thinning, "{:?}, and only {told:?} was told", stats.thinning);
        let spent = [stats.flight_bytes, stats.month.bytes];
        let limits = [self.flight_limit, self.month_limit];
        for ((limit, spent), on_arrival) in limits.into_iter().zip(spent).zip(self.spent_on_arrival) {
            let most = limit.map_or(u64::MAX, |limit| limit.max(on_arrival) + LAST_WORDS);
            assert!(spent <= most, "spent {spent} of {limit:?}");
        }
    }

    pub(crate) fn handle_budget_change(&mut self, change: BudgetChange) {
        let index = usize::from(change.kind == BudgetKind::Month);
        self.thinning[index] = change.thinning;
    }

    fn link_burst(&self) -> f64 {
        if self.is_auto { BURST } else { (self.rate as f64 / 8.0 * BURST_S).clamp(100.0, BURST) }
    }

    fn check_rate(&mut self, now: Instant, bytes: usize) {
        let rate = self.paced_rate();
        self.link.leak(now, rate);
        let beyond = self.link.bytes;
        assert!(beyond <= self.link_burst() + ROUNDING, "{beyond:.0} bytes beyond {rate} bit/s");
        self.link.bytes += bytes as f64;
        if let Some(rate) = self.budget_rate {
            self.budget.leak(now, rate);
            let beyond = self.budget.bytes;
            assert!(beyond <= BURST + ROUNDING, "{beyond:.0} bytes beyond a budget of {rate} bit/s");
            self.budget.bytes += bytes as f64;
        }
    }

    /// The most that the session may send at.
    fn paced_rate(&self) -> u64 {
        let found = (self.paced as f64 * RATE_STEP) as u64;
        if self.is_auto { found.min(self.rate) } else { self.rate }
    }

    fn check_budgets(&self, message: &ToGround, kind: Kind, before: &SendStats) {
        assert_ne!(before.thinning, Thinning::Spent, "sent although the budget is spent: {message:?}");
        let is_rest = matches!(message, ToGround::Probe(_) | ToGround::Goodbye | ToGround::Live(_));
        let is_backlog = kind == Kind::Rest && !is_rest;
        assert!(
            !is_backlog || before.thinning == Thinning::None,
            "sent at {:?}: {message:?}",
            before.thinning
        );
    }
}

/// Every queue keeps to its bound.
pub(crate) fn check_queues(queues: &[QueueFill]) {
    for QueueFill { name, held, most } in queues {
        assert!(held <= most, "{name}: {held} of at most {most}");
    }
}

impl Kind {
    fn of(message: &ToGround) -> Kind {
        match message {
            ToGround::Hello(_) | ToGround::Schemas(_) | ToGround::Answer(_) => Kind::Control,
            ToGround::Frame(frame) if frame.lane == Lane::Live => Kind::Live,
            ToGround::Live(packet) if !packet.payload.is_empty() => Kind::Live,
            ToGround::Live(_)
            | ToGround::Frame(_)
            | ToGround::Backlog(_)
            | ToGround::Parity(_)
            | ToGround::Gap(_)
            | ToGround::Probe(_) => Kind::Rest,
            ToGround::Goodbye => Kind::Rest,
        }
    }
}

fn transmission(bytes: f64, bits_per_second: u64) -> Duration {
    Duration::from_secs_f64(bytes * 8.0 / bits_per_second as f64)
}
