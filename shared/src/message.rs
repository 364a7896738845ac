//! What crosses the link: postcard-encoded messages, one a WebSocket message or datagram.
//!
//! Postcard is positional: variants and fields are only ever added at the end, and `tests/golden.rs` freezes the
//! bytes. [`ToGround::Hello`] stays variant 0 with the protocol version first, so that any two releases can tell each
//! other that they differ.

use serde::{Deserialize, Serialize};

use crate::command::{Answer, Order};
use crate::datagram::coding::Symbols;
use crate::datagram::loss::LossReport;
use crate::id::{Epoch, SchemaId, Token, VehicleId};
use crate::mavlink::dialect;
use crate::range::SequenceRange;
use crate::schema::{Class, InvalidSchema, LINK_STATE_LAYOUT, MavlinkOrigin, Origin, Schema};
use crate::time::Timestamp;

/// The version of everything in this module and in [`codec`](crate::codec).
pub const PROTOCOL_VERSION: u16 = 1;

/// The largest encoded frame, bytes. A batch closes far below it; a single record over it is refused at the edge.
pub const MAX_FRAME_BYTES: usize = 64 * 1024;

/// The largest message, bytes: a frame and its envelope.
pub const MAX_MESSAGE_BYTES: usize = MAX_FRAME_BYTES + 1024;

/// The most ranges in one acknowledgement or welcome; what is left out is learnt from a later one.
pub const MAX_ACK_RANGES: usize = 64;

/// The most parts of a backlog object: the largest frame in the smallest datagrams.
pub const MAX_FRAGMENTS: u16 = 1024;

/// The most messages that a ground keeps for a vehicle whose hello it has not answered yet.
pub const MAX_EARLY_MESSAGES: usize = 256;

/// From the vehicle to the ground.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToGround {
    /// Opens a session.
    Hello(Hello),
    /// Declares schemas before the first frame that uses them, once more where that may have been lost: together, because each
    /// message costs its headers.
    Schemas(Vec<SchemaAnnouncement>),
    /// Records.
    Frame(FrameMessage),
    /// Records that will never come.
    Gap(Gap),
    /// Asks for the ground's clock, and tells what was learnt of it before.
    Probe(Probe),
    /// The edge is shutting down; what it has not delivered stays in its spool.
    Goodbye,
    /// A datagram of the live lane.
    Live(LivePacket),
    /// A datagram of the backlog lane.
    Backlog(BacklogPacket),
    /// What became of an [`Order`].
    Answer(Answer),
    /// A datagram that makes good one of the backlog lane.
    Parity(ParityPacket),
}

/// From the ground to the vehicle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToVehicle {
    /// Answers [`Hello`]: the session is open.
    Welcome(Welcome),
    /// The session is not, or no longer, wanted. The ground closes the transport after it.
    Refused(Refusal),
    /// What the ground has committed to its history.
    Acknowledge(Acknowledgement),
    /// Answers [`Probe`].
    ProbeReply(ProbeReply),
    /// The ground is shutting down.
    Goodbye,
    /// A datagram: what arrived, and what was committed.
    Feedback(Feedback),
    /// A command, or what belongs to one.
    Order(Order),
}

/// Opens a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the edge.
    pub protocol: u16,
    /// Who this is.
    pub vehicle: VehicleId,
    /// Which history of sequence numbers.
    pub epoch: Epoch,
    /// Sequence numbers in this session's [`FrameMessage`]s count from here.
    pub base: u64,
    /// The vehicle's secret; empty when it has none.
    pub token: Token,
    /// Name and version of the edge, for people: `tern-edge 0.1.0`.
    pub agent: String,
    /// The vehicle finds out its link's rate: it needs to know soon when delay grows.
    pub finds_rate: bool,
}

/// Declares a schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SchemaAnnouncement {
    /// What frames will call it.
    pub id: SchemaId,
    /// The schema.
    pub body: SchemaBody,
}

impl SchemaAnnouncement {
    /// How many bytes it takes in a message.
    pub fn encoded_bytes(&self) -> usize {
        encode(self).len()
    }
}

/// A schema as it crosses the link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SchemaBody {
    /// Field by field.
    Full(Schema),
    /// By reference to the MAVLink dialect that both ends carry: a dozen bytes instead of hundreds.
    Dialect {
        /// Which message of which component.
        origin: MavlinkOrigin,
        /// The stream's class at the edge.
        class: Class,
        /// Whether floats are bit for bit instead of on the dialect's grids.
        exact: bool,
        /// [`MessageLayout::hash`](dialect::MessageLayout::hash) at the edge.
        layout_hash: u32,
    },
    /// [`Schema::of_link_state`], which every edge declares: in full it would take a narrow link half a second.
    LinkState {
        /// [`LINK_STATE_LAYOUT`] at the edge.
        layout: u8,
    },
}

impl SchemaBody {
    /// The short form when both ends carry the schema, else the full one.
    pub fn compact(schema: &Schema) -> SchemaBody {
        if *schema == Schema::of_link_state() {
            return SchemaBody::LinkState { layout: LINK_STATE_LAYOUT };
        }
        if let Origin::Mavlink(origin) = schema.origin
            && let Some(layout) = dialect::message(origin.message)
        {
            for exact in [false, true] {
                let body =
                    SchemaBody::Dialect { origin, class: schema.class, exact, layout_hash: layout.hash() };
                if body.resolve().is_ok_and(|resolved| resolved == *schema) {
                    return body;
                }
            }
        }
        SchemaBody::Full(schema.clone())
    }

    /// The schema that this stands for at this end, validated.
    ///
    /// # Errors
    ///
    /// A short form of what this end's dialect does not have or lays out otherwise, and a schema over the limits.
    pub fn resolve(&self) -> Result<Schema, InvalidSchema> {
        let schema = match *self {
            SchemaBody::Full(ref schema) => schema.clone(),
            SchemaBody::Dialect { origin, class, exact, layout_hash } => {
                let unknown = InvalidSchema::Dialect { message: origin.message };
                if dialect::message(origin.message).map(|layout| layout.hash()) != Some(layout_hash) {
                    return Err(unknown);
                }
                let mut schema = Schema::of_mavlink(origin).ok_or(unknown)?;
                schema.class = class;
                if exact { schema.exact() } else { schema }
            }
            SchemaBody::LinkState { layout: LINK_STATE_LAYOUT } => Schema::of_link_state(),
            SchemaBody::LinkState { layout } => return Err(InvalidSchema::LinkState { layout }),
        };
        schema.validate()?;
        Ok(schema)
    }
}

/// Which lane a frame travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Sent as soon as it was made.
    Live,
    /// Sent later, from the spool.
    Backlog,
}

/// Records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameMessage {
    /// Live or backlog.
    pub lane: Lane,
    /// The records.
    pub object: Object,
}

/// Records of a frame of one or several batches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The first record's sequence number, counted from [`Hello::base`]; negative for records of an earlier start.
    pub offset: i64,
    /// How many numbers are left out before each batch but the first; empty when none are.
    pub skips: Vec<u64>,
    /// The frame, as [`Decoder::decode`](crate::codec::predictive::Decoder::decode) takes it.
    #[serde(with = "bytes")]
    pub frame: Vec<u8>,
}

/// What every telemetry datagram begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketHeader {
    /// Counts the connection's telemetry datagrams, from 0.
    pub number: u32,
    /// When it was sent: milliseconds of the edge's clock, modulo 65,536.
    #[serde(with = "two_bytes")]
    pub sent_millis: u16,
}

/// A datagram of the live lane: the newest records, and coded symbols of those before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LivePacket {
    /// Number and time.
    pub header: PacketHeader,
    /// Counts the units of the connection's payloads, from 0 and modulo 65,536: the number of this one's first or, when the
    /// packet has none, of the next one's.
    #[serde(with = "two_bytes")]
    pub unit_number: u16,
    /// A [`Payload`], encoded; empty in a packet of symbols only.
    #[serde(with = "bytes")]
    pub payload: Vec<u8>,
    /// Coded symbols of payloads before this one: the rest of the datagram.
    #[serde(skip)]
    pub symbols: Symbols,
}

/// Records of a frame, as they are in a live packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Where the records begin.
    pub start: Start,
    /// The frame, as [`Decoder::decode`](crate::codec::predictive::Decoder::decode) takes it.
    pub frame: Vec<u8>,
}

/// The first record's sequence number, counted from [`Hello::base`]; negative for records of an earlier start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The number after the last record of the payload before: nothing can be done with this one until that one is there.
    Next,
    /// The same number, told in the packet for the case that the one before is lost. Symbols do not cover it, but with a
    /// frame of the simple codec: what is recovered by them follows the one before.
    NextAt(i64),
    /// Another one.
    At(i64),
}

impl Start {
    /// The number, where it is told.
    pub fn offset(self) -> Option<i64> {
        match self {
            Start::Next => None,
            Start::NextAt(offset) | Start::At(offset) => Some(offset),
        }
    }
}

/// A datagram of the backlog lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BacklogPacket {
    /// Number and time.
    pub header: PacketHeader,
    /// What it carries.
    pub part: ObjectPart,
}

/// A part of an encoded [`Object`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPart {
    /// Counts the connection's objects, from 0.
    pub number: u32,
    /// Which part this is.
    pub index: u16,
    /// Of how many, at most [`MAX_FRAGMENTS`].
    pub count: u16,
    /// The part.
    #[serde(with = "bytes")]
    pub bytes: Vec<u8>,
}

impl ObjectPart {
    /// Its bytes in a [`BacklogPacket`], after the header.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// A part from its bytes.
    ///
    /// # Errors
    ///
    /// Bytes that are none, trailing ones included, and one over its limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let (part, rest) = take(bytes)?;
        whole(part, rest)
    }
}

/// The exclusive or of what [`BacklogPacket`]s carried: any one of them comes back from it and all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParityPacket {
    /// Number and time.
    pub header: PacketHeader,
    /// Which ones: bit 0 stands for the packet just before this one, bit 63 for the one 64 before.
    pub covered: u64,
    /// Of each packet the length of the encoded [`ObjectPart`] (two bytes, the lower one first), the part, and zeros up to
    /// the longest.
    #[serde(with = "bytes")]
    pub bytes: Vec<u8>,
}

/// What arrived on a connection of datagrams, and what was committed. A lost one is made good by the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// What the history holds: the floor, and the ranges that grew lately.
    pub committed: Acknowledgement,
    /// The highest [`PacketHeader::number`] that arrived.
    pub largest: u32,
    /// Going down from `largest`: how many numbers arrived, then how many are missing; at most [`MAX_ACK_RANGES`] pairs.
    pub missing: Vec<(u32, u32)>,
    /// When `largest` arrived: milliseconds of the ground's clock, modulo 65,536.
    #[serde(with = "two_bytes")]
    pub arrived_millis: u16,
    /// How long ago that was, milliseconds.
    pub held_millis: u16,
    /// How the link loses packets.
    pub loss: LossReport,
    /// What a live payload that came cannot be decoded without.
    pub lack: Lack,
    /// What the live payloads want that were lost and not recovered.
    pub wanted: Option<Wanted>,
}

/// What the ground lacks to decode what it has: a live payload or an object of the backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lack {
    /// Nothing, or a payload that symbols may still bring.
    Nothing,
    /// The payload before: begin with a key frame.
    KeyFrame,
    /// This schema: the stream on which it was declared may take seconds to repeat it, and a datagram is not repeated.
    Schema(SchemaId),
}

/// Coded symbols that would recover all live payloads that the ground lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// How many, 1 to [`MAX_WINDOW_UNITS`](crate::datagram::coding::MAX_WINDOW_UNITS).
    pub symbols: u16,
    /// How far they have to reach back: units up to the newest that had left with packet [`Feedback::largest`].
    pub window: u16,
}

impl Feedback {
    /// The missing packet numbers, newest first. A lying peer's numbers saturate instead of wrapping.
    pub fn missing_ranges(&self) -> impl Iterator<Item = std::ops::Range<u32>> + '_ {
        let end = self.largest.saturating_add(1);
        self.missing.iter().take(MAX_ACK_RANGES).scan(end, |end, &(arrived, missing)| {
            let above = end.saturating_sub(arrived);
            *end = above.saturating_sub(missing);
            Some(*end..above)
        })
    }
}

/// Records that will never come, so that the ground need not wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first sequence number, counted from [`Hello::base`].
    pub offset: i64,
    /// How many sequence numbers.
    pub count: u64,
    /// Why.
    pub reason: GapReason,
}

/// Why records will never come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// The spool was full or they were too old: lost.
    Evicted,
    /// The spool could not store them (full disk) and the live link did not deliver them: lost.
    NotStored,
    /// The edge does not have them: numbers it never used (a restart leaves some), or delivered to an earlier history.
    Absent,
}

impl GapReason {
    /// Whether the gap's numbers stood for records, which are lost.
    pub fn is_loss(self) -> bool {
        !matches!(self, GapReason::Absent)
    }
}

/// Asks for the ground's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// When it was sent, by the edge's clock.
    pub sent: Timestamp,
    /// The edge's best estimate so far.
    pub estimate: Option<ClockEstimate>,
}

/// Answers [`Probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReply {
    /// [`Probe::sent`], returned.
    pub sent: Timestamp,
    /// When the ground received it and answered, by the ground's clock.
    pub ground: Timestamp,
}

/// How far the edge's clock is from the ground's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockEstimate {
    /// Ground time minus edge time, microseconds.
    pub offset_micros: i64,
    /// The truth is within this many microseconds of the offset: half of the round trip it was measured on.
    pub uncertainty_micros: u32,
}

/// Answers [`Hello`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`PROTOCOL_VERSION`] of the ground.
    pub protocol: u16,
    /// Name and version of the ground, for people.
    pub agent: String,
    /// What the ground holds of this epoch.
    pub committed: Acknowledgement,
}

/// What the ground has committed of the session's epoch (absolute sequence numbers, unlike [`FrameMessage::offset`],
/// because they outlive sessions).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Everything below this is committed or known to be a gap.
    pub floor: u64,
    /// Further ranges above the floor as (records skipped since the previous end or the floor, records committed),
    /// at most [`MAX_ACK_RANGES`].
    pub above: Vec<(u64, u64)>,
}

impl Acknowledgement {
    /// From ranges in ascending order, all above `floor`.
    pub fn new(floor: u64, ranges: impl IntoIterator<Item = SequenceRange>) -> Self {
        let mut end = floor;
        let above = ranges
            .into_iter()
            .take(MAX_ACK_RANGES)
            .map(|range| {
                let pair = (range.start.saturating_sub(end), range.len());
                end = range.end;
                pair
            })
            .collect();
        Acknowledgement { floor, above }
    }

    /// The ranges above the floor. A lying peer's numbers saturate instead of wrapping.
    pub fn ranges(&self) -> impl Iterator<Item = SequenceRange> + '_ {
        self.above.iter().take(MAX_ACK_RANGES).scan(self.floor, |end, &(skip, len)| {
            let start = end.saturating_add(skip);
            *end = start.saturating_add(len);
            Some(SequenceRange::new(start, *end))
        })
    }
}

/// Why the ground does not want a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub reason: RefusalReason,
    /// For people: what was wrong and what to do.
    pub message: String,
}

/// Why the ground does not want a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RefusalReason {
    /// The two ends speak different versions of the protocol.
    ProtocolVersion,
    /// The vehicle is not known here, or its token is not the right one.
    NotAuthorized,
    /// A message was over its size limit.
    TooLarge,
    /// A message made no sense.
    Malformed,
    /// The short form of a schema stands for one that the ground lays out otherwise or does not have: declare schemas in full.
    Dialect,
    /// Another session of the same vehicle took over.
    Superseded,
    /// The ground cannot serve (its history is unavailable, it has too many vehicles): try again later.
    Unavailable,
}

impl ToGround {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = encode(self);
        if let ToGround::Live(packet) = self {
            packet.symbols.encode(&mut bytes);
        }
        bytes
    }

    /// A message from its bytes.
    ///
    /// # Errors
    ///
    /// Bytes that are none, trailing ones included, and one over its limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        match take(bytes)? {
            (ToGround::Live(packet), rest) => {
                let symbols = Symbols::decode(rest).ok_or(MessageError::Symbols(rest.len()))?;
                Ok(ToGround::Live(LivePacket { symbols, ..packet }))
            }
            (message, rest) => whole(message, rest),
        }
    }

    /// The number of the packet that the message is, where it is one that feedbacks tell of.
    pub fn packet_number(&self) -> Option<u32> {
        match self {
            ToGround::Live(packet) => Some(packet.header.number),
            ToGround::Backlog(packet) => Some(packet.header.number),
            ToGround::Parity(packet) => Some(packet.header.number),
            _ => None,
        }
    }

    /// The protocol version in the bytes of a [`ToGround::Hello`] of any version, `None` when it is none.
    pub fn hello_version(bytes: &[u8]) -> Option<u16> {
        let (&0, rest) = bytes.split_first()? else { return None };
        postcard::take_from_bytes::<u16>(rest).ok().map(|(version, _)| version)
    }
}

impl ToVehicle {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// A message from its bytes.
    ///
    /// # Errors
    ///
    /// Bytes that are none, trailing ones included, and one over its limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        decode(bytes)
    }
}

impl Object {
    /// The object's bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// An object from its bytes.
    ///
    /// # Errors
    ///
    /// Bytes that are none, trailing ones included, and one over its limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        decode(bytes)
    }
}

/// What a payload with [`Start::At`] begins with...
const AT: u8 = 0;
/// ... and one with [`Start::NextAt`]. No frame of the predictive codec does.
const NEXT_AT: u8 = 1;

impl Payload {
    /// The payload's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = match self.start {
            Start::Next => Vec::new(),
            Start::NextAt(offset) => encode(&(NEXT_AT, offset)),
            Start::At(offset) => encode(&(AT, offset)),
        };
        bytes.extend_from_slice(&self.frame);
        bytes
    }

    /// What of the payload's bytes symbols cover.
    pub fn encode_covered(&self) -> Vec<u8> {
        match self.start {
            Start::NextAt(_) if self.frame.first().is_some_and(|&first| first > NEXT_AT) => {
                self.frame.clone()
            }
            _ => self.encode(),
        }
    }

    /// A payload from its bytes.
    ///
    /// # Errors
    ///
    /// Bytes that begin with no offset.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let (start, frame) = match bytes.split_first() {
            Some((&AT, rest)) => take(rest).map(|(offset, frame)| (Start::At(offset), frame))?,
            Some((&NEXT_AT, rest)) => take(rest).map(|(offset, frame)| (Start::NextAt(offset), frame))?,
            _ => (Start::Next, bytes),
        };
        Ok(Payload { start, frame: frame.to_vec() })
    }
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Longer than [`MAX_MESSAGE_BYTES`].
    #[error("message of {0} bytes is over the limit of {MAX_MESSAGE_BYTES}")]
    TooLarge(usize),
    /// Not postcard of the expected type.
    #[error("malformed message: {0}")]
    Malformed(postcard::Error),
    /// Bytes behind a live packet's payload that are no symbols.
    #[error("malformed message: {0} bytes behind the payload are no symbols")]
    Symbols(usize),
    /// Bytes left over after the message.
    #[error("malformed message: {0} bytes left over")]
    Trailing(usize),
}

fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_stdvec(message).expect("messages are plain data, which postcard always encodes")
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, MessageError> {
    let (message, rest) = take(bytes)?;
    whole(message, rest)
}

/// A message and what is left over.
fn take<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), MessageError> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(MessageError::TooLarge(bytes.len()));
    }
    postcard::take_from_bytes(bytes).map_err(MessageError::Malformed)
}

fn whole<T>(message: T, rest: &[u8]) -> Result<T, MessageError> {
    if rest.is_empty() { Ok(message) } else { Err(MessageError::Trailing(rest.len())) }
}

/// A number that is rarely small in two bytes, the lower one first: a varint would mostly take three.
mod two_bytes {
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::{Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u16, serializer: S) -> Result<S::Ok, S::Error> {
        number.to_le_bytes().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
        <[u8; 2]>::deserialize(deserializer).map(u16::from_le_bytes)
    }
}

/// Bytes as one length-prefixed block instead of element by element.
mod bytes {
    use serde::de::{Deserializer, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}
