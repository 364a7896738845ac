//! What is the same for all records of a schema: the shape of each column and the order in which they are coded.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::SchemaTable;
use crate::id::SchemaId;
use crate::quantity::{self, Quantity, Role};
use crate::schema::{Field, FieldKind, Schema};

use super::first::Usual;
use super::number::{Ring, Shape};
use super::state::MAX_COLUMNS;
use super::stream::Stream;

/// The schemas in use, each as a stream that has no records yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Layouts {
    streams: BTreeMap<SchemaId, Arc<Stream>>,
    columns: usize,
}

impl Layouts {
    /// A stream of a schema as it begins, `None` when the schema was not declared.
    pub(super) fn begin(&mut self, id: SchemaId, schemas: &SchemaTable) -> Option<Arc<Stream>> {
        if let Some(stream) = self.streams.get(&id) {
            return Some(stream.clone());
        }
        let stream = Arc::new(Stream::new(Arc::new(Layout::new(schemas.get(&id)?.clone()))));
        if self.columns > 2 * MAX_COLUMNS {
            *self = Layouts::default();
        }
        self.columns += stream.columns() + 1;
        self.streams.insert(id, stream.clone());
        Some(stream)
    }
}

/// How the records of a schema are coded.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) schema: Arc<Schema>,
    /// One a field, in the schema's order.
    pub(super) columns: Vec<ColumnLayout>,
    /// Indices into `columns`: clocks, then rates and velocities, then what is predicted from them.
    pub(super) order: Vec<u16>,
    /// The index of its first clock.
    pub(super) clock: Option<usize>,
    /// The columns of its velocities north and east.
    pub(super) velocities: Option<[usize; 2]>,
    /// Which of the vehicles whose quantities are kept apart.
    pub(super) system: u8,
}

/// How a column is coded.
#[derive(Clone, Debug)]
pub(super) struct ColumnLayout {
    pub(super) shape: Shape,
    pub(super) role: Option<Role>,
    /// The column whose first value is like this one's first.
    pub(super) like: Option<usize>,
}

impl Layout {
    fn new(schema: Arc<Schema>) -> Self {
        let mut columns: Vec<ColumnLayout> = Vec::with_capacity(schema.fields.len());
        for (index, field) in schema.fields.iter().enumerate() {
            let like = schema.fields[..index].iter().rposition(|earlier| is_alike(earlier, field));
            let exact_float =
                matches!(field.kind, FieldKind::F32 | FieldKind::F64) && field.decimals.is_none();
            let role = quantity::role(field).filter(|_| !exact_float);
            columns.push(ColumnLayout { shape: shape(field), role, like });
        }
        let rank = |index: &u16| match columns[usize::from(*index)].role.map(|role| role.quantity) {
            Some(Quantity::Clock) => 0,
            Some(
                Quantity::RollRate
                | Quantity::PitchRate
                | Quantity::YawRate
                | Quantity::NorthVelocity
                | Quantity::EastVelocity
                | Quantity::DownVelocity,
            ) => 1,
            _ => 2,
        };
        let mut order: Vec<u16> = (0..columns.len() as u16).collect();
        order.sort_by_key(rank);
        let clock = order.first().copied().filter(|index| rank(index) == 0).map(usize::from);
        let of = |quantity| columns.iter().position(|c| c.role.is_some_and(|role| role.quantity == quantity));
        let velocities = of(Quantity::NorthVelocity).zip(of(Quantity::EastVelocity)).map(|(n, e)| [n, e]);
        let system = match schema.origin {
            crate::schema::Origin::Mavlink(origin) => origin.system,
            _ => 0,
        };
        Layout { schema, columns, order, clock, velocities, system }
    }
}

/// Whether two fields differ in nothing but digits of their names.
fn is_alike(a: &Field, b: &Field) -> bool {
    let letters = |field: &'_ Field| field.name.bytes().filter(|b| !b.is_ascii_digit()).collect::<Vec<_>>();
    a.kind == b.kind && a.unit == b.unit && a.decimals == b.decimals && letters(a) == letters(b)
}

fn shape(field: &Field) -> Shape {
    // Bits of the ring, of the first difference, of the first value, and whether that is often negative.
    let is_float = matches!(field.kind, FieldKind::F32 | FieldKind::F64);
    let (bits, difference, signed) = match field.kind {
        FieldKind::Bool => (64, 0, false),
        FieldKind::U8 => (8, 0, false),
        FieldKind::I8 => (8, 0, true),
        FieldKind::U16 => (16, 3, false),
        FieldKind::I16 => (16, 3, true),
        FieldKind::U32 => (32, 3, false),
        FieldKind::I32 => (32, 4, true),
        FieldKind::U64 => (64, 10, false),
        FieldKind::I64 => (64, 10, true),
        FieldKind::F32 if field.decimals.is_none() => (32, 14, true),
        FieldKind::F64 if field.decimals.is_none() => (64, 40, true),
        FieldKind::F32 | FieldKind::F64 => (64, 4, true),
        FieldKind::Text | FieldKind::Bytes => (64, 4, false),
    };
    let ring = match quantity::turn(field) {
        Some((low, turn)) => Ring::Turn { low, turn },
        None => Ring::Bits(bits),
    };
    let length = if is_float && field.decimals.is_none() { bits as u8 - 2 } else { usual_length(field) };
    Shape { ring, first_cost: difference << 8, first: Usual { length: length.min(40), signed } }
}

/// About how many bits the numbers of a field have: what vehicles and the weather make of its unit.
pub(super) fn usual_length(field: &Field) -> u8 {
    // Magnitude in the unit itself, before the grid of floats.
    let bits = match field.unit.as_str() {
        "rad" => -3,
        "rad/s" => -4,
        "m" => 5,
        "m/s" | "m/s/s" => 1,
        "hPa" | "Pa" => 10,
        "degC" | "deg/s" | "V" => 4,
        "A" | "gauss" => 2,
        "%" | "c%" | "deg" => 6,
        "mV" | "cdeg" => 14,
        "cdegC" | "mAh" => 11,
        "cA" | "d%" | "mG" | "mgauss" => 8,
        "mm" => 17,
        "cm" => 11,
        "cm/s" | "mrad/s" | "mm/s" => 6,
        "degE7" => 29,
        "ms" => 19,
        "us" => 30,
        _ => match field.kind {
            FieldKind::Bool => 1,
            FieldKind::U8 | FieldKind::I8 => 2,
            FieldKind::U16 | FieldKind::I16 => 8,
            _ => 10,
        },
    };
    // A decimal is 3.3 bits.
    (bits + i32::from(field.decimals.unwrap_or(0)) * 33 / 10).clamp(1, 40) as u8
}
