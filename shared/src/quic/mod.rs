//! What both ends of a QUIC connection agree on: settings, and messages on a stream.
//!
//! ```text
//! connection := one bidirectional stream, opened by the vehicle, and datagrams
//! stream     := message*                  reliable, in order: control and commands
//! message    := length (varint), bytes    at most MAX_MESSAGE_BYTES
//! datagram   := bytes                     a message as it is: at once or never
//! ```
//!
//! QUIC's own congestion control is switched off: the session paces everything to the configured rate of the link, and
//! on a satellite link loss says nothing about congestion. A controller that shrinks its window on loss makes datagrams
//! wait for seconds, and after an outage for minutes.

mod framing;
mod window;

use std::sync::Arc;
use std::time::Duration;

use quinn_proto::{
    AckFrequencyConfig, ConnectionIdGenerator, IdleTimeout, RandomConnectionIdGenerator, TransportConfig,
    VarInt,
};

pub use framing::{Deframer, TooLong, frame};
use window::ConstantWindow;

/// The application protocol that both ends name in the TLS handshake.
pub const ALPN: &[u8] = b"tern/1";

/// The UDP port of a ground whose address names none.
pub const DEFAULT_PORT: u16 = 443;

/// Length of the connection ids that the ground chooses, which stand in every packet to it: three bytes tell sixteen million
/// connections apart.
const GROUND_ID_BYTES: usize = 3;
/// Stream bytes that wait for their acknowledgement. QUIC repeats them by its own clock, past the session's pacing: after
/// an outage, all of it goes ahead of fresh datagrams.
const SEND_WINDOW_BYTES: u64 = 4096;
/// Datagrams that wait for the socket. What waits here can no longer be overtaken by fresher data.
const DATAGRAM_SEND_BUFFER_BYTES: usize = 4096;
/// Datagrams that wait for the session; beyond it the oldest are lost, and the session sends them again.
const DATAGRAM_RECEIVE_BUFFER_BYTES: usize = 64 * 1024;
/// Stream bytes that wait for the session. Bounds what a peer can make this end keep.
const RECEIVE_WINDOW_BYTES: u32 = 128 * 1024;
/// A connection, and the session on it, outlives any outage worth waiting for.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(2 * 60 * 60);
/// A geostationary link's, so that the first packet is not repeated before it can have been answered.
const INITIAL_RTT: Duration = Duration::from_millis(700);
/// ... and what the first packets each way take a narrow link besides, with headers.
const FIRST_BYTES: u64 = 2 * 1228;
/// ... at most: who configures a rate of nothing still connects.
const FIRST_TIME_MAX: Duration = Duration::from_secs(10);
/// Packets that may stay unacknowledged, and for how long: the way back is paid for too. The delay is what counts
/// (QUIC caps it at the round trip), the threshold only must not undercut it.
const ACK_THRESHOLD: u32 = 1000;
const ACK_DELAY: Duration = Duration::from_millis(1000);

/// The ids that a ground gives its connections. They hold no key of the process, so that a restarted ground answers the
/// packets of connections that it has forgotten with a reset.
pub fn ground_ids() -> Box<dyn ConnectionIdGenerator> {
    Box::new(RandomConnectionIdGenerator::new(GROUND_ID_BYTES))
}

/// The ids that a vehicle gives its connections: none, which is why each has a socket of its own.
pub fn vehicle_ids() -> Box<dyn ConnectionIdGenerator> {
    Box::new(RandomConnectionIdGenerator::new(0))
}

/// The settings of a connection, the same at both ends but for what the vehicle knows of the link: its rate, bits a second.
pub fn transport_config(rate_bits_per_second: Option<u64>) -> TransportConfig {
    let first_packets =
        Duration::from_millis(FIRST_BYTES * 8000 / rate_bits_per_second.unwrap_or(u64::MAX).max(1));
    let mut acknowledgements = AckFrequencyConfig::default();
    acknowledgements
        .ack_eliciting_threshold(ACK_THRESHOLD.into())
        .max_ack_delay(Some(ACK_DELAY))
        // Packets that overtake each other are no reason to acknowledge at once.
        .reordering_threshold(VarInt::from_u32(0));
    let idle = IdleTimeout::from(VarInt::from_u32(IDLE_TIMEOUT.as_millis() as u32));
    let mut transport = TransportConfig::default();
    transport
        .congestion_controller_factory(Arc::new(ConstantWindow))
        .ack_frequency_config(Some(acknowledgements))
        .send_window(SEND_WINDOW_BYTES)
        .receive_window(RECEIVE_WINDOW_BYTES.into())
        .stream_receive_window(RECEIVE_WINDOW_BYTES.into())
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_send_buffer_size(DATAGRAM_SEND_BUFFER_BYTES)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BUFFER_BYTES))
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(None)
        .initial_rtt(INITIAL_RTT + first_packets.min(FIRST_TIME_MAX))
        // Probes for larger packets are lost bytes on a link that is paid by the byte.
        .mtu_discovery_config(None)
        .enable_segmentation_offload(false)
        .allow_spin(false);
    transport
}
