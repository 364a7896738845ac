//! MAVLink frames in a stream of bytes.
//!
//! A frame is `FE len seq sys comp msg payload crc` (MAVLink 1) or
//! `FD len incompat compat seq sys comp msg*3 payload crc [signature*13]` (MAVLink 2), the checksum CRC-16/MCRF4XX over
//! all but the start mark, then CRC_EXTRA of the message.

use super::dialect::MessageLayout;

/// A MAVLink 2 frame, unsigned, of a payload as [`payload::encode`](super::payload::encode) makes it.
pub fn encode_v2(
    _sequence: u8,
    _system: u8,
    _component: u8,
    _layout: &MessageLayout,
    _payload: &[u8],
) -> Vec<u8> {
    todo!()
}
