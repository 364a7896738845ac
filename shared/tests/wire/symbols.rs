//! Symbols of the datagram link's code, and the payloads that they combine.

/// A packet's symbols as a sender makes them.
pub(crate) struct GoldenSymbols {
    /// Number of the packet.
    pub(crate) packet: u32,
    /// Number of the packet's payload.
    pub(crate) end: u32,
    /// What they combine, oldest first: the payloads before `end`.
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) hex: &'static str,
}

impl GoldenSymbols {
    /// Number of the oldest of the payloads.
    pub(crate) fn first(&self) -> u32 {
        self.end - self.payloads.len() as u32
    }
}

/// With their bytes, which a second implementation of the document's arithmetic made, too.
pub(crate) fn symbols() -> Vec<GoldenSymbols> {
    let of = |packet, end, payloads: &[&[u8]], hex| {
        let payloads = payloads.iter().map(|payload| payload.to_vec()).collect();
        GoldenSymbols { packet, end, payloads, hex }
    };
    let counted: Vec<u8> = (0..60).collect();
    vec![
        of(30, 9, &[b"hi", b"tern"], "051997292b3644b4d8ff53"),
        of(31, 9, &[b"hi", b"tern"], "04910461f71d"),
        // An empty payload is all zeros.
        of(31, 9, &[b""], "0000"),
        of(31, 9, &[b"tern", b""], "04c20f9eacd8"),
        // As many as a packet has. The factor of its number wraps.
        of(0x4000_0005, 514, &[b"a", b"bc", b"\0\0\0"], "0b43b43e00af273d006c05d50008310100"),
        // A payload's number in eight bits wraps; a length of two bytes; zeros within.
        of(
            u32::MAX,
            256,
            &[&counted, &[0, 1], &[0xff; 130]],
            "08a234cd7fcdf4468d3fff4d86340dbf74c6e95b90221ba962d010a269dbe2509b29c577bc0e37854efc\
             3c8e45f7ce7cb7052a9853e1d86aa113d361aa1806060606060606060606060606060606060606060606\
             060606060606060606060606060606060606060606060606060606060606060606060606060606060606\
             06060606060606",
        ),
    ]
}
