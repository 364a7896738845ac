//! A lamp that can be switched.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::Device;

/// Off at first.
#[derive(Debug, Default)]
pub struct Lamp {
    on: bool,
    switched: u64,
}

impl Lamp {
    fn telemetry(&self) -> Json {
        json!({ "stream": "lamp", "on": self.on, "switched": self.switched })
    }

    fn switch(&mut self, arguments: &Json) -> Result<(), &'static str> {
        let on = arguments["on"].as_bool().ok_or("switch takes \"on\": true or false")?;
        self.switched += u64::from(on != self.on);
        self.on = on;
        tracing::info!(on, "the lamp");
        Ok(())
    }
}

impl Device for Lamp {
    fn period(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn handle(&mut self, _now: Instant, line: &Json) -> Vec<Json> {
        let Some(id) = line["id"].as_str() else { return Vec::new() };
        let result = match line["command"].as_str() {
            Some("switch") => self.switch(&line["arguments"]),
            _ => Err("a lamp can be switched, and nothing else"),
        };
        match result {
            Ok(()) => vec![json!({ "id": id, "state": "done" }), self.telemetry()],
            Err(reason) => vec![json!({ "id": id, "state": "rejected", "detail": reason })],
        }
    }

    fn tick(&mut self, _now: Instant) -> Vec<Json> {
        vec![self.telemetry()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lamp_does_what_it_is_told_and_says_so() {
        let mut lamp = Lamp::default();
        let asked = json!({ "id": "1", "command": "switch", "arguments": { "on": true } });
        let said = lamp.handle(Instant::now(), &asked);
        assert_eq!(said[0], json!({ "id": "1", "state": "done" }));
        assert_eq!(said[1]["on"], true);
        let wrong = json!({ "id": "2", "command": "switch", "arguments": {} });
        assert_eq!(lamp.handle(Instant::now(), &wrong)[0]["state"], "rejected");
        assert_eq!(lamp.tick(Instant::now())[0]["on"], true);
    }
}
