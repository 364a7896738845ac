//! What the simulated quadcopter's sensors and autopilot say.

use std::collections::BTreeMap;
use std::sync::Arc;

use tern_shared::mavlink::dialect;
use tern_shared::record::Value;
use tern_shared::schema::{Class, Field, FieldKind, MavlinkOrigin, Origin, Schema};
use tern_shared::time::Timestamp;

use super::flight::{Event, Flight, GRAVITY, Phase};
use super::noise::Noise;
use crate::source::Sample;
use crate::source::mavlink::{Samples, compose};

const SYSTEM: u8 = 1;
const COMPONENT: u8 = 1;
/// Place of take-off: latitude and longitude in degrees, height above sea level in metres.
const HOME: [f64; 3] = [47.397_742, 8.545_594, 488.0];
const METRES_PER_DEGREE: f64 = 111_319.5;
/// The Earth's field there, milligauss: north and down.
const FIELD: [f64; 2] = [215.0, 428.0];

/// Makes samples of a flight.
#[derive(Debug)]
pub(super) struct Sensors {
    mavlink: Samples,
    plain: BTreeMap<&'static str, Arc<Schema>>,
    /// Errors of the GPS receiver that wander: east, north, up, metres.
    gps_error: [f64; 3],
}

/// How a message of the autopilot is filled.
type Named<'a> = Vec<(&'a str, Value)>;

impl Sensors {
    pub(super) fn new() -> Self {
        let plain = [
            plain("thermometer", &[("temperature", "degC", 2)]),
            plain("humidity", &[("percent", "%", 1)]),
            plain("compass", &[("heading", "deg", 1)]),
            plain("accelerometer", &[("x", "m/s/s", 3), ("y", "m/s/s", 3), ("z", "m/s/s", 3)]),
        ];
        Sensors { mavlink: Samples::new(), plain: plain.into_iter().collect(), gps_error: [0.0; 3] }
    }

    /// What is sent at the full rate.
    pub(super) fn fast(
        &mut self,
        flight: &Flight,
        noise: &mut Noise,
        time: Timestamp,
        samples: &mut Vec<Sample>,
    ) {
        let boot = ("time_boot_ms", Value::Int((flight.seconds * 1e3) as i64));
        let angle = |i: usize, noise: &mut Noise| float(flight.attitude[i] + noise.normal(0.002));
        let rate = |i: usize, noise: &mut Noise| float(flight.rates[i] + noise.normal(0.003));
        let attitude = vec![
            boot.clone(),
            ("roll", angle(0, noise)),
            ("pitch", angle(1, noise)),
            ("yaw", angle(2, noise)),
            ("rollspeed", rate(0, noise)),
            ("pitchspeed", rate(1, noise)),
            ("yawspeed", rate(2, noise)),
        ];
        self.message("ATTITUDE", attitude, time, samples);

        let [lat, lon] = degrees(flight.position);
        let [east, north, up] = flight.velocity;
        let position = vec![
            boot,
            ("lat", scaled(lat, 1e7)),
            ("lon", scaled(lon, 1e7)),
            ("alt", scaled(HOME[2] + flight.position[2], 1e3)),
            ("relative_alt", scaled(flight.position[2], 1e3)),
            ("vx", scaled(north, 1e2)),
            ("vy", scaled(east, 1e2)),
            ("vz", scaled(-up, 1e2)),
            ("hdg", scaled(heading(flight), 1e2)),
        ];
        self.message("GLOBAL_POSITION_INT", position, time, samples);

        let ground_speed = east.hypot(north);
        let hud = vec![
            ("airspeed", float(ground_speed)),
            ("groundspeed", float(ground_speed)),
            ("alt", float(HOME[2] + flight.position[2])),
            ("climb", float(up)),
            ("heading", scaled(heading(flight), 1.0)),
            ("throttle", scaled(flight.throttle, 1e2)),
        ];
        self.message("VFR_HUD", hud, time, samples);

        let accelerations = specific_force(flight, noise);
        let [roll, pitch, _] = flight.attitude;
        let (sin, cos) = flight.attitude[2].sin_cos();
        let magnetic =
            [FIELD[0] * cos - FIELD[1] * pitch.sin(), -FIELD[0] * sin + FIELD[1] * roll.sin(), FIELD[1]];
        let mut imu = vec![("time_usec", Value::UInt((flight.seconds * 1e6) as u64))];
        for (axis, (acceleration, (turn, field))) in
            ["x", "y", "z"].iter().zip(accelerations.into_iter().zip(flight.rates.into_iter().zip(magnetic)))
        {
            let [acc, gyro, mag] = match *axis {
                "x" => ["xacc", "xgyro", "xmag"],
                "y" => ["yacc", "ygyro", "ymag"],
                _ => ["zacc", "zgyro", "zmag"],
            };
            imu.push((acc, scaled(acceleration / GRAVITY, 1e3)));
            imu.push((gyro, scaled(turn + noise.normal(0.003), 1e3)));
            imu.push((mag, scaled(field + noise.normal(2.0), 1.0)));
        }
        self.message("RAW_IMU", imu, time, samples);
        self.plain("accelerometer", accelerations, time, samples);
    }

    /// What is sent twice a second.
    pub(super) fn medium(
        &mut self,
        flight: &Flight,
        noise: &mut Noise,
        time: Timestamp,
        samples: &mut Vec<Sample>,
    ) {
        for error in &mut self.gps_error {
            *error = *error * 0.98 + noise.normal(0.08);
        }
        let position = std::array::from_fn(|i| flight.position[i] + self.gps_error[i]);
        let [lat, lon] = degrees(position);
        let [east, north, _] = flight.velocity;
        let gps = vec![
            ("time_usec", Value::UInt(time.0.max(0) as u64)),
            ("lat", scaled(lat, 1e7)),
            ("lon", scaled(lon, 1e7)),
            ("alt", scaled(HOME[2] + position[2], 1e3)),
            ("eph", scaled(0.8 + noise.normal(0.02), 1e2)),
            ("epv", scaled(1.3 + noise.normal(0.02), 1e2)),
            ("vel", scaled(east.hypot(north), 1e2)),
            ("cog", scaled(east.atan2(north).to_degrees().rem_euclid(360.0), 1e2)),
            ("fix_type", Value::Int(3)),
            ("satellites_visible", scaled(14.0 + noise.normal(0.4), 1.0)),
        ];
        self.message("GPS_RAW_INT", gps, time, samples);

        let pressure = vec![
            ("time_boot_ms", Value::Int((flight.seconds * 1e3) as i64)),
            ("press_abs", float(pressure_hpa(HOME[2] + flight.position[2]) + noise.normal(0.03))),
            ("temperature", scaled(temperature(flight) + 11.0, 1e2)),
        ];
        self.message("SCALED_PRESSURE", pressure, time, samples);
        let compass = (heading(flight) + noise.normal(0.6)).rem_euclid(360.0);
        self.plain("compass", [compass], time, samples);
    }

    /// What is sent once a second.
    pub(super) fn slow(
        &mut self,
        flight: &Flight,
        noise: &mut Noise,
        time: Timestamp,
        samples: &mut Vec<Sample>,
    ) {
        // ArduCopter's modes: stabilize, auto, return to launch, land.
        let mode = match flight.phase {
            Phase::Ready | Phase::Landed => 0,
            Phase::TakeOff | Phase::Mission(_) | Phase::Hold => 3,
            Phase::Return => 6,
            Phase::Landing => 9,
        };
        let heartbeat = vec![
            ("custom_mode", Value::Int(mode)),
            ("type", Value::Int(2)),      // MAV_TYPE_QUADROTOR
            ("autopilot", Value::Int(3)), // MAV_AUTOPILOT_ARDUPILOTMEGA
            ("base_mode", Value::Int(if flight.armed() { 209 } else { 81 })),
            ("system_status", Value::Int(if flight.armed() { 4 } else { 3 })),
            ("mavlink_version", Value::Int(3)),
        ];
        self.message("HEARTBEAT", heartbeat, time, samples);

        let battery = &flight.battery;
        let volts = battery.volts() + noise.normal(0.01);
        let current = ("current_battery", scaled(battery.amperes + noise.normal(0.1), 1e2));
        let remaining = ("battery_remaining", scaled(battery.remaining(), 1e2));
        const HEALTHY: i64 = 0x0120_fc2f;
        let status = vec![
            ("onboard_control_sensors_present", Value::Int(HEALTHY)),
            ("onboard_control_sensors_enabled", Value::Int(HEALTHY)),
            ("onboard_control_sensors_health", Value::Int(HEALTHY)),
            ("load", scaled(31.0 + noise.normal(1.5), 10.0)),
            ("voltage_battery", scaled(volts, 1e3)),
            current.clone(),
            remaining.clone(),
        ];
        self.message("SYS_STATUS", status, time, samples);

        const CELLS: [&str; 10] = [
            "voltages[0]",
            "voltages[1]",
            "voltages[2]",
            "voltages[3]",
            "voltages[4]",
            "voltages[5]",
            "voltages[6]",
            "voltages[7]",
            "voltages[8]",
            "voltages[9]",
        ];
        let mut power = vec![
            ("current_consumed", scaled(battery.used_ah(), 1e3)),
            ("energy_consumed", Value::Int(-1)),
            ("temperature", scaled(24.0 + battery.amperes * 0.4, 1e2)),
            ("type", Value::Int(1)), // MAV_BATTERY_TYPE_LIPO
            current,
            remaining,
        ];
        for (i, cell) in CELLS.into_iter().enumerate() {
            power.push((
                cell,
                if i < 4 { scaled(volts / 4.0 + noise.normal(0.003), 1e3) } else { Value::Int(65535) },
            ));
        }
        self.message("BATTERY_STATUS", power, time, samples);

        self.plain("thermometer", [temperature(flight) + noise.normal(0.05)], time, samples);
        let humidity =
            52.0 + 6.0 * (flight.seconds / 400.0).sin() - flight.position[2] * 0.05 + noise.normal(0.15);
        self.plain("humidity", [humidity], time, samples);
    }

    /// What the autopilot says about an event.
    pub(super) fn event(&mut self, event: Event, time: Timestamp, samples: &mut Vec<Sample>) {
        const WARNING: i64 = 4;
        const INFO: i64 = 6;
        let (severity, text) = match event {
            Event::Armed => (INFO, "Arming motors".to_owned()),
            Event::TakenOff => (INFO, "Takeoff complete".to_owned()),
            Event::Reached(waypoint) => (INFO, format!("Reached waypoint #{waypoint}")),
            Event::LowBattery => (WARNING, "Battery 1 is low".to_owned()),
            Event::Return => (INFO, "Returning to launch".to_owned()),
            Event::Landing => (INFO, "Landing".to_owned()),
            Event::Landed => (INFO, "Landed, disarming motors".to_owned()),
            Event::BatterySwapped => (INFO, "Battery swapped, ready to fly".to_owned()),
        };
        let text = vec![("severity", Value::Int(severity)), ("text", Value::Text(text))];
        self.message("STATUSTEXT", text, time, samples);
    }

    fn message(&mut self, name: &str, named: Named<'_>, time: Timestamp, samples: &mut Vec<Sample>) {
        let Some(layout) = dialect::message_named(name) else { return };
        let origin = MavlinkOrigin { system: SYSTEM, component: COMPONENT, message: layout.id };
        if let Some(schema) = self.mavlink.schema(origin) {
            samples.push(Sample { time, schema, values: compose(layout, named) });
        }
    }

    fn plain<const N: usize>(
        &self,
        stream: &str,
        values: [f64; N],
        time: Timestamp,
        samples: &mut Vec<Sample>,
    ) {
        if let Some(schema) = self.plain.get(stream) {
            samples.push(Sample { time, schema: schema.clone(), values: values.map(float).to_vec() });
        }
    }
}

fn plain(stream: &'static str, fields: &[(&str, &str, u8)]) -> (&'static str, Arc<Schema>) {
    let field = |&(name, unit, decimals): &(&str, &str, u8)| {
        Field::new(name, FieldKind::F32).with_unit(unit).with_decimals(decimals)
    };
    let fields = fields.iter().map(field).collect();
    (
        stream,
        Arc::new(Schema { stream: stream.to_owned(), origin: Origin::Sensor, class: Class::Live, fields }),
    )
}

fn float(value: f64) -> Value {
    Value::F32(value as f32)
}

/// A whole number of `1 / scale`.
fn scaled(value: f64, scale: f64) -> Value {
    Value::Int((value * scale).round() as i64)
}

fn degrees([east, north, _]: [f64; 3]) -> [f64; 2] {
    let lat = HOME[0] + north / METRES_PER_DEGREE;
    [lat, HOME[1] + east / (METRES_PER_DEGREE * HOME[0].to_radians().cos())]
}

/// From 0 to 360.
fn heading(flight: &Flight) -> f64 {
    flight.attitude[2].to_degrees().rem_euclid(360.0)
}

/// What an accelerometer on the frame feels: forward, right, down, metres a second squared.
fn specific_force(flight: &Flight, noise: &mut Noise) -> [f64; 3] {
    let [roll, pitch, yaw] = flight.attitude;
    let (sin, cos) = yaw.sin_cos();
    let [east, north, up] = flight.acceleration;
    let forward = east * sin + north * cos + GRAVITY * pitch.sin();
    let right = east * cos - north * sin - GRAVITY * roll.sin();
    let down = -up - GRAVITY * roll.cos() * pitch.cos();
    let vibration = 0.02 + 0.35 * flight.throttle;
    [forward, right, down].map(|force| force + noise.normal(vibration))
}

/// Standard atmosphere, at this height above sea level in metres.
fn pressure_hpa(height: f64) -> f64 {
    1013.25 * (1.0 - 2.255_77e-5 * height).powf(5.2559)
}

/// Of the air, degrees Celsius: a slow day, and 6.5 degrees less a kilometre up.
fn temperature(flight: &Flight) -> f64 {
    17.0 + 2.0 * (flight.seconds / 900.0).sin() - 0.0065 * flight.position[2]
}
