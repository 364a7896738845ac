//! The newest values of what several fields measure, by quantity.

use crate::quantity::{QUANTITIES, Quantity};

/// How many fields are kept a quantity; the one heard of least lately goes.
pub(super) const SOURCES: usize = 4;
/// Vehicles whose quantities are kept apart.
const SYSTEMS: usize = 4;

/// One field's newest value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Source {
    /// Which field; 0 for nobody.
    pub(super) owner: u64,
    /// In the quantity's unit, on an unrolled ring.
    pub(super) value: i64,
    /// Capture time, microseconds.
    pub(super) at: i64,
    /// Counts updates of all sources.
    pub(super) order: u64,
}

const NONE: [Source; SOURCES] = [Source { owner: 0, value: 0, at: 0, order: 0 }; SOURCES];

/// Of all vehicles.
#[derive(Clone, Debug)]
pub(super) struct Quantities {
    tables: [Vec<[Source; SOURCES]>; SYSTEMS],
    updates: u64,
}

impl Quantities {
    pub(super) fn new() -> Self {
        Quantities { tables: Default::default(), updates: 0 }
    }

    /// All sources of a quantity.
    pub(super) fn sources(&self, system: u8, quantity: Quantity) -> &[Source; SOURCES] {
        self.tables[usize::from(system) % SYSTEMS].get(quantity as usize).unwrap_or(&NONE)
    }

    /// The index of the newest source that is not `owner`.
    pub(super) fn newest(&self, system: u8, quantity: Quantity, owner: u64) -> Option<usize> {
        let mut newest: (u64, Option<usize>) = (0, None);
        for (index, source) in self.sources(system, quantity).iter().enumerate() {
            // Those of nobody have the order 0.
            if source.order > newest.0 && source.owner != owner {
                newest = (source.order, Some(index));
            }
        }
        newest.1
    }

    /// Takes a field's new value in.
    pub(super) fn update(&mut self, system: u8, quantity: Quantity, owner: u64, value: i64, at: i64) {
        self.updates += 1;
        let table = &mut self.tables[usize::from(system) % SYSTEMS];
        table.resize(QUANTITIES, NONE);
        let sources = &mut table[quantity as usize];
        let mine = sources.iter().position(|source| source.owner == owner);
        let index = mine.or_else(|| (0..SOURCES).min_by_key(|&i| sources[i].order)).unwrap_or(0);
        sources[index] = Source { owner, value, at, order: self.updates };
    }
}
