//! Symbols of the datagram link's code, and the payloads that they combine.

use tern_shared::datagram::coding::units_of;

/// A packet's symbols as a sender makes them.
pub(crate) struct GoldenSymbols {
    /// Number of the packet.
    pub(crate) packet: u32,
    /// Number of the first unit of the packet's payload.
    pub(crate) end: u32,
    /// What they combine, oldest first: the payloads before `end`.
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) hex: &'static str,
}

impl GoldenSymbols {
    /// The payloads with the numbers of their first units.
    pub(crate) fn numbered(&self) -> Vec<(u32, Vec<u8>)> {
        let units: usize = self.payloads.iter().map(|payload| units_of(payload.len())).sum();
        let mut next = self.end - units as u32;
        let number = |payload: &Vec<u8>| {
            let number = next;
            next += units_of(payload.len()) as u32;
            (number, payload.clone())
        };
        self.payloads.iter().map(number).collect()
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
        of(30, 65_545, &[b"hi", b"tern"], "01dd8aea524b000000000000000000736a15d31f000000000000000000"),
        of(31, 65_545, &[b"hi", b"tern"], "013b5cb469e1000000000000000000"),
        // An empty payload is all zeros.
        of(31, 9, &[b""], "000000000000000000000000000000"),
        // The factor of the packet's number wraps.
        of(
            0x4000_0005,
            514,
            &[b"a", b"bc", b"\0\0\0"],
            "02b90db2000000000000000000000065833e000000000000000000000089e70a0000000000000000000000",
        ),
        // A unit's number in sixteen bits wraps; a length of two bytes; zeros within.
        of(
            u32::MAX,
            65_538,
            &[&counted, &[0, 1], &[0xff; 130]],
            "0f50aa51420d0eeed126d12614e34106f4d4974b4d6ba7ee3871eca5e1d603eb9fa0ce9665d6\
             00b3b2019625c205b217b3a3700311621162794b30454072d1708a927860e9f1cd",
        ),
        // A window of two bytes.
        of(7, 70_000, &[&[1; 1400], &[1; 1400], &[1; 1400], b"tern"], "2f0162aa68e3cbfefefefefefefefefe"),
    ]
}
