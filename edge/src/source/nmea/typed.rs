//! The sentences that are typed: GGA, RMC, VTG, GSA.

use std::sync::Arc;

use chrono::{NaiveTime, Timelike};
use nmea::ParseResult;
use nmea::sentences::gnss_type::GnssSystemId;
use nmea::sentences::gsa::{GsaMode1, GsaMode2};
use nmea::sentences::rmc::RmcStatusOfFix;
use nmea::sentences::{FixType, GgaData, GsaData, RmcData, VtgData};
use tern_shared::record::Value;
use tern_shared::schema::{Class, Field, FieldKind, Origin, Schema};

const METRES_PER_SECOND_PER_KNOT: f32 = 1852.0 / 3600.0;
/// How many satellites a GSA sentence names.
const GSA_SATELLITES: usize = 12;

/// The schemas of the typed sentences.
#[derive(Debug)]
pub(super) struct TypedSentences {
    gga: Arc<Schema>,
    rmc: Arc<Schema>,
    vtg: Arc<Schema>,
    gsa: Arc<Schema>,
}

impl TypedSentences {
    pub(super) fn new() -> Self {
        TypedSentences {
            gga: schema("nmea/GGA", gga_fields()),
            rmc: schema("nmea/RMC", rmc_fields()),
            vtg: schema("nmea/VTG", vtg_fields()),
            gsa: schema("nmea/GSA", gsa_fields()),
        }
    }

    /// Types a sentence whose checksum is right; `None` when it is another one or makes no sense.
    pub(super) fn parse(&self, sentence: &str) -> Option<(Arc<Schema>, Vec<Value>)> {
        let header = sentence.strip_prefix('$')?.get(..6)?;
        let (talker, name) = header.split_at(2);
        // Asked before the crate is, which fails on what it does not know only after having parsed it.
        if !matches!(name, "GGA," | "RMC," | "VTG," | "GSA,") {
            return None;
        }
        let (schema, values) = match nmea::parse_str(sentence).ok()? {
            ParseResult::GGA(data) => (&self.gga, gga_values(&data)),
            ParseResult::RMC(data) => (&self.rmc, rmc_values(&data)),
            ParseResult::VTG(data) => (&self.vtg, vtg_values(&data)),
            ParseResult::GSA(data) => (&self.gsa, gsa_values(&data)),
            _ => return None,
        };
        let talker = Value::Text(talker.to_owned());
        Some((schema.clone(), [talker].into_iter().chain(values).collect()))
    }
}

fn schema(stream: &str, fields: Vec<Field>) -> Arc<Schema> {
    // `talker` tells receivers of several constellations apart: GP, GL, GA, GN.
    let fields = [Field::new("talker", FieldKind::Text)].into_iter().chain(fields).collect();
    Arc::new(Schema { stream: stream.to_owned(), origin: Origin::Sensor, class: Class::Live, fields })
}

/// Nine decimals are 0.1 mm, below what seven decimals of a minute can tell.
fn position_fields() -> [Field; 2] {
    ["lat", "lon"].map(|name| Field::new(name, FieldKind::F64).with_unit("deg").with_decimals(9).optional())
}

/// At least as many decimals as receivers show: the codec finds out when they show fewer. In m/s, four are less than half of
/// the third of a knot.
fn float(name: &str, unit: &str, decimals: u8) -> Field {
    Field::new(name, FieldKind::F32).with_unit(unit).with_decimals(decimals).optional()
}

fn time_field() -> Field {
    Field::new("time_of_day", FieldKind::U32).with_unit("ms").optional()
}

fn gga_fields() -> Vec<Field> {
    let [lat, lon] = position_fields();
    vec![
        time_field(),
        lat,
        lon,
        Field::new("quality", FieldKind::U8),
        Field::new("satellites", FieldKind::U32).optional(),
        float("hdop", "", 3),
        float("altitude", "m", 4),
        float("geoid_separation", "m", 4),
    ]
}

fn gga_values(data: &GgaData) -> Vec<Value> {
    vec![
        time_value(data.fix_time),
        optional(data.latitude, Value::F64),
        optional(data.longitude, Value::F64),
        Value::Int(data.fix_type.map_or(0, quality)),
        optional(data.fix_satellites, |count| Value::Int(count.into())),
        optional(data.hdop, Value::F32),
        optional(data.altitude, Value::F32),
        optional(data.geoid_separation, Value::F32),
    ]
}

/// The digit that stood in the sentence.
fn quality(fix: FixType) -> i64 {
    match fix {
        FixType::Invalid => 0,
        FixType::Gps => 1,
        FixType::DGps => 2,
        FixType::Pps => 3,
        FixType::Rtk => 4,
        FixType::FloatRtk => 5,
        FixType::Estimated => 6,
        FixType::Manual => 7,
        FixType::Simulation => 8,
    }
}

fn rmc_fields() -> Vec<Field> {
    let [lat, lon] = position_fields();
    vec![
        time_field(),
        // Days since 1970-01-01.
        Field::new("date", FieldKind::I32).with_unit("d").optional(),
        Field::new("valid", FieldKind::Bool),
        lat,
        lon,
        float("speed", "m/s", 4),
        float("course", "deg", 3),
        float("magnetic_variation", "deg", 3),
    ]
}

fn rmc_values(data: &RmcData) -> Vec<Value> {
    vec![
        time_value(data.fix_time),
        optional(data.fix_date, |date| Value::Int(date.to_epoch_days().into())),
        Value::Bool(data.status_of_fix != RmcStatusOfFix::Invalid),
        optional(data.lat, Value::F64),
        optional(data.lon, Value::F64),
        optional(data.speed_over_ground, speed_value),
        optional(data.true_course, Value::F32),
        optional(data.magnetic_variation, Value::F32),
    ]
}

fn vtg_fields() -> Vec<Field> {
    vec![float("course", "deg", 3), float("speed", "m/s", 4)]
}

fn vtg_values(data: &VtgData) -> Vec<Value> {
    vec![optional(data.true_course, Value::F32), optional(data.speed_over_ground, speed_value)]
}

fn gsa_fields() -> Vec<Field> {
    let satellite = |i| Field::new(format!("satellites[{i}]"), FieldKind::U32).optional();
    [Field::new("automatic", FieldKind::Bool), Field::new("fix", FieldKind::U8)]
        .into_iter()
        .chain((0..GSA_SATELLITES).map(satellite))
        .chain(["pdop", "hdop", "vdop"].map(|name| float(name, "", 3)))
        .chain([Field::new("system", FieldKind::U8).optional()])
        .collect()
}

fn gsa_values(data: &GsaData) -> Vec<Value> {
    let fix = match data.mode2 {
        GsaMode2::NoFix => 1,
        GsaMode2::Fix2D => 2,
        GsaMode2::Fix3D => 3,
    };
    let satellite = |i| optional(data.fix_sats_prn.get(i), |prn: &u32| Value::Int((*prn).into()));
    [Value::Bool(data.mode1 == GsaMode1::Automatic), Value::Int(fix)]
        .into_iter()
        .chain((0..GSA_SATELLITES).map(satellite))
        .chain([data.pdop, data.hdop, data.vdop].map(|dop| optional(dop, Value::F32)))
        .chain([optional(data.system_id, |system| Value::Int(constellation(system)))])
        .collect()
}

/// The digit that stood in the sentence.
fn constellation(system: GnssSystemId) -> i64 {
    match system {
        GnssSystemId::Gps => 1,
        GnssSystemId::Glonass => 2,
        GnssSystemId::Galileo => 3,
        GnssSystemId::Beidou => 4,
    }
}

fn optional<T>(value: Option<T>, wrap: impl Fn(T) -> Value) -> Value {
    value.map_or(Value::Null, wrap)
}

fn speed_value(knots: f32) -> Value {
    Value::F32(knots * METRES_PER_SECOND_PER_KNOT)
}

fn time_value(time: Option<NaiveTime>) -> Value {
    let millis = |time: NaiveTime| {
        i64::from(time.num_seconds_from_midnight()) * 1000 + i64::from(time.nanosecond() / 1_000_000)
    };
    optional(time, |time| Value::Int(millis(time)))
}
