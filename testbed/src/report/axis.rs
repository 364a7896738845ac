//! An axis with ticks where we want them.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// From `low` to `high`, with lines and labels at the ticks only.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0, with about ten ticks at one of `steps`, or at the last.
    pub(super) fn linear(high: f64, steps: &[f64], label: impl Fn(f64) -> String) -> Axis {
        let step = steps.iter().copied().find(|step| high / step <= 12.0).or(steps.last().copied());
        let step = step.unwrap_or(high);
        let at = (0..=(high / step) as u32).map(|number| f64::from(number) * step);
        Axis { low: 0.0, high, ticks: at.map(|at| (at, label(at))).collect() }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        let pixel = f64::from(limit.0) + share * f64::from(limit.1 - limit.0);
        // Saturates.
        pixel.round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|&(at, _)| at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks.iter().find(|(at, _)| at == value).map_or_else(String::new, |(_, label)| label.clone())
    }
}
