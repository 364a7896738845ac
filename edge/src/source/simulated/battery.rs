//! A lithium-polymer battery of four cells.

const CELLS: f64 = 4.0;
/// Small, so that a mission of three minutes shows a battery that runs down.
const CAPACITY_AH: f64 = 1.0;
const RESISTANCE_OHM: f64 = 0.028;
/// Computer, radio, sensors.
const IDLE_AMPERES: f64 = 0.6;
const FULL_THRUST_AMPERES: f64 = 52.0;

/// What is in it, and what is drawn from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Battery {
    used_ah: f64,
    /// Amperes drawn.
    pub(super) amperes: f64,
}

impl Battery {
    pub(super) fn full() -> Self {
        Battery { used_ah: 0.0, amperes: IDLE_AMPERES }
    }

    /// Runs the motors at this part of full thrust for a while. Power grows with thrust to the 1.5, as it does for any
    /// rotor in hover.
    pub(super) fn drain(&mut self, throttle: f64, seconds: f64) {
        self.amperes = IDLE_AMPERES + FULL_THRUST_AMPERES * throttle.powf(1.5);
        self.used_ah = (self.used_ah + self.amperes * seconds / 3600.0).min(CAPACITY_AH);
    }

    /// Part of a full charge, 0 to 1.
    pub(super) fn remaining(&self) -> f64 {
        1.0 - self.used_ah / CAPACITY_AH
    }

    /// Ampere hours drawn.
    pub(super) fn used_ah(&self) -> f64 {
        self.used_ah
    }

    /// Volts at the terminals: sags with the charge and with the current.
    pub(super) fn volts(&self) -> f64 {
        let charge = self.remaining();
        let cell = 3.45 + 0.55 * charge + 0.2 * charge.powi(6) - 0.25 * (1.0 - charge).powi(12);
        CELLS * cell - RESISTANCE_OHM * self.amperes
    }
}
