//! Gives streams their schema ids, the same ones after a restart.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tern_shared::codec::SchemaTable;
use tern_shared::id::SchemaId;
use tern_shared::schema::{InvalidSchema, MAX_SCHEMAS, Schema};

use crate::config::Precision;

/// The schemas of an epoch.
#[derive(Debug)]
pub struct Registry {
    precision: Precision,
    table: SchemaTable,
    /// By stream name.
    streams: HashMap<String, Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    /// The schema that the source uses, as the source made it, and its id.
    current: Option<(Arc<Schema>, SchemaId)>,
    /// Every id that the stream has had.
    ids: Vec<SchemaId>,
}

/// What to do with a record of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The schema's id.
    pub id: SchemaId,
    /// The schema under this id, when it was given right now: the spool and the session must learn it first.
    pub new: Option<Arc<Schema>>,
    /// The stream had another schema before: a batch holds only one schema a stream, so that a stream's records stay
    /// in order.
    pub changed: bool,
}

/// Why a record's schema gets no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// The epoch has as many schemas as it may have.
    #[error("stream {stream:?} is refused: this vehicle has {MAX_SCHEMAS} schemas already")]
    TooMany {
        /// Whose record it was.
        stream: String,
    },
    /// The schema is over a limit.
    #[error(transparent)]
    Invalid(#[from] InvalidSchema),
}

impl Registry {
    /// A registry that continues with the schemas that the spool knows.
    pub fn new(precision: Precision, table: SchemaTable) -> Self {
        let mut streams: HashMap<String, Stream> = HashMap::new();
        for (&id, schema) in &table {
            streams.entry(schema.stream.clone()).or_default().ids.push(id);
        }
        Registry { precision, table, streams }
    }

    /// All schemas, by id.
    pub fn table(&self) -> &SchemaTable {
        &self.table
    }

    /// The names of the streams, as text for people; the first fifty.
    pub fn names(&self) -> String {
        let names: BTreeSet<&str> = self.table.values().map(|schema| schema.stream.as_str()).collect();
        names.into_iter().take(50).collect::<Vec<_>>().join(", ")
    }

    /// The id of a schema, given now if it has none.
    pub fn register(&mut self, schema: &Arc<Schema>) -> Result<Registration, RegistrationError> {
        if let Some(stream) = self.streams.get(&schema.stream)
            && let Some((current, id)) = &stream.current
            && (Arc::ptr_eq(current, schema) || current == schema)
        {
            return Ok(Registration { id: *id, new: None, changed: false });
        }
        schema.validate()?;
        let kept = match self.precision {
            Precision::Sensor => schema.clone(),
            Precision::Exact => Arc::new(Schema::clone(schema).exact()),
        };
        let next = SchemaId(self.table.last_key_value().map_or(0, |(id, _)| id.0 + 1));
        let known = self.streams.get(&schema.stream).and_then(|stream| {
            stream.ids.iter().copied().find(|id| self.table.get(id).is_some_and(|known| *known == kept))
        });
        if known.is_none() && next.0 >= MAX_SCHEMAS {
            return Err(RegistrationError::TooMany { stream: schema.stream.clone() });
        }
        let stream = self.streams.entry(schema.stream.clone()).or_default();
        let changed = stream.current.is_some();
        let id = known.unwrap_or(next);
        stream.current = Some((schema.clone(), id));
        let new = known.is_none().then_some(kept);
        if let Some(schema) = &new {
            stream.ids.push(id);
            self.table.insert(id, schema.clone());
        }
        Ok(Registration { id, new, changed })
    }
}

#[cfg(test)]
mod tests {
    use tern_shared::schema::{Class, Field, FieldKind, Origin};

    use super::*;

    fn schema(stream: &str, fields: &[&str]) -> Arc<Schema> {
        Arc::new(Schema {
            stream: stream.to_owned(),
            origin: Origin::Sensor,
            class: Class::Live,
            fields: fields.iter().map(|name| Field::new(*name, FieldKind::F32).with_decimals(2)).collect(),
        })
    }

    fn register(registry: &mut Registry, schema: &Arc<Schema>) -> (u32, bool, bool) {
        let registration = registry.register(schema).unwrap();
        (registration.id.0, registration.new.is_some(), registration.changed)
    }

    #[test]
    fn a_schema_keeps_its_id_across_a_restart() {
        let mut registry = Registry::new(Precision::Sensor, SchemaTable::new());
        let (narrow, wide) =
            (schema("humidity", &["percent"]), schema("humidity", &["percent", "dew_point"]));
        assert_eq!(register(&mut registry, &schema("light", &[])), (0, true, false));
        assert_eq!(register(&mut registry, &narrow), (1, true, false));
        assert_eq!(register(&mut registry, &narrow), (1, false, false));
        assert_eq!(register(&mut registry, &wide), (2, true, true));
        let mut registry = Registry::new(Precision::Sensor, registry.table().clone());
        assert_eq!(register(&mut registry, &narrow), (1, false, false));
        assert_eq!(register(&mut registry, &wide), (2, false, true));
    }

    #[test]
    fn exact_precision_takes_floats_off_their_grids() {
        let mut registry = Registry::new(Precision::Exact, SchemaTable::new());
        assert_eq!(register(&mut registry, &schema("light", &["lux"])), (0, true, false));
        assert_eq!(registry.table()[&SchemaId(0)].fields[0].decimals, None);
        assert_eq!(register(&mut registry, &schema("light", &["lux"])), (0, false, false));
    }

    #[test]
    fn ever_new_streams_are_refused_in_the_end() {
        let mut registry = Registry::new(Precision::Sensor, SchemaTable::new());
        for n in 0..MAX_SCHEMAS {
            registry.register(&schema(&format!("s{n}"), &[])).unwrap();
        }
        assert!(matches!(registry.register(&schema("more", &[])), Err(RegistrationError::TooMany { .. })));
        assert_eq!(register(&mut registry, &schema("s7", &[])), (7, false, false));
    }
}
