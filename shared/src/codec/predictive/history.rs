//! The texts that came last, and where in them what comes now came before.

/// How many bytes are remembered: some hundred status texts.
const BYTES: usize = 4096;
/// The fewest bytes that are the same for a place to be one where the text came before.
pub(super) const MIN_SAME: usize = 3;
/// The most that are told apart: so many more make the next byte no surer.
pub(super) const MAX_SAME: usize = 7;
/// Places are looked up by hashes of so many bits.
const HASH_BITS: u32 = 10;

/// A ring of bytes, zeros at first. It says which byte comes next if the text goes on as the last time that its newest
/// bytes came up.
#[derive(Clone, Debug)]
pub(super) struct History {
    bytes: Vec<u8>,
    end: usize,
    /// By hash: the place behind the last three bytes that had it.
    places: Vec<u16>,
    /// The newest bytes, the last one lowest.
    newest: u32,
    /// The place of the byte that is expected.
    expected: usize,
    /// How many bytes before it are the newest ones, up to the most that are told apart; 0 where none is expected.
    same: usize,
}

impl History {
    pub(super) fn new() -> Self {
        let places = vec![0; 1 << HASH_BITS];
        History { bytes: vec![0; BYTES], end: 0, places, newest: 0, expected: 0, same: 0 }
    }

    /// The byte that is expected, and how many bytes before it are the newest ones.
    pub(super) fn expected(&self) -> Option<(u8, usize)> {
        (self.same > 0).then(|| (self.bytes[self.expected], self.same))
    }

    /// Takes the next byte.
    pub(super) fn push(&mut self, byte: u8) {
        let goes_on = self.same > 0 && self.bytes[self.expected] == byte;
        self.bytes[self.end] = byte;
        self.end = (self.end + 1) % BYTES;
        self.newest = self.newest << 8 | u32::from(byte);
        let hash = (self.newest & 0x00ff_ffff).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS);
        let place = &mut self.places[hash as usize];
        if goes_on {
            self.expected = (self.expected + 1) % BYTES;
            self.same = (self.same + 1).min(MAX_SAME);
        } else {
            self.expected = usize::from(*place);
            // Whatever the place is by now: only what is the same there counts.
            let before = |place: usize, back: usize| self.bytes[(place + BYTES - back) % BYTES];
            let is_same = |back: &usize| before(self.expected, *back) == before(self.end, *back);
            let same = (1..=MAX_SAME).take_while(is_same).count();
            self.same = if same < MIN_SAME { 0 } else { same };
        }
        *place = self.end as u16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_before_is_expected_again() {
        let mut history = History::new();
        b"EKF3 IMU0 origin set".iter().for_each(|&byte| history.push(byte));
        assert_eq!(history.expected(), None);
        b", EKF".iter().for_each(|&byte| history.push(byte));
        assert_eq!(history.expected(), Some((b'3', 3)));
        b"3 IMU".iter().for_each(|&byte| history.push(byte));
        assert_eq!(history.expected(), Some((b'0', MAX_SAME)));
        history.push(b'1');
        assert_eq!(history.expected(), None);
    }

    #[test]
    fn the_ring_goes_round() {
        let mut history = History::new();
        let text = |n: usize| (n / 3 * n % 251) as u8;
        (0..3 * BYTES).for_each(|n| history.push(text(n)));
        (2 * BYTES + 100..2 * BYTES + 120).for_each(|n| history.push(text(n)));
        assert_eq!(history.expected(), Some((text(2 * BYTES + 120), MAX_SAME)));
    }
}
