//! Commands that were refused, for the audit log: who asked for what, why not, and how often.
//!
//! The first refusal of a kind (who, vehicle, operation, code) is a row at once; those that follow within a minute are
//! counted, and one more row. Kinds beyond so many a minute are counted together, so a flood of refusals costs the disk
//! little, and none goes uncounted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tern_shared::id::VehicleId;
use tern_shared::time::Timestamp;
use tokio::time::Instant;

use super::Caller;
use crate::clock::wall_now;
use crate::publish::message::Problem;

/// How long refusals of a kind are counted together.
const SPAN: Duration = Duration::from_secs(60);
/// Kinds that are told apart within that.
const MAX_KINDS: usize = 60;

/// A row of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The first that it counts.
    pub(super) first: Timestamp,
    /// The last.
    pub(super) last: Timestamp,
    /// How many.
    pub(super) count: u64,
    /// Who asked. Empty when several did.
    pub(super) issuer: String,
    /// For which vehicle. Empty when for several.
    pub(super) vehicle: String,
    /// For what: `command`, `cancel` or `control`. Empty when for several.
    pub(super) operation: &'static str,
    /// Why not, as clients are told.
    pub(super) problem: Problem,
}

/// What has been refused lately.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    total: AtomicU64,
    lately: Mutex<BTreeMap<Kind, Counted>>,
}

/// `None` for what is beyond the limit.
type Kind = Option<(String, VehicleId, &'static str, String)>;

#[derive(Debug)]
struct Counted {
    since: Instant,
    /// What the first of it was, with those in `count` that no row counts yet.
    refusal: Refusal,
}

impl Refusals {
    /// How many there were since the start.
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Notes one. Returns the row that is to be written now, if one is.
    pub(super) fn note(
        &self,
        caller: Caller<'_>,
        vehicle: &VehicleId,
        operation: &'static str,
        problem: &Problem,
    ) -> Option<Refusal> {
        self.total.fetch_add(1, Ordering::Relaxed);
        let (now, since) = (wall_now(), Instant::now());
        let code = format!("{:?}", problem.code);
        let kind = Some((caller.name.to_owned(), vehicle.clone(), operation, code));
        let refusal = Refusal {
            first: now,
            last: now,
            count: 1,
            issuer: caller.name.to_owned(),
            vehicle: vehicle.to_string(),
            operation,
            problem: problem.clone(),
        };
        let mut lately = self.lock();
        if let Some(counted) = lately.get_mut(&kind) {
            counted.add(now);
            return None;
        }
        if lately.len() < MAX_KINDS {
            lately.insert(kind, Counted { since, refusal: Refusal { count: 0, ..refusal.clone() } });
            return Some(refusal);
        }
        let message = format!("more than {MAX_KINDS} kinds of refusals a minute");
        let several = Refusal {
            count: 0,
            issuer: String::new(),
            vehicle: String::new(),
            operation: "",
            problem: Problem::new(problem.code, message),
            ..refusal
        };
        lately.entry(None).or_insert(Counted { since, refusal: several }).add(now);
        None
    }

    /// Ends what has been counted for long enough. Returns the rows of it.
    pub(super) fn due(&self, now: Instant) -> Vec<Refusal> {
        self.end(|counted| now.duration_since(counted.since) >= SPAN)
    }

    /// Ends all that is being counted. Returns the rows of it.
    pub(super) fn rest(&self) -> Vec<Refusal> {
        self.end(|_| true)
    }

    fn end(&self, is_over: impl Fn(&Counted) -> bool) -> Vec<Refusal> {
        let over = self.lock().extract_if(.., |_, counted| is_over(counted)).collect::<Vec<_>>();
        over.into_iter().map(|(_, counted)| counted.refusal).filter(|refusal| refusal.count > 0).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, Counted>> {
        // No code under this lock can leave it half changed.
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn add(&mut self, now: Timestamp) {
        if self.refusal.count == 0 {
            self.refusal.first = now;
        }
        self.refusal.count += 1;
        self.refusal.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::message::ErrorCode;

    const BOB: Caller<'_> = Caller { name: "bob", may_command: false, connection: 1 };

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_a_few_rows_that_count_all_of_it() {
        let refusals = Refusals::default();
        let problem = Problem::new(ErrorCode::Forbidden, "no");
        let mut rows = Vec::new();
        for number in 0..10_000 {
            let vehicle = format!("v{}", number % 100).parse().unwrap();
            rows.extend(refusals.note(BOB, &vehicle, "command", &problem));
        }
        assert!(rows.len() == MAX_KINDS && rows.iter().all(|row| row.count == 1 && row.issuer == "bob"));
        assert_eq!(refusals.due(Instant::now()), []);
        tokio::time::advance(SPAN).await;
        rows.extend(refusals.due(Instant::now()));
        assert_eq!(rows.len(), 2 * MAX_KINDS + 1);
        assert_eq!((rows.iter().map(|row| row.count).sum(), refusals.total()), (10_000u64, 10_000));

        let vehicle = "v0".parse().unwrap();
        assert!(refusals.note(BOB, &vehicle, "command", &problem).is_some(), "a new minute");
        assert_eq!(refusals.note(BOB, &vehicle, "command", &problem), None);
        let rest: Vec<u64> = refusals.rest().iter().map(|row| row.count).collect();
        assert_eq!((rest, refusals.rest()), (vec![1], vec![]));
    }
}
