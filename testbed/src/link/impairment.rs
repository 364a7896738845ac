//! What chance does to a packet.
//!
//! Each impairment draws from a generator of its own, the same number of draws for every packet, so that switching
//! one on (or a change of its share) leaves the others' sequences as they are.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::profile::{LinkProfile, Loss};

/// What was drawn for one packet.
pub(super) struct Draws {
    pub(super) lost: bool,
    /// Uniform in 0..1; the packet is lost to an outage of loss share above it.
    pub(super) outage_draw: f64,
    pub(super) delay: Duration,
    pub(super) duplicated: bool,
    pub(super) reordered: bool,
    pub(super) corrupt_bit: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Impairments {
    loss: Loss,
    in_bad_state: bool,
    delay_ms: f64,
    jitter_ms: f64,
    duplicate_share: f64,
    reorder_share: f64,
    corrupt_share: f64,
    loss_rng: StdRng,
    outage_rng: StdRng,
    jitter_rng: StdRng,
    disorder_rng: StdRng,
}

impl Impairments {
    pub(super) fn new(profile: &LinkProfile, seed: u64) -> Self {
        let mut seeds = StdRng::seed_from_u64(seed);
        let mut next_rng = || StdRng::seed_from_u64(seeds.random());
        Impairments {
            loss: profile.loss,
            in_bad_state: false,
            delay_ms: profile.delay_ms,
            jitter_ms: profile.jitter_ms,
            duplicate_share: profile.duplicate_percent / 100.0,
            reorder_share: profile.reorder_percent / 100.0,
            corrupt_share: profile.corrupt_percent / 100.0,
            loss_rng: next_rng(),
            outage_rng: next_rng(),
            jitter_rng: next_rng(),
            disorder_rng: next_rng(),
        }
    }

    pub(super) fn set_delay(&mut self, delay_ms: f64) {
        self.delay_ms = delay_ms;
    }

    /// The draws of the next packet.
    pub(super) fn draw(&mut self) -> Draws {
        let lost = self.draw_loss();
        let delay_ms = self.delay_ms + self.jitter_ms * standard_normal(&mut self.jitter_rng);
        let [duplicate, reorder, corrupt]: [f64; 3] = self.disorder_rng.random();
        let bit: u64 = self.disorder_rng.random();
        Draws {
            lost,
            outage_draw: self.outage_rng.random(),
            delay: Duration::from_secs_f64(delay_ms.max(0.0) / 1e3),
            duplicated: duplicate < self.duplicate_share,
            reordered: reorder < self.reorder_share,
            corrupt_bit: (corrupt < self.corrupt_share).then_some(bit),
        }
    }

    fn draw_loss(&mut self) -> bool {
        let [transition, loss]: [f64; 2] = self.loss_rng.random();
        match self.loss {
            Loss::None => false,
            Loss::Random { percent } => loss < percent / 100.0,
            Loss::GilbertElliott { enter_percent, leave_percent, bad_loss_percent, good_loss_percent } => {
                let change_percent = if self.in_bad_state { leave_percent } else { enter_percent };
                self.in_bad_state ^= transition < change_percent / 100.0;
                let loss_percent = if self.in_bad_state { bad_loss_percent } else { good_loss_percent };
                loss < loss_percent / 100.0
            }
        }
    }
}

/// Box-Muller, the cosine half: two uniform draws a value, never more.
fn standard_normal(rng: &mut StdRng) -> f64 {
    let [radius, angle]: [f64; 2] = rng.random();
    // `1 - radius` lies in (0, 1], where the logarithm is finite.
    (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}
