use std::collections::BTreeMap;
use std::sync::Arc;

use tern_shared::record::Value;

use super::flight::{Event, Phase};
use super::*;
use crate::source::{Counters, SourceUrl};

const RATE_HZ: u16 = 10;

/// All samples of this many seconds, taken at second 0, 0.1, ...
fn fly(seed: u64, seconds: i64) -> Vec<Sample> {
    let mut quadcopter = Quadcopter::new(RATE_HZ, seed);
    let mut samples = Vec::new();
    for tick in 0..seconds * i64::from(RATE_HZ) {
        quadcopter.tick(Timestamp(tick * 100_000), &mut samples);
    }
    samples
}

fn number(sample: &Sample, field: &str) -> f64 {
    let at = sample.schema.fields.iter().position(|f| f.name == field).unwrap();
    match sample.values[at] {
        Value::Int(number) => number as f64,
        Value::F32(number) => number.into(),
        ref other => panic!("{field} is {other:?}"),
    }
}

fn of<'a>(samples: &'a [Sample], stream: &str) -> Vec<&'a Sample> {
    samples
        .iter()
        .filter(|sample| sample.schema.stream.trim_start_matches("mavlink/1/1/") == stream)
        .collect()
}

#[test]
fn the_same_seed_flies_the_same_flight() {
    assert_eq!(fly(7, 60), fly(7, 60));
    assert_ne!(fly(7, 60), fly(8, 60));
}

#[test]
fn the_mission_repeats_with_a_full_battery() {
    let mut flight = Flight::new();
    let mut noise = Noise::new(1);
    let mut events = Vec::new();
    let mut lowest = 1.0_f64;
    for _ in 0..50 * 900 {
        events.extend(flight.step(0.02, &mut noise));
        lowest = lowest.min(flight.battery.remaining());
        if events.last() == Some(&Event::BatterySwapped) {
            break;
        }
    }
    let expected = [
        Event::Armed,
        Event::TakenOff,
        Event::Reached(1),
        Event::Reached(2),
        Event::Reached(3),
        Event::Reached(4),
        Event::Reached(5),
        Event::Reached(6),
        Event::Return,
        Event::Landing,
        Event::Landed,
        Event::BatterySwapped,
    ];
    assert_eq!(events, expected);
    assert_eq!((flight.phase, flight.battery.remaining()), (Phase::Ready, 1.0));
    assert!((0.1..0.6).contains(&lowest), "{lowest}");
}

#[test]
fn a_low_battery_breaks_the_mission_off() {
    let mut flight = Flight::new();
    let mut noise = Noise::new(1);
    let mut events = Vec::new();
    for _ in 0..50 * 300 {
        events.extend(flight.step(0.02, &mut noise));
        if events.last() == Some(&Event::Reached(1)) {
            while flight.battery.remaining() > 0.25 {
                flight.battery.drain(1.0, 1.0);
            }
        }
        if events.last() == Some(&Event::Landed) {
            break;
        }
    }
    assert_eq!(events[3..], [Event::LowBattery, Event::Return, Event::Landing, Event::Landed]);
    assert!(flight.position[0].hypot(flight.position[1]) < 5.0);
}

#[test]
fn every_stream_flows_at_its_rate() {
    let samples = fly(1, 10);
    let mut counts = BTreeMap::new();
    for sample in &samples {
        sample.schema.validate().unwrap();
        assert_eq!(sample.values.len(), sample.schema.fields.len());
        *counts.entry(sample.schema.stream.trim_start_matches("mavlink/1/1/")).or_insert(0) += 1;
    }
    for stream in ["ATTITUDE", "GLOBAL_POSITION_INT", "VFR_HUD", "RAW_IMU", "accelerometer"] {
        assert_eq!(counts[stream], 100, "{stream}");
    }
    for stream in ["GPS_RAW_INT", "SCALED_PRESSURE", "compass"] {
        assert_eq!(counts[stream], 20, "{stream}");
    }
    for stream in ["HEARTBEAT", "SYS_STATUS", "BATTERY_STATUS", "thermometer", "humidity"] {
        assert_eq!(counts[stream], 10, "{stream}");
    }
    assert_eq!(counts["STATUSTEXT"], 1);
}

#[test]
fn it_flies_as_a_quadcopter_does() {
    let samples = fly(3, 200);
    let positions = of(&samples, "GLOBAL_POSITION_INT");
    let height = positions.iter().map(|s| number(s, "relative_alt") / 1e3).fold(0.0, f64::max);
    assert!((45.0..60.0).contains(&height), "{height}");
    for pair in positions.windows(2) {
        // Position is the sum of velocity: north in degrees e-7 is 11.1 mm.
        let north = (number(pair[1], "lat") - number(pair[0], "lat")) * 0.011_132;
        assert!((north - number(pair[1], "vx") / 1e3).abs() < 0.15, "{north}");
        assert!(number(pair[1], "vx").abs() < 1300.0);
    }
    for sample in of(&samples, "ATTITUDE") {
        assert!(number(sample, "roll").abs() < 0.7 && number(sample, "pitch").abs() < 0.7);
    }
    let volts: Vec<f64> =
        of(&samples, "SYS_STATUS").iter().map(|s| number(s, "voltage_battery") / 1e3).collect();
    assert!(volts[0] > 16.5 && volts[100] < volts[10] && volts.iter().all(|v| (13.0..17.0).contains(v)));
    let felt: f64 = of(&samples, "accelerometer").iter().map(|s| number(s, "z")).sum::<f64>() / 2000.0;
    assert!((felt + 9.8).abs() < 0.3, "{felt}");
}

#[tokio::test(start_paused = true)]
async fn it_runs_until_nobody_listens() {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    let url: SourceUrl = "simulated:?rate=20".parse().unwrap();
    let counters = Arc::new(Counters::default());
    let running = tokio::spawn({
        let counters = counters.clone();
        async move { crate::source::run(&url, sender, counters, crate::source::Port::new()).await }
    });
    for _ in 0..500 {
        receiver.recv().await.unwrap();
    }
    drop(receiver);
    running.await.unwrap().unwrap();
    assert!(counters.snapshot().records >= 500);
}
