//! What a world does to its inhabitants, drawn from its seed.

use std::num::NonZeroU64;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tern_shared::session::Budgets;
use tern_testbed::link::{LinkProfile, Loss, Outage, OutageSchedule};

/// One world's conditions.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// The transport loses, duplicates, reorders and corrupts telemetry (datagrams); otherwise it only breaks (a stream).
    pub(crate) datagrams: bool,
    /// Records beyond the link's rate go to the backlog at once.
    pub(crate) divides: bool,
    /// The link's rate, bits a second, before it changes.
    pub(crate) rate: u64,
    /// The rate is found out by the edge, which was told this one as the highest.
    pub(crate) auto_rate_max: Option<u64>,
    pub(crate) budgets: Budgets,
    /// How long faults go on.
    pub(crate) trouble: Duration,
    pub(crate) up: LinkProfile,
    pub(crate) down: LinkProfile,
    pub(crate) up_outages: OutageSchedule,
    pub(crate) down_outages: OutageSchedule,
    /// Probability a second of each.
    pub(crate) cut: f64,
    pub(crate) edge_restart: f64,
    pub(crate) ground_restart: f64,
    /// The ground vanishes, or its host does, without a word to the vehicle.
    pub(crate) vanish: f64,
    pub(crate) evict: f64,
    pub(crate) disk_full: f64,
    pub(crate) history_lost: f64,
    pub(crate) edge_clock_jump: f64,
    pub(crate) ground_clock_jump: f64,
    pub(crate) address_change: f64,
    pub(crate) rate_change: f64,
    pub(crate) order: f64,
    /// Somebody sends the first packets of a connection again, as a connection of their own.
    pub(crate) replay: f64,
    /// Probability that a hello is refused.
    pub(crate) refuse: f64,
    /// Probability that a frame is one that keeps the narrowest link busy for longer than the ground may be silent.
    pub(crate) large: f64,
    /// Frames that a fetch returns at most.
    pub(crate) fetched_frames: usize,
    /// Frames a second, records in each and bytes of text in each of these at most.
    pub(crate) frames_per_second: f64,
    pub(crate) records_per_frame: usize,
    pub(crate) text_bytes: usize,
    /// Frames that an earlier start left in the spool.
    pub(crate) left_over: usize,
}

impl Faults {
    pub(crate) fn draw(rng: &mut StdRng) -> Self {
        let mut rare = |probability: f64, most: f64| {
            if rng.random_bool(probability) { rng.random_range(0.0..most) } else { 0.0 }
        };
        let [cut, edge_restart, ground_restart, vanish] =
            [(0.6, 0.3), (0.4, 0.1), (0.4, 0.1), (0.25, 0.1)].map(|(p, most)| rare(p, most));
        let [evict, disk_full, history_lost] = [(0.2, 0.3), (0.2, 0.5), (0.1, 0.05)].map(|(p, m)| rare(p, m));
        let [edge_clock_jump, ground_clock_jump] = [(0.2, 0.1), (0.1, 0.1)].map(|(p, most)| rare(p, most));
        let [address_change, rate_change] = [(0.3, 0.2), (0.3, 0.2)].map(|(p, most)| rare(p, most));
        let [order, replay] = [(0.4, 0.6), (0.1, 0.2)].map(|(p, most)| rare(p, most));
        let [refuse, large] = [(0.2, 0.5), (0.2, 0.02)].map(|(p, most)| rare(p, most));

        let datagrams = rng.random_bool(0.6);
        let rate = pick(rng, &[2_400, 9_600, 22_000, 64_000, 1_000_000]);
        let auto_rate = datagrams && rng.random_bool(0.2);
        let auto_rate_max = auto_rate.then(|| rate * pick(rng, &[1, 3, 20]));
        let trouble = Duration::from_secs(pick(rng, &[15, 30, 60]));
        // Few worlds are busy: what goes wrong seldom needs much traffic, and they take as long as many others.
        let busy = if rng.random_bool(0.1) { 6.0 } else { 1.0 };
        let (up, down) = (profile(rng, rate, datagrams), profile(rng, rate, datagrams));
        let up_outages = outages(rng, datagrams, trouble);
        // Mostly both directions are down together.
        let down_outages =
            if rng.random_bool(0.7) { up_outages.clone() } else { outages(rng, datagrams, trouble) };
        Faults {
            datagrams,
            divides: rng.random(),
            rate,
            auto_rate_max,
            budgets: budgets(rng, rate),
            trouble,
            down: LinkProfile { delay_ms: up.delay_ms, ..down },
            up,
            up_outages,
            down_outages,
            cut,
            edge_restart,
            ground_restart,
            vanish,
            evict,
            disk_full,
            history_lost,
            edge_clock_jump,
            ground_clock_jump,
            address_change,
            rate_change,
            order,
            replay,
            refuse,
            large,
            fetched_frames: pick(rng, &[1, 4, 1024]),
            frames_per_second: rng.random_range(0.2..3.0) * busy,
            records_per_frame: pick(rng, &[1, 3, 8, 30]),
            text_bytes: pick(rng, &[0, 2, 6, 30]),
            left_over: if rng.random_bool(0.2) { rng.random_range(1..40) } else { 0 },
        }
    }
}

fn pick<T: Copy>(rng: &mut StdRng, among: &[T]) -> T {
    among[rng.random_range(0..among.len())]
}

fn profile(rng: &mut StdRng, rate: u64, datagrams: bool) -> LinkProfile {
    let mut profile =
        LinkProfile::ideal(NonZeroU64::new(rate).unwrap(), Duration::from_millis(rng.random_range(5..600)));
    if !datagrams {
        return profile;
    }
    profile.loss = match rng.random_range(0..3) {
        0 => Loss::None,
        1 => Loss::Random { percent: rng.random_range(0.0..20.0) },
        _ => Loss::burst(rng.random_range(0.1..5.0), rng.random_range(20.0..80.0)),
    };
    profile.queue_bytes = pick(rng, &[6_000, 30_000, 1_000_000]);
    let mut maybe = |most: f64| if rng.random() { rng.random_range(0.0..most) } else { 0.0 };
    profile.jitter_ms = maybe(40.0);
    profile.duplicate_percent = maybe(5.0);
    profile.corrupt_percent = maybe(3.0);
    profile.reorder_percent = maybe(5.0);
    profile.reorder_extra_ms = pick(rng, &[20, 200, 2_000]);
    profile
}

/// A stream's outage holds data back instead of losing it; cut connections stand for it.
fn outages(rng: &mut StdRng, datagrams: bool, trouble: Duration) -> OutageSchedule {
    let mut outages = Vec::new();
    if datagrams && rng.random() {
        let mut start = rng.random_range(1.0..trouble.as_secs_f64());
        for _ in 0..rng.random_range(1..4) {
            let length = rng.random_range(0.2..30.0);
            outages.push(Outage::once(Duration::from_secs_f64(start), Duration::from_secs_f64(length)));
            start += length + rng.random_range(0.5..20.0);
        }
    }
    OutageSchedule::new(outages).unwrap()
}

/// A fifth of each has room for the largest frame: backlog stops there.
fn budgets(rng: &mut StdRng, rate: u64) -> Budgets {
    let mut budgets = Budgets::default();
    if rng.random_bool(0.15) {
        budgets.bytes_per_second = Some((rate as f64 / 8.0 * rng.random_range(0.3..2.0)) as u64);
    }
    if rng.random_bool(0.15) {
        budgets.flight_bytes = Some(rng.random_range(40_000..200_000));
    }
    if rng.random_bool(0.15) {
        budgets.month_bytes = Some(rng.random_range(40_000..400_000));
    }
    budgets
}
