//! The records of one stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::contents::Contents;
use super::layout::{ColumnLayout, Layout};
use super::model::Bit;
use super::number::{HINTS, Number, Outside};
use super::quantities::{Quantities, SOURCES};
use super::range_coder::BitCoder;
use super::residual::SharedResiduals;
use super::state::mix;
use super::text::{ByteString, SharedText};
use crate::codec::column::{f32_bits, f64_bits, integer, number, on_grid, ordered_f32, ordered_f64};
use crate::quantity::{Quantity, Role};
use crate::record::Value;
use crate::schema::{Field, FieldKind};

/// How long a rate is taken to last, microseconds.
const MAX_STEP_MICROS: i64 = 10_000_000;
/// The fastest rate that is reckoned with.
const MAX_RATE: i64 = 100_000_000;

/// What one stream remembers.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    layout: Arc<Layout>,
    columns: Vec<Column>,
    /// Those of text and bytes, by column.
    strings: BTreeMap<u16, ByteString>,
    /// Capture time of the last record, microseconds; `None` before the first.
    last_time: Option<i64>,
    /// Time between the last two records.
    last_step: i64,
}

/// What one column remembers. Copied as it is: states are copied often.
#[derive(Clone, Copy, Debug)]
struct Column {
    /// Unused for text and bytes.
    number: Number,
    present: [Bit; 2],
    was_present: bool,
    exceptional: [Bit; 2],
    was_exceptional: bool,
    same_exception: Bit,
    exception: u64,
    /// What the sources of the same quantity were when the last value was coded, and the rate of change.
    seen: [i64; SOURCES],
    rate: i64,
}

/// What all streams share.
pub(super) struct Common<'a> {
    pub(super) residuals: &'a mut SharedResiduals,
    pub(super) text: &'a mut Arc<SharedText>,
    pub(super) quantities: &'a mut Quantities,
    pub(super) hash: &'a mut u32,
    /// Where texts and bytes stand.
    pub(super) contents: &'a mut Contents,
    /// How many bytes of text and bytes the frame may still have; `None` once it had more.
    pub(super) bytes_left: &'a mut Option<usize>,
}

impl Stream {
    pub(super) fn new(layout: Arc<Layout>) -> Self {
        let columns = layout.columns.iter().map(|column| Column {
            number: Number::new(&column.shape),
            present: [Bit::new(40000); 2],
            was_present: true,
            exceptional: [Bit::sure(600, 20), Bit::new(40000)],
            was_exceptional: false,
            same_exception: Bit::new(50000),
            exception: 0,
            seen: [0; SOURCES],
            rate: 0,
        });
        let columns = columns.collect();
        let strings = layout.schema.fields.iter().zip(0..).filter(|(field, _)| is_string(field));
        let strings = strings.map(|(_, index)| (index, ByteString::new())).collect();
        Stream { layout, columns, strings, last_time: None, last_step: 0 }
    }

    /// How many columns it has.
    pub(super) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Codes a record that was captured at `time` microseconds. `values` is empty when decoding; the result is empty
    /// when encoding.
    pub(super) fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        common: &mut Common<'_>,
        owner: u64,
        time: i64,
        values: &[Value],
    ) -> Vec<Value> {
        let layout = &*self.layout;
        let mut out = if C::DECODES { vec![Value::Null; layout.columns.len()] } else { Vec::new() };
        let step = self.last_time.map_or(0, |last| time.wrapping_sub(last));
        let mut place = Place { owner, time, step, pace: pace(step, self.last_step), surprise: 0 };
        for &index in &layout.order {
            let index = usize::from(index);
            place.owner = owner + index as u64;
            let value = values.get(index).unwrap_or(&Value::Null);
            let like = layout.columns[index].like.and_then(|like| self.columns[like].number.last());
            let column = &mut self.columns[index];
            let field = &layout.schema.fields[index];
            let is_string = is_string(field);
            let before = column.number.last();
            let value = if !column.code_presence(coder, field, value) {
                Value::Null
            } else if is_string && let Some(string) = self.strings.get_mut(&(index as u16)) {
                string.code(coder, common, field.kind, value)
            } else {
                column.code(coder, common, layout, index, &place, like, value)
            };
            if !is_string {
                place.surprise = column.number.surprise();
            }
            if layout.clock == Some(index)
                && let (Some(before), Some(now), Some(role)) =
                    (before, column.number.last(), layout.columns[index].role)
            {
                let clock_step = canonical(now.wrapping_sub(before), role);
                if (1..MAX_STEP_MICROS).contains(&clock_step) {
                    place.step = clock_step;
                    place.pace = pace(clock_step, self.last_step);
                }
            }
            if C::DECODES {
                out[index] = value;
            }
        }
        self.last_time = Some(time);
        self.last_step = place.step;
        self.update_ground_speed(common, owner, time);
        out
    }

    /// Speed over ground as follows from the velocities of this record.
    fn update_ground_speed(&self, common: &mut Common<'_>, owner: u64, time: i64) {
        let layout = &*self.layout;
        let Some(columns) = layout.velocities else { return };
        let of =
            |index: usize| Some(canonical(self.columns[index].number.last()?, layout.columns[index].role?));
        if let [Some(north), Some(east)] = columns.map(of) {
            let squares = u128::from(north.unsigned_abs()).pow(2) + u128::from(east.unsigned_abs()).pow(2);
            let speed = u64::try_from(squares).map_or(i64::MAX, |squares| squares.isqrt() as i64);
            common.quantities.update(layout.system, Quantity::GroundSpeed, owner + 0xffff, speed, time);
        }
    }
}

fn is_string(field: &Field) -> bool {
    matches!(field.kind, FieldKind::Text | FieldKind::Bytes)
}

/// Where in its record and when a value stands.
struct Place {
    owner: u64,
    time: i64,
    /// Since the stream's last record, microseconds, by its own clock if it has one.
    step: i64,
    /// See [`Outside::pace`].
    pace: i64,
    surprise: u8,
}

fn pace(step: i64, previous: i64) -> i64 {
    match (step, previous) {
        (1.., 1..) => ((step.min(MAX_STEP_MICROS) << 8) / previous).clamp(64, 1024),
        _ => 0,
    }
}

impl Column {
    /// Codes whether the record has the field.
    fn code_presence<C: BitCoder>(&mut self, coder: &mut C, field: &Field, value: &Value) -> bool {
        if field.optional {
            let present = !matches!(value, Value::Null);
            self.was_present = self.present[usize::from(self.was_present)].code(coder, present, 30);
        }
        self.was_present
    }

    #[allow(clippy::too_many_arguments)]
    fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        common: &mut Common<'_>,
        layout: &Layout,
        index: usize,
        place: &Place,
        like: Option<i64>,
        value: &Value,
    ) -> Value {
        let (field, column) = (&layout.schema.fields[index], &layout.columns[index]);
        let wanted = if C::DECODES { Some(0) } else { to_number(field, value) };
        if field.decimals.is_some() {
            let exceptional = wanted.is_none();
            let exceptional =
                self.exceptional[usize::from(self.was_exceptional)].code(coder, exceptional, 60);
            self.was_exceptional = exceptional;
            if exceptional {
                return self.code_exception(coder, common, field, value);
            }
        }
        let outside = match self.number.is_quiet() {
            true => Outside::default(),
            false => self.outside(common.quantities, layout, column, place, like),
        };
        let wanted = wanted.unwrap_or(0);
        let coded = self.number.code(coder, common.residuals, &column.shape, &outside, wanted);
        *common.hash = mix(*common.hash, coded as u32);
        if let (Some(role), Some(last)) = (column.role, self.number.last()) {
            self.remember(common.quantities, layout, role, place, last);
        }
        if C::DECODES { number(field, coded) } else { Value::Null }
    }

    fn code_exception<C: BitCoder>(
        &mut self,
        coder: &mut C,
        common: &mut Common<'_>,
        field: &Field,
        value: &Value,
    ) -> Value {
        let (bits, width) = match field.kind {
            FieldKind::F32 => (u64::from(f32_bits(value)), 32),
            _ => (f64_bits(value), 64),
        };
        if !self.same_exception.code(coder, bits == self.exception, 30) {
            self.exception = coder.code_raw(width, bits);
        }
        *common.hash = mix(*common.hash, self.exception as u32);
        match field.kind {
            FieldKind::F32 => Value::F32(f32::from_bits(self.exception as u32)),
            _ => Value::F64(f64::from_bits(self.exception)),
        }
    }

    /// What other fields and times say about the next value.
    fn outside(
        &self,
        quantities: &Quantities,
        layout: &Layout,
        column: &ColumnLayout,
        place: &Place,
        like: Option<i64>,
    ) -> Outside {
        let mut hints = [None; HINTS];
        let pace = place.pace;
        let Some(role) = column.role else {
            if self.number.last().is_none() {
                hints[0] = like;
            }
            return Outside { hints, pace, surprise: place.surprise };
        };
        let ring = column.shape.ring;
        let last = self.number.last();
        let unroll = |value: i64| last.map_or(value, |last| ring.unroll(value, last));
        if let Some(newest) = quantities.newest(layout.system, role.quantity, place.owner) {
            let source = quantities.sources(layout.system, role.quantity)[newest];
            let here = uncanonical(source.value, role);
            if last.is_some() || role.quantity != Quantity::Clock {
                hints[0] = Some(unroll(here));
            }
            let change = uncanonical(source.value.wrapping_sub(self.seen[newest]), role);
            hints[1] = last.map(|last| last.wrapping_add(change));
            if role.quantity == Quantity::Clock {
                let since = place.time.wrapping_sub(source.at);
                hints[3] = Some(uncanonical(source.value.wrapping_add(since), role));
            }
        }
        if let Some(last) = last {
            if role.quantity == Quantity::Clock {
                hints[2] = Some(last.wrapping_add(uncanonical(place.step, role)));
            } else if let Some(rate) = role.quantity.rate()
                && let Some(newest) = quantities.newest(layout.system, rate, 0)
            {
                let rate = quantities.sources(layout.system, rate)[newest].value;
                // A millimetre, a microradian: a billion of them a second is beyond any vehicle.
                let mean = (rate.clamp(-MAX_RATE, MAX_RATE) + self.rate.clamp(-MAX_RATE, MAX_RATE)) / 2;
                let travelled = mean * place.step.clamp(0, MAX_STEP_MICROS) / 1_000_000;
                let travelled = match role.quantity {
                    Quantity::Altitude => -travelled,
                    Quantity::Latitude => travelled * 898_315 / 10_000_000,
                    Quantity::Longitude => {
                        travelled * 898_315 / 10_000_000 * 65536 / self.cosine(quantities, layout)
                    }
                    _ => travelled,
                };
                hints[2] = Some(last.wrapping_add(uncanonical(travelled, role)));
            }
        } else if role.quantity == Quantity::Clock {
            hints[0] = Some(uncanonical(place.time, role));
        }
        Outside { hints, pace, surprise: place.surprise }
    }

    /// Cosine of the latitude, times 65536, at least 1000.
    fn cosine(&self, quantities: &Quantities, layout: &Layout) -> i64 {
        let latitude = quantities
            .newest(layout.system, Quantity::Latitude, 0)
            .map_or(0, |newest| quantities.sources(layout.system, Quantity::Latitude)[newest].value);
        cosine(latitude)
    }

    fn remember(
        &mut self,
        quantities: &mut Quantities,
        layout: &Layout,
        role: Role,
        place: &Place,
        last: i64,
    ) {
        quantities.update(layout.system, role.quantity, place.owner, canonical(last, role), place.time);
        let sources = quantities.sources(layout.system, role.quantity);
        self.seen = [0, 1, 2, 3].map(|i: usize| sources[i].value);
        if let Some(rate) = role.quantity.rate()
            && let Some(newest) = quantities.newest(layout.system, rate, 0)
        {
            self.rate = quantities.sources(layout.system, rate)[newest].value;
        }
    }
}

/// The number that stands for a value in its column, `None` for a float that has no place on the column's grid.
fn to_number(field: &Field, value: &Value) -> Option<i64> {
    match (field.kind, field.decimals) {
        (FieldKind::F32 | FieldKind::F64, Some(decimals)) => on_grid(value, decimals),
        (FieldKind::F32, None) => Some(ordered_f32(f32_bits(value))),
        (FieldKind::F64, None) => Some(ordered_f64(f64_bits(value))),
        _ => Some(integer(value)),
    }
}

fn canonical(number: i64, role: Role) -> i64 {
    match number.checked_mul(role.numerator) {
        Some(product) if role.denominator == 1 => product,
        Some(product) => product.div_euclid(role.denominator),
        None => {
            (i128::from(number) * i128::from(role.numerator)).div_euclid(i128::from(role.denominator)) as i64
        }
    }
}

fn uncanonical(value: i64, role: Role) -> i64 {
    let (numerator, denominator) = if role.numerator < 0 {
        (-role.numerator, -role.denominator)
    } else {
        (role.numerator, role.denominator)
    };
    let half = numerator / 2;
    match value.checked_mul(denominator).and_then(|product| product.checked_add(half)) {
        Some(product) if numerator == 1 => product,
        Some(product) => product.div_euclid(numerator),
        None => {
            let product = i128::from(value) * i128::from(denominator) + i128::from(half);
            product.div_euclid(i128::from(numerator)) as i64
        }
    }
}

/// Cosine of a latitude in 1e-7 degrees, times 65536, at least 1000; right to 0.2 %.
fn cosine(latitude: i64) -> i64 {
    // Bhaskara's (32400 - 4 x²) / (32400 + x²) for x in degrees, here in units of 1e-4 degrees.
    let x = (latitude.unsigned_abs().min(900_000_000) / 1000) as i64;
    let full = 32_400 * 100_000_000i64;
    ((full - 4 * x * x) * 256 / ((full + x * x) / 256)).max(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_is_right() {
        for degrees in 0..89i64 {
            let exact = (degrees as f64).to_radians().cos() * 65536.0;
            assert!((cosine(-degrees * 10_000_000) as f64 - exact).abs() < 130.0, "{degrees}");
        }
    }
}
