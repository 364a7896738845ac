//! How the simulated quadcopter flies: a mission over and over, in wind, on batteries that run down.
//!
//! Free of I/O and clocks: [`Flight::step`] moves it on. East, north and up are metres from the place of take-off.

use super::battery::Battery;
use super::noise::Noise;

/// Metres a second squared.
pub(super) const GRAVITY: f64 = 9.806_65;

const CRUISE_SPEED: f64 = 8.0;
const CLIMB_SPEED: f64 = 2.5;
const LANDING_SPEED: f64 = 0.7;
const MAX_ACCELERATION: f64 = 3.0;
const TAKE_OFF_HEIGHT: f64 = 15.0;
const RETURN_HEIGHT: f64 = 30.0;
/// Air drag: deceleration in m/s^2 at 1 m/s of air speed.
const DRAG: f64 = 0.25;
/// How fast attitude follows what is asked of it, 1/s.
const ATTITUDE_RATE: f64 = 6.0;
const MAX_YAW_RATE: f64 = 0.8;
const ARRIVED_WITHIN: f64 = 1.5;
const READY_SECONDS: f64 = 4.0;
const HOLD_SECONDS: f64 = 3.0;
const SWAP_SECONDS: f64 = 12.0;
/// The pilot's limit: below it the mission is broken off.
const LOW_BATTERY: f64 = 0.25;

/// East, north, up of the mission's waypoints, metres.
const WAYPOINTS: [[f64; 3]; 6] = [
    [0.0, 120.0, 20.0],
    [90.0, 160.0, 35.0],
    [180.0, 120.0, 50.0],
    [180.0, 20.0, 40.0],
    [90.0, -40.0, 25.0],
    [-40.0, 30.0, 30.0],
];

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// On the ground, motors off.
    Ready,
    /// Climbing to the height of the mission.
    TakeOff,
    /// On its way to this waypoint, counted from 0.
    Mission(usize),
    /// Hovering at the last waypoint.
    Hold,
    /// Back to the place of take-off.
    Return,
    /// Going down.
    Landing,
    /// On the ground; the battery is being changed.
    Landed,
}

/// What happened in a step, for status texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The motors started.
    Armed,
    /// It is at the height of the mission.
    TakenOff,
    /// It reached this waypoint, counted from 1.
    Reached(usize),
    /// The battery is low.
    LowBattery,
    /// It flies back.
    Return,
    /// It goes down.
    Landing,
    /// It stands on the ground, motors off.
    Landed,
    /// It has a full battery.
    BatterySwapped,
}

/// The quadcopter.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) phase: Phase,
    /// Seconds since the start.
    pub(super) seconds: f64,
    /// East, north, up, metres.
    pub(super) position: [f64; 3],
    /// East, north, up, metres a second.
    pub(super) velocity: [f64; 3],
    /// East, north, up, metres a second squared, gravity left out.
    pub(super) acceleration: [f64; 3],
    /// Roll, pitch, yaw, radians; aerospace signs (right, up, clockwise), yaw from -pi to pi.
    pub(super) attitude: [f64; 3],
    /// Change of roll, pitch, yaw, radians a second.
    pub(super) rates: [f64; 3],
    /// Part of full thrust, 0 to 1.
    pub(super) throttle: f64,
    pub(super) battery: Battery,
    /// East, north, up, metres a second.
    wind: [f64; 3],
    phase_seconds: f64,
    warned: bool,
}

impl Flight {
    pub(super) fn new() -> Self {
        Flight {
            phase: Phase::Ready,
            seconds: 0.0,
            position: [0.0; 3],
            velocity: [0.0; 3],
            acceleration: [0.0; 3],
            attitude: [0.0, 0.0, 0.6],
            rates: [0.0; 3],
            throttle: 0.0,
            battery: Battery::full(),
            wind: [2.0, 0.5, 0.0],
            phase_seconds: 0.0,
            warned: false,
        }
    }

    /// Whether the motors run.
    pub(super) fn armed(&self) -> bool {
        !matches!(self.phase, Phase::Ready | Phase::Landed)
    }

    /// Moves on by `seconds`, best at most 0.05.
    pub(super) fn step(&mut self, seconds: f64, noise: &mut Noise) -> Option<Event> {
        self.seconds += seconds;
        self.phase_seconds += seconds;
        self.blow(seconds, noise);
        if self.armed() {
            self.fly(seconds);
        } else {
            self.stand();
        }
        self.battery.drain(self.throttle, seconds);
        self.decide()
    }

    /// Lets the wind wander about its mean: gusts of some seconds.
    fn blow(&mut self, seconds: f64, noise: &mut Noise) {
        const MEAN: [f64; 3] = [2.0, 0.5, 0.0];
        const GUST_SECONDS: f64 = 4.0;
        for (wind, mean) in self.wind.iter_mut().zip(MEAN) {
            *wind +=
                (mean - *wind) * seconds / GUST_SECONDS + noise.normal(0.9 * (seconds / GUST_SECONDS).sqrt());
        }
    }

    fn stand(&mut self) {
        self.position[2] = 0.0;
        self.velocity = [0.0; 3];
        self.acceleration = [0.0; 3];
        self.rates = [0.0; 3];
        self.attitude[0] = 0.0;
        self.attitude[1] = 0.0;
        self.throttle = 0.0;
    }

    fn fly(&mut self, seconds: f64) {
        let wanted = self.wanted_velocity();
        let drag: [f64; 3] = std::array::from_fn(|i| DRAG * (self.wind[i] - self.velocity[i]));
        let mut steer: [f64; 3] = std::array::from_fn(|i| 1.2 * (wanted[i] - self.velocity[i]) - drag[i]);
        limit(&mut steer, MAX_ACCELERATION + DRAG * CRUISE_SPEED);

        // Thrust leans towards where it is to push: forward is pitch down, right is roll right.
        let (sin, cos) = self.attitude[2].sin_cos();
        let forward = steer[0] * sin + steer[1] * cos;
        let right = steer[0] * cos - steer[1] * sin;
        let yaw_error = wrap(self.wanted_yaw(wanted) - self.attitude[2]);
        let asked = [right.atan2(GRAVITY), -forward.atan2(GRAVITY)];
        for (i, asked) in asked.into_iter().enumerate() {
            let before = self.attitude[i];
            self.attitude[i] += (asked - before) * (ATTITUDE_RATE * seconds).min(1.0);
            self.rates[i] = (self.attitude[i] - before) / seconds;
        }
        let yaw_rate = (1.5 * yaw_error).clamp(-MAX_YAW_RATE, MAX_YAW_RATE);
        self.rates[2] += (yaw_rate - self.rates[2]) * (4.0 * seconds).min(1.0);
        self.attitude[2] = wrap(self.attitude[2] + self.rates[2] * seconds);

        // What the attitude really gives, back to east and north.
        let forward = -GRAVITY * self.attitude[1].tan();
        let right = GRAVITY * self.attitude[0].tan();
        let (sin, cos) = self.attitude[2].sin_cos();
        let thrust = [forward * sin + right * cos, forward * cos - right * sin, steer[2]];
        for i in 0..3 {
            self.acceleration[i] = thrust[i] + drag[i];
            self.velocity[i] += self.acceleration[i] * seconds;
            self.position[i] += self.velocity[i] * seconds;
        }
        let lift = GRAVITY + thrust[2];
        let tilt = self.attitude[0].cos() * self.attitude[1].cos();
        self.throttle = (0.42 * lift / GRAVITY / tilt).clamp(0.05, 1.0);
        if self.position[2] < 0.0 {
            self.position[2] = 0.0;
            self.velocity[2] = self.velocity[2].max(0.0);
        }
    }

    fn target(&self) -> [f64; 3] {
        let [east, north, _] = self.position;
        match self.phase {
            Phase::TakeOff => [0.0, 0.0, TAKE_OFF_HEIGHT],
            Phase::Mission(at) => WAYPOINTS[at],
            Phase::Hold => WAYPOINTS[WAYPOINTS.len() - 1],
            Phase::Return => [0.0, 0.0, RETURN_HEIGHT],
            Phase::Landing => [0.0, 0.0, -10.0],
            Phase::Ready | Phase::Landed => [east, north, 0.0],
        }
    }

    fn wanted_velocity(&self) -> [f64; 3] {
        let target = self.target();
        let mut wanted: [f64; 3] = std::array::from_fn(|i| 0.7 * (target[i] - self.position[i]));
        let mut level = [wanted[0], wanted[1], 0.0];
        limit(&mut level, CRUISE_SPEED);
        let sink =
            if self.phase == Phase::Landing && self.position[2] < 8.0 { LANDING_SPEED } else { CLIMB_SPEED };
        wanted = [level[0], level[1], wanted[2].clamp(-sink, CLIMB_SPEED)];
        wanted
    }

    /// Nose towards where it flies, while it flies somewhere.
    fn wanted_yaw(&self, wanted: [f64; 3]) -> f64 {
        if wanted[0].hypot(wanted[1]) > 2.0 { wanted[0].atan2(wanted[1]) } else { self.attitude[2] }
    }

    fn distance(&self) -> f64 {
        let target = self.target();
        (0..3).map(|i| (target[i] - self.position[i]).powi(2)).sum::<f64>().sqrt()
    }

    fn decide(&mut self) -> Option<Event> {
        let flies_mission = matches!(self.phase, Phase::TakeOff | Phase::Mission(_) | Phase::Hold);
        if flies_mission && self.battery.remaining() < LOW_BATTERY && !self.warned {
            self.warned = true;
            return Some(Event::LowBattery);
        }
        let arrived = self.distance() < ARRIVED_WITHIN;
        let (phase, event) = match self.phase {
            Phase::Ready if self.phase_seconds > READY_SECONDS => (Phase::TakeOff, Event::Armed),
            Phase::TakeOff if arrived => (Phase::Mission(0), Event::TakenOff),
            _ if flies_mission && self.warned => (Phase::Return, Event::Return),
            Phase::Mission(at) if arrived => {
                let next = if at + 1 < WAYPOINTS.len() { Phase::Mission(at + 1) } else { Phase::Hold };
                (next, Event::Reached(at + 1))
            }
            Phase::Hold if self.phase_seconds > HOLD_SECONDS => (Phase::Return, Event::Return),
            Phase::Return if arrived => (Phase::Landing, Event::Landing),
            Phase::Landing if self.position[2] <= 0.02 => (Phase::Landed, Event::Landed),
            Phase::Landed if self.phase_seconds > SWAP_SECONDS => (Phase::Ready, Event::BatterySwapped),
            _ => return None,
        };
        if phase == Phase::Ready {
            self.battery = Battery::full();
            self.warned = false;
        }
        self.phase = phase;
        self.phase_seconds = 0.0;
        Some(event)
    }
}

/// Scales a vector down to this length.
fn limit(vector: &mut [f64; 3], length: f64) {
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    if norm > length {
        vector.iter_mut().for_each(|x| *x *= length / norm);
    }
}

/// An angle from -pi to pi.
fn wrap(angle: f64) -> f64 {
    use std::f64::consts::{PI, TAU};
    (angle + PI).rem_euclid(TAU) - PI
}
