//! How full the queues of a session are, beside what each may hold.

use super::EdgeSession;
use super::drain::FETCHED_BYTES;
use crate::message::MAX_FRAME_BYTES;

/// A queue, or a book that is kept of what is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFill {
    /// What waits there: `live frames`.
    pub name: &'static str,
    /// How much does, in frames, packets, ranges or bytes.
    pub held: usize,
    /// The most that ever may.
    pub most: usize,
}

impl QueueFill {
    pub(super) fn new(name: &'static str, held: usize, most: usize) -> Self {
        QueueFill { name, held, most }
    }
}

impl EdgeSession {
    /// Everything that is bounded by a number of its own, whatever the link and the ground do.
    pub fn queues(&self) -> Vec<QueueFill> {
        let mut queues = self.ledger.queues();
        queues.push(self.live.queue());
        queues.push(self.control.answers.queue());
        queues.push(self.object_queue());
        // The newest frame is kept whatever it takes.
        let most = FETCHED_BYTES.max(MAX_FRAME_BYTES);
        queues.push(QueueFill::new("bytes of frames from the spool", self.backlog.fetched_bytes(), most));
        queues.extend(self.auto_rate.as_ref().map(|auto_rate| {
            let (held, most) = auto_rate.unheard_packets();
            QueueFill::new("packets that the rate is found out by", held, most)
        }));
        if let Some(datagrams) = &self.datagrams {
            let packets = datagrams.packets.queue();
            // Each base left in a packet whose fate is open.
            queues.push(QueueFill::new("frames to be continued", datagrams.bases.len(), packets.most));
            queues.push(packets);
        }
        queues
    }
}
