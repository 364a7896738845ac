//! A ground that is not heard: since when, whether the link is down, and how it is found up again.

use std::time::Duration;

use super::budget::Thinning;
use super::send::{EdgeSession, Phase};
use crate::time::Instant;

/// What a new connection costs, about.
const CONNECTION_BYTES: u64 = 6000;
/// The longest that the narrowness of a link makes the ground's silence be waited for.
const SILENCE_LIMIT_MAX: Duration = Duration::from_secs(60);
/// Time between probes while nothing is heard on datagrams, as a share of how long that is: what takes the ground's few packets
/// may be a burst, which lasts until so many were sent...
const DARK_PROBE_SHARE: u32 = 8;
/// ... within these bounds: where nothing is live, they alone find the link up again...
const DARK_PROBE_INTERVAL: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// ... and where that is longer, the time in which the link carries twenty of them.
const DARK_PROBES_BYTES: u64 = 20 * 80;

impl EdgeSession {
    /// Since when an answer of the ground is awaited.
    pub(super) fn awaiting_since(&self) -> Option<Instant> {
        let awaited = match (self.phase, &self.datagrams) {
            (Phase::Down | Phase::Refused, _) => None,
            (Phase::Greeting { .. }, _) => Some(self.heard),
            (Phase::Open | Phase::Leaving, Some(datagrams)) => datagrams.unheard_since,
            (Phase::Open | Phase::Leaving, None) => self.ledger.oldest_in_flight(),
        };
        awaited.map(|since| since.max(self.heard))
    }

    /// When the ground counts as silent, if nothing is heard until then.
    pub(super) fn silence_deadline(&self) -> Option<Instant> {
        // With the budget spent, another connection could not be paid for.
        let told = self.datagrams.as_ref().is_some_and(|datagrams| datagrams.is_silent)
            || self.budget.thinning() == Thinning::Spent;
        self.awaiting_since().filter(|_| !told).map(|since| since + self.silence_limit())
    }

    /// How long the ground may be silent. On a narrow link another connection fills the link for seconds, and what waits behind
    /// it would miss it.
    pub(super) fn silence_limit(&self) -> Duration {
        let rate = self.rate_bits_per_second().unwrap_or(u64::MAX).max(1);
        let connecting = Duration::from_millis(CONNECTION_BYTES * 8000 / rate).min(SILENCE_LIMIT_MAX);
        self.config.silence_limit.max(connecting)
    }

    /// Whether the ground has been silent for so long that what is sent is probably lost, or stuck in a stream.
    pub(super) fn is_dark(&self, now: Instant) -> bool {
        self.dark_at().is_some_and(|dark| dark <= now)
    }

    /// Since when it is, or will be if nothing is heard.
    pub(super) fn dark_at(&self) -> Option<Instant> {
        self.awaiting_since().map(|since| since + self.silence_limit() / 2)
    }

    /// Whether the link is down for certain, nearly: a burst on the way back, which has few packets, lasts for seconds.
    pub(super) fn is_down(&self, now: Instant) -> bool {
        self.awaiting_since().is_some_and(|since| since + self.silence_limit() * 2 <= now)
    }

    /// Whether records of streams that the ground may not know go to the backlog: what was declared in the dark comes late, as a
    /// reliable stream repeats it ever more seldom, and would hold up all records that share its frames. Where it knows none, as
    /// just after the start, there are no others, and perhaps only what it says is lost.
    pub(super) fn keeps_back_unknown(&self, now: Instant) -> bool {
        let is_dark = self.phase == Phase::Open && self.is_dark(now);
        is_dark && self.datagrams.is_some() && self.declarations.is_any_known(self.heard, self.round_trip())
    }

    /// When the next probe leaves at the latest, while nothing is heard on datagrams.
    pub(super) fn next_dark_probe(&self, now: Instant) -> Option<Instant> {
        let is_dark = self.datagrams.is_some() && self.is_dark(now);
        let since = self.awaiting_since().filter(|_| is_dark)?;
        let (least, most) = DARK_PROBE_INTERVAL;
        let rate = self.rate_bits_per_second().unwrap_or(u64::MAX).max(1);
        let carried = Duration::from_millis(DARK_PROBES_BYTES * 8000 / rate);
        Some(now + (now.since(since) / DARK_PROBE_SHARE).max(carried).clamp(least, most))
    }
}
