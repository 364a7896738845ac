//! STUB
use serde::{Deserialize, Serialize};
/// How a link loses packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossReport {
    /// Share lost, per mille.
    pub loss_per_mille: u16,
    /// Mean length of a run of losses, tenths of a packet.
    pub burst_tenths: u16,
}
/// Stub.
#[derive(Debug, Default)]
pub struct LossMeter;
impl LossMeter {
    /// Stub.
    pub fn handle_packet(&mut self, _number: u32) {}
    /// Stub.
    pub fn report(&self) -> LossReport {
        LossReport::default()
    }
}
