//! Arithmetic in GF(256), the field of polynomials over GF(2) modulo x^8 + x^4 + x^3 + x^2 + 1.
//!
//! Addition is exclusive or. Multiplication is a look-up: the row of one factor stays in the first-level cache while it
//! runs over a payload.

/// The field's polynomial without its highest term.
const POLYNOMIAL: u8 = 0x1d;

/// Products by factors.
static PRODUCTS: [[u8; 256]; 256] = products();
/// Inverses; that of 0, which has none, is 0.
static INVERSES: [u8; 256] = inverses();

/// What times `factor` is 1. `factor` is not 0.
pub(super) fn inverse(factor: u8) -> u8 {
    debug_assert_ne!(factor, 0);
    INVERSES[usize::from(factor)]
}

/// Multiplies each byte by `factor`.
pub(super) fn scale(bytes: &mut [u8], factor: u8) {
    let products = &PRODUCTS[usize::from(factor)];
    for byte in bytes {
        *byte = products[usize::from(*byte)];
    }
}

/// Adds `factor` times `other` to `bytes`, byte by byte. `other` is not longer than `bytes`.
pub(super) fn add_scaled(bytes: &mut [u8], factor: u8, other: &[u8]) {
    debug_assert!(other.len() <= bytes.len());
    let products = &PRODUCTS[usize::from(factor)];
    for (byte, other) in bytes.iter_mut().zip(other) {
        *byte ^= products[usize::from(*other)];
    }
}

const fn products() -> [[u8; 256]; 256] {
    let mut products = [[0u8; 256]; 256];
    let mut a = 0;
    while a < 256 {
        let mut b = 1;
        while b < 256 {
            // Multiplication by x is a shift; what leaves at the top comes back as the rest of the polynomial.
            let half = products[a][b >> 1];
            let doubled = (half << 1) ^ if half & 0x80 == 0 { 0 } else { POLYNOMIAL };
            products[a][b] = doubled ^ if b & 1 == 0 { 0 } else { a as u8 };
            b += 1;
        }
        a += 1;
    }
    products
}

const fn inverses() -> [u8; 256] {
    let products = products();
    let mut inverses = [0; 256];
    let mut a = 1;
    while a < 256 {
        let mut b = 1;
        while products[a][b] != 1 {
            b += 1;
        }
        inverses[a] = b as u8;
        a += 1;
    }
    inverses
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long multiplication, bit by bit, and the remainder.
    fn product(a: u8, b: u8) -> u8 {
        let long = (0..8).filter(|bit| b >> bit & 1 == 1).fold(0u16, |sum, bit| sum ^ u16::from(a) << bit);
        let rest = (8..15)
            .rev()
            .fold(long, |rest, bit| if rest >> bit & 1 == 1 { rest ^ 0x11d << (bit - 8) } else { rest });
        rest as u8
    }

    #[test]
    fn products_are_those_of_the_polynomials() {
        for a in 0..=255 {
            let mut scaled: Vec<u8> = (0..=255).collect();
            scale(&mut scaled, a);
            let mut added = vec![0x55; 256];
            add_scaled(&mut added, a, &(0..=255).collect::<Vec<u8>>());
            for b in 0..=255 {
                assert_eq!(scaled[usize::from(b)], product(a, b), "{a} * {b}");
                assert_eq!(added[usize::from(b)], product(a, b) ^ 0x55, "{a} * {b}");
            }
        }
    }

    #[test]
    fn every_factor_but_zero_has_an_inverse() {
        assert!((1..=255).all(|a| product(a, inverse(a)) == 1));
    }
}
