//! The way back into a source: bytes to its peer, and what its peer answers to commands.
//!
//! | Queue | Bound | When it is full |
//! |---|---|---|
//! | commands -> connections of a source | 16 pieces | a connection that does not keep up misses the oldest |
//! | source -> those who wait for an answer | 64 answers | they miss the oldest |

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tern_shared::mavlink::frame::Frame;
use tern_shared::mavlink::payload;
use tern_shared::record::Value;
use tokio::sync::broadcast;

const OUTGOING: usize = 16;
const HEARD: usize = 64;
const HEARTBEAT: u32 = 0;
const COMMAND_ACK: u32 = 77;
/// MAV_COMP_ID_AUTOPILOT1.
const AUTOPILOT: u8 = 1;

/// The way back into a source.
#[derive(Clone, Debug)]
pub struct Port(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    outgoing: broadcast::Sender<Arc<[u8]>>,
    heard: broadcast::Sender<Heard>,
    /// The system whose autopilot was heard last; 0 before.
    autopilot: AtomicU8,
}

/// What a peer said to somebody who gave a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A MAVLink COMMAND_ACK.
    Ack(Ack),
    /// A line of JSON with an `id` and without a `stream`.
    Line(Arc<serde_json::Value>),
}

/// A MAVLink COMMAND_ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// System id of who answers.
    pub system: u8,
    /// Component id of who answers.
    pub component: u8,
    /// `MAV_CMD`.
    pub command: u16,
    /// `MAV_RESULT`.
    pub result: u8,
    /// How much is done, percent, where the answer is that it is in progress; 255 for unknown.
    pub progress: u8,
    /// For whom, 0 for whoever asked.
    pub target_system: u8,
}

impl Port {
    /// A way back that leads nowhere until connections listen to it.
    pub fn new() -> Self {
        Port(Arc::new(Inner {
            outgoing: broadcast::channel(OUTGOING).0,
            heard: broadcast::channel(HEARD).0,
            autopilot: AtomicU8::new(0),
        }))
    }

    /// Sends bytes to the source's peers; `false` when there is none.
    pub fn send(&self, bytes: impl Into<Arc<[u8]>>) -> bool {
        self.0.outgoing.send(bytes.into()).is_ok()
    }

    /// What peers answer from here on.
    pub fn listen(&self) -> broadcast::Receiver<Heard> {
        self.0.heard.subscribe()
    }

    /// The system whose autopilot was heard last.
    pub fn autopilot(&self) -> Option<u8> {
        Some(self.0.autopilot.load(Ordering::Relaxed)).filter(|&system| system != 0)
    }

    /// What a connection is to send to its peer.
    pub(crate) fn outgoing(&self) -> Outgoing {
        Outgoing(self.0.outgoing.subscribe())
    }

    /// Notes a MAVLink frame.
    pub(crate) fn handle_frame(&self, frame: &Frame<'_>) {
        match frame.message {
            HEARTBEAT if frame.component == AUTOPILOT => {
                self.0.autopilot.store(frame.system, Ordering::Relaxed);
            }
            COMMAND_ACK => {
                if let Some(ack) = read_ack(frame) {
                    let _ = self.0.heard.send(Heard::Ack(ack));
                }
            }
            _ => {}
        }
    }

    /// Notes an answer of a device.
    pub(crate) fn handle_line(&self, line: serde_json::Value) {
        let _ = self.0.heard.send(Heard::Line(Arc::new(line)));
    }
}

impl Default for Port {
    fn default() -> Self {
        Port::new()
    }
}

/// What a connection is to send to its peer.
#[derive(Debug)]
pub(crate) struct Outgoing(broadcast::Receiver<Arc<[u8]>>);

impl Outgoing {
    /// The next bytes; pends for ever when there will be none. Cancel safe.
    pub(crate) async fn next(&mut self) -> Arc<[u8]> {
        loop {
            match self.0.recv().await {
                Ok(bytes) => return bytes,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

fn read_ack(frame: &Frame<'_>) -> Option<Ack> {
    let layout = frame.layout?;
    let values = payload::decode(layout, frame.payload)?;
    let number = |name: &str| {
        let at = layout.fields.iter().position(|field| field.name == name)?;
        match values.get(at)? {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    };
    Some(Ack {
        system: frame.system,
        component: frame.component,
        command: number("command")? as u16,
        result: number("result")? as u8,
        progress: number("progress")? as u8,
        target_system: number("target_system")? as u8,
    })
}
