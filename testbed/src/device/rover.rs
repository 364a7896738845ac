//! A small car on the shore of Lake Zurich, steered by set-points.

use std::f64::consts::TAU;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::Device;

const PERIOD: Duration = Duration::from_millis(50);
/// Telemetry every so many periods.
const PERIODS_A_SAMPLE: u32 = 5;
const TOP_SPEED_M_S: f64 = 4.0;
/// How quickly it takes up speed: the share of the difference each second.
const RESPONSE: f64 = 2.0;
/// At full deflection and top speed.
const TURN_RAD_S: f64 = 1.2;
const METRES_A_DEGREE: f64 = 111_320.0;

/// Stands still at first.
#[derive(Debug)]
pub struct Rover {
    latitude: f64,
    longitude: f64,
    /// From north to east.
    heading_rad: f64,
    speed_m_s: f64,
    steering: f64,
    throttle: f64,
    /// The set-point is over then: a rover has a dead-man's switch of its own.
    until: Option<Instant>,
    periods: u32,
}

impl Default for Rover {
    fn default() -> Self {
        Rover {
            latitude: 47.353,
            longitude: 8.5365,
            heading_rad: 0.0,
            speed_m_s: 0.0,
            steering: 0.0,
            throttle: 0.0,
            until: None,
            periods: 0,
        }
    }
}

impl Rover {
    fn stop(&mut self) {
        (self.steering, self.throttle, self.until) = (0.0, 0.0, None);
    }

    fn drive(&mut self) {
        let seconds = PERIOD.as_secs_f64();
        self.speed_m_s += (self.throttle * TOP_SPEED_M_S - self.speed_m_s) * RESPONSE * seconds;
        let turn = self.steering * TURN_RAD_S * self.speed_m_s / TOP_SPEED_M_S;
        self.heading_rad = (self.heading_rad + turn * seconds).rem_euclid(TAU);
        let step = self.speed_m_s * seconds / METRES_A_DEGREE;
        self.latitude += step * self.heading_rad.cos();
        self.longitude += step * self.heading_rad.sin() / self.latitude.to_radians().cos();
    }
}

impl Device for Rover {
    fn period(&self) -> Duration {
        PERIOD
    }

    fn handle(&mut self, now: Instant, line: &Json) -> Vec<Json> {
        if line["control"] == "drive" {
            let axis = |name: &str| line[name].as_f64().unwrap_or(0.0).clamp(-1.0, 1.0);
            match line["life_ms"].as_u64() {
                Some(life_ms @ 1..) => {
                    (self.steering, self.throttle) = (axis("steering"), axis("throttle"));
                    self.until = now.checked_add(Duration::from_millis(life_ms));
                }
                _ => self.stop(),
            }
        }
        Vec::new()
    }

    fn tick(&mut self, now: Instant) -> Vec<Json> {
        if self.until.is_some_and(|until| until <= now) {
            self.stop();
        }
        self.drive();
        self.periods += 1;
        if self.periods % PERIODS_A_SAMPLE != 1 {
            return Vec::new();
        }
        let round = |value: f64, decimals: i32| (value * 10f64.powi(decimals)).round() / 10f64.powi(decimals);
        vec![json!({
            "stream": "rover",
            "lat": round(self.latitude, 7),
            "lon": round(self.longitude, 7),
            "heading_deg": round(self.heading_rad.to_degrees(), 1),
            "speed_m_s": round(self.speed_m_s, 2),
            "steering": self.steering,
            "throttle": self.throttle,
        })]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rover_drives_where_it_is_steered_and_stops_when_nobody_does() {
        let (mut rover, start) = (Rover::default(), Instant::now());
        let (latitude, longitude) = (rover.latitude, rover.longitude);
        let mut now = start;
        for _ in 0..40 {
            rover.handle(
                now,
                &json!({ "control": "drive", "steering": 0.5, "throttle": 1.0, "life_ms": 500 }),
            );
            now += PERIOD;
            rover.tick(now);
        }
        assert!(rover.speed_m_s > 3.0 && rover.latitude > latitude && rover.longitude > longitude);
        for _ in 0..100 {
            now += PERIOD;
            rover.tick(now);
        }
        assert!(rover.speed_m_s < 0.01, "{}", rover.speed_m_s);
        assert_eq!(rover.throttle, 0.0);
    }
}
