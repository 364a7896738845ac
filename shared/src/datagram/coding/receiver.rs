//! The ground's end of the code: Gaussian elimination, one symbol at a time.
//!
//! Units within [`HORIZON`] of the newest are known or unknown; older ones are given up. An equation stands for a
//! symbol: the unknown units, each times a coefficient, add up to its bytes. Equations are kept in reduced echelon
//! form with the *oldest* unknown of each as its pivot: a pivot stands in its own equation alone, with coefficient 1.
//! So there is at most one equation an unknown, an equation whose only unknown is its pivot has recovered it, and an
//! unknown that is given up, being the oldest of all, takes exactly one equation along.
//!
//! Units make payloads again where it is known that one begins: behind the one before, and where a window does.

use std::collections::BTreeMap;

use super::gf256::{add_scaled, inverse, scale};
use super::symbol::{Symbols, Unit, coefficient, place, units};
use super::{HORIZON, MAX_LOST_UNITS, MAX_PAYLOAD_BYTES, MAX_WINDOW_UNITS, UNIT_BYTES};

/// Remembers the newest units and recovers the payloads between them that did not come.
///
/// It takes any numbers, symbols and payloads in time and memory that are bounded by [`HORIZON`], [`MAX_WINDOW_UNITS`] and
/// [`MAX_PAYLOAD_BYTES`]. A receiver serves one run of numbers: a sender that begins anew needs a new receiver, lest
/// units of both that share a number be mixed up.
#[derive(Debug)]
pub struct CodingReceiver {
    newest: Option<u32>,
    /// How many numbers up to the newest are known or unknown, at most [`HORIZON`]. What was before is nobody's loss.
    span: usize,
    /// By number modulo [`HORIZON`].
    slots: Vec<Slot>,
    /// By the slot of their pivot.
    equations: BTreeMap<usize, Equation>,
    /// Whether units were recovered that make no payload yet.
    has_loose: bool,
    rows_added: u64,
    stats: CodingStats,
}

/// What is known of a number.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    unit: Option<Unit>,
    /// A payload ends with it.
    ends: bool,
    /// The payload that it belongs to is complete.
    is_done: bool,
}

/// What a receiver did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodingStats {
    /// Payloads that were recovered.
    pub recovered: u64,
    /// Symbols that said nothing new, as most do when little is lost.
    pub redundant: u64,
    /// Symbols that cover units that are given up, or that are no symbols.
    pub useless: u64,
    /// Symbols that contradict others or combine to what is no payload: the sender is broken, or began anew.
    pub inconsistent: u64,
}

#[derive(Debug)]
struct Equation {
    /// By slot; zero for what is known.
    coefficients: [u8; HORIZON],
    bytes: Unit,
}

impl CodingReceiver {
    /// Knows nothing.
    pub fn new() -> Self {
        CodingReceiver {
            newest: None,
            span: 0,
            slots: vec![Slot::default(); HORIZON],
            equations: BTreeMap::new(),
            has_loose: false,
            rows_added: 0,
            stats: CodingStats::default(),
        }
    }

    /// The payload came whose first unit is `number`. Returns what is new by it, with the numbers of first units: the
    /// payload itself first, unless it was known, then those that it helped to recover.
    ///
    /// A number [`HORIZON`] or more ahead of the newest makes the receiver begin again from there; one so far behind it was
    /// given up, and nothing is new. A payload over [`MAX_PAYLOAD_BYTES`] is returned and otherwise treated as lost.
    pub fn handle_payload(&mut self, number: u32, payload: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let cut = if payload.len() <= MAX_PAYLOAD_BYTES { units(payload) } else { Vec::new() };
        self.move_to(number);
        self.move_to(number.wrapping_add(cut.len().saturating_sub(1) as u32));
        if self.age(number) >= HORIZON || self.slots[slot(number)].is_done {
            return Vec::new();
        }
        let mut new = vec![(number, payload.to_vec())];
        self.slots[slot(number)].is_done = true;
        self.ends(number.wrapping_sub(1));
        if cut.is_empty() {
            return new;
        }
        self.ends(number.wrapping_add(cut.len() as u32 - 1));
        for (number, unit) in (0..).map(|after| number.wrapping_add(after)).zip(cut) {
            self.substitute(slot(number), unit);
            self.slots[slot(number)].is_done = true;
        }
        self.collect_solved();
        self.assemble(&mut new);
        new
    }

    /// Symbols came in packet `packet`, that of the payload whose first unit is `end` or, without one, ahead of that; hand
    /// the payload over first. Returns the payloads that the symbols recover, with the numbers of their first units.
    pub fn handle_symbols(&mut self, packet: u32, end: u32, symbols: Symbols) -> Vec<(u32, Vec<u8>)> {
        let mut new = Vec::new();
        if symbols.combinations.is_empty() {
            return new;
        }
        let before = end.wrapping_sub(1);
        if self.move_to(before) {
            self.span = 0;
        }
        self.ends(before);
        self.ends(before.wrapping_sub(symbols.window.into()));
        for (index, bytes) in (0..).zip(symbols.combinations) {
            match self.equation(packet, index, end, symbols.window, bytes) {
                Some(equation) => self.insert(equation),
                None => self.stats.useless += 1,
            }
        }
        self.collect_solved();
        self.assemble(&mut new);
        new
    }

    /// Of the last [`MAX_WINDOW_UNITS`]: how many symbols it takes to recover all that are unknown, and how far back
    /// from the newest the oldest of them lies, that one counted. `None` when there is no unknown.
    pub fn missing(&self) -> Option<(u16, u16)> {
        let ages = 0..self.span.min(MAX_WINDOW_UNITS.into());
        let newest = self.newest?;
        let slot_of = |age: usize| slot(newest.wrapping_sub(age as u32));
        let unknown = |age: &usize| self.slots[slot_of(*age)].unit.is_none();
        let oldest = ages.clone().rev().find(unknown)?;
        let wanted = ages.filter(unknown).filter(|age| !self.equations.contains_key(&slot_of(*age))).count();
        Some((wanted as u16, oldest as u16 + 1))
    }

    /// How often one equation was added to another so far, of about a microsecond each: nearly all that recovering costs.
    /// With `n` units lost, `n` squared for all of them.
    pub fn rows_added(&self) -> u64 {
        self.rows_added
    }

    /// Forgets all symbols. What is lost may still be recovered by others.
    pub fn give_up(&mut self) {
        self.equations.clear();
    }

    /// What it did so far.
    pub fn stats(&self) -> CodingStats {
        self.stats
    }

    /// Makes `number` the newest, unless one after it is, and gives up what is too old then. Returns whether it began again,
    /// with nothing that it remembers.
    fn move_to(&mut self, number: u32) -> bool {
        let ahead = self.newest.map_or(HORIZON as i32, |newest| number.wrapping_sub(newest).cast_signed());
        if ahead <= 0 {
            return false;
        }
        self.newest = Some(number);
        if ahead as usize >= HORIZON {
            self.slots.fill(Slot::default());
            self.equations.clear();
            self.span = 1;
            return true;
        }
        for step in 0..ahead.cast_unsigned() {
            let slot = slot(number.wrapping_sub(step));
            self.slots[slot] = Slot::default();
            self.equations.remove(&slot);
        }
        self.span = (self.span + ahead as usize).min(HORIZON);
        false
    }

    /// How far a number lies before the newest; very far for one after it.
    fn age(&self, number: u32) -> usize {
        self.newest.unwrap_or(number).wrapping_sub(number) as usize
    }

    /// A payload ends with this unit.
    fn ends(&mut self, number: u32) {
        if self.age(number) < HORIZON {
            self.slots[slot(number)].ends = true;
        }
    }

    /// The symbol without what is known; `None` when it can be of no use.
    fn equation(&self, packet: u32, index: u8, end: u32, window: u16, bytes: Unit) -> Option<Equation> {
        let is_symbol = (1..=MAX_WINDOW_UNITS).contains(&window);
        if !is_symbol || self.age(end.wrapping_sub(window.into())) >= HORIZON {
            return None;
        }
        let mut equation = Equation { coefficients: [0; HORIZON], bytes };
        for before_end in 1..=window.into() {
            let number = end.wrapping_sub(before_end);
            let coefficient = coefficient(packet, index, number as u16);
            match &self.slots[slot(number)].unit {
                Some(unit) => add_scaled(&mut equation.bytes, coefficient, unit),
                None => equation.coefficients[slot(number)] = coefficient,
            }
        }
        Some(equation)
    }

    /// `unit` is that of `slot`.
    fn substitute(&mut self, slot: usize, unit: Unit) {
        if let Some(mut equation) = self.equations.remove(&slot) {
            equation.substitute(slot, &unit);
            self.insert(equation);
        } else {
            for equation in self.equations.values_mut() {
                equation.substitute(slot, &unit);
            }
        }
        self.slots[slot].unit = Some(unit);
    }

    /// Takes in an equation whose unknowns are unknown indeed, and restores the echelon form.
    fn insert(&mut self, mut equation: Equation) {
        for (pivot, other) in &self.equations {
            self.rows_added += u64::from(equation.add(equation.coefficients[*pivot], other));
        }
        let Some(pivot) = self.slots_by_age().find(|slot| equation.coefficients[*slot] != 0) else {
            match equation.bytes.iter().all(|byte| *byte == 0) {
                true => self.stats.redundant += 1,
                false => self.stats.inconsistent += 1,
            }
            return;
        };
        if self.equations.len() == usize::from(MAX_LOST_UNITS) {
            // What it was for is too old to be of much use.
            let oldest = self.slots_by_age().find(|slot| self.equations.contains_key(slot));
            oldest.into_iter().for_each(|slot| _ = self.equations.remove(&slot));
        }
        equation.scale(inverse(equation.coefficients[pivot]));
        for other in self.equations.values_mut() {
            self.rows_added += u64::from(other.add(other.coefficients[pivot], &equation));
        }
        self.equations.insert(pivot, equation);
    }

    /// Takes out the equations that are solved. No other equation mentions their unknowns.
    fn collect_solved(&mut self) {
        let (slots, has_loose) = (&mut self.slots, &mut self.has_loose);
        self.equations.retain(|&pivot, equation| {
            let is_solved = equation.is_solved();
            if is_solved {
                slots[pivot].unit = Some(equation.bytes);
                *has_loose = true;
            }
            !is_solved
        });
    }

    /// Appends the payloads whose units are all known, oldest first.
    fn assemble(&mut self, new: &mut Vec<(u32, Vec<u8>)>) {
        let Some(newest) = self.newest.filter(|_| std::mem::take(&mut self.has_loose)) else { return };
        // The unit before the oldest is not remembered.
        for age in (0..HORIZON - 1).rev() {
            let first = newest.wrapping_sub(age as u32);
            let Slot { unit: Some(unit), is_done: false, .. } = self.slots[slot(first)] else { continue };
            let place = place(&unit);
            let count = place.as_ref().map_or(1, |place| place.end.div_ceil(UNIT_BYTES));
            let slots = (0..count as u32).map(|after| slot(first.wrapping_add(after)));
            let bytes = slots.clone().map_while(|slot| self.slots[slot].unit).collect::<Vec<_>>();
            if !self.slots[slot(first.wrapping_sub(1))].ends || count > age + 1 || bytes.len() < count {
                self.has_loose = true;
                continue;
            }
            let is_new = slots.clone().all(|slot| !self.slots[slot].is_done)
                && slots.clone().take(count - 1).all(|slot| !self.slots[slot].ends);
            let payload =
                place.filter(|_| is_new).and_then(|place| without_zeros(bytes.as_flattened(), place));
            if let Some(payload) = payload {
                self.stats.recovered += 1;
                slots.for_each(|slot| self.slots[slot].is_done = true);
                self.ends(first.wrapping_add(count as u32 - 1));
                new.push((first, payload));
            } else {
                self.stats.inconsistent += 1;
                for slot in slots {
                    let Slot { unit, is_done, .. } = &mut self.slots[slot];
                    unit.take_if(|_| !*is_done);
                }
            }
        }
    }

    /// All slots, that of the oldest number first.
    fn slots_by_age(&self) -> impl Iterator<Item = usize> + use<> {
        let oldest = slot(self.newest.unwrap_or_default()) + 1;
        (oldest..oldest + HORIZON).map(|slot| slot % HORIZON)
    }
}

impl Default for CodingReceiver {
    fn default() -> Self {
        CodingReceiver::new()
    }
}

impl Equation {
    /// Returns whether there was anything to do.
    fn add(&mut self, factor: u8, other: &Equation) -> bool {
        if factor == 0 {
            return false;
        }
        add_scaled(&mut self.coefficients, factor, &other.coefficients);
        add_scaled(&mut self.bytes, factor, &other.bytes);
        true
    }

    fn scale(&mut self, factor: u8) {
        scale(&mut self.coefficients, factor);
        scale(&mut self.bytes, factor);
    }

    fn substitute(&mut self, slot: usize, unit: &Unit) {
        let coefficient = std::mem::take(&mut self.coefficients[slot]);
        if coefficient != 0 {
            add_scaled(&mut self.bytes, coefficient, unit);
        }
    }

    /// Whether only the pivot is unknown.
    fn is_solved(&self) -> bool {
        self.coefficients.iter().filter(|coefficient| **coefficient != 0).count() == 1
    }
}

/// The bytes at `place`, with nothing but zeros behind them.
fn without_zeros(bytes: &[u8], place: std::ops::Range<usize>) -> Option<Vec<u8>> {
    let (bytes, padding) = bytes.split_at_checked(place.end)?;
    padding.iter().all(|byte| *byte == 0).then(|| bytes[place.start..].to_vec())
}

/// Where a number is kept. Numbers may wrap, since [`HORIZON`] divides 2^32.
fn slot(number: u32) -> usize {
    number as usize % HORIZON
}

#[cfg(test)]
impl CodingReceiver {
    /// The echelon form that the head of this file describes.
    pub(super) fn assert_invariants(&self) {
        for (pivot, equation) in &self.equations {
            let oldest = self.slots_by_age().find(|slot| equation.coefficients[*slot] != 0);
            assert_eq!(oldest, Some(*pivot));
            assert_eq!(equation.coefficients[*pivot], 1);
            assert!(!equation.is_solved());
            for (slot, coefficient) in equation.coefficients.iter().enumerate() {
                let is_known = self.slots[slot].unit.is_some();
                let is_other_pivot = slot != *pivot && self.equations.contains_key(&slot);
                assert!(*coefficient == 0 || !is_known && !is_other_pivot);
            }
        }
    }
}
