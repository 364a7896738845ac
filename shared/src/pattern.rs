//! Patterns for the names of vehicles, streams and fields.

/// The longest pattern, bytes.
pub const MAX_PATTERN_BYTES: usize = 128;

/// A pattern in which `*` stands for any characters, slashes included: `mavlink/*/ATTITUDE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

/// A pattern that is longer than any name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pattern of {0} bytes, more than {MAX_PATTERN_BYTES}")]
pub struct PatternTooLong(pub usize);

impl Pattern {
    /// A pattern of at most [`MAX_PATTERN_BYTES`].
    pub fn new(text: impl Into<String>) -> Result<Self, PatternTooLong> {
        let text = text.into();
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternTooLong(text.len()));
        }
        Ok(Pattern(text))
    }

    /// The pattern that everything fits.
    pub fn anything() -> Self {
        Pattern("*".to_owned())
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `text` fits. Takes at most pattern length times text length steps.
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where to go on when what follows the last star does not fit: that star takes one more byte.
        let mut retry: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    p += 1;
                    retry = Some((p, t));
                }
                Some(byte) if *byte == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => match &mut retry {
                    Some((after_star, taken)) => {
                        *taken += 1;
                        (p, t) = (*after_star, *taken);
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "mavlink/1/1/ATTITUDE", true),
            ("mavlink/*/ATTITUDE", "mavlink/1/1/ATTITUDE", true),
            ("mavlink/*/ATTITUDE", "mavlink/1/1/ATTITUDE_QUATERNION", false),
            ("mavlink/*ATT*", "mavlink/1/1/ATTITUDE_QUATERNION", true),
            ("humidity", "humidity", true),
            ("humidity", "humidity2", false),
            ("a*a", "a", false),
            ("a*a*b", "aXaXaYb", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().matches(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = Pattern::new("*a".repeat(60) + "b").unwrap();
        assert!(!pattern.matches(&"a".repeat(128)));
    }

    #[test]
    fn a_pattern_is_no_longer_than_a_name() {
        assert_eq!(Pattern::new("x".repeat(129)), Err(PatternTooLong(129)));
    }
}
