//! What a symbol is made of: which units, by which coefficients, and how payloads are cut into units.

use super::{MAX_PAYLOAD_BYTES, MAX_SYMBOLS_PER_PACKET, MAX_WINDOW_UNITS, UNIT_BYTES};

/// A piece of a payload behind its length, or a combination of such.
pub(super) type Unit = [u8; UNIT_BYTES];

/// The symbols of a packet: linear combinations of the units `end - window` to `end - 1`, where `end` is the number of
/// the packet's payload's first, or the next one's in a packet without.
///
/// On the wire they are the rest of the packet: nothing where there are none, else `window - 1`, in one byte up to 255 and
/// in two beyond, the lower one first, and the combinations one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    /// How many units, 1 to [`MAX_WINDOW_UNITS`]. The first of them begins a payload.
    pub window: u16,
    /// The combinations, at most [`MAX_SYMBOLS_PER_PACKET`].
    pub combinations: Vec<[u8; UNIT_BYTES]>,
}

impl Symbols {
    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_bytes(&self) -> usize {
        let window_bytes = if self.window > 256 { 2 } else { 1 };
        if self.combinations.is_empty() { 0 } else { self.combinations.len() * UNIT_BYTES + window_bytes }
    }

    /// Appends them to a packet.
    pub fn encode(&self, packet: &mut Vec<u8>) {
        debug_assert!(self.combinations.len() <= MAX_SYMBOLS_PER_PACKET.into());
        if self.combinations.is_empty() {
            return;
        }
        let [low, high] = (self.window.clamp(1, MAX_WINDOW_UNITS) - 1).to_le_bytes();
        packet.push(low);
        packet.extend((high > 0).then_some(high));
        packet.extend_from_slice(self.combinations.as_flattened());
    }

    /// Those in the rest of a packet; `None` where that is no number of combinations with their window.
    pub fn decode(rest: &[u8]) -> Option<Symbols> {
        let (window, combinations) = rest.as_rchunks();
        let window = match (window, combinations) {
            ([], []) => return Some(Symbols::default()),
            ([low], [_, ..]) => u16::from(*low),
            ([low, high @ 1..=255], [_, ..]) => u16::from_le_bytes([*low, *high]),
            _ => return None,
        };
        let is_symbols = combinations.len() <= MAX_SYMBOLS_PER_PACKET.into() && window < MAX_WINDOW_UNITS;
        is_symbols.then(|| Symbols { window: window + 1, combinations: combinations.to_vec() })
    }
}

/// What unit `number` is multiplied by in the symbol `index` of packet `packet`: 1 to 255, so that one symbol always
/// recovers one loss.
pub(super) fn coefficient(packet: u32, index: u8, number: u16) -> u8 {
    let symbol = mix(packet.wrapping_mul(128).wrapping_add(u32::from(index)));
    1 + (mix(symbol ^ u32::from(number)) % 255) as u8
}

/// How many units a payload of so many bytes has.
pub fn units_of(payload_bytes: usize) -> usize {
    let length_bytes = if payload_bytes < 0x80 { 1 } else { 2 };
    (length_bytes + payload_bytes).div_ceil(UNIT_BYTES)
}

/// The payload behind its length (as postcard's varint: one byte up to 127, else two), cut into units, with zeros behind it
/// as needed.
pub(super) fn units(payload: &[u8]) -> Vec<Unit> {
    debug_assert!(payload.len() <= MAX_PAYLOAD_BYTES);
    let len = payload.len();
    let mut bytes = Vec::with_capacity(len + 2 + UNIT_BYTES);
    if len < 0x80 {
        bytes.push(len as u8);
    } else {
        bytes.extend([len as u8 | 0x80, (len >> 7) as u8]);
    }
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().next_multiple_of(UNIT_BYTES), 0);
    bytes.as_chunks().0.to_vec()
}

/// Where the payload that begins with this unit has its bytes among those of its units; `None` when it is none.
pub(super) fn place(first: &Unit) -> Option<std::ops::Range<usize>> {
    let (begin, len) = match *first {
        [len @ 0..0x80, ..] => (1, usize::from(len)),
        [low, high @ 1..=255, ..] => (2, usize::from(low & 0x7f) | usize::from(high) << 7),
        _ => return None,
    };
    (len <= MAX_PAYLOAD_BYTES && (begin == 1 || len >= 0x80)).then_some(begin..begin + len)
}

/// The last step of MurmurHash3: every bit of the argument moves every bit of the result.
fn mix(mut x: u32) -> u32 {
    x = (x ^ x >> 16).wrapping_mul(0x85eb_ca6b);
    x = (x ^ x >> 13).wrapping_mul(0xc2b2_ae35);
    x ^ x >> 16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The payload of these units and what is behind it.
    fn payload(units: &[Unit]) -> Option<(Vec<u8>, Vec<u8>)> {
        let place = place(units.first()?)?;
        let (bytes, rest) = units.as_flattened().split_at_checked(place.end)?;
        Some((bytes[place.start..].to_vec(), rest.to_vec()))
    }

    #[test]
    fn a_length_in_two_bytes_is_one_that_needs_them() {
        let begins = |bytes: &[u8]| {
            let mut unit = [0; UNIT_BYTES];
            unit[..bytes.len()].copy_from_slice(bytes);
            place(&unit)
        };
        assert_eq!(begins(&[]), Some(1..1));
        assert_eq!(begins(&[0x7f]), Some(1..128));
        assert_eq!(begins(&[0x80]), None);
        assert_eq!(begins(&[0x81, 0x00, 1]), None);
        assert_eq!(begins(&[0x80, 0x01]), Some(2..130));
        assert_eq!(begins(&[0xf8, 0x0a]), Some(2..1402));
        assert_eq!(begins(&[0xf9, 0x0a]), None, "1401 bytes");
    }

    #[test]
    fn coefficients_are_never_zero_and_evenly_spread() {
        let mut counts = [0u32; 256];
        for (packet, index, number) in
            (0..200).flat_map(|e| (0..4).flat_map(move |i| (0..64).map(move |n| (e, i, n))))
        {
            counts[usize::from(coefficient(packet, index, number))] += 1;
        }
        assert_eq!(counts[0], 0);
        // 51,200 draws: 201 of each, with a standard deviation of 14.
        assert!(counts[1..].iter().all(|count| (130..270).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn a_payload_comes_back_from_its_units(
            bytes in prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..300),
        ) {
            let cut = units(&bytes);
            prop_assert_eq!(cut.len(), units_of(bytes.len()));
            let (back, zeros) = payload(&cut).unwrap();
            prop_assert_eq!(back, bytes);
            prop_assert!(zeros.len() < UNIT_BYTES && zeros.iter().all(|byte| *byte == 0));
        }

        #[test]
        fn symbols_cost_a_byte_or_two_together(window in 1..=MAX_WINDOW_UNITS, count in 1..=MAX_SYMBOLS_PER_PACKET) {
            let symbols = Symbols { window, combinations: (0..count).map(|index| [index; UNIT_BYTES]).collect() };
            let mut packet = Vec::new();
            symbols.encode(&mut packet);
            let window_bytes = if window > 256 { 2 } else { 1 };
            prop_assert_eq!(packet.len(), window_bytes + UNIT_BYTES * usize::from(count));
            prop_assert_eq!(packet.len(), symbols.encoded_bytes());
            prop_assert_eq!(Symbols::decode(&packet), Some(symbols));
            packet.truncate(packet.len() - 3);
            prop_assert_eq!(Symbols::decode(&packet), None);
        }

        #[test]
        fn any_rest_of_a_packet_is_refused_or_comes_back(rest in prop::collection::vec(any::<u8>(), 0..100)) {
            let Some(symbols) = Symbols::decode(&rest) else { return Ok(()) };
            prop_assert!(symbols.combinations.len() <= MAX_SYMBOLS_PER_PACKET.into());
            prop_assert!(rest.is_empty() || (1..=MAX_WINDOW_UNITS).contains(&symbols.window));
            let mut packet = Vec::new();
            symbols.encode(&mut packet);
            prop_assert_eq!(packet, rest);
        }
    }
}
