//! What a field measures, told from its name and unit, so that the codec can predict one field from another: an angle
//! from its rate, a position from a velocity, a heading in one message from that in another.
//!
//! A wrong guess costs nothing but time: the codec uses a prediction only where it has been good.

use crate::schema::{Field, FieldKind};

/// What fields of different streams can measure alike, each with the unit in which they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Quantity {
    /// A clock inside a message, microseconds since boot or since 1970.
    Clock,
    /// Roll, microradians.
    Roll,
    /// Pitch, microradians.
    Pitch,
    /// Heading, microradians clockwise from north.
    Heading,
    /// Rate of roll, microradians per second.
    RollRate,
    /// Rate of pitch, microradians per second.
    PitchRate,
    /// Rate of heading, microradians per second.
    YawRate,
    /// Latitude, 1e-7 degrees.
    Latitude,
    /// Longitude, 1e-7 degrees.
    Longitude,
    /// Altitude over any datum, millimetres.
    Altitude,
    /// Position north of an origin, millimetres.
    North,
    /// Position east of an origin, millimetres.
    East,
    /// Position below an origin, millimetres.
    Down,
    /// Velocity north, millimetres per second.
    NorthVelocity,
    /// Velocity east, millimetres per second.
    EastVelocity,
    /// Velocity downwards, millimetres per second.
    DownVelocity,
    /// Speed over ground, millimetres per second.
    GroundSpeed,
    /// Voltage of the battery, millivolts.
    Voltage,
    /// Current drawn, milliamperes.
    Current,
}

/// How many quantities there are.
pub const QUANTITIES: usize = Quantity::Current as usize + 1;

/// What a field measures: its numbers (grid steps for floats on a grid) times `numerator / denominator` are the
/// quantity in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// What.
    pub quantity: Quantity,
    /// See [`Role`]; negative where the field counts the other way.
    pub numerator: i64,
    /// See [`Role`]; at least 1.
    pub denominator: i64,
}

impl Quantity {
    /// The quantity that is this one's rate of change.
    pub fn rate(self) -> Option<Quantity> {
        Some(match self {
            Quantity::Roll => Quantity::RollRate,
            Quantity::Pitch => Quantity::PitchRate,
            Quantity::Heading => Quantity::YawRate,
            Quantity::Latitude | Quantity::North => Quantity::NorthVelocity,
            Quantity::Longitude | Quantity::East => Quantity::EastVelocity,
            Quantity::Altitude | Quantity::Down => Quantity::DownVelocity,
            _ => return None,
        })
    }
}

/// What a field measures, `None` where nothing else is known to go with it.
pub fn role(field: &Field) -> Option<Role> {
    let name = field.name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    // RAW_IMU names no units; autopilots send milliradians per second.
    let named = if field.unit.is_empty() && name.ends_with("gyro") { "mrad/s" } else { &field.unit };
    let (numerator, denominator) = unit(named, field.kind)?;
    let quantity = quantity(&name, named)?;
    let numerator = if matches!(name.as_str(), "climb" | "climb_rate") { -numerator } else { numerator };
    let denominator = denominator * 10i64.pow(u32::from(field.decimals.unwrap_or(0)));
    Some(Role { quantity, numerator, denominator })
}

/// A full turn of a direction in this field's numbers, and the lowest direction; `None` for what is no direction.
pub fn turn(field: &Field) -> Option<(i64, i64)> {
    let name = field.name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let direction =
        ["yaw", "hdg", "heading", "cog", "course", "nav_bearing", "target_bearing", "wind_direction"];
    if !direction.contains(&name.as_str()) {
        return None;
    }
    let scale = 10i64.pow(u32::from(field.decimals.unwrap_or(0)));
    let float = matches!(field.kind, FieldKind::F32 | FieldKind::F64);
    match field.unit.as_str() {
        _ if float && field.decimals.is_none() => None,
        "rad" => {
            let turn = (6_283_185_307 * scale + 500_000_000) / 1_000_000_000;
            Some((-turn / 2, turn))
        }
        "deg" => Some((0, 360 * scale)),
        "cdeg" => Some((0, 36_000 * scale)),
        _ => None,
    }
}

fn quantity(name: &str, unit: &str) -> Option<Quantity> {
    let angular_rate = matches!(unit, "rad/s" | "mrad/s" | "deg/s" | "cdeg/s");
    Some(match name {
        "time_boot_ms" | "time_usec" | "time_unix_usec" | "timestamp" | "time_us" | "time_ms" => {
            Quantity::Clock
        }
        "roll" => Quantity::Roll,
        "pitch" => Quantity::Pitch,
        "yaw" | "hdg" | "heading" => Quantity::Heading,
        "rollspeed" | "roll_rate" | "xgyro" if angular_rate => Quantity::RollRate,
        "pitchspeed" | "pitch_rate" | "ygyro" if angular_rate => Quantity::PitchRate,
        "yawspeed" | "yaw_rate" | "zgyro" if angular_rate => Quantity::YawRate,
        "lat" | "latitude" => Quantity::Latitude,
        "lon" | "lng" | "longitude" => Quantity::Longitude,
        "alt" | "altitude" | "relative_alt" | "alt_ellipsoid" | "altitude_amsl" | "altitude_relative"
        | "altitude_local" | "altitude_monotonic" => Quantity::Altitude,
        "x" => Quantity::North,
        "y" => Quantity::East,
        "z" => Quantity::Down,
        "vx" | "vn" => Quantity::NorthVelocity,
        "vy" | "ve" => Quantity::EastVelocity,
        "vz" | "vd" | "climb" | "climb_rate" => Quantity::DownVelocity,
        "groundspeed" | "vel" | "airspeed" | "speed" => Quantity::GroundSpeed,
        "voltage_battery" | "vcc" | "voltages[0]" | "voltage" => Quantity::Voltage,
        "current_battery" | "current" => Quantity::Current,
        _ => return None,
    })
}

/// The unit in terms of the quantities' units.
fn unit(unit: &str, kind: FieldKind) -> Option<(i64, i64)> {
    Some(match unit {
        "us" => (1, 1),
        "ms" => (1000, 1),
        "rad" | "rad/s" => (1_000_000, 1),
        "mrad" | "mrad/s" => (1000, 1),
        "deg" if matches!(kind, FieldKind::F64) => (10_000_000, 1),
        "deg" | "deg/s" => (1_745_329_252, 100_000),
        "cdeg" | "cdeg/s" => (1_745_329_252, 10_000_000),
        "degE7" => (1, 1),
        "m" | "m/s" | "V" | "A" => (1000, 1),
        "cm" | "cm/s" | "cA" => (10, 1),
        "mm" | "mm/s" | "mV" | "mA" => (1, 1),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_follow_names_and_units() {
        let climb = Field::new("climb", FieldKind::F32).with_unit("m/s").with_decimals(2);
        let expected = Role { quantity: Quantity::DownVelocity, numerator: -1000, denominator: 100 };
        assert_eq!(role(&climb), Some(expected));
        let gyro = Field::new("zgyro", FieldKind::I16);
        assert_eq!(role(&gyro).map(|role| role.quantity), Some(Quantity::YawRate));
        assert_eq!(role(&Field::new("x", FieldKind::F32)), None);
        assert_eq!(role(&Field::new("humidity", FieldKind::F32).with_unit("%")), None);
    }

    #[test]
    fn directions_have_a_turn() {
        let yaw = Field::new("yaw", FieldKind::F32).with_unit("rad");
        assert_eq!(turn(&yaw), None);
        assert_eq!(turn(&yaw.with_decimals(4)), Some((-31_416, 62_832)));
        assert_eq!(turn(&Field::new("hdg", FieldKind::U16).with_unit("cdeg")), Some((0, 36_000)));
    }
}
