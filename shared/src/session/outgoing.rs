//! What the vehicle sends next.
//!
//! In this order: hello, schemas, answers to commands, what is live, a due probe, then, in an open session, goodbye, gaps,
//! backlog and its parity; less of it where a budget runs short. On a stream each is a message; on datagrams what is
//! live and backlog go as packets that may be lost, cut to fit, and the rest on the stream beside them.

use std::time::Duration;

use super::budget::Thinning;
use super::live::{Chain, Encoded};
use super::packets::{Content, millis_of};
use super::send::{EdgeSession, Phase};
use super::transmit::{Channel, Transmit};
use crate::codec::predictive::continues_previous;
use crate::datagram::coding::{CERTAIN_PACKETS, units_of};
use crate::message::{
    FrameMessage, Gap, Hello, Lane, LivePacket, MAX_EARLY_MESSAGES, MAX_FRAME_BYTES, Object,
    PROTOCOL_VERSION, PacketHeader, Payload, Start, ToGround,
};
use crate::range::SequenceRange;
use crate::time::{Instant, Now};

/// What a packet carries of a message, about: the usual MTU of 1500 without headers.
const PACKET_BYTES: usize = 1400;
/// Batches on their way before the session waits for acknowledgements.
pub(super) const MAX_IN_FLIGHT: usize = 16 * 1024;
/// Messages between the hello and the welcome: what the ground keeps, less what it may get twice.
const EARLY_MESSAGES: usize = MAX_EARLY_MESSAGES / 2;
/// Time between clock probes once the first ones are answered. Also keeps an idle connection alive.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// Time between the first probes of a session.
const FIRST_PROBE_INTERVAL: Duration = Duration::from_secs(2);
/// How many those are.
const FIRST_PROBES: u32 = 3;
/// When to ask again for a message that waits for room on the stream.
const STREAM_RETRY: Duration = Duration::from_millis(100);
/// What the ground may say to a frame, bytes on the wire.
const ANSWERS_BYTES: u64 = 500;

impl EdgeSession {
    /// The next message, charged to the link.
    pub(super) fn next_transmit(&mut self, now: Now, stream_has_room: bool) -> Option<Transmit> {
        if let Some(soon) = self.next_dark_probe(now.instant) {
            self.control.next_probe = self.control.next_probe.map(|due| due.min(soon));
        }
        self.follow_rate(now.instant);
        let backlog_waits = self.has_backlog(now.instant);
        let is_down = self.is_down(now.instant);
        if let Some(datagrams) = &mut self.datagrams {
            datagrams.shield.handle_time(now.instant, backlog_waits, is_down);
        }
        if self.budget.thinning() == Thinning::Spent {
            return None;
        }
        self.budget.ready(now.instant).ok()?;
        self.pacer.ready(now.instant).ok()?;
        let control = match stream_has_room {
            true => self.next_control(now).map(|message| (Channel::Stream, message)),
            false => self.schemas_packet(now).map(|message| (Channel::Datagram, message)),
        };
        let (channel, message) = match control {
            Some(message) => message,
            None => self.next_telemetry(now, stream_has_room)?,
        };
        let bytes = message.encode();
        let is_live = matches!(message, ToGround::Live(_));
        self.control.early += usize::from(matches!(self.phase, Phase::Greeting { .. }));
        let packets = 1 + bytes.len() / PACKET_BYTES;
        let wire_bytes = bytes.len() + packets * self.overhead_bytes();
        self.pacer.charge(now.instant, wire_bytes);
        self.line.charge(now.instant, self.rate_bits_per_second(), wire_bytes);
        match &message {
            ToGround::Live(packet) if !packet.payload.is_empty() => {
                self.live_share.charge(wire_bytes - packet.symbols.encoded_bytes());
            }
            ToGround::Frame(frame) if frame.lane == Lane::Live => self.live_share.charge(wire_bytes),
            _ => {}
        }
        if let Some(datagrams) = self.datagrams.as_mut().filter(|_| is_live) {
            datagrams.shield.charge(wire_bytes);
        }
        self.unforeseen.handle_estimate(wire_bytes);
        self.budget.handle_estimate(now.instant, wire_bytes);
        self.stats.wire_bytes += wire_bytes as u64;
        if let Some(auto_rate) = &mut self.auto_rate {
            auto_rate.handle_sent(now.instant, message.packet_number(), wire_bytes);
        }
        Some(Transmit { channel, bytes })
    }

    /// When to ask for the next message, when there is none at present.
    pub(super) fn transmit_timeout(&mut self, now: Instant) -> Option<Instant> {
        if self.budget.thinning() == Thinning::Spent {
            return None;
        }
        if self.has_message(now) {
            if let Err(ready) = self.budget.ready(now) {
                return Some(ready);
            }
            let Err(ready) = self.pacer.ready(now) else { return Some(now + STREAM_RETRY) };
            return Some(self.limited_until(now, ready));
        }
        let backlog = self.has_backlog(now).then(|| self.limited_until(now, self.line.idle_at()));
        let probe = self.control.next_probe.filter(|&due| self.takes_live() && due > now);
        // Symbols that the connection does not take are no reason to wake up.
        let datagrams = self.datagrams.as_ref().filter(|_| self.takes_live());
        let tail = datagrams.and_then(|datagrams| datagrams.shield.owes_at(now));
        let spool = self.awaits_spool_until().filter(|&until| until > now);
        let dark = self.dark_at().filter(|&dark| datagrams.is_some() && dark > now);
        [backlog, probe, tail, spool, dark, self.repeat_at()].into_iter().flatten().min()
    }

    /// The link is what messages wait for: until `ready`, or until the rate has to be looked at.
    fn limited_until(&mut self, now: Instant, ready: Instant) -> Instant {
        let drained = self.auto_rate.as_mut().and_then(|auto_rate| {
            auto_rate.handle_limited();
            auto_rate.drained_at(now)
        });
        drained.map_or(ready, |drained| drained.min(ready))
    }

    /// Has the pacer keep to the rate that was found out.
    fn follow_rate(&mut self, now: Instant) {
        if let Some(auto_rate) = &self.auto_rate {
            self.pacer.set_rate(now, auto_rate.pace_bits_per_second(now));
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.ledger.in_flight_count() < MAX_IN_FLIGHT
    }

    /// Whether a live frame may leave now.
    fn may_live(&self) -> bool {
        !self.live.is_empty() && self.has_room() && self.takes_live()
    }

    /// Whether the connection takes what is live: all in an open session, some before the welcome, nothing after goodbye.
    fn takes_live(&self) -> bool {
        match self.phase {
            Phase::Open => true,
            Phase::Greeting { sent } => sent && self.control.early < EARLY_MESSAGES,
            Phase::Down | Phase::Leaving | Phase::Refused => false,
        }
    }

    /// Whether a gap may be told, which goes where the backlog goes.
    fn may_tell_gaps(&self) -> bool {
        !self.control.gaps.is_empty() && self.has_room() && self.budget.thinning() == Thinning::None
    }

    fn has_message(&self, now: Instant) -> bool {
        if self.datagrams.is_none() && self.is_dark(now) {
            return false;
        }
        let symbols = self.datagrams.as_ref().is_some_and(|datagrams| datagrams.shield.owes(now));
        let probe = self.control.next_probe.is_some_and(|due| due <= now);
        let lossy = self.may_live() || self.may_backlog(now) || symbols || probe;
        match self.phase {
            Phase::Down | Phase::Leaving | Phase::Refused => false,
            Phase::Greeting { sent: false } => true,
            Phase::Greeting { .. } => self.control.early < EARLY_MESSAGES && lossy,
            Phase::Open => {
                !self.control.answers.is_empty()
                    || self.repeat_at().is_some_and(|due| due <= now)
                    || self.may_tell_gaps()
                    || lossy
                    || self.closing
            }
        }
    }

    /// What goes ahead of telemetry, and cannot be lost.
    fn next_control(&mut self, now: Now) -> Option<ToGround> {
        if self.datagrams.is_none() && self.is_dark(now.instant) {
            return None;
        }
        match self.phase {
            Phase::Greeting { sent: false } => {
                self.phase = Phase::Greeting { sent: true };
                // What was on a stream is repeated late, on a narrow link after half a minute, unless something later arrives.
                let lossy = self.datagrams.is_some();
                self.control.next_probe = lossy.then(|| now.instant + self.silence_limit() / 2);
                Some(self.hello())
            }
            Phase::Greeting { .. } | Phase::Open if self.may_declare(now.instant) => {
                let early = self.control.early < EARLY_MESSAGES || self.phase == Phase::Open;
                early.then(|| self.declare(now.instant, PACKET_BYTES))
            }
            Phase::Open => self.control.answers.pop().map(ToGround::Answer),
            _ => None,
        }
    }

    /// Whether schemas are to be declared: just ahead of what uses them, so that those that begin together share a packet.
    fn may_declare(&self, now: Instant) -> bool {
        self.declarations.is_waiting() && (self.may_live() || self.may_backlog(now))
    }

    fn declare(&mut self, now: Instant, max_bytes: usize) -> ToGround {
        let repeating = self.repeating().filter(|_| !self.is_dark(now));
        ToGround::Schemas(self.declarations.announce(now, max_bytes, repeating))
    }

    /// Schemas as a packet, where the stream beside is stuck.
    fn schemas_packet(&mut self, now: Now) -> Option<ToGround> {
        let room = self.datagrams.as_ref()?.room();
        let may_declare = self.is_open() && self.may_declare(now.instant) && self.declarations.fits(room);
        may_declare.then(|| self.declare(now.instant, room))
    }

    fn next_telemetry(&mut self, now: Now, stream_has_room: bool) -> Option<(Channel, ToGround)> {
        let stream = self.datagrams.is_none();
        if stream && (!stream_has_room || self.is_dark(now.instant)) {
            return None;
        }
        if self.is_open()
            && let Some(schemas) = self.declarations.next_repeat(now.instant)
        {
            return Some((Channel::Datagram, ToGround::Schemas(schemas)));
        }
        while self.may_live() {
            let message = if stream { self.live_frame(now) } else { self.live_packet(now) };
            if let Some(message) = message {
                self.stats.live_frames += 1;
                return Some((Channel::Datagram, message));
            }
        }
        if let Some(packet) = self.symbols_packet(now) {
            return Some((Channel::Datagram, packet));
        }
        if self.takes_live() && self.control.next_probe.is_some_and(|due| due <= now.instant) {
            self.control.probes_sent += u32::from(self.is_open());
            let first = (1..FIRST_PROBES).contains(&self.control.probes_sent);
            let interval = if first { FIRST_PROBE_INTERVAL } else { PROBE_INTERVAL };
            self.control.next_probe = Some(now.instant + interval);
            return Some((Channel::Datagram, ToGround::Probe(self.clock.probe(now))));
        }
        if self.phase != Phase::Open {
            return None;
        }
        if self.closing && stream_has_room {
            self.phase = Phase::Leaving;
            self.settle(Ok(Vec::new()));
            return Some((Channel::Stream, ToGround::Goodbye));
        }
        if stream_has_room
            && self.may_tell_gaps()
            && let Some((range, reason)) = self.control.gaps.pop_front()
        {
            self.ledger.sent(self.leaves(now, 0), range, Some(reason));
            let offset = self.offset(range);
            return Some((Channel::Stream, ToGround::Gap(Gap { offset, count: range.len(), reason })));
        }
        if !self.may_backlog(now.instant) {
            return None;
        }
        let message = if stream { self.backlog_frame(now) } else { self.backlog_packet(now) };
        self.stats.backlog_frames += u64::from(message.is_some());
        message.or_else(|| self.parity_packet(now)).map(|message| (Channel::Datagram, message))
    }

    /// The newest live frame, as a message.
    fn live_frame(&mut self, now: Now) -> Option<ToGround> {
        let max_bytes = self.affordable_bytes();
        let Encoded { range, bytes, .. } = self.encode_live(Chain::On, max_bytes, max_bytes)?;
        self.ledger.sent(self.leaves(now, bytes.len()), range, None);
        let object = Object { offset: self.offset(range), skips: Vec::new(), frame: bytes };
        Some(ToGround::Frame(FrameMessage { lane: Lane::Live, object }))
    }

    /// The largest frame that no budget is exceeded by, its headers and the answers to it included.
    pub(super) fn affordable_bytes(&self) -> usize {
        let left = self.budget.left_bytes().unwrap_or(u64::MAX);
        let frame = left.saturating_sub(ANSWERS_BYTES) / 10 * 9;
        usize::try_from(frame).unwrap_or(usize::MAX).min(MAX_FRAME_BYTES)
    }

    /// The newest live frame with what it protects of those before, as a packet.
    fn live_packet(&mut self, now: Now) -> Option<ToGround> {
        let dark = self.is_dark(now.instant);
        let datagrams = self.datagrams.as_mut()?;
        let room = datagrams.room();
        let chain = datagrams.shield.chain(dark);
        let (suited_bytes, max_bytes) = datagrams.shield.payload_room(room);
        let Encoded { range, bytes, is_base } = self.encode_live(chain, suited_bytes, max_bytes)?;
        let offset = self.offset(range);
        let datagrams = self.datagrams.as_mut()?;
        let number = datagrams.packets.next_number();
        let is_next = datagrams.last_payload.is_some_and(|(packet, end)| {
            end == range.start && number.wrapping_sub(packet) <= CERTAIN_PACKETS
        });
        datagrams.last_payload = Some((number, range.end));
        let start = match is_next {
            true if continues_previous(&bytes) => Start::Next,
            true => Start::NextAt(offset),
            false => Start::At(offset),
        };
        let payload = Payload { start, frame: bytes };
        let covered = payload.encode_covered();
        let payload = payload.encode();
        let wire_bytes = payload.len();
        let symbols = datagrams.shield.symbols(number, room.saturating_sub(payload.len()));
        let unit_number = datagrams.shield.push(now.instant, &covered);
        if is_base {
            datagrams.bases.insert(range.start, range);
        }
        let content = Content::Live { range, is_base };
        let header = self.packet_leaves(now, content, units_of(covered.len()), symbols.combinations.len())?;
        self.ledger.sent(self.leaves(now, wire_bytes), range, None);
        Some(ToGround::Live(LivePacket { header, unit_number, payload, symbols }))
    }

    /// Coded symbols that are due by themselves, as a packet.
    fn symbols_packet(&mut self, now: Now) -> Option<ToGround> {
        if !self.takes_live() {
            return None;
        }
        let datagrams = self.datagrams.as_mut().filter(|datagrams| datagrams.shield.owes(now.instant))?;
        let room = datagrams.room();
        let number = datagrams.packets.next_number();
        let (unit_number, symbols) = datagrams.shield.symbols_alone(now.instant, number, room);
        if symbols.combinations.is_empty() {
            return None;
        }
        let header = self.packet_leaves(now, Content::Symbols, 0, symbols.combinations.len())?;
        Some(ToGround::Live(LivePacket { header, unit_number, payload: Vec::new(), symbols }))
    }

    /// Encodes the newest live frame; what fits no packet goes to the backlog.
    fn encode_live(&mut self, chain: Chain, suited_bytes: usize, max_bytes: usize) -> Option<Encoded> {
        let encoded = self.live.encode(
            self.declarations.schemas(),
            chain,
            suited_bytes,
            max_bytes,
            self.overhead_bytes(),
        )?;
        self.bound_live();
        match encoded {
            Ok(encoded) => Some(encoded),
            Err(range) => {
                self.ledger.put_back(range);
                None
            }
        }
    }

    /// When schemas are next declared once more.
    fn repeat_at(&self) -> Option<Instant> {
        self.declarations.repeat_at().filter(|_| self.phase == Phase::Open)
    }

    /// A packet with this, so many units of payload and so many symbols leaves. Returns its header.
    pub(super) fn packet_leaves(
        &mut self,
        now: Now,
        content: Content,
        units: usize,
        symbols: usize,
    ) -> Option<PacketHeader> {
        let datagrams = self.datagrams.as_mut()?;
        let number = datagrams.packets.next_number();
        let lost = datagrams.packets.sent(now, content, units, symbols);
        lost.into_iter().for_each(|content| self.handle_lost(content));
        Some(PacketHeader { number, sent_millis: millis_of(now) })
    }

    fn hello(&self) -> ToGround {
        let super::Identity { vehicle, epoch, base, token, agent } = self.identity.clone();
        let (protocol, finds_rate) = (PROTOCOL_VERSION, self.auto_rate.is_some());
        ToGround::Hello(Hello { protocol, vehicle, epoch, base, token, agent, finds_rate })
    }

    /// When a message of about this size, sent now, has left at the link's rate: on a narrow link a large frame takes
    /// longer than the ground may be silent.
    pub(super) fn leaves(&self, now: Now, bytes: usize) -> Instant {
        let bits = (bytes + self.overhead_bytes()) as u64 * 8;
        let micros = self.rate_bits_per_second().map_or(0, |rate| bits * 1_000_000 / rate.max(1));
        now.instant + Duration::from_micros(micros)
    }

    pub(super) fn offset(&self, range: SequenceRange) -> i64 {
        range.start.wrapping_sub(self.identity.base) as i64
    }
}
