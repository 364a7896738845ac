//! One simulated world: an edge, a link and a ground.

mod edge;
mod faults;
mod ground;
mod network;
mod orders;
mod stream;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tern_shared::command::Moment;
use tern_shared::range::SequenceRange;
use tern_shared::record::Record;
use tern_shared::session::{Budgets, Carrier};
use tern_shared::time::{Instant, Now, Timestamp};

use edge::{Edge, Wishes};
use faults::Faults;
use ground::Ground;
use network::Network;
use orders::Orders;

/// How long the ends have to agree after the faults.
const PEACE: Duration = Duration::from_secs(3600);
/// Beside a message's own bytes.
const OVERHEAD_BYTES: usize = 60;
/// Messages of a connection that somebody sends again.
const REPLAYED: usize = 12;
/// How long a connection that carries nothing stands before the kernel gives it up.
const KERNEL_PATIENCE: Duration = Duration::from_secs(60);
/// What both clocks show at the beginning, microseconds.
const BEGINNING: i64 = 1_700_000_000_000_000;

pub(crate) struct World {
    rng: StdRng,
    faults: Faults,
    now: Instant,
    /// Wall clocks minus monotonic time, microseconds.
    edge_clock: i64,
    ground_clock: i64,
    edge: Edge,
    ground: Ground,
    orders: Orders,
    network: Network,
    connect_at: Option<Instant>,
    /// When the kernel gives up a connection that is severed, and when the edge tries another beside one that is silent.
    reset_at: Option<Instant>,
    replace_at: Option<Instant>,
    /// The edge is shutting down, until then at most.
    closing_until: Option<Instant>,
    /// The first messages of this connection.
    first_messages: Vec<Vec<u8>>,
    /// How often in a row the edge's session was due at once.
    overdue: u32,
    /// Every record ever made, by sequence number.
    made: BTreeMap<u64, Record>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let faults = Faults::draw(&mut rng);
        let now = Instant::default();
        let mut world = World {
            edge: Edge::new(&faults, &mut rng),
            ground: Ground::new(),
            orders: Orders::default(),
            network: Network::new(&faults, seed),
            connect_at: Some(now),
            reset_at: None,
            replace_at: None,
            closing_until: None,
            first_messages: Vec::new(),
            overdue: 0,
            made: BTreeMap::new(),
            rng,
            faults,
            now,
            edge_clock: BEGINNING,
            ground_clock: BEGINNING,
        };
        for _ in 0..world.faults.left_over {
            world.make_frame();
        }
        if world.faults.left_over > 0 {
            world.edge.restart(&world.faults, now);
        }
        world
    }

    pub(crate) fn run(mut self) {
        let mut next_frame = Instant::default();
        let mut next_trouble = Instant::default();
        let trouble_ends = Instant(self.faults.trouble);
        let ends = trouble_ends + PEACE;
        while self.now < trouble_ends {
            self.settle();
            if next_frame <= self.now {
                self.make_frame();
                next_frame = self.now + Duration::from_secs_f64(1.0 / self.faults.frames_per_second);
            } else if next_trouble <= self.now {
                self.trouble();
                next_trouble = self.now + Duration::from_secs(1);
            } else {
                self.wait([next_frame, next_trouble, trouble_ends]);
            }
        }
        self.make_peace();
        while self.now < ends {
            self.settle();
            if self.is_settled() {
                break;
            }
            self.wait([ends; 3]);
        }
        self.check();
    }

    fn make_frame(&mut self) {
        let records = self.edge.make_frame(self.edge_now(), &self.faults, &mut self.rng);
        self.made.extend(records);
    }

    /// Time goes on to when something is due, these included.
    fn wait(&mut self, due: [Instant; 3]) {
        let (moment, edge_now) = (self.moment(), self.edge_now());
        let edge_due = self.edge.poll_timeout(edge_now);
        // What arrived may have made something overdue, which is done at the next call.
        self.overdue = if edge_due.is_some_and(|at| at <= self.now) { self.overdue + 1 } else { 0 };
        assert!(self.overdue < 5, "the edge's session is due at {edge_due:?} whatever is done");
        let wake = [
            self.connect_at,
            self.reset_at,
            self.replace_at,
            self.closing_until,
            self.network.poll_timeout(),
            self.orders.poll_timeout(moment),
            edge_due,
            self.ground.poll_timeout(),
        ];
        let next = wake.into_iter().flatten().chain(due).min().unwrap();
        self.now = next.max(self.now + Duration::from_micros(1));
    }

    fn edge_now(&self) -> Now {
        Now { instant: self.now, wall: Timestamp(self.edge_clock + self.now.0.as_micros() as i64) }
    }

    fn ground_now(&self) -> Now {
        Now { instant: self.now, wall: Timestamp(self.ground_clock + self.now.0.as_micros() as i64) }
    }

    fn moment(&self) -> Moment {
        let now = self.edge_now();
        Moment { now, clock: self.edge.session.clock(now) }
    }

    fn is_trouble(&self) -> bool {
        self.now.0 < self.faults.trouble
    }

    /// Moves everything that can move at this instant.
    fn settle(&mut self) {
        self.turn_connections();
        self.edge.handle_timeout(self.edge_now());
        self.ground.handle_timeout(self.ground_now());
        self.orders.run_ground(self.ground_now(), self.ground.open_session());
        while let Some(message) = self.network.poll_up(self.now) {
            self.edge.watch.handle_arrived(&self.edge.session.stats());
            let was_open = self.ground.is_open;
            for answer in self.ground.handle_message(self.ground_now(), &message) {
                self.orders.handle_answer(&answer);
            }
            if self.ground.is_open && !was_open {
                self.orders.handle_connected();
            }
            self.orders.run_ground(self.ground_now(), self.ground.open_session());
        }
        while let Some(message) = self.network.poll_down(self.now) {
            self.edge.handle_message(self.edge_now(), &message);
        }
        loop {
            self.act_on_events();
            let (moment, ground) = (self.moment(), self.ground_now());
            self.orders.run_vehicle(moment, ground, &mut self.edge.session);
            let has_room = self.network.up_has_room();
            self.edge.has_fetched = false;
            let Some(transmit) = self.edge.poll_transmit(self.edge_now(), has_room) else {
                self.act_on_events();
                if self.edge.has_fetched { continue } else { break }
            };
            if self.first_messages.len() < REPLAYED {
                self.first_messages.push(transmit.bytes.clone());
            }
            self.network.send_up(self.now, transmit, &mut self.rng);
        }
        self.edge.watch.handle_idle(self.now, &self.edge.session);
        self.edge.watch.check_live(self.now, &self.edge.session);
        while let Some(transmit) = self.ground.poll_transmit() {
            self.network.send_down(self.now, transmit, &mut self.rng);
        }
    }

    /// Makes, gives up and replaces connections whose time has come.
    fn turn_connections(&mut self) {
        let is_due = |at: Option<Instant>, now| at.is_some_and(|at| at <= now);
        if is_due(self.reset_at, self.now) {
            self.disconnect();
        }
        if is_due(self.closing_until, self.now) {
            self.restart_edge();
        }
        if is_due(self.replace_at, self.now) {
            self.replace_at = None;
            if self.edge.is_silent && self.network.is_up(self.now) {
                // It is tried beside this one, which ends when it stands.
                self.connect();
            } else if self.edge.is_silent {
                self.replace_at = Some(self.now + Duration::from_secs(2));
            }
        } else if self.edge.is_silent && self.replace_at.is_none() && self.connect_at.is_none() {
            self.replace_at = Some(self.now + Duration::from_millis(self.rng.random_range(10..3_000)));
        }
        if is_due(self.connect_at, self.now) {
            self.connect();
        }
    }

    fn connect(&mut self) {
        self.forget_connection();
        self.connect_at = None;
        self.network.connect();
        self.first_messages.clear();
        let refusal = self.rng.random_bool(self.faults.refuse) && self.is_trouble();
        let carrier =
            if self.faults.datagrams { Carrier::Datagrams { max_bytes: 1200 } } else { Carrier::Stream };
        self.ground.carrier = Some(carrier);
        self.ground.connect(refusal);
        let now = self.edge_now();
        self.edge.session.handle_connected(now, carrier);
    }

    fn disconnect(&mut self) {
        if self.connect_at.is_none() {
            self.edge.session.handle_disconnected();
            self.ground.disconnect();
            self.network.disconnect();
            self.forget_connection();
            self.connect_at = Some(self.now + Duration::from_millis(self.rng.random_range(10..3_000)));
        }
    }

    fn forget_connection(&mut self) {
        self.edge.handle_disconnected();
        self.orders.handle_disconnected();
        (self.reset_at, self.replace_at) = (None, None);
    }

    fn act_on_events(&mut self) {
        let offset = self.ground_now().wall.micros_since(self.edge_now().wall);
        let known = (!self.orders.clock_is_wrong).then_some(offset);
        let Wishes { disconnect, closed, clock_known, orders } = self.edge.handle_events(known);
        let moment = self.moment();
        orders.into_iter().for_each(|order| self.orders.handle_order(moment, order));
        if clock_known {
            self.orders.handle_clock(moment);
        }
        if closed && self.closing_until.is_some() {
            self.closing_until = Some(self.now);
        }
        if disconnect {
            self.disconnect();
        }
    }

    fn restart_edge(&mut self) {
        self.closing_until = None;
        self.disconnect();
        self.edge.restart(&self.faults, self.now);
        self.orders.restart_vehicle(self.edge_now());
    }

    /// What goes wrong in a second.
    fn trouble(&mut self) {
        let faults = self.faults.clone();
        let mut happens = |probability: f64| self.rng.random_bool(probability);
        let [
            cut,
            edge,
            ground,
            vanish,
            evict,
            full,
            lost,
            edge_jump,
            ground_jump,
            address,
            rate,
            order,
            replay,
        ] = [
            faults.cut,
            faults.edge_restart,
            faults.ground_restart,
            faults.vanish,
            faults.evict,
            faults.disk_full,
            faults.history_lost,
            faults.edge_clock_jump,
            faults.ground_clock_jump,
            faults.address_change,
            faults.rate_change,
            faults.order,
            faults.replay,
        ]
        .map(&mut happens);
        let gently = happens(0.5);
        self.edge.disk_full = full;
        if evict {
            self.edge.evict_oldest();
        }
        if edge_jump {
            self.edge_clock += self.rng.random_range(-3_600_000_000..3_600_000_000i64);
        }
        if ground_jump {
            self.orders.clock_is_wrong = true;
            self.ground_clock += self.rng.random_range(-60_000_000..60_000_000i64);
        }
        if address {
            self.network.change_address(&mut self.rng);
            if self.network.severed {
                self.reset_at.get_or_insert(self.now + KERNEL_PATIENCE);
            }
        }
        if rate {
            let share = self.rng.random_range(0.3..3.0);
            self.network.change_rate(share);
        }
        if order {
            self.orders.issue(self.ground_now(), &mut self.rng);
        }
        if replay {
            self.ground.replay(self.ground_now(), &self.first_messages);
        }
        if edge && gently && self.closing_until.is_none() {
            self.edge.close();
            self.closing_until = Some(self.now + Duration::from_secs(5));
        } else if edge {
            self.restart_edge();
        }
        if ground && gently {
            // The vehicle hears of it, or finds out.
            self.ground.close(self.ground_now());
            self.orders.restart_ground(self.ground_now());
        } else if ground || lost {
            self.disconnect();
            self.ground.restart();
            self.orders.restart_ground(self.ground_now());
        } else if vanish {
            self.ground.disconnect();
            self.ground.restart();
            self.orders.restart_ground(self.ground_now());
            self.network.severed = true;
            self.reset_at.get_or_insert(self.now + KERNEL_PATIENCE);
        } else if cut {
            self.disconnect();
        }
        if lost {
            self.ground.lose_history();
        }
    }

    /// No faults from here on, and nothing that runs out.
    fn make_peace(&mut self) {
        self.edge.disk_full = false;
        self.network.change_rate(1.0);
        if self.faults.budgets != Budgets::default() {
            self.faults.budgets = Budgets::default();
            self.restart_edge();
        }
    }

    fn is_settled(&self) -> bool {
        let last = self.made.keys().next_back();
        last.is_none_or(|&last| self.ground.resolved.covers(SequenceRange::new(0, last + 1)))
            && self.edge.is_idle()
            && self.connect_at.is_none()
            && self.ground.is_idle()
            && self.orders.is_settled()
    }

    /// Everything made is stored once or accounted for, and the edge holds nothing back.
    fn check(&self) {
        assert!(self.edge.is_idle(), "the edge still holds records: {:?}", self.edge.session.stats());
        for (sequence, record) in &self.ground.history {
            assert_eq!(Some(record), self.made.get(sequence), "record {sequence} was never made like this");
        }
        for sequence in self.made.keys() {
            let stored = self.ground.history.contains_key(sequence);
            let excused = self.edge.gone.contains(*sequence) || self.ground.forgotten.contains(*sequence);
            assert!(stored || excused, "record {sequence} was kept by the edge and is not stored");
            assert!(self.ground.resolved.contains(*sequence), "the ground still waits for record {sequence}");
        }
        assert!(self.ground.resolved.range_count() <= 1, "holes: {:?}", self.ground.resolved);
        self.orders.check();
    }
}
