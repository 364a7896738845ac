//! What crosses the wire, value beside bytes: the golden tests hold the code to it, the mutation tests damage it.

pub(crate) mod frames;
pub(crate) mod messages;
pub(crate) mod symbols;

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hex digits, between which there may be spaces and line ends.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
