//! The samples of a scenario, or of a recorded flight, as records.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::distr::{Alphanumeric, SampleString};
use rand::rngs::StdRng;
use tern_shared::codec::SchemaTable;
use tern_shared::id::SchemaId;
use tern_shared::record::Value;
use tern_shared::schema::{Class, Field, FieldKind, Origin, Schema};
use tern_shared::time::Timestamp;
use tern_testbed::codec::{Recording, read};
use tern_testbed::scenario::{Scenario, Workload};

/// Samples without end.
#[derive(Clone)]
pub(crate) struct Samples {
    pub(crate) schemas: SchemaTable,
    kind: Kind,
    next: u64,
}

#[derive(Clone)]
enum Kind {
    Synthetic {
        per_second: u64,
        text_bytes: usize,
        rng: Box<StdRng>,
    },
    /// When each is due, its schema and its values; begins again after its end.
    Recorded(Arc<[(Duration, SchemaId, Vec<Value>)]>),
}

impl Samples {
    /// Those that `tern-testbed run` sends: a number and a random text.
    pub(crate) fn synthetic(scenario: &Scenario) -> Samples {
        let Workload::Synthetic(synthetic) = scenario.workload else { panic!("no synthetic samples") };
        let fields = vec![Field::new("n", FieldKind::I64), Field::new("text", FieldKind::Text)];
        let schema =
            Schema { stream: "synthetic".into(), origin: Origin::Sensor, class: Class::Live, fields };
        Samples {
            schemas: [(SchemaId(0), Arc::new(schema))].into_iter().collect(),
            kind: Kind::Synthetic {
                per_second: u64::from(synthetic.samples_per_second.get()),
                text_bytes: synthetic.sample_bytes as usize - 8,
                rng: Box::new(StdRng::seed_from_u64(scenario.seed)),
            },
            next: 0,
        }
    }

    /// Those of a tlog.
    pub(crate) fn recorded(path: &str) -> Samples {
        let Recording { schemas, records } = read(&std::fs::read(path).unwrap(), false, |_| true);
        let first = records[0].time;
        let due = |time: Timestamp| Duration::from_micros(time.micros_since(first).unsigned_abs());
        let samples = records.into_iter().map(|record| (due(record.time), record.schema, record.values));
        Samples { schemas, kind: Kind::Recorded(samples.collect()), next: 0 }
    }

    /// When the next one is due.
    pub(crate) fn next_due(&self) -> Duration {
        match &self.kind {
            Kind::Synthetic { per_second, .. } => Duration::from_secs(self.next) / *per_second as u32,
            Kind::Recorded(samples) => {
                let (round, index) = (self.next / samples.len() as u64, self.next % samples.len() as u64);
                let whole = samples.last().unwrap().0 + Duration::from_millis(20);
                whole * round as u32 + samples[index as usize].0
            }
        }
    }

    /// The next one.
    pub(crate) fn take(&mut self) -> (SchemaId, Vec<Value>) {
        let number = self.next;
        self.next += 1;
        match &mut self.kind {
            Kind::Synthetic { text_bytes, rng, .. } => {
                let text = Alphanumeric.sample_string(rng, *text_bytes);
                (SchemaId(0), vec![Value::Int(number as i64), Value::Text(text)])
            }
            Kind::Recorded(samples) => {
                let (_, id, values) = &samples[(number % samples.len() as u64) as usize];
                (*id, values.clone())
            }
        }
    }
}
