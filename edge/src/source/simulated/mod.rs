//! A quadcopter for people who have none at hand: it flies a mission over and over.
//!
//! [`flight`] is how it moves, [`sensors`] what it says about it. Nothing of either is random but by the seed.

mod battery;
mod flight;
mod noise;
mod sensors;

use std::time::Duration;

use tern_shared::time::Timestamp;
use tokio::time::{self, MissedTickBehavior};

use self::flight::Flight;
use self::noise::Noise;
use self::sensors::Sensors;
use super::output::{Closed, Output, WhenFull};
use super::{Sample, wall_clock};

/// The longest step of the flight model, seconds: longer ones would overshoot.
const MAX_STEP_SECONDS: f64 = 0.02;

/// Flies until nobody takes its samples any more.
pub(super) async fn run(rate_hz: u16, seed: u64, output: &Output) {
    let mut quadcopter = Quadcopter::new(rate_hz, seed);
    let mut ticks = time::interval(Duration::from_secs(1) / u32::from(rate_hz));
    // While the relay does not take its samples the flight stands still, instead of rushing after the time lost.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut samples = Vec::new();
    loop {
        ticks.tick().await;
        quadcopter.tick(wall_clock(), &mut samples);
        if let Err(Closed) = output.send(&mut samples, WhenFull::Wait).await {
            return;
        }
    }
}

/// The flight and its sensors, in steps of one sample of the fastest streams.
struct Quadcopter {
    rate_hz: u16,
    ticks: u64,
    flight: Flight,
    sensors: Sensors,
    noise: Noise,
}

impl Quadcopter {
    fn new(rate_hz: u16, seed: u64) -> Self {
        Quadcopter {
            rate_hz,
            ticks: 0,
            flight: Flight::new(),
            sensors: Sensors::new(),
            noise: Noise::new(seed),
        }
    }

    fn tick(&mut self, now: Timestamp, samples: &mut Vec<Sample>) {
        let seconds = 1.0 / f64::from(self.rate_hz);
        let steps = (seconds / MAX_STEP_SECONDS).ceil();
        for _ in 0..steps as u32 {
            if let Some(event) = self.flight.step(seconds / steps, &mut self.noise) {
                self.sensors.event(event, now, samples);
            }
        }
        self.sensors.fast(&self.flight, &mut self.noise, now, samples);
        let rate_hz = u64::from(self.rate_hz);
        if self.ticks.is_multiple_of(rate_hz.div_ceil(2)) {
            self.sensors.medium(&self.flight, &mut self.noise, now, samples);
        }
        if self.ticks.is_multiple_of(rate_hz) {
            self.sensors.slow(&self.flight, &mut self.noise, now, samples);
        }
        self.ticks += 1;
    }
}

#[cfg(test)]
mod tests;
