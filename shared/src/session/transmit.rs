//! How messages travel: what a connection offers, and what each message asks of it.

/// What a connection carries messages with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// One reliable ordered stream (WebSocket): a late message holds up all behind it.
    Stream,
    /// Datagrams, which may be lost and overtake each other, with a reliable ordered stream beside them (QUIC).
    Datagrams {
        /// The largest message that fits a datagram, bytes.
        max_bytes: usize,
    },
}

/// Which way a message travels. On [`Carrier::Stream`] both are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Reliable, in order with others of its kind: control and commands.
    Stream,
    /// At once or never: telemetry and acknowledgements.
    Datagram,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Which way.
    pub channel: Channel,
    /// The encoded message.
    pub bytes: Vec<u8>,
}
