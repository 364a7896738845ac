//! Colours. Plots are drawn in those for light paper; the page puts others in their place on dark.

use plotters::style::RGBColor;

/// A colour on light and on dark paper.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) light: RGBColor,
    pub(super) dark: RGBColor,
}

const fn pair(light: u32, dark: u32) -> Pair {
    const fn rgb(code: u32) -> RGBColor {
        RGBColor((code >> 16) as u8, (code >> 8) as u8, code as u8)
    }
    Pair { light: rgb(light), dark: rgb(dark) }
}

pub(super) const PAPER: Pair = pair(0xfefefe, 0x1a1a19);
pub(super) const INK: Pair = pair(0x1b1b1a, 0xe9e8e4);
pub(super) const FAINT_INK: Pair = pair(0x5c5b57, 0xb0afa8);
pub(super) const GRID: Pair = pair(0xe3e2de, 0x353532);
/// When the link was down.
pub(super) const OUTAGE: Pair = pair(0xf6dcc8, 0x4a3020);
/// Samples that never arrived, bounds that were missed, the second.
pub(super) const BAD: Pair = pair(0xc2251d, 0xff7d73);

/// Of systems, in their order; ours is first. Apart in hue and in lightness.
const SYSTEMS: [Pair; 9] = [
    pair(0x1f5fbf, 0x6aa6ff),
    pair(0x8a8983, 0x96958e),
    pair(0xb8860b, 0xe0b341),
    pair(0xd1481f, 0xff8a5c),
    pair(0xe07fa8, 0xf2a3c4),
    pair(0x7a3fb5, 0xb88cf0),
    pair(0x1f8a4c, 0x4ec885),
    pair(0x12a5b5, 0x45d0dd),
    pair(0x5d3a1a, 0xc79a70),
];

/// Of the system with this number.
pub(super) fn system(number: usize) -> Pair {
    SYSTEMS[number % SYSTEMS.len()]
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = Pair> {
    [PAPER, INK, FAINT_INK, GRID, OUTAGE, BAD].into_iter().chain(SYSTEMS)
}

/// As plots have it: `#1F5FBF`.
pub(super) fn code(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}
