//! Which vehicles, streams and fields a client wants, and how often.

use std::sync::Arc;
use std::time::Duration;

use tern_shared::pattern::{Pattern, PatternTooLong};
use tern_shared::schema::Schema;

/// The most patterns in a list.
const MAX_PATTERNS: usize = 64;

/// What a client wants to see, no more than it may.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    vehicles: Vec<Pattern>,
    streams: Vec<Pattern>,
    fields: Vec<Pattern>,
    /// The vehicles that the client may see.
    scope: Arc<[Pattern]>,
    interval: Option<Duration>,
    backlog: bool,
}

/// Which fields of a schema a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Those that are `true`, at least one.
    Some(Arc<[bool]>),
    /// None: its records are not sent.
    None,
}

/// Why patterns are refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidFilter {
    /// Too many in a list.
    #[error("{0} patterns in a list, more than {MAX_PATTERNS}")]
    TooMany(usize),
    /// Longer than any name.
    #[error(transparent)]
    TooLong(#[from] PatternTooLong),
    /// No rate that records could have.
    #[error("max_rate_hz = {0}: it takes 0.01 to 1000")]
    Rate(f64),
}

impl Selection {
    /// Whether the field at a place of the schema is wanted.
    pub fn includes(&self, field: usize) -> bool {
        match self {
            Selection::All => true,
            Selection::Some(wanted) => wanted.get(field).copied().unwrap_or(false),
            Selection::None => false,
        }
    }
}

impl Filter {
    /// A filter of these patterns, for all fields, at any rate, with backlog. `scope` is what the client may see.
    pub fn new(
        vehicles: &[String],
        streams: &[String],
        scope: Arc<[Pattern]>,
    ) -> Result<Self, InvalidFilter> {
        let fields = vec![Pattern::anything()];
        let (vehicles, streams) = (patterns(vehicles)?, patterns(streams)?);
        Ok(Filter { vehicles, streams, fields, scope, interval: None, backlog: true })
    }

    /// The same filter for fields that match one of these patterns.
    pub fn with_fields(mut self, fields: &[String]) -> Result<Self, InvalidFilter> {
        self.fields = patterns(fields)?;
        Ok(self)
    }

    /// The same filter with at most so many records a second of a stream.
    pub fn with_max_rate(mut self, hertz: Option<f64>) -> Result<Self, InvalidFilter> {
        self.interval = match hertz {
            Some(hertz) if !(0.01..=1000.0).contains(&hertz) => return Err(InvalidFilter::Rate(hertz)),
            hertz => hertz.map(|hertz| Duration::from_secs_f64(1.0 / hertz)),
        };
        Ok(self)
    }

    /// The same filter with or without records of the backlog.
    pub fn with_backlog(mut self, backlog: bool) -> Self {
        self.backlog = backlog;
        self
    }

    /// Whether the client wants to know about a vehicle, and may.
    pub fn wants_vehicle(&self, vehicle: &str) -> bool {
        matches_any(&self.vehicles, vehicle) && matches_any(&self.scope, vehicle)
    }

    /// Whether the client wants a stream of a vehicle.
    pub fn wants_stream(&self, vehicle: &str, stream: &str) -> bool {
        self.wants_vehicle(vehicle) && matches_any(&self.streams, stream)
    }

    /// The first vehicle that is asked for by its name and may not be seen.
    pub fn forbidden_vehicle(&self) -> Option<&str> {
        let named = self.vehicles.iter().filter(|pattern| !pattern.as_str().contains('*'));
        named.map(Pattern::as_str).find(|vehicle| !matches_any(&self.scope, vehicle))
    }

    /// Which of a schema's fields the client wants.
    pub fn selection(&self, schema: &Schema) -> Selection {
        let wanted: Arc<[bool]> =
            schema.fields.iter().map(|field| matches_any(&self.fields, &field.name)).collect();
        match wanted.iter().filter(|wanted| **wanted).count() {
            count if count == wanted.len() => Selection::All,
            0 => Selection::None,
            _ => Selection::Some(wanted),
        }
    }

    /// The least time between two records of a stream.
    pub fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// Whether the client wants records of the backlog.
    pub fn wants_backlog(&self) -> bool {
        self.backlog
    }
}

/// Patterns of a list that came from outside.
pub fn patterns(texts: &[String]) -> Result<Vec<Pattern>, InvalidFilter> {
    if texts.len() > MAX_PATTERNS {
        return Err(InvalidFilter::TooMany(texts.len()));
    }
    Ok(texts.iter().map(Pattern::new).collect::<Result<_, _>>()?)
}

/// Whether one of the patterns matches.
pub fn matches_any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn filter(vehicles: &[&str], streams: &[&str], scope: &str) -> Result<Filter, InvalidFilter> {
        Filter::new(&texts(vehicles), &texts(streams), Arc::from([Pattern::new(scope).unwrap()]))
    }

    #[test]
    fn lists_patterns_and_rates_are_bounded() {
        assert_eq!(filter(&["*"], &["a"; 65], "*").unwrap_err(), InvalidFilter::TooMany(65));
        assert_eq!(
            filter(&[&"x".repeat(129)], &["*"], "*").unwrap_err(),
            InvalidFilter::TooLong(PatternTooLong(129))
        );
        for hertz in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9, 1001.0] {
            assert!(filter(&["*"], &["*"], "*").unwrap().with_max_rate(Some(hertz)).is_err(), "{hertz}");
        }
    }

    #[test]
    fn a_client_sees_what_it_wants_and_may() {
        let wanted = filter(&["al*"], &["h*"], "*").unwrap();
        assert!(wanted.wants_stream("alpha", "humidity"));
        assert!(!wanted.wants_stream("beta", "humidity") && !wanted.wants_stream("alpha", "wind"));
        let narrowed = filter(&["*"], &["*"], "beta").unwrap();
        assert!(narrowed.wants_vehicle("beta") && !narrowed.wants_vehicle("alpha"));
        assert_eq!(narrowed.forbidden_vehicle(), None);
        assert_eq!(filter(&["*", "alpha"], &["*"], "beta").unwrap().forbidden_vehicle(), Some("alpha"));
    }

    #[test]
    fn fields_are_selected_by_schema() {
        let schema = Schema::of_mavlink_opaque();
        let fields = |fields: &[&str]| {
            filter(&["*"], &["*"], "*").unwrap().with_fields(&texts(fields)).unwrap().selection(&schema)
        };
        assert_eq!(fields(&["fr*"]), Selection::All);
        assert_eq!(fields(&["roll"]), Selection::None);
    }
}
