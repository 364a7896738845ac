//! STUB
use super::LossReport;
use std::time::Duration;
/// What is fixed by configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pins {
    /// How many payloads symbols reach back.
    pub window: Option<u8>,
    /// Coded symbols for each payload.
    pub symbols_per_payload: Option<f64>,
}
/// Stub.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Protection {
    /// Time between live packets.
    pub tick: Duration,
    /// How many payloads symbols reach back.
    pub window: u8,
    /// Coded symbols for each payload.
    pub symbols_per_payload: f64,
}
impl Protection {
    /// Stub.
    pub fn against(_loss: LossReport, _rate: Option<u64>, pins: Pins) -> Self {
        Protection {
            tick: Duration::from_millis(80),
            window: pins.window.unwrap_or(8),
            symbols_per_payload: pins.symbols_per_payload.unwrap_or(1.0),
        }
    }
}
