//! MAVLink payloads as values, and back.

use super::dialect::MessageLayout;
use crate::record::Value;

/// The values of a payload, in the order of [`MessageLayout::fields`]. Bytes that the payload lacks (trailing zeros,
/// extensions in MAVLink 1) are zeros; `None` when it is longer than the layout, and so carries what it cannot type.
pub fn decode(_layout: &MessageLayout, _payload: &[u8]) -> Option<Vec<Value>> {
    todo!()
}

/// The payload of these values as MAVLink 2 sends it: without trailing zeros, but at least one byte.
///
/// Values that do not fit (a wrong type or number) become zeros: what came over the link must not panic.
pub fn encode(_layout: &MessageLayout, _values: &[Value]) -> Vec<u8> {
    todo!()
}
