//! What a symbol is made of: which payloads, by which coefficients, and how payloads of different length add up.

use super::{MAX_PAYLOAD_BYTES, MAX_SYMBOLS_PER_PACKET, MAX_WINDOW};

/// The most bytes of a symbol: the longest payload and its length.
pub(super) const MAX_SYMBOL_BYTES: usize = MAX_PAYLOAD_BYTES + 2;

/// The symbols of a packet: linear combinations of the payloads `end - window` to `end - 1`, where `end` is the number of
/// the packet's payload, or the next one's in a packet without.
///
/// On the wire they are the rest of the packet: nothing where there are none, else a byte with `window - 1` in the upper
/// six bits and how many there are, less one, in the lower two, and the combinations one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    /// How many payloads, 1 to [`MAX_WINDOW`].
    pub window: u8,
    /// The combinations, at most [`MAX_SYMBOLS_PER_PACKET`], all as long as the longest payload of the window with its
    /// length.
    pub combinations: Vec<Vec<u8>>,
}

impl Symbols {
    /// How many bytes [`encode`](Self::encode) appends.
    pub fn encoded_bytes(&self) -> usize {
        let bytes: usize = self.combinations.iter().map(Vec::len).sum();
        if self.combinations.is_empty() { 0 } else { 1 + bytes }
    }

    /// Appends them to a packet.
    pub fn encode(&self, packet: &mut Vec<u8>) {
        debug_assert!(self.combinations.len() <= MAX_SYMBOLS_PER_PACKET.into());
        let Some(last) = self.combinations.len().checked_sub(1) else { return };
        packet.push((self.window.clamp(1, MAX_WINDOW) - 1) << 2 | last as u8);
        self.combinations.iter().for_each(|bytes| packet.extend_from_slice(bytes));
    }

    /// Those in the rest of a packet; `None` where that is no number of combinations of equal length.
    pub fn decode(rest: &[u8]) -> Option<Symbols> {
        let Some((header, bytes)) = rest.split_first() else { return Some(Symbols::default()) };
        let count = usize::from(header & 3) + 1;
        if bytes.is_empty() || bytes.len() % count != 0 {
            return None;
        }
        let combinations = bytes.chunks(bytes.len() / count).map(<[u8]>::to_vec).collect();
        Some(Symbols { window: (header >> 2) + 1, combinations })
    }
}

/// What payload `number` is multiplied by in the symbol `index` of packet `packet`: 1 to 255, so that one symbol always
/// recovers one loss.
pub(super) fn coefficient(packet: u32, index: u8, number: u8) -> u8 {
    let symbol = mix(packet.wrapping_mul(u32::from(MAX_SYMBOLS_PER_PACKET)).wrapping_add(u32::from(index)));
    1 + (mix(symbol ^ u32::from(number)) % 255) as u8
}

/// The payload behind its length (as postcard's varint: one byte up to 127, else two): what is added up, with zeros
/// behind it as needed.
pub(super) fn with_length(payload: &[u8]) -> Vec<u8> {
    debug_assert!(payload.len() <= MAX_PAYLOAD_BYTES);
    let len = payload.len();
    let mut bytes = Vec::with_capacity(len + 2);
    if len < 0x80 {
        bytes.push(len as u8);
    } else {
        bytes.extend([len as u8 | 0x80, (len >> 7) as u8]);
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// Undoes [`with_length`] and the zeros behind it; `None` when it is nothing of the kind.
pub(super) fn without_length(bytes: &[u8]) -> Option<Vec<u8>> {
    let (len, rest) = match *bytes {
        [len @ 0..0x80, ref rest @ ..] => (usize::from(len), rest),
        [low, high @ 1..=255, ref rest @ ..] => (usize::from(low & 0x7f) | usize::from(high) << 7, rest),
        _ => return None,
    };
    let (payload, padding) = rest.split_at_checked(len)?;
    (len <= MAX_PAYLOAD_BYTES && padding.iter().all(|byte| *byte == 0)).then(|| payload.to_vec())
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

    #[test]
    fn a_length_in_two_bytes_is_one_that_needs_them() {
        assert_eq!(without_length(&[]), None);
        assert_eq!(without_length(&[0x80]), None);
        assert_eq!(without_length(&[0x81, 0x00, 1]), None);
        assert_eq!(without_length(&[[0x80, 0x01].as_slice(), &[7; 128]].concat()), Some(vec![7; 128]));
        assert_eq!(without_length(&[[0xf9, 0x0a].as_slice(), &[7; 1401]].concat()), None, "1401 bytes");
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
        fn a_payload_survives_its_length_and_zeros(
            payload in prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..300),
            zeros in 0usize..50,
        ) {
            let mut bytes = with_length(&payload);
            bytes.resize(bytes.len() + zeros, 0);
            prop_assert_eq!(without_length(&bytes), Some(payload));
            bytes.truncate(bytes.len() - zeros - 1);
            prop_assert_eq!(without_length(&bytes), None, "cut off");
        }

        #[test]
        fn symbols_cost_a_byte_together(window in 1..=MAX_WINDOW, count in 1..=MAX_SYMBOLS_PER_PACKET) {
            let symbols = Symbols { window, combinations: (0..count).map(|index| vec![index; 100]).collect() };
            let mut packet = Vec::new();
            symbols.encode(&mut packet);
            prop_assert_eq!((packet.len(), symbols.encoded_bytes()), (1 + 100 * usize::from(count), packet.len()));
            prop_assert_eq!(Symbols::decode(&packet), Some(symbols));
            packet.push(0);
            prop_assert!(count == 1 || Symbols::decode(&packet).is_none());
        }

        #[test]
        fn any_rest_of_a_packet_is_refused_or_comes_back(rest in prop::collection::vec(any::<u8>(), 0..50)) {
            let Some(symbols) = Symbols::decode(&rest) else {
                let count = usize::from(rest[0] & 3) + 1;
                prop_assert!(rest.len() == 1 || (rest.len() - 1) % count != 0);
                return Ok(());
            };
            prop_assert!(symbols.combinations.len() <= MAX_SYMBOLS_PER_PACKET.into());
            prop_assert!(rest.is_empty() || (1..=MAX_WINDOW).contains(&symbols.window));
            let mut packet = Vec::new();
            symbols.encode(&mut packet);
            prop_assert_eq!(packet, rest);
        }

        #[test]
        fn noise_is_hardly_ever_a_payload(bytes in prop::collection::vec(1u8.., 200..300)) {
            let payload = without_length(&bytes);
            prop_assert!(payload.is_none_or(|payload| payload.len() + 2 >= bytes.len()));
        }
    }
}
