//! The ground's end of the code: Gaussian elimination, one symbol at a time.
//!
//! Numbers within [`HORIZON`] of the newest are known or unknown; older ones are given up. An equation stands for a
//! symbol: the unknown payloads, each times a coefficient, add up to its bytes. Equations are kept in reduced echelon
//! form with the *oldest* unknown of each as its pivot: a pivot stands in its own equation alone, with coefficient 1.
//! So there is at most one equation an unknown, an equation whose only unknown is its pivot has recovered it, and an
//! unknown that is given up, being the oldest of all, takes exactly one equation along.

use std::collections::BTreeMap;

use super::gf256::{add_scaled, inverse, scale};
use super::symbol::{MAX_SYMBOL_BYTES, Symbols, coefficient, with_length, without_length};
use super::{HORIZON, MAX_PAYLOAD_BYTES, MAX_WINDOW};

/// Remembers the newest payloads and recovers those between them that did not come.
///
/// It takes any numbers, symbols and payloads in time and memory that are bounded by [`HORIZON`], [`MAX_WINDOW`] and
/// [`MAX_PAYLOAD_BYTES`]. A receiver serves one run of numbers: a sender that begins anew needs a new receiver, lest
/// payloads of both that share a number be mixed up.
#[derive(Debug)]
pub struct CodingReceiver {
    newest: Option<u32>,
    /// How many numbers up to the newest are known or unknown, at most [`HORIZON`]. What was before is nobody's loss.
    span: usize,
    /// By slot (number modulo [`HORIZON`]), behind their lengths; `None` when unknown.
    payloads: Vec<Option<Vec<u8>>>,
    /// By the slot of their pivot.
    equations: BTreeMap<usize, Equation>,
    stats: CodingStats,
}

/// What a receiver did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodingStats {
    /// Payloads that were recovered.
    pub recovered: u64,
    /// Symbols that said nothing new, as most do when little is lost.
    pub redundant: u64,
    /// Symbols that cover payloads that are given up, or that are no symbols.
    pub useless: u64,
    /// Symbols that contradict others or combine to what is no payload: the sender is broken, or began anew.
    pub inconsistent: u64,
}

#[derive(Debug)]
struct Equation {
    /// By slot; zero for what is known.
    coefficients: [u8; HORIZON],
    bytes: Vec<u8>,
}

impl CodingReceiver {
    /// Knows nothing.
    pub fn new() -> Self {
        CodingReceiver {
            newest: None,
            span: 0,
            payloads: vec![None; HORIZON],
            equations: BTreeMap::new(),
            stats: CodingStats::default(),
        }
    }

    /// The payload `number` came. Returns what is new by it, with numbers: the payload itself first, unless
    /// it was known, then those that it helped to recover.
    ///
    /// A number [`HORIZON`] or more ahead of the newest makes the receiver begin again from there; one so far behind it was
    /// given up, and nothing is new. A payload over [`MAX_PAYLOAD_BYTES`] is returned and otherwise treated as lost.
    pub fn handle_payload(&mut self, number: u32, payload: &[u8]) -> Vec<(u32, Vec<u8>)> {
        self.move_to(number);
        let slot = slot(number);
        if self.age(number) >= HORIZON || self.payloads[slot].is_some() {
            return Vec::new();
        }
        let mut new = vec![(number, payload.to_vec())];
        if payload.len() <= MAX_PAYLOAD_BYTES {
            self.substitute(slot, with_length(payload));
            self.collect_solved(&mut new);
        }
        new
    }

    /// Symbols came in packet `packet`, that of payload `end` or, without one, ahead of that; hand the payload over first.
    /// Returns the payloads that the symbols recover, with numbers.
    pub fn handle_symbols(&mut self, packet: u32, end: u32, symbols: Symbols) -> Vec<(u32, Vec<u8>)> {
        let mut new = Vec::new();
        if symbols.combinations.is_empty() {
            return new;
        }
        self.move_to(end.wrapping_sub(1));
        for (index, bytes) in (0..).zip(symbols.combinations) {
            match self.equation(packet, index, end, symbols.window, bytes) {
                Some(equation) => self.insert(equation),
                None => self.stats.useless += 1,
            }
            self.collect_solved(&mut new);
        }
        new
    }

    /// Of the last [`MAX_WINDOW`] payloads: how many symbols it takes to recover all that are unknown, and how far back
    /// from the newest the oldest of them lies, that one counted. `None` when there is no unknown.
    pub fn missing(&self) -> Option<(u8, u8)> {
        let ages = 0..self.span.min(MAX_WINDOW.into());
        let newest = self.newest?;
        let slot_of = |age: usize| slot(newest.wrapping_sub(age as u32));
        let unknown = |age: &usize| self.payloads[slot_of(*age)].is_none();
        let oldest = ages.clone().rev().find(unknown)?;
        let wanted = ages.filter(unknown).filter(|age| !self.equations.contains_key(&slot_of(*age))).count();
        Some((wanted as u8, oldest as u8 + 1))
    }

    /// What it did so far.
    pub fn stats(&self) -> CodingStats {
        self.stats
    }

    /// Makes `number` the newest, unless one after it is, and gives up what is too old then.
    fn move_to(&mut self, number: u32) {
        let ahead = self.newest.map_or(HORIZON as i32, |newest| number.wrapping_sub(newest).cast_signed());
        if ahead <= 0 {
            return;
        }
        self.newest = Some(number);
        if ahead as usize >= HORIZON {
            self.payloads.fill(None);
            self.equations.clear();
            self.span = 1;
            return;
        }
        for step in 0..ahead.cast_unsigned() {
            let slot = slot(number.wrapping_sub(step));
            self.payloads[slot] = None;
            self.equations.remove(&slot);
        }
        self.span = (self.span + ahead as usize).min(HORIZON);
    }

    /// How far a number lies before the newest; very far for one after it.
    fn age(&self, number: u32) -> usize {
        self.newest.unwrap_or(number).wrapping_sub(number) as usize
    }

    /// The symbol without what is known; `None` when it can be of no use.
    fn equation(&self, packet: u32, index: u8, end: u32, window: u8, bytes: Vec<u8>) -> Option<Equation> {
        let is_symbol = (1..=MAX_WINDOW).contains(&window) && bytes.len() <= MAX_SYMBOL_BYTES;
        if !is_symbol || self.age(end.wrapping_sub(window.into())) >= HORIZON {
            return None;
        }
        let mut equation = Equation { coefficients: [0; HORIZON], bytes };
        for before_end in 1..=window.into() {
            let number = end.wrapping_sub(before_end);
            let coefficient = coefficient(packet, index, number as u8);
            match &self.payloads[slot(number)] {
                Some(payload) => equation.add_bytes(coefficient, payload),
                None => equation.coefficients[slot(number)] = coefficient,
            }
        }
        Some(equation)
    }

    /// `payload`, behind its length, is that of `slot`.
    fn substitute(&mut self, slot: usize, payload: Vec<u8>) {
        if let Some(mut equation) = self.equations.remove(&slot) {
            equation.substitute(slot, &payload);
            self.insert(equation);
        } else {
            for equation in self.equations.values_mut() {
                equation.substitute(slot, &payload);
            }
        }
        self.payloads[slot] = Some(payload);
    }

    /// Takes in an equation whose unknowns are unknown indeed, and restores the echelon form.
    fn insert(&mut self, mut equation: Equation) {
        for (pivot, other) in &self.equations {
            equation.add(equation.coefficients[*pivot], other);
        }
        let Some(pivot) = self.slots_by_age().find(|slot| equation.coefficients[*slot] != 0) else {
            match equation.bytes.iter().all(|byte| *byte == 0) {
                true => self.stats.redundant += 1,
                false => self.stats.inconsistent += 1,
            }
            return;
        };
        equation.scale(inverse(equation.coefficients[pivot]));
        for other in self.equations.values_mut() {
            other.add(other.coefficients[pivot], &equation);
        }
        self.equations.insert(pivot, equation);
    }

    /// Takes out the equations that are solved and appends their payloads, oldest first. No other equation mentions
    /// them.
    fn collect_solved(&mut self, new: &mut Vec<(u32, Vec<u8>)>) {
        if self.equations.is_empty() {
            return;
        }
        for slot in self.slots_by_age() {
            let Some(equation) = self.equations.get(&slot).filter(|equation| equation.is_solved()) else {
                continue;
            };
            match without_length(&equation.bytes) {
                Some(payload) => {
                    self.stats.recovered += 1;
                    self.payloads[slot] = Some(with_length(&payload));
                    new.push((self.number(slot), payload));
                }
                None => self.stats.inconsistent += 1,
            }
            self.equations.remove(&slot);
        }
    }

    /// All slots, that of the oldest number first.
    fn slots_by_age(&self) -> impl Iterator<Item = usize> + use<> {
        let oldest = slot(self.newest.unwrap_or_default()) + 1;
        (oldest..oldest + HORIZON).map(|slot| slot % HORIZON)
    }

    /// Whose slot this is.
    fn number(&self, of_slot: usize) -> u32 {
        let newest = self.newest.unwrap_or_default();
        newest.wrapping_sub(((slot(newest) + HORIZON - of_slot) % HORIZON) as u32)
    }
}

impl Default for CodingReceiver {
    fn default() -> Self {
        CodingReceiver::new()
    }
}

impl Equation {
    fn add(&mut self, factor: u8, other: &Equation) {
        if factor != 0 {
            add_scaled(&mut self.coefficients, factor, &other.coefficients);
            self.add_bytes(factor, &other.bytes);
        }
    }

    fn add_bytes(&mut self, factor: u8, bytes: &[u8]) {
        if self.bytes.len() < bytes.len() {
            self.bytes.resize(bytes.len(), 0);
        }
        add_scaled(&mut self.bytes, factor, bytes);
    }

    fn scale(&mut self, factor: u8) {
        scale(&mut self.coefficients, factor);
        scale(&mut self.bytes, factor);
    }

    fn substitute(&mut self, slot: usize, payload: &[u8]) {
        let coefficient = std::mem::take(&mut self.coefficients[slot]);
        if coefficient != 0 {
            self.add_bytes(coefficient, payload);
        }
    }

    /// Whether only the pivot is unknown.
    fn is_solved(&self) -> bool {
        self.coefficients.iter().filter(|coefficient| **coefficient != 0).count() == 1
    }
}

/// Where a number is kept. Numbers may wrap, since [`HORIZON`] divides 2^32.
fn slot(number: u32) -> usize {
    number as usize % HORIZON
}

#[cfg(test)]
impl CodingReceiver {
    /// The echelon form that the head of this file describes, and the bounds.
    pub(super) fn assert_invariants(&self) {
        assert!(self.payloads.iter().flatten().all(|payload| payload.len() <= MAX_SYMBOL_BYTES));
        for (pivot, equation) in &self.equations {
            let oldest = self.slots_by_age().find(|slot| equation.coefficients[*slot] != 0);
            assert_eq!(oldest, Some(*pivot));
            assert_eq!(equation.coefficients[*pivot], 1);
            assert!(!equation.is_solved() && equation.bytes.len() <= MAX_SYMBOL_BYTES);
            for (slot, coefficient) in equation.coefficients.iter().enumerate() {
                let is_known = self.payloads[slot].is_some();
                let is_other_pivot = slot != *pivot && self.equations.contains_key(&slot);
                assert!(*coefficient == 0 || !is_known && !is_other_pivot);
            }
        }
    }
}
