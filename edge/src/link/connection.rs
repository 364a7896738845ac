//! A connection, as the relay and as its transport see it.

use tern_shared::session::{Carrier, Transmit};
use tokio::sync::{mpsc, watch};

/// Messages from the ground that wait for the relay.
const INCOMING_MESSAGES: usize = 16;

/// A connection to the ground. Dropping it closes it, and what it holds is lost; where `outgoing` alone is dropped, what was
/// sent on it still arrives.
#[derive(Debug)]
pub struct Connection {
    /// What it carries messages with.
    pub carrier: Carrier,
    /// The address of the ground that it leads to, for people.
    pub ground: String,
    /// Messages to the ground; room for one.
    pub outgoing: mpsc::Sender<Transmit>,
    /// Messages from the ground; ends with the connection.
    pub incoming: mpsc::Receiver<Vec<u8>>,
    /// Whether a message for the stream would be taken without holding up datagrams, or on [`Carrier::Stream`], without
    /// waiting where nothing can overtake it.
    pub stream_has_room: watch::Receiver<bool>,
}

impl Connection {
    /// Whether a message for the stream would be taken at once.
    pub fn stream_has_room(&self) -> bool {
        *self.stream_has_room.borrow()
    }
}

/// The transport's end of a [`Connection`].
#[derive(Debug)]
pub(super) struct Driven {
    pub(super) outgoing: mpsc::Receiver<Transmit>,
    pub(super) incoming: mpsc::Sender<Vec<u8>>,
    pub(super) stream_has_room: watch::Sender<bool>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// One of the two ends closed it: the ground does not want it, or the relay has given it up.
    Closed(String),
    /// Something between them did.
    Broken(String),
    /// The ground did not take what was sent ahead of the handshake; the connection stands.
    EarlyRefused,
}

impl End {
    /// The relay has dropped its end.
    pub(super) fn by_the_edge() -> End {
        End::Closed("closed by the edge".to_owned())
    }
}

/// Both ends of a connection.
pub(super) fn pair(carrier: Carrier, ground: String) -> (Connection, Driven) {
    let (outgoing, to_send) = mpsc::channel(1);
    let (received, incoming) = mpsc::channel(INCOMING_MESSAGES);
    let (room, stream_has_room) = watch::channel(true);
    let connection = Connection { carrier, ground, outgoing, incoming, stream_has_room };
    (connection, Driven { outgoing: to_send, incoming: received, stream_has_room: room })
}
