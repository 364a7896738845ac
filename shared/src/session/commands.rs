//! Commands in a session: answers go up before frames, orders go down at once.
//!
//! Nothing here is kept across connections: what a connection takes with it, the two ends of
//! [`command`](crate::command) ask each other for again.

use std::collections::VecDeque;

use super::queues::QueueFill;
use super::transmit::Channel;
use super::{EdgeSession, GroundSession};
use crate::command::{Answer, Order};
use crate::message::{ClockEstimate, ToVehicle};
use crate::time::Now;

/// Answers that wait for the link. When there are more, the oldest goes: the ground asks again.
const MAX_ANSWERS: usize = 64;

/// Answers that wait for the link.
#[derive(Debug, Default)]
pub(super) struct Answers(VecDeque<Answer>);

impl Answers {
    fn push(&mut self, answer: Answer) {
        if self.0.len() == MAX_ANSWERS {
            self.0.pop_front();
        }
        self.0.push_back(answer);
    }

    pub(super) fn pop(&mut self) -> Option<Answer> {
        self.0.pop_front()
    }

    pub(super) fn queue(&self) -> QueueFill {
        QueueFill::new("answers", self.0.len(), MAX_ANSWERS)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How an order travels. A set-point that does not arrive at once is worth nothing.
fn channel(order: &Order) -> Channel {
    match order {
        Order::Command(_) | Order::Cancel(_) => Channel::Stream,
        Order::SetPoint(_) => Channel::Datagram,
    }
}

impl EdgeSession {
    /// Answers the ground, before any frame; in vain while there is no open session.
    pub fn answer(&mut self, answer: Answer) {
        if self.is_open() {
            self.answers().push(answer);
        }
    }

    /// What is known of the ground's clock, against `now.wall`.
    pub fn clock(&self, now: Now) -> Option<ClockEstimate> {
        self.clock_filter().estimate(now)
    }
}

impl GroundSession {
    /// Sends the vehicle an order; in vain while the session is not open.
    pub fn order(&mut self, order: Order) {
        if self.is_open() {
            self.transmit(channel(&order), ToVehicle::Order(order));
        }
    }
}
