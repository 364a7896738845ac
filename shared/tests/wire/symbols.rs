//! Symbols of the datagram link's code, and the payloads that they combine.

/// A symbol as a sender makes it.
pub(crate) struct GoldenSymbol {
    /// Number of the payload in the symbol's packet.
    pub(crate) end: u32,
    /// What it combines, oldest first: the payloads before `end`.
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) hex: &'static str,
}

impl GoldenSymbol {
    /// Number of the oldest of its payloads.
    pub(crate) fn first(&self) -> u32 {
        self.end.wrapping_sub(self.payloads.len() as u32)
    }
}

/// With their bytes, which a second implementation of the document's arithmetic made, too.
pub(crate) fn symbols() -> Vec<GoldenSymbol> {
    let of = |end, payloads: &[&[u8]], hex| {
        let payloads = payloads.iter().map(|payload| payload.to_vec()).collect();
        GoldenSymbol { end, payloads, hex }
    };
    let counted: Vec<u8> = (0..60).collect();
    vec![
        of(9, &[b"hi", b"tern"], "04058f37970ef4"),
        of(9, &[b"hi", b"tern"], "0505cbf715bd84"),
        // An empty payload is all zeros, which are cut off.
        of(9, &[b""], "0300"),
        // Numbers wrap; a length of two bytes; zeros within.
        of(
            0,
            &[&counted, &[0, 1], &[0xff; 130]],
            "0a8401dfbde3467ddce7aa91f5ce83b819226f54a79cd1ea4b703d066259142f8eb5f8c30338754eefd4\
             99a2c6fdb08b2a115c6794afe2d978430e35516a271c3030303030303030303030303030303030303030\
             303030303030303030303030303030303030303030303030303030303030303030303030303030303030\
             303030303030303030",
        ),
    ]
}
