//! Holds the tables of `docs/CODEC.md` against the code: another decoder is written from them.

use std::collections::BTreeMap;

use super::layout::usual_length;
use super::text::PRIMER;
use crate::mavlink::dialect;
use crate::quantity::{Quantity, role};
use crate::schema::{Field, FieldKind};

const DOCUMENT: &str = include_str!("../../../../docs/CODEC.md");

/// The rows of the table with this head, as cells.
fn table(head: &str) -> Vec<Vec<&'static str>> {
    let (_, after) = DOCUMENT.split_once(head).expect("no such table");
    let rows = after.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What stands in backticks.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

struct Document {
    /// By name: the quantity's name as in the code, and whether its units have to be angular rates.
    quantities: BTreeMap<&'static str, (String, bool)>,
    rates: BTreeMap<String, &'static str>,
    units: BTreeMap<&'static str, (i64, i64)>,
    lengths: BTreeMap<&'static str, i32>,
}

impl Document {
    fn read() -> Document {
        let (mut quantities, mut rates) = (BTreeMap::new(), BTreeMap::new());
        for row in table("| Quantity | Names | Units | Rate |") {
            let quantity = row[0].replace(" (speed)", "");
            if !row[3].is_empty() {
                rates.insert(quantity.clone(), row[3]);
            }
            quantities.extend(code(row[1]).map(|name| (name, (quantity.clone(), row[2] == "angular"))));
        }
        let number = |cell: &str| cell.parse().expect("a number");
        let of_units = |row: &Vec<&'static str>| {
            let fraction = (number(row[1]), number(row[2]));
            code(row[0]).map(|unit| (unit, fraction)).collect::<Vec<_>>()
        };
        let units = table("| Units | Numerator | Denominator |");
        let units = units.iter().filter(|row| !row[0].ends_with("(F64)")).flat_map(of_units).collect();
        let lengths = table("| Units | Bits |");
        let of_lengths = |row: &Vec<&'static str>| {
            code(row[0]).map(|unit| (unit, number(row[1]) as i32)).collect::<Vec<_>>()
        };
        Document { quantities, rates, units, lengths: lengths.iter().flat_map(of_lengths).collect() }
    }

    /// Quantity, numerator and denominator.
    fn role(&self, field: &Field) -> Option<(String, i64, i64)> {
        let name = field.name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        let unit = if field.unit.is_empty() && name.ends_with("gyro") { "mrad/s" } else { &field.unit };
        let (quantity, angular) = self.quantities.get(name.as_str())?;
        let (mut numerator, denominator) = match unit {
            "deg" if field.kind == FieldKind::F64 => (10_000_000, 1),
            _ => *self.units.get(unit)?,
        };
        if *angular && !["rad/s", "mrad/s", "deg/s", "cdeg/s"].contains(&unit) {
            return None;
        }
        if name.starts_with("climb") {
            numerator = -numerator;
        }
        let scale = 10i64.pow(field.decimals.unwrap_or(0).into());
        Some((quantity.clone(), numerator, denominator * scale))
    }

    fn usual_length(&self, field: &Field) -> u8 {
        let by_kind = match field.kind {
            FieldKind::Bool => 1,
            FieldKind::U8 | FieldKind::I8 => 2,
            FieldKind::U16 | FieldKind::I16 => 8,
            _ => 10,
        };
        let bits = self.lengths.get(field.unit.as_str()).copied().unwrap_or(by_kind);
        (bits + 33 * i32::from(field.decimals.unwrap_or(0)) / 10).clamp(1, 40) as u8
    }

    fn check(&self, field: &Field) {
        let role = role(field).map(|role| (format!("{:?}", role.quantity), role.numerator, role.denominator));
        assert_eq!(role, self.role(field), "{field:?}");
        assert_eq!(usual_length(field), self.usual_length(field), "{field:?}");
    }
}

#[test]
fn the_tables_are_those_of_the_code() {
    let document = Document::read();
    assert!(document.quantities.len() > 40 && document.units.len() > 15 && document.lengths.len() > 25);
    dialect::messages().flat_map(dialect::MessageLayout::fields).for_each(|field| document.check(&field));
    let names = document.quantities.keys().copied().chain(["humidity", "Position.LAT", "fxgyro"]);
    for name in names {
        for unit in document.units.keys().chain(document.lengths.keys()).copied().chain(["", "furlong"]) {
            for (kind, decimals) in [
                (FieldKind::U8, None),
                (FieldKind::I16, None),
                (FieldKind::U32, None),
                (FieldKind::F32, Some(2)),
                (FieldKind::F64, Some(9)),
            ] {
                document.check(&Field { decimals, ..Field::new(name, kind).with_unit(unit) });
            }
        }
    }
}

#[test]
fn the_grids_are_those_of_the_dialect() {
    let mut steps = BTreeMap::new();
    for row in table("| MAVLink floats in | Step | Error, at most |") {
        if row[1] != "exact" {
            let (step, error): (f64, f64) = (row[1].parse().unwrap(), row[2].parse().unwrap());
            assert!((step - 2.0 * error).abs() < 1e-12);
            steps.extend(code(row[0]).map(|unit| (unit, (1.0 / step).log10().round() as u8)));
        }
    }
    for field in dialect::messages().flat_map(dialect::MessageLayout::fields) {
        if matches!(field.kind, FieldKind::F32 | FieldKind::F64) {
            assert_eq!(field.decimals, steps.get(field.unit.as_str()).copied(), "{field:?}");
        }
    }
}

#[test]
fn the_rates_are_those_of_the_code() {
    let document = Document::read();
    let mut seen = 0;
    for name in document.quantities.keys() {
        let unit = if name.ends_with("gyro") || name.contains("rate") || name.ends_with("speed") {
            "rad/s"
        } else {
            "m"
        };
        let Some(role) = role(&Field::new(*name, FieldKind::I32).with_unit(unit)) else { continue };
        let rate = role.quantity.rate().map(|rate: Quantity| format!("{rate:?}"));
        assert_eq!(rate.as_deref(), document.rates.get(&format!("{:?}", role.quantity)).copied(), "{name}");
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn the_primer_is_that_of_the_code() {
    let (_, after) = DOCUMENT.split_once("```primer\n").expect("no primer");
    assert_eq!(after.split_once("\n```").map(|(primer, _)| primer), Some(PRIMER));
}
