//! What the vehicle makes of what the ground says.

use super::ledger::FalseClaim;
use super::packets::Content;
use super::send::{EdgeEvent, EdgeSession, Phase};
use crate::message::{Acknowledgement, Feedback, Lack, PROTOCOL_VERSION, RefusalReason, ToVehicle, Welcome};
use crate::range::SequenceRange;
use crate::time::Now;

/// A live payload that is lost may come by coded symbols that the ground asks for, within so many round trips.
const ASKED_ROUND_TRIPS: u32 = 3;

impl EdgeSession {
    /// A message arrived.
    pub fn handle_message(&mut self, now: Now, bytes: &[u8]) {
        if matches!(self.phase, Phase::Down | Phase::Refused) {
            return;
        }
        let message = match ToVehicle::decode(bytes) {
            Ok(message) => message,
            Err(error) => return self.give_up(format!("the ground sent nonsense: {error}")),
        };
        let was_dark = self.is_open() && self.datagrams.is_some() && self.is_dark(now.instant);
        let heard = std::mem::replace(&mut self.heard, now.instant);
        self.budget.handle_estimate(now.instant, bytes.len() + self.overhead_bytes());
        if let Some(datagrams) = &mut self.datagrams {
            datagrams.unheard_since = None;
            if std::mem::take(&mut datagrams.is_silent) {
                self.events.push_back(EdgeEvent::Silent(false));
            }
        }
        if let Some(repeating) = self.repeating().filter(|_| was_dark) {
            self.declarations.declare_again(now.instant, heard, repeating);
        }
        match message {
            ToVehicle::Welcome(welcome) => self.handle_welcome(now, welcome),
            ToVehicle::Acknowledge(acknowledgement) => self.handle_acknowledgement(&acknowledgement),
            ToVehicle::Feedback(feedback) => self.handle_feedback(now, &feedback),
            ToVehicle::ProbeReply(reply) => {
                self.clock.handle_reply(now, reply);
                self.events.extend(self.clock.estimate(now).map(EdgeEvent::Clock));
            }
            ToVehicle::Refused(refusal) => {
                if refusal.reason == RefusalReason::Dialect {
                    self.declarations.use_full_form();
                }
                self.phase = Phase::Refused;
                self.events.push_back(EdgeEvent::Refused(refusal));
            }
            ToVehicle::Order(order) => self.events.push_back(EdgeEvent::Order(order)),
            ToVehicle::Goodbye if self.phase == Phase::Leaving => self.events.push_back(EdgeEvent::Closed),
            ToVehicle::Goodbye => self.give_up("the ground is shutting down".to_owned()),
        }
    }

    fn handle_welcome(&mut self, now: Now, welcome: Welcome) {
        if !matches!(self.phase, Phase::Greeting { .. }) {
            return;
        }
        if welcome.protocol != PROTOCOL_VERSION {
            let theirs = welcome.protocol;
            return self
                .give_up(format!("the ground speaks protocol {theirs}, this edge {PROTOCOL_VERSION}"));
        }
        self.phase = Phase::Open;
        self.control.next_probe = Some(now.instant);
        self.events.push_back(EdgeEvent::Established { agent: welcome.agent });
        let below = SequenceRange::new(0, welcome.committed.floor);
        let committed = welcome.committed.ranges().chain([below]);
        let held = self.live.ranges();
        let news = self.ledger.restart(committed, held);
        self.settle(news);
    }

    fn handle_acknowledgement(&mut self, acknowledgement: &Acknowledgement) {
        let below = SequenceRange::new(0, acknowledgement.floor);
        let news = self.ledger.acknowledge(acknowledgement.ranges().chain([below]));
        self.settle(news);
    }

    /// What the ground says of the datagrams that arrived.
    fn handle_feedback(&mut self, now: Now, feedback: &Feedback) {
        self.handle_acknowledgement(&feedback.committed);
        let patience = self.round_trip() * ASKED_ROUND_TRIPS;
        let Some(datagrams) = &mut self.datagrams else { return };
        let window = datagrams.shield.window();
        let fate = datagrams.packets.handle_feedback(now.instant, feedback, window, patience);
        datagrams.round_trip = fate.round_trip.or(datagrams.round_trip);
        if let Some(units) = fate.since_outage {
            datagrams.shield.handle_outage(units);
        }
        if let (Some((units, symbols)), Some(wanted)) = (fate.since, feedback.wanted) {
            datagrams.shield.handle_wanted(wanted, feedback.largest, units, symbols);
        }
        if let Some(auto_rate) = &mut self.auto_rate {
            let (newest, arrived) = (feedback.largest, feedback.arrived_millis);
            auto_rate.handle_feedback(now.instant, newest, arrived, feedback.missing_ranges());
            let rate = auto_rate.rate_bits_per_second();
            datagrams.shield.set_rate(self.budget.bits_per_second().map_or(rate, |most| most.min(rate)));
        }
        datagrams.shield.handle_report(now.instant, feedback.largest, feedback.loss, datagrams.round_trip);
        self.stats.round_trip = datagrams.round_trip;
        self.stats.loss = Some(feedback.loss);
        if let (Some(raw), Some(clock)) = (fate.raw_delay_millis, self.clock.estimate(now)) {
            // Both clocks are told modulo 65,536 ms, and so is their difference.
            let delay = i64::from(raw) - clock.offset_micros.div_euclid(1000);
            self.stats.one_way_millis = Some((delay as i16).into());
        }
        match feedback.lack {
            Lack::Nothing => {}
            Lack::KeyFrame => {
                self.live.restart();
                datagrams.bases.clear();
            }
            Lack::Schema(id) => {
                if let Some(repeating) = self.repeating() {
                    self.declarations.declare_lost(now.instant, id, repeating);
                }
            }
        }
        for content in fate.lost {
            self.handle_lost(content);
        }
    }

    /// A datagram will not arrive any more: what it carried goes again, behind what is live.
    pub(super) fn handle_lost(&mut self, content: Content) {
        match content {
            Content::Live { range, .. } => {
                self.ledger.give_back(range);
                if let Some(datagrams) = &mut self.datagrams {
                    datagrams.bases.remove(&range.start);
                }
            }
            Content::Fragment(fragment) => self.backlog.lost(fragment),
            Content::Symbols | Content::Parity => {}
        }
    }

    pub(super) fn settle(&mut self, news: Result<Vec<SequenceRange>, FalseClaim>) {
        match news {
            Ok(news) => {
                let ledger = &self.ledger;
                self.live.retain(|range| !ledger.is_acknowledged(range));
                self.backlog.retain(|range| !ledger.is_acknowledged(range));
                self.control.gaps.retain(|(range, _)| !ledger.is_acknowledged(*range));
                if let Some(datagrams) = &mut self.datagrams {
                    let live = &mut self.live;
                    datagrams.bases.retain(|&first, range| {
                        let is_acknowledged = ledger.is_acknowledged(*range);
                        if is_acknowledged {
                            live.acknowledge(first);
                        }
                        !is_acknowledged
                    });
                }
                if !news.is_empty() {
                    self.events.push_back(EdgeEvent::Acknowledged(news));
                }
                if self.phase == Phase::Leaving && self.ledger.in_flight_count() == 0 {
                    self.events.push_back(EdgeEvent::Closed);
                }
            }
            Err(FalseClaim::Unmade { claimed, next }) => self.give_up(format!(
                "the ground holds records up to {claimed} of epoch {}, this spool made only {next}: was the spool \
                 copied or restored? Move it away to begin a new epoch",
                self.identity.epoch
            )),
            Err(FalseClaim::Scattered) => self.give_up(format!(
                "the ground acknowledges records of epoch {} in too many ranges: the rest is kept",
                self.identity.epoch
            )),
            Err(FalseClaim::Unsent(range)) => self.give_up(format!(
                "the ground acknowledges records {range} of epoch {}, which were not sent to it: they are kept",
                self.identity.epoch
            )),
        }
    }

    pub(super) fn give_up(&mut self, reason: String) {
        self.phase = Phase::Refused;
        self.events.push_back(EdgeEvent::Disconnect { reason });
    }
}
