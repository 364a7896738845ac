//! Commands through real binaries: an autopilot made with pymavlink, a lamp, a rover; and what is refused on the way.

#![allow(clippy::unwrap_used, dead_code)] // Helpers of tests fail as tests do, and not each test uses all.

#[path = "../common/mod.rs"]
mod common;
#[path = "../faults/site.rs"]
mod site;

mod operator;

use std::ffi::OsString;

use serde_json::{Value, json};
use tern_testbed::process::sibling;

use operator::Operator;
use site::{Site, Watched};

/// A vehicle with this part of a configuration about commands.
async fn start_edge(site: &Site, source: &str, commands: &str) -> Watched {
    let config = site.path("edge.toml");
    std::fs::write(&config, commands).unwrap();
    let mut arguments = site.edge_arguments_for(source, &site.spool(), &[]);
    arguments.extend([OsString::from("--config"), config.into_os_string()]);
    let mut edge = Watched::spawn("tern-edge", &common::binary("tern-edge"), arguments);
    edge.line("session open").await;
    edge
}

/// A device that listens, and its address as a source.
async fn start_device(kind: &'static str) -> (Watched, String) {
    let address = common::free_address();
    let program = sibling("tern-testbed").unwrap();
    let arguments = ["device", kind, "--listen", &address.to_string()].map(OsString::from);
    let mut device = Watched::spawn(kind, &program, arguments.to_vec());
    device.line("device listening").await;
    (device, format!("jsonl+tcpout:{address}"))
}

fn last_reason(status: &Value) -> &Value {
    &status["steps"].as_array().unwrap().last().unwrap()["reason"]
}

#[tokio::test]
async fn an_autopilot_speaks_for_itself() {
    let Some(python) = std::env::var_os("TERN_PYTHON") else {
        eprintln!(
            "SKIPPED an autopilot made with pymavlink: TERN_PYTHON names no Python that has it (`make test` does)"
        );
        return;
    };
    let site = Site::new();
    let ground = site.start_ground(&[]).await;
    let source = format!("udpin:{}", site.source);
    let commands = "[commands.mavlink]\nallow = [\"arm\", \"rtl\", \"takeoff\", \"reposition\"]\n";
    let edge = start_edge(&site, &source, commands).await;
    let script = common::workspace().join("testbed/tests/commands/autopilot.py");
    let arguments = vec![script.into_os_string(), site.source.port().to_string().into()];
    let mut autopilot = Watched::spawn("autopilot", python.as_ref(), arguments);
    let mut operator = Operator::connect(site.ground).await;
    operator.record("HEARTBEAT", |fields| fields["base_mode"] == 0).await;

    // The autopilot does not hear it at first, and is told again with the confirmation counted up.
    let armed = operator.command(json!({ "kind": "arm" })).await;
    assert_eq!(armed["state"], "done");
    operator.record("HEARTBEAT", |fields| fields["base_mode"] == 128).await;
    let again = autopilot.line(r#""confirmation": 1"#).await;
    assert!(again.contains(r#""command": 400"#) && again.contains(r#""from": 255"#), "{again}");

    let returned = operator.command(json!({ "kind": "rtl" })).await;
    assert_eq!(returned["state"], "done");
    let states: Vec<&Value> =
        returned["steps"].as_array().unwrap().iter().map(|step| &step["state"]).collect();
    assert_eq!(states, ["queued", "sent", "at-vehicle", "accepted", "done"]);

    let denied = operator.command(json!({ "kind": "takeoff", "altitude_m": 10 })).await;
    assert_eq!((&denied["state"], last_reason(&denied)), (&json!("rejected"), &json!("denied")));

    let place =
        json!({ "kind": "reposition", "latitude": 47.397742, "longitude": -8.545594, "altitude_m": 20 });
    assert_eq!(operator.command(place).await["state"], "done");
    let heard = autopilot.line("COMMAND_INT").await;
    assert!(
        heard.contains("473977420") && heard.contains("-85455940") && heard.contains(r#""z": 20.0"#),
        "{heard}"
    );

    // The autopilot is never asked.
    let refused = operator.command(json!({ "kind": "land" })).await;
    assert_eq!((&refused["state"], last_reason(&refused)), (&json!("rejected"), &json!("not-allowed")));
    autopilot.never_said(r#""command": 21"#);
    edge.end().await;
    ground.end().await;
}

#[tokio::test]
async fn a_lamp_is_switched_once_and_reports_back() {
    let site = Site::new();
    let ground = site.start_ground(&[]).await;
    let (_lamp, source) = start_device("lamp").await;
    let commands = format!("[commands.devices.lamp]\nsource = \"{source}\"\nallow = [\"switch\"]\n");
    let edge = start_edge(&site, &source, &commands).await;
    let mut operator = Operator::connect(site.ground).await;
    operator.record("lamp", |fields| fields["on"] == false).await;
    let switch = |on: bool| json!({ "kind": "device", "device": "lamp", "command": "switch", "arguments": { "on": on } });
    let id = "00000000deadbeef";
    operator.say(json!({ "type": "command", "vehicle": "test", "id": id, "action": switch(true) })).await;
    assert_eq!(operator.ended(id).await["state"], "done");
    let lit = operator.record("lamp", |fields| fields["on"] == true).await;
    assert_eq!(lit["switched"], 1);

    // Both ends are killed; the same command again runs neither for the ground's nor for the vehicle's sake.
    drop((edge, ground));
    let ground = site.start_ground(&[]).await;
    let edge = start_edge(&site, &source, &commands).await;
    let mut operator = Operator::connect(site.ground).await;
    operator.say(json!({ "type": "command", "vehicle": "test", "id": id, "action": switch(true) })).await;
    assert_eq!(operator.error().await, ("duplicate".to_owned(), Some(id.to_owned())));
    assert_eq!(operator.command(switch(false)).await["state"], "done");
    let dark = operator.record("lamp", |fields| fields["on"] == false).await;
    assert_eq!(dark["switched"], 2);
    let wrong = json!({ "kind": "device", "device": "lamp", "command": "explode" });
    assert_eq!(last_reason(&operator.command(wrong).await), "not-allowed");
    edge.end().await;
    ground.end().await;
}

#[tokio::test]
async fn a_command_that_cannot_be_delivered_in_time_expires_and_never_runs() {
    let site = Site::new();
    let ground = site.start_ground(&[]).await;
    let (lamp, source) = start_device("lamp").await;
    let commands = format!("[commands.devices.lamp]\nsource = \"{source}\"\nallow = [\"switch\"]\n");
    let edge = start_edge(&site, &source, &commands).await;
    let mut operator = Operator::connect(site.ground).await;
    operator.record("lamp", |fields| fields["on"] == false).await;
    edge.end().await;
    operator.disconnected().await;
    let action =
        json!({ "kind": "device", "device": "lamp", "command": "switch", "arguments": { "on": true } });
    let id = "000000000000beef";
    operator
        .say(json!({ "type": "command", "vehicle": "test", "id": id, "ttl_ms": 300, "action": action }))
        .await;
    let expired = operator.ended(id).await;
    assert_eq!((&expired["state"], last_reason(&expired)), (&json!("expired"), &json!("not-delivered")));
    let edge = start_edge(&site, &source, &commands).await;
    assert_eq!(operator.command(action).await["state"], "done");
    let lit = operator.record("lamp", |fields| fields["on"] == true).await;
    assert_eq!(lit["switched"], 1);
    edge.end().await;
    ground.end().await;
    drop(lamp);
}

#[tokio::test]
async fn a_rover_follows_the_stick_and_stops_when_it_is_let_go() {
    let site = Site::new();
    let ground = site.start_ground(&[]).await;
    let (_rover, source) = start_device("rover").await;
    let commands =
        format!("[commands.controls.drive]\nsource = \"{source}\"\naxes = [\"steering\", \"throttle\"]\n");
    let edge = start_edge(&site, &source, &commands).await;
    let mut operator = Operator::connect(site.ground).await;
    operator.record("rover", |fields| fields["speed_m_s"] == 0.0).await;
    let set_point = json!({ "type": "control", "vehicle": "test", "control": "drive", "values": [0.3, 1.0], "life_ms": 800 });
    let fast = |fields: &Value| fields["speed_m_s"].as_f64().unwrap() > 1.0;
    operator
        .while_saying(&set_point, "the rover drives", |message| {
            message["type"] == "record" && message["stream"] == "rover" && fast(&message["fields"])
        })
        .await;
    let stopped = operator
        .message("the dead man's switch", |message| {
            message["type"] == "control-state" && message["state"] == "stopped"
        })
        .await;
    assert_eq!((&stopped["control"], &stopped["reason"]), (&json!("drive"), &json!("ceased")));
    operator.record("rover", |fields| fields["throttle"] == 0.0 && !fast(fields)).await;
    let nowhere = json!({ "type": "control", "vehicle": "test", "control": "fly", "values": [1.0] });
    operator.say(nowhere).await;
    let refused = |message: &Value| message["type"] == "control-state" && message["state"] == "refused";
    assert_eq!(operator.message("a refusal", refused).await["reason"], "unknown-target");
    edge.end().await;
    ground.end().await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_with_a_code_and_a_reason() {
    let site = Site::new();
    let config = site.path("ground.toml");
    let text = "[clients.ops]\ntoken = \"ops\"\nview = [\"*\"]\ncommand = [\"test\"]\n\
                [clients.guest]\ntoken = \"guest\"\nview = [\"*\"]\ncommand = [\"other\"]\n";
    std::fs::write(&config, text).unwrap();
    let ground = site.start_ground(&["--config", config.to_str().unwrap()]).await;
    let (_lamp, source) = start_device("lamp").await;
    let commands = format!("[commands.devices.lamp]\nsource = \"{source}\"\nallow = [\"switch\"]\n");
    let edge = start_edge(&site, &source, &commands).await;
    let switch =
        json!({ "kind": "device", "device": "lamp", "command": "switch", "arguments": { "on": true } });
    let command = |more: Value| {
        let mut message = json!({ "type": "command", "vehicle": "test", "action": switch });
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
    };
    let mut guest = Operator::with_token(site.ground, "guest").await;
    guest.record("lamp", |fields| fields["on"] == false).await;
    for message in [
        command(json!({})),
        json!({ "type": "cancel-command", "vehicle": "test", "id": "0000000000000001" }),
        json!({ "type": "control", "vehicle": "test", "control": "drive", "values": [0.0] }),
    ] {
        guest.say(message).await;
        assert_eq!(guest.error().await.0, "forbidden");
    }
    let mut ops = Operator::with_token(site.ground, "ops").await;
    for (message, code) in [
        (command(json!({ "vehicle": "nobody" })), "forbidden"),
        (command(json!({ "ttl_ms": 0 })), "malformed"),
        (command(json!({ "id": "xyz" })), "malformed"),
        (command(json!({ "action": { "kind": "explode" } })), "malformed"),
        (command(json!({ "colour": "red" })), "malformed"),
        (command(json!({ "key": "k".repeat(65) })), "malformed"),
        (
            command(
                json!({ "action": { "kind": "device", "device": "lamp", "command": "switch", "arguments": { "x": "x".repeat(3000) } } }),
            ),
            "malformed",
        ),
        (json!({ "type": "cancel-command", "vehicle": "test", "id": "0000000000000001" }), "unknown-id"),
        (json!({ "type": "control", "vehicle": "test", "control": "drive", "values": [7.0] }), "malformed"),
    ] {
        ops.say(message.clone()).await;
        assert_eq!(ops.error().await.0, code, "{message}");
    }
    // Nothing of it has reached the lamp, and what is asked rightly does.
    assert_eq!(ops.command(switch.clone()).await["state"], "done");
    let lit = ops.record("lamp", |fields| fields["on"] == true).await;
    assert_eq!(lit["switched"], 1);
    guest.record("lamp", |fields| fields["on"] == true).await;
    edge.end().await;
    ground.end().await;
}
