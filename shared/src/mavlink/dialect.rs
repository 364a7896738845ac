//! The `ardupilotmega` dialect as data: every message's layout, read from a table at first use.
//!
//! Generated code with a type a message cannot be walked field by field and refuses enum values it does not know;
//! a table carries any value exactly. `dialect/generate.py` writes the table; a test holds it against the `mavlink`
//! crate.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::schema::{Field, FieldKind};

/// How one message lies on the wire.
#[derive(Debug, PartialEq, Eq)]
pub struct MessageLayout {
    /// Message id, 24 bits.
    pub id: u32,
    /// Its name: `ATTITUDE`.
    pub name: &'static str,
    /// The byte that goes into the checksum after the payload, so that both sides know they mean the same layout.
    pub crc_extra: u8,
    /// Fields in wire order, extensions last.
    pub fields: Vec<WireField>,
    /// Payload bytes without extension fields: the length of a MAVLink 1 payload.
    pub base_bytes: usize,
    /// Payload bytes with all extension fields: the longest MAVLink 2 payload.
    pub full_bytes: usize,
}

/// One field of a message on the wire.
#[derive(Debug, PartialEq, Eq)]
pub struct WireField {
    /// Its name: `roll`.
    pub name: &'static str,
    /// The type of one element.
    pub element: FieldKind,
    /// Elements: 1 for a plain field. `Text` and `Bytes` are one value of this many bytes.
    pub count: usize,
    /// The unit, empty when it has none.
    pub unit: &'static str,
    /// Whether MAVLink 1 lacks it.
    pub extension: bool,
}

impl WireField {
    /// Bytes of one element on the wire.
    pub fn element_bytes(&self) -> usize {
        match self.element {
            FieldKind::Bool | FieldKind::U8 | FieldKind::I8 | FieldKind::Text | FieldKind::Bytes => 1,
            FieldKind::U16 | FieldKind::I16 => 2,
            FieldKind::U32 | FieldKind::I32 | FieldKind::F32 => 4,
            FieldKind::U64 | FieldKind::I64 | FieldKind::F64 => 8,
        }
    }

    /// Whether the whole array is one value (text, bytes) rather than a value an element.
    pub fn is_one_value(&self) -> bool {
        matches!(self.element, FieldKind::Text | FieldKind::Bytes)
    }

    /// The decimal grid of a float in this unit: the resolution of the sensors that fill it, with room to spare.
    /// Units that are not listed, and floats without one (PARAM_VALUE carries integers' bits), stay exact.
    fn decimals(&self) -> Option<u8> {
        if !matches!(self.element, FieldKind::F32 | FieldKind::F64) {
            return None;
        }
        match self.unit {
            "rad" => Some(4),
            "rad/s" | "m/s/s" | "V" | "gauss" => Some(3),
            "m" | "m/s" | "hPa" | "deg" | "deg/s" | "degC" | "A" | "%" => Some(2),
            _ => None,
        }
    }
}

impl MessageLayout {
    /// The schema fields of this message: a field an array element (`voltages[3]`), text and bytes whole.
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        for wire in &self.fields {
            let field = |name: String| Field {
                name,
                kind: wire.element,
                unit: wire.unit.to_owned(),
                decimals: wire.decimals(),
                optional: false,
            };
            if wire.is_one_value() || wire.count == 1 {
                fields.push(field(wire.name.to_owned()));
            } else {
                fields.extend((0..wire.count).map(|i| field(format!("{}[{i}]", wire.name))));
            }
        }
        fields
    }

    /// A hash over names, types and order, by which two ends find out that their tables differ.
    pub fn hash(&self) -> u32 {
        let mut hash = Fnv1a::new();
        hash.write(self.name.as_bytes());
        for field in &self.fields {
            hash.write(field.name.as_bytes());
            hash.write(&[field.element as u8, field.count as u8, u8::from(field.extension)]);
            hash.write(field.unit.as_bytes());
        }
        hash.finish()
    }
}

/// FNV-1a, 32 bits (draft-eastlake-fnv): stable across platforms and releases, which `std`'s hashers are not.
struct Fnv1a(u32);

impl Fnv1a {
    fn new() -> Self {
        Fnv1a(0x811c_9dc5)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes.iter().chain(&[0]) {
            self.0 = (self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }

    fn finish(self) -> u32 {
        self.0
    }
}

/// The layout of a message, or `None` when the dialect does not have it.
pub fn message(id: u32) -> Option<&'static MessageLayout> {
    TABLE.get(&id)
}

/// The layout of a message by its name (`ATTITUDE`).
pub fn message_named(name: &str) -> Option<&'static MessageLayout> {
    TABLE.values().find(|layout| layout.name == name)
}

/// All messages of the dialect, by id.
pub fn messages() -> impl Iterator<Item = &'static MessageLayout> {
    TABLE.values()
}

static TABLE: LazyLock<BTreeMap<u32, MessageLayout>> = LazyLock::new(|| {
    include_str!("../../dialect/ardupilotmega.tsv")
        .lines()
        .map(|line| parse_line(line).unwrap_or_else(|| panic!("dialect table: bad line {line:?}")))
        .map(|layout| (layout.id, layout))
        .collect()
});

fn parse_line(line: &'static str) -> Option<MessageLayout> {
    let mut columns = line.split('\t');
    let id = columns.next()?.parse().ok()?;
    let name = columns.next()?;
    let crc_extra = columns.next()?.parse().ok()?;
    let fields = columns.map(parse_field).collect::<Option<Vec<_>>>()?;
    let bytes =
        |fields: &mut dyn Iterator<Item = &WireField>| fields.map(|f| f.element_bytes() * f.count).sum();
    let base_bytes = bytes(&mut fields.iter().filter(|f| !f.extension));
    let full_bytes = bytes(&mut fields.iter());
    Some(MessageLayout { id, name, crc_extra, fields, base_bytes, full_bytes })
}

fn parse_field(column: &'static str) -> Option<WireField> {
    let extension = column.starts_with('+');
    let mut parts = column.trim_start_matches('+').splitn(3, ':');
    let (kind, name, unit) = (parts.next()?, parts.next()?, parts.next()?);
    let (kind, length) = match kind.split_once('[') {
        Some((kind, length)) => (kind, Some(length.trim_end_matches(']').parse().ok()?)),
        None => (kind, None),
    };
    let element = match (kind, length) {
        ("char", Some(_)) => FieldKind::Text,
        ("u8", Some(_)) => FieldKind::Bytes,
        ("char" | "u8", None) => FieldKind::U8,
        ("i8", _) => FieldKind::I8,
        ("u16", _) => FieldKind::U16,
        ("i16", _) => FieldKind::I16,
        ("u32", _) => FieldKind::U32,
        ("i32", _) => FieldKind::I32,
        ("u64", _) => FieldKind::U64,
        ("i64", _) => FieldKind::I64,
        ("f32", _) => FieldKind::F32,
        ("f64", _) => FieldKind::F64,
        _ => return None,
    };
    Some(WireField { name, element, count: length.unwrap_or(1), unit, extension })
}

#[cfg(test)]
mod tests {
    use mavlink::Message as _;
    use mavlink::dialects::ardupilotmega::MavMessage;

    use super::*;

    #[test]
    fn agrees_with_the_mavlink_crate() {
        for layout in messages() {
            assert_eq!(MavMessage::extra_crc(layout.id), layout.crc_extra, "{}", layout.name);
            assert_eq!(MavMessage::message_id_from_name(layout.name), Some(layout.id));
            assert!(layout.full_bytes <= 255, "{}", layout.name);
        }
        let known = (0..1 << 16).filter(|&id| MavMessage::default_message_from_id(id).is_some()).count();
        assert_eq!(messages().count(), known);
    }

    #[test]
    fn lays_out_attitude() {
        let attitude = message_named("ATTITUDE").unwrap();
        assert_eq!((attitude.id, attitude.base_bytes, attitude.full_bytes), (30, 28, 28));
        let fields = attitude.fields();
        assert_eq!(
            (fields[1].name.as_str(), fields[1].decimals, fields[4].decimals),
            ("roll", Some(4), Some(3))
        );
    }
}
