//! What a symbol is made of: which payloads, by which coefficients, and how payloads of different length add up.

use serde::{Deserialize, Serialize};

use super::{MAX_PAYLOAD_BYTES, MAX_SYMBOLS_PER_PACKET, MAX_WINDOW};

/// The most bytes of a symbol: the longest payload and its length.
pub(super) const MAX_SYMBOL_BYTES: usize = MAX_PAYLOAD_BYTES + 2;

/// A linear combination of the payloads `end - window` to `end - 1`, where `end` is the number of the payload in the
/// symbol's packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "WireSymbol", from = "WireSymbol")]
pub struct Symbol {
    /// How many payloads, 1 to [`MAX_WINDOW`].
    pub window: u8,
    /// Which one of the symbols with this `end`, below [`MAX_SYMBOLS_PER_PACKET`].
    pub index: u8,
    /// The combination, without zeros at its end.
    pub bytes: Vec<u8>,
}

/// `window - 1` in the upper six bits and `index` in the lower two; the bytes.
#[derive(Serialize, Deserialize)]
struct WireSymbol(u8, Vec<u8>);

impl From<Symbol> for WireSymbol {
    fn from(symbol: Symbol) -> Self {
        let window = symbol.window.clamp(1, MAX_WINDOW) - 1;
        WireSymbol((window << 2) | (symbol.index % MAX_SYMBOLS_PER_PACKET), symbol.bytes)
    }
}

impl From<WireSymbol> for Symbol {
    fn from(WireSymbol(header, bytes): WireSymbol) -> Self {
        Symbol { window: (header >> 2) + 1, index: header & 3, bytes }
    }
}

/// What payload `number` is multiplied by in the symbol `(end, index)`: 1 to 255, so that one symbol always recovers
/// one loss.
pub(super) fn coefficient(end: u32, index: u8, number: u32) -> u8 {
    let symbol = mix(end.wrapping_mul(u32::from(MAX_SYMBOLS_PER_PACKET)).wrapping_add(u32::from(index)));
    1 + (mix(symbol ^ number) % 255) as u8
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

/// Undoes [`with_length`] and any zeros behind it or cut off its end; `None` when it is nothing of the kind.
pub(super) fn without_length(bytes: &[u8]) -> Option<Vec<u8>> {
    let first = bytes.first().map_or(0, |byte| usize::from(*byte));
    let (len, prefix) = if first < 0x80 {
        (first, 1)
    } else {
        let len = first & 0x7f | usize::from(*bytes.get(1)?) << 7;
        (len, if len < 0x80 { return None } else { 2 })
    };
    if len > MAX_PAYLOAD_BYTES {
        return None;
    }
    let rest = bytes.get(prefix..).unwrap_or_default();
    let (payload, padding) = rest.split_at(len.min(rest.len()));
    let mut payload = payload.to_vec();
    payload.resize(len, 0);
    padding.iter().all(|byte| *byte == 0).then_some(payload)
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
    fn coefficients_are_never_zero_and_evenly_spread() {
        let mut counts = [0u32; 256];
        for (end, index, number) in
            (0..200).flat_map(|e| (0..4).flat_map(move |i| (0..64).map(move |n| (e, i, n))))
        {
            counts[usize::from(coefficient(end, index, number))] += 1;
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
            prop_assert_eq!(without_length(&bytes), Some(payload.clone()));
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
            prop_assert_eq!(without_length(&bytes), Some(payload));
        }

        #[test]
        fn a_header_is_one_byte(window in 1..=MAX_WINDOW, index in 0..MAX_SYMBOLS_PER_PACKET) {
            let symbol = Symbol { window, index, bytes: vec![7; 100] };
            let wire = postcard::to_stdvec(&symbol).unwrap();
            prop_assert_eq!(wire.len(), 102);
            prop_assert_eq!(postcard::from_bytes::<Symbol>(&wire).unwrap(), symbol);
        }

        #[test]
        fn noise_is_hardly_ever_a_payload(bytes in prop::collection::vec(1u8.., 200..300)) {
            let payload = without_length(&bytes);
            prop_assert!(payload.is_none_or(|payload| payload.len() + 2 >= bytes.len()));
        }
    }
}
