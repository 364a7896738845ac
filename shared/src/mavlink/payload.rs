//! MAVLink payloads as values, and back.
//!
//! Exact both ways: every payload that [`decode`] takes comes out of [`encode`] as it was, up to the trailing zeros
//! that MAVLink 2 leaves out. Text and byte arrays are one value each, without their own trailing zeros; their length
//! on the wire is the layout's, so nothing is lost with them.

use super::dialect::{MessageLayout, WireField};
use crate::record::Value;
use crate::schema::FieldKind;

/// The values of a payload, in the order of [`MessageLayout::fields`]. Bytes that the payload lacks (trailing zeros,
/// extensions in MAVLink 1) are zeros; `None` when it is longer than the layout, and so carries what it cannot type.
pub fn decode(layout: &MessageLayout, payload: &[u8]) -> Option<Vec<Value>> {
    let mut padded = vec![0; layout.full_bytes];
    padded.get_mut(..payload.len())?.copy_from_slice(payload);
    let mut rest = padded.as_slice();
    let mut values = Vec::with_capacity(layout.fields.len());
    for field in &layout.fields {
        let (bytes, after) = rest.split_at(field.element_bytes() * field.count);
        rest = after;
        if field.is_one_value() {
            values.push(decode_array(field.element, bytes));
        } else {
            values.extend(
                bytes
                    .chunks_exact(field.element_bytes())
                    .map(|element| decode_number(field.element, element)),
            );
        }
    }
    Some(values)
}

/// The payload of these values as MAVLink 2 sends it: without trailing zeros, but at least one byte.
///
/// Values that do not fit (a wrong type or number) become zeros: what came over the link must not panic.
pub fn encode(layout: &MessageLayout, values: &[Value]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(layout.full_bytes);
    let mut values = values.iter();
    for field in &layout.fields {
        let elements = if field.is_one_value() { 1 } else { field.count };
        for _ in 0..elements {
            let end = payload.len() + field.element_bytes() * field.count / elements;
            encode_value(field, values.next().unwrap_or(&Value::Null), &mut payload);
            payload.resize(end, 0);
        }
    }
    payload.truncate(trimmed(&payload).len().max(1));
    payload
}

fn decode_array(element: FieldKind, bytes: &[u8]) -> Value {
    let bytes = trimmed(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) if element == FieldKind::Text => Value::Text(text.to_owned()),
        _ => Value::Bytes(bytes.to_owned()),
    }
}

/// The number in `bytes`, little-endian, one element long.
fn decode_number(element: FieldKind, bytes: &[u8]) -> Value {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let unsigned = u64::from_le_bytes(wide);
    match element {
        FieldKind::U64 => Value::UInt(unsigned),
        FieldKind::I64 => Value::Int(unsigned as i64),
        FieldKind::I8 => Value::Int((unsigned as i8).into()),
        FieldKind::I16 => Value::Int((unsigned as i16).into()),
        FieldKind::I32 => Value::Int((unsigned as i32).into()),
        FieldKind::F32 => Value::F32(f32::from_bits(unsigned as u32)),
        FieldKind::F64 => Value::F64(f64::from_bits(unsigned)),
        // At most 32 bits wide, so the sign bit stays clear.
        FieldKind::Bool
        | FieldKind::U8
        | FieldKind::U16
        | FieldKind::U32
        | FieldKind::Text
        | FieldKind::Bytes => Value::Int(unsigned as i64),
    }
}

/// Appends the value, or nothing when it does not fit the field.
fn encode_value(field: &WireField, value: &Value, payload: &mut Vec<u8>) {
    match (field.element, value) {
        (FieldKind::F32, Value::F32(number)) => payload.extend(number.to_bits().to_le_bytes()),
        (FieldKind::F64, Value::F64(number)) => payload.extend(number.to_bits().to_le_bytes()),
        (FieldKind::Text | FieldKind::Bytes, Value::Text(text)) if text.len() <= field.count => {
            payload.extend(text.as_bytes());
        }
        (FieldKind::Text | FieldKind::Bytes, Value::Bytes(bytes)) if bytes.len() <= field.count => {
            payload.extend(bytes);
        }
        (_, Value::Int(number)) => encode_integer(field, (*number).into(), payload),
        (_, Value::UInt(number)) => encode_integer(field, (*number).into(), payload),
        _ => {}
    }
}

fn encode_integer(field: &WireField, number: i128, payload: &mut Vec<u8>) {
    let (low, high): (i128, i128) = match field.element {
        FieldKind::Bool => (0, 1),
        FieldKind::U8 => (0, u8::MAX.into()),
        FieldKind::U16 => (0, u16::MAX.into()),
        FieldKind::U32 => (0, u32::MAX.into()),
        FieldKind::U64 => (0, u64::MAX.into()),
        FieldKind::I8 => (i8::MIN.into(), i8::MAX.into()),
        FieldKind::I16 => (i16::MIN.into(), i16::MAX.into()),
        FieldKind::I32 => (i32::MIN.into(), i32::MAX.into()),
        FieldKind::I64 => (i64::MIN.into(), i64::MAX.into()),
        FieldKind::F32 | FieldKind::F64 | FieldKind::Text | FieldKind::Bytes => return,
    };
    if (low..=high).contains(&number) {
        payload.extend(&number.to_le_bytes()[..field.element_bytes()]);
    }
}

/// The bytes without trailing zeros.
fn trimmed(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)]
}

#[cfg(test)]
mod tests {
    use mavlink::dialects::ardupilotmega::{self, MavMessage};
    use mavlink::{MavlinkVersion, Message as _};
    use proptest::prelude::*;

    use super::*;
    use crate::mavlink::dialect;

    fn as_mavlink_2(payload: &[u8]) -> Vec<u8> {
        let trimmed = trimmed(payload);
        if trimmed.is_empty() { vec![0] } else { trimmed.to_owned() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn every_payload_of_every_message_comes_back(bytes in prop::array::uniform32(any::<u64>()), cut in 0..256usize) {
            let bytes: Vec<u8> = bytes.iter().flat_map(|word| word.to_le_bytes()).collect();
            for layout in dialect::messages() {
                let payload = &bytes[..cut.min(layout.full_bytes)];
                let values = decode(layout, payload).unwrap();
                prop_assert_eq!(values.len(), layout.fields().len());
                prop_assert_eq!(encode(layout, &values), as_mavlink_2(payload), "{}", layout.name);
            }
        }

        #[test]
        fn text_comes_back_with_zeros_inside(text in prop::collection::vec(0..4u8, 0..50)) {
            let layout = dialect::message_named("STATUSTEXT").unwrap();
            let payload: Vec<u8> = [6].into_iter().chain(text).collect();
            let values = decode(layout, &payload).unwrap();
            prop_assert!(matches!(values[1], Value::Text(_)));
            prop_assert_eq!(encode(layout, &values), as_mavlink_2(&payload));
        }
    }

    #[test]
    fn agrees_with_the_mavlink_crate() {
        let attitude = ardupilotmega::ATTITUDE_DATA {
            time_boot_ms: 7,
            roll: -0.25,
            yaw: f32::INFINITY,
            ..Default::default()
        };
        let values = decode_crate_message(&MavMessage::ATTITUDE(attitude));
        let zero = Value::F32(0.0);
        let expected = [
            Value::Int(7),
            Value::F32(-0.25),
            zero.clone(),
            Value::F32(f32::INFINITY),
            zero.clone(),
            zero.clone(),
            zero,
        ];
        assert_eq!(values, expected);

        let battery = ardupilotmega::BATTERY_STATUS_DATA {
            voltages: [4100, 4090, u16::MAX, 0, 0, 0, 0, 0, 0, 0],
            current_battery: -1,
            time_remaining: -5,
            ..Default::default()
        };
        let values = decode_crate_message(&MavMessage::BATTERY_STATUS(battery));
        assert_eq!(values[3..6], [Value::Int(4100), Value::Int(4090), Value::Int(65535)]);
        let layout = dialect::message_named("BATTERY_STATUS").unwrap();
        let named = |name: &str| &values[layout.fields().iter().position(|f| f.name == name).unwrap()];
        assert_eq!((named("current_battery"), named("time_remaining")), (&Value::Int(-1), &Value::Int(-5)));

        let time = ardupilotmega::SYSTEM_TIME_DATA { time_unix_usec: u64::MAX, time_boot_ms: u32::MAX };
        let values = decode_crate_message(&MavMessage::SYSTEM_TIME(time));
        assert_eq!(values[..2], [Value::UInt(u64::MAX), Value::Int(u32::MAX.into())]);

        let text = ardupilotmega::STATUSTEXT_DATA { text: "Höhe 5 m".into(), ..Default::default() };
        assert_eq!(decode_crate_message(&MavMessage::STATUSTEXT(text))[1], Value::Text("Höhe 5 m".into()));
    }

    /// Decodes what the crate wrote, and checks that the crate reads the same message from what we write.
    fn decode_crate_message(message: &MavMessage) -> Vec<Value> {
        let mut bytes = [0; 255];
        let length = message.ser(MavlinkVersion::V2, &mut bytes);
        let layout = dialect::message(message.message_id()).unwrap();
        let values = decode(layout, &bytes[..length]).unwrap();
        let ours = encode(layout, &values);
        assert_eq!(&MavMessage::parse(MavlinkVersion::V2, layout.id, &ours).unwrap(), message);
        values
    }

    #[test]
    fn text_that_is_not_utf8_is_bytes() {
        let layout = dialect::message_named("STATUSTEXT").unwrap();
        let values = decode(layout, &[6, b'a', 0, 0xff]).unwrap();
        assert_eq!(values[1], Value::Bytes(vec![b'a', 0, 0xff]));
        assert_eq!(encode(layout, &values), [6, b'a', 0, 0xff]);
    }

    #[test]
    fn a_payload_longer_than_the_layout_is_not_typed() {
        let layout = dialect::message_named("HEARTBEAT").unwrap();
        assert!(decode(layout, &[0; 9]).is_some());
        assert_eq!(decode(layout, &[0; 10]), None);
    }

    #[test]
    fn values_that_do_not_fit_become_zeros() {
        let layout = dialect::message_named("HEARTBEAT").unwrap();
        let values = [
            Value::Int(-1),
            Value::Int(256),
            Value::Text("x".into()),
            Value::F64(f64::NAN),
            Value::Null,
            Value::UInt(3),
        ];
        assert_eq!(encode(layout, &values), [0, 0, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!(encode(layout, &[]), [0]);
        let layout = dialect::message_named("STATUSTEXT").unwrap();
        assert_eq!(encode(layout, &[Value::Int(1), Value::Text("x".repeat(51))]), [1]);
    }
}
