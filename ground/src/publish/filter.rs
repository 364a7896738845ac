//! Which vehicles and streams a client wants.

/// The most patterns in a list.
const MAX_PATTERNS: usize = 64;
/// The longest pattern, bytes.
const MAX_PATTERN_BYTES: usize = 128;

/// A pattern in which `*` stands for any characters, slashes included: `mavlink/*/ATTITUDE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// What a client wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    vehicles: Vec<Pattern>,
    streams: Vec<Pattern>,
}

/// Why patterns are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// Too many in a list.
    #[error("{0} patterns in a list, more than {MAX_PATTERNS}")]
    TooMany(usize),
    /// Longer than any name.
    #[error("a pattern of {0} bytes, more than {MAX_PATTERN_BYTES}")]
    TooLong(usize),
}

impl Pattern {
    /// A pattern of at most 128 bytes.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidFilter> {
        let text = text.into();
        if text.len() > MAX_PATTERN_BYTES {
            return Err(InvalidFilter::TooLong(text.len()));
        }
        Ok(Pattern(text))
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

impl Filter {
    /// A filter of these patterns.
    pub fn new(vehicles: &[String], streams: &[String]) -> Result<Self, InvalidFilter> {
        Ok(Filter { vehicles: patterns(vehicles)?, streams: patterns(streams)? })
    }

    /// Whether the client wants to know about a vehicle.
    pub fn wants_vehicle(&self, vehicle: &str) -> bool {
        self.vehicles.iter().any(|pattern| pattern.matches(vehicle))
    }

    /// Whether the client wants a stream of a vehicle.
    pub fn wants_stream(&self, vehicle: &str, stream: &str) -> bool {
        self.wants_vehicle(vehicle) && self.streams.iter().any(|pattern| pattern.matches(stream))
    }
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, InvalidFilter> {
    if texts.len() > MAX_PATTERNS {
        return Err(InvalidFilter::TooMany(texts.len()));
    }
    texts.iter().map(Pattern::new).collect()
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
    fn lists_and_patterns_are_bounded() {
        let any = ["*".to_owned()];
        assert_eq!(Filter::new(&any, &vec!["a".to_owned(); 65]).unwrap_err(), InvalidFilter::TooMany(65));
        assert_eq!(Filter::new(&["x".repeat(129)], &any).unwrap_err(), InvalidFilter::TooLong(129));
        let filter = Filter::new(&["al*".to_owned()], &["h*".to_owned()]).unwrap();
        assert!(filter.wants_stream("alpha", "humidity"));
        assert!(!filter.wants_stream("beta", "humidity") && !filter.wants_stream("alpha", "wind"));
    }
}
