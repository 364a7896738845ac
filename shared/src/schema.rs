//! A schema: what a stream's records are made of.

use serde::{Deserialize, Serialize};

use crate::mavlink::dialect;

/// The most fields a schema may have.
pub const MAX_FIELDS: usize = 512;
/// The most bytes that the names and units of a schema's fields have together: a message declares it whole.
pub const MAX_FIELDS_BYTES: usize = 48 * 1024;
/// The longest stream or field name, bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// The most schemas an epoch may have: what a source of ever new stream names can cost either end.
pub const MAX_SCHEMAS: u32 = 4096;
/// The finest decimal grid of a float field: 10^-9.
pub const MAX_DECIMALS: u8 = 9;
/// The stream in which an edge tells of its link.
pub const LINK_STATE_STREAM: &str = "tern/edge";
/// Which layout of it [`Schema::of_link_state`] is: one with other fields has another number.
pub const LINK_STATE_LAYOUT: u8 = 1;

/// What the records of a stream are made of. Never changes under its [`SchemaId`](crate::id::SchemaId).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The stream's name, unique in its vehicle: `mavlink/1/1/ATTITUDE`, `humidity`, `nmea/GGA`.
    pub stream: String,
    /// Where its records come from, and so what they can be exported as.
    pub origin: Origin,
    /// What goes first when the link is short.
    pub class: Class,
    /// The fields, in the order of a record's values.
    pub fields: Vec<Field>,
}

/// Where a stream's records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A plain sensor: JSON lines, NMEA 0183.
    Sensor,
    /// One message type of one MAVLink component, its fields typed by the dialect.
    Mavlink(MavlinkOrigin),
    /// MAVLink frames that the dialect cannot type, whole: one field of bytes, from start mark to checksum.
    MavlinkOpaque,
}

/// Which MAVLink message a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MavlinkOrigin {
    /// System id of the sender.
    pub system: u8,
    /// Component id of the sender.
    pub component: u8,
    /// Message id, 24 bits.
    pub message: u32,
}

/// What goes first when the link is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Status text, mode changes, command results: sent at once, before everything.
    Critical,
    /// Telemetry.
    Live,
    /// Snapshots and files: below everything else.
    Bulk,
}

/// One field of a schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The field's name, unique in its schema: `roll`, `voltages[3]`, `position.lat`.
    pub name: String,
    /// The type of its values.
    pub kind: FieldKind,
    /// The unit as the source names it (`rad`, `degE7`, `hPa`), empty when it has none.
    pub unit: String,
    /// For floats: values are rounded to this many decimals (error at most half of 10^-decimals), `None` for bit for
    /// bit. NaN, infinities and values too large for the grid are exact all the same.
    pub decimals: Option<u8>,
    /// Whether a record may lack it ([`Value::Null`](crate::record::Value::Null)).
    pub optional: bool,
}

/// The type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // The names say it all.
pub enum FieldKind {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    Text,
    Bytes,
}

/// Why a schema that came over the link or from a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchema {
    /// A name is empty or longer than [`MAX_NAME_BYTES`].
    #[error("schema {stream:?}: a name is empty or longer than {MAX_NAME_BYTES} bytes")]
    Name {
        /// The stream, cut to 80 characters.
        stream: String,
    },
    /// It has more than [`MAX_FIELDS`] fields.
    #[error("schema {stream:?} has {count} fields, more than {MAX_FIELDS}")]
    TooManyFields {
        /// The stream.
        stream: String,
        /// How many.
        count: usize,
    },
    /// Its names and units have more than [`MAX_FIELDS_BYTES`] together.
    #[error(
        "schema {stream:?}: the names and units of its fields have {bytes} bytes, more than {MAX_FIELDS_BYTES}"
    )]
    TooLong {
        /// The stream.
        stream: String,
        /// How many.
        bytes: usize,
    },
    /// A decimal grid finer than [`MAX_DECIMALS`], or on a field that is no float.
    #[error("schema {stream:?}: field {field:?} cannot have {decimals} decimals")]
    Decimals {
        /// The stream.
        stream: String,
        /// The field.
        field: String,
        /// What it asked for.
        decimals: u8,
    },
    /// It refers to a message that this end's dialect does not have, or lays out otherwise.
    #[error("MAVLink message {message} is unknown to this end's dialect or laid out otherwise there")]
    Dialect {
        /// The message id.
        message: u32,
    },
    /// It is a layout of [`Schema::of_link_state`] that this end does not have.
    #[error("layout {layout} of the stream {LINK_STATE_STREAM} is unknown to this end")]
    LinkState {
        /// Which.
        layout: u8,
    },
}

impl Schema {
    /// The schema of a MAVLink message, from the dialect; `None` when the dialect does not have it.
    ///
    /// Messages that report a change or a result (STATUSTEXT, COMMAND_ACK) are [`Class::Critical`].
    pub fn of_mavlink(origin: MavlinkOrigin) -> Option<Schema> {
        let layout = dialect::message(origin.message)?;
        let class = match layout.name {
            "STATUSTEXT" | "COMMAND_ACK" | "MISSION_ACK" | "MISSION_ITEM_REACHED" => Class::Critical,
            _ => Class::Live,
        };
        Some(Schema {
            stream: format!("mavlink/{}/{}/{}", origin.system, origin.component, layout.name),
            origin: Origin::Mavlink(origin),
            class,
            fields: layout.fields(),
        })
    }

    /// The stream of MAVLink frames that the dialect cannot type.
    pub fn of_mavlink_opaque() -> Schema {
        Schema {
            stream: "mavlink/opaque".to_owned(),
            origin: Origin::MavlinkOpaque,
            class: Class::Live,
            fields: vec![Field::new("frame", FieldKind::Bytes)],
        }
    }

    /// The stream in which an edge tells of its link; both ends carry its schema as layout [`LINK_STATE_LAYOUT`].
    pub fn of_link_state() -> Schema {
        let field = |name: &str, kind, unit: &str| Field::new(name, kind).with_unit(unit);
        Schema {
            stream: LINK_STATE_STREAM.to_owned(),
            origin: Origin::Sensor,
            class: Class::Live,
            fields: vec![
                field("wire_bytes", FieldKind::U64, "B"),
                field("rate_bits_per_second", FieldKind::U64, "bit/s").optional(),
                field("budget_bytes", FieldKind::U64, "B").optional(),
                field("backlog_records", FieldKind::U64, ""),
                field("loss_per_mille", FieldKind::U16, "").optional(),
                field("one_way_ms", FieldKind::I32, "ms").optional(),
            ],
        }
    }

    /// The same schema with every float bit for bit.
    pub fn exact(mut self) -> Schema {
        for field in &mut self.fields {
            field.decimals = None;
        }
        self
    }

    /// Checks what a peer or a file claims against the limits of this module.
    ///
    /// # Errors
    ///
    /// The first limit that it exceeds.
    pub fn validate(&self) -> Result<(), InvalidSchema> {
        let stream = || self.stream.chars().take(80).collect::<String>();
        let bad_name = |name: &str| name.is_empty() || name.len() > MAX_NAME_BYTES;
        if bad_name(&self.stream)
            || self.fields.iter().any(|f| bad_name(&f.name) || f.unit.len() > MAX_NAME_BYTES)
        {
            return Err(InvalidSchema::Name { stream: stream() });
        }
        if self.fields.len() > MAX_FIELDS {
            return Err(InvalidSchema::TooManyFields { stream: stream(), count: self.fields.len() });
        }
        let bytes = fields_bytes(&self.fields);
        if bytes > MAX_FIELDS_BYTES {
            return Err(InvalidSchema::TooLong { stream: stream(), bytes });
        }
        for field in &self.fields {
            if let Some(decimals) = field.decimals
                && (decimals > MAX_DECIMALS || !matches!(field.kind, FieldKind::F32 | FieldKind::F64))
            {
                return Err(InvalidSchema::Decimals {
                    stream: stream(),
                    field: field.name.clone(),
                    decimals,
                });
            }
        }
        Ok(())
    }
}

/// What [`MAX_FIELDS_BYTES`] counts.
pub fn fields_bytes(fields: &[Field]) -> usize {
    fields.iter().map(|field| field.name.len() + field.unit.len()).sum()
}

impl Field {
    /// A field that every record has, without a unit, exact.
    pub fn new(name: impl Into<String>, kind: FieldKind) -> Field {
        Field { name: name.into(), kind, unit: String::new(), decimals: None, optional: false }
    }

    /// The same field with a unit.
    pub fn with_unit(mut self, unit: impl Into<String>) -> Field {
        self.unit = unit.into();
        self
    }

    /// The same field on a decimal grid.
    pub fn with_decimals(mut self, decimals: u8) -> Field {
        self.decimals = Some(decimals);
        self
    }

    /// The same field, which records may lack.
    pub fn optional(mut self) -> Field {
        self.optional = true;
        self
    }
}
