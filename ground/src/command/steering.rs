//! Who steers what, and how fast anybody may ask.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use tern_shared::command::control::SetPoint;
use tern_shared::id::VehicleId;
use tern_shared::time::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::downlink::SetPoints;
use crate::publish::message::{ErrorCode, Problem};
use crate::vehicle::SessionNumber;

/// A control is somebody's for this long after the last set-point.
const LEASE: Duration = Duration::from_secs(2);
/// Controls of a vehicle that are steered at a time.
const MAX_CONTROLS: usize = 16;
/// Callers whose rates are remembered before those that have been quiet are dropped.
const MAX_CALLERS: usize = 10_000;

const COMMANDS_PER_SECOND: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
const MAX_COMMANDS_AT_ONCE: NonZeroU32 = NonZeroU32::new(20).expect("not zero");
const SET_POINTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(30).expect("not zero");

type Moment = <MonotonicClock as governor::clock::Clock>::Instant;
type Limiter = RateLimiter<String, DefaultKeyedStateStore<String>, MonotonicClock, NoOpMiddleware<Moment>>;

/// The connections that can be steered by.
#[derive(Debug, Default)]
pub(super) struct Steering(Mutex<BTreeMap<VehicleId, Link>>);

#[derive(Debug)]
struct Link {
    session: SessionNumber,
    set_points: watch::Sender<SetPoints>,
    leases: BTreeMap<String, Lease>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    connection: u64,
    until: Instant,
    newest: Timestamp,
}

impl Steering {
    pub(super) fn connected(
        &self,
        vehicle: &VehicleId,
        session: SessionNumber,
        set_points: watch::Sender<SetPoints>,
    ) {
        self.lock().insert(vehicle.clone(), Link { session, set_points, leases: BTreeMap::new() });
    }

    pub(super) fn disconnected(&self, vehicle: &VehicleId, session: SessionNumber) {
        let mut links = self.lock();
        if links.get(vehicle).is_some_and(|link| link.session == session) {
            links.remove(vehicle);
        }
    }

    /// Hands a set-point to the vehicle's connection, in the place of an older one that has not left.
    pub(super) fn send(
        &self,
        vehicle: &VehicleId,
        connection: u64,
        mut set_point: SetPoint,
    ) -> Result<(), Problem> {
        let mut links = self.lock();
        let link = links.get_mut(vehicle).ok_or_else(|| {
            Problem::new(ErrorCode::NotConnected, format!("vehicle {vehicle} is not connected"))
        })?;
        let now = Instant::now();
        let control = set_point.control.clone();
        link.leases.retain(|_, lease| lease.until > now);
        if let Some(lease) = link.leases.get(&control) {
            if lease.connection != connection {
                let message = format!("somebody else steers {control} of {vehicle}");
                return Err(Problem::new(ErrorCode::Taken, message));
            }
            // Two within a microsecond, or a clock that was set back a little: the later is the newer all the same.
            set_point.issued = set_point.issued.max(lease.newest.offset_by(1));
        } else if link.leases.len() >= MAX_CONTROLS {
            let message = format!("{MAX_CONTROLS} controls of {vehicle} are steered already");
            return Err(Problem::new(ErrorCode::Limit, message));
        }
        let lease = Lease { connection, until: now + LEASE, newest: set_point.issued };
        link.leases.insert(control.clone(), lease);
        let leases = &link.leases;
        link.set_points.send_modify(|set_points| {
            set_points.retain(|name, _| leases.contains_key(name));
            set_points.insert(control, set_point);
        });
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<VehicleId, Link>> {
        // No code under this lock can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How fast callers may ask, each by itself.
#[derive(Debug)]
pub(super) struct Rates {
    commands: Limiter,
    set_points: Limiter,
}

impl Default for Rates {
    fn default() -> Self {
        let limiter = |quota| RateLimiter::new(quota, DefaultKeyedStateStore::default(), MonotonicClock);
        Rates {
            commands: limiter(Quota::per_second(COMMANDS_PER_SECOND).allow_burst(MAX_COMMANDS_AT_ONCE)),
            set_points: limiter(Quota::per_second(SET_POINTS_PER_SECOND)),
        }
    }
}

impl Rates {
    pub(super) fn command(&self, caller: &str) -> Result<(), Problem> {
        check(&self.commands, caller, "commands", COMMANDS_PER_SECOND)
    }

    pub(super) fn set_point(&self, caller: &str) -> Result<(), Problem> {
        check(&self.set_points, caller, "set-points", SET_POINTS_PER_SECOND)
    }
}

fn check(limiter: &Limiter, caller: &str, what: &str, rate: NonZeroU32) -> Result<(), Problem> {
    if limiter.len() > MAX_CALLERS {
        limiter.retain_recent();
    }
    limiter
        .check_key(&caller.to_owned())
        .map_err(|_| Problem::new(ErrorCode::Limit, format!("more than {rate} {what} a second of {caller}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_point(issued: i64) -> SetPoint {
        SetPoint { control: "drive".to_owned(), issued: Timestamp(issued), life_ms: 500, values: vec![0] }
    }

    #[tokio::test(start_paused = true)]
    async fn one_connection_steers_until_it_lets_go() {
        let (steering, vehicle) = (Steering::default(), "rover".parse().unwrap());
        let kind = |result: Result<(), Problem>| result.map_err(|error| error.code);
        assert_eq!(kind(steering.send(&vehicle, 1, set_point(1))), Err(ErrorCode::NotConnected));
        let (sender, set_points) = watch::channel(SetPoints::new());
        steering.connected(&vehicle, SessionNumber(1), sender);
        steering.send(&vehicle, 1, set_point(10)).unwrap();
        // The ground's clock was set back a little.
        steering.send(&vehicle, 1, set_point(5)).unwrap();
        assert_eq!(set_points.borrow()["drive"].issued, Timestamp(11));
        assert_eq!(kind(steering.send(&vehicle, 2, set_point(20))), Err(ErrorCode::Taken));
        tokio::time::advance(LEASE).await;
        steering.send(&vehicle, 2, set_point(20)).unwrap();
        steering.disconnected(&vehicle, SessionNumber(0));
        steering.send(&vehicle, 2, set_point(21)).unwrap();
        steering.disconnected(&vehicle, SessionNumber(1));
        assert_eq!(kind(steering.send(&vehicle, 2, set_point(22))), Err(ErrorCode::NotConnected));
    }

    #[test]
    fn a_flood_of_one_caller_is_stopped_and_another_goes_on() {
        let rates = Rates::default();
        let passed = (0..1000).filter(|_| rates.command("ann").is_ok()).count();
        assert!((20..30).contains(&passed), "{passed}");
        rates.command("bob").unwrap();
    }
}
