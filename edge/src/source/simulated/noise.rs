//! Randomness that a seed repeats.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Where all noise comes from.
#[derive(Debug)]
pub(super) struct Noise(StdRng);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Noise(StdRng::seed_from_u64(seed))
    }

    /// About normally distributed about 0: the sum of twelve uniform numbers, which never strays beyond six sigma.
    pub(super) fn normal(&mut self, sigma: f64) -> f64 {
        let sum: f64 = (0..12).map(|_| self.0.random::<f64>()).sum();
        (sum - 6.0) * sigma
    }
}
