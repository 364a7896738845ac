//! Hands samples on, and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::Sample;
use super::port::{Outgoing, Port};

/// What a source has done since it started, for status lines. Read it with [`Counters::snapshot`].
#[derive(Debug, Default)]
pub struct Counters {
    records: AtomicU64,
    bytes: AtomicU64,
    bad_checksums: AtomicU64,
    skipped_bytes: AtomicU64,
    malformed_lines: AtomicU64,
    dropped: AtomicU64,
    reconnects: AtomicU64,
}

/// [`Counters`] at one moment, or what to add to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples handed over.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// MAVLink frames and NMEA sentences dropped because their checksum is wrong.
    pub bad_checksums: u64,
    /// Bytes that were part of no frame and no line.
    pub skipped_bytes: u64,
    /// Lines that could not be understood.
    pub malformed_lines: u64,
    /// Samples dropped because the relay did not take them fast enough.
    pub dropped: u64,
    /// Connections made again after one was lost; on a listening socket, every one after the first.
    pub reconnects: u64,
}

impl Counters {
    /// What has been counted so far.
    pub fn snapshot(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            records: get(&self.records),
            bytes: get(&self.bytes),
            bad_checksums: get(&self.bad_checksums),
            skipped_bytes: get(&self.skipped_bytes),
            malformed_lines: get(&self.malformed_lines),
            dropped: get(&self.dropped),
            reconnects: get(&self.reconnects),
        }
    }

    /// Adds to the counters.
    pub(super) fn add(&self, counts: Counts) {
        let add = |counter: &AtomicU64, count: u64| {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        };
        add(&self.records, counts.records);
        add(&self.bytes, counts.bytes);
        add(&self.bad_checksums, counts.bad_checksums);
        add(&self.skipped_bytes, counts.skipped_bytes);
        add(&self.malformed_lines, counts.malformed_lines);
        add(&self.dropped, counts.dropped);
        add(&self.reconnects, counts.reconnects);
    }
}

/// Where a source puts its samples.
#[derive(Clone, Debug)]
pub(super) struct Output {
    samples: mpsc::Sender<Sample>,
    counters: Arc<Counters>,
    port: Port,
}

/// What to do while the relay does not take samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenFull {
    /// Wait: the sender waits with us, and nothing is lost.
    Wait,
    /// Drop the newest and count: the sender cannot wait, and would fill buffers that we cannot see into.
    Drop,
}

/// Nobody takes samples any more: the source is to end.
#[derive(Debug)]
pub(super) struct Closed;

impl Output {
    pub(super) fn new(samples: mpsc::Sender<Sample>, counters: Arc<Counters>, port: Port) -> Self {
        Output { samples, counters, port }
    }

    pub(super) fn port(&self) -> &Port {
        &self.port
    }

    /// What a connection is to send to its peer from here on.
    pub(super) fn outgoing(&self) -> Outgoing {
        self.port.outgoing()
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Returns when nobody takes samples any more.
    pub(super) async fn closed(&self) {
        self.samples.closed().await;
    }

    /// Hands over all samples, leaving `samples` empty.
    pub(super) async fn send(&self, samples: &mut Vec<Sample>, when_full: WhenFull) -> Result<(), Closed> {
        for sample in samples.drain(..) {
            let sent = match when_full {
                WhenFull::Wait => self.samples.send(sample).await.map(|()| true).map_err(|_| Closed)?,
                WhenFull::Drop => match self.samples.try_send(sample) {
                    Ok(()) => true,
                    Err(TrySendError::Full(_)) => false,
                    Err(TrySendError::Closed(_)) => return Err(Closed),
                },
            };
            self.counters.add(Counts { records: sent.into(), dropped: (!sent).into(), ..Counts::default() });
        }
        Ok(())
    }
}
