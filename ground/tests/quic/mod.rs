//! Vehicles by QUIC that do as they like.

mod gate;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream, TransportConfig};
use tern_ground::config::QuicConfig;
use tern_shared::message::{Probe, ToVehicle};
use tern_shared::quic::{ALPN, Deframer, transport_config};

use super::*;
use gate::Gate;

/// Dials one ground.
struct Dialer {
    ground: std::net::SocketAddr,
    endpoint: Endpoint,
    config: quinn::ClientConfig,
}

/// The one stream of a connection.
struct Stream {
    send: SendStream,
    receive: RecvStream,
    deframer: Deframer,
}

async fn start_quic(transport: TransportConfig) -> (Ground, Dialer) {
    let dir = tempfile::tempdir().unwrap();
    let (tls, roots) = certificate(dir.path());
    let listen = "127.0.0.1:0".parse().unwrap();
    let mut ground = start_in(dir.path(), |config| {
        config.quic = Some(QuicConfig { listen, tls, client_ca: None });
        // Threads have clocks of their own, which do not pause.
        config.client_threads = 0;
    })
    .await;
    ground.dir = Some(dir);

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.enable_early_data = true;
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    config.transport_config(Arc::new(transport));
    let endpoint = Endpoint::client(listen).unwrap();
    let dialer = Dialer { ground: ground.relay.quic_address().unwrap(), endpoint, config };
    (ground, dialer)
}

impl Dialer {
    async fn dial(&self) -> Connection {
        self.connecting().await.unwrap()
    }

    /// Ahead of the handshake, with a ticket of a connection before.
    fn dial_early(&self) -> Connection {
        self.connecting().into_0rtt().map_err(|_| "no ticket").unwrap().0
    }

    fn connecting(&self) -> quinn::Connecting {
        self.endpoint.connect_with(self.config.clone(), self.ground, "localhost").unwrap()
    }
}

impl Stream {
    /// With a hello on it.
    async fn open(connection: &Connection) -> Stream {
        let (send, receive) = connection.open_bi().await.unwrap();
        let mut stream = Stream { send, receive, deframer: Deframer::default() };
        stream.tell(&hello("")).await;
        stream
    }

    async fn tell(&mut self, message: &ToGround) {
        self.send.write_all(&tern_shared::quic::frame(&message.encode())).await.unwrap();
    }

    async fn told(&mut self) -> ToVehicle {
        loop {
            if let Some(message) = self.deframer.next_message().unwrap() {
                return ToVehicle::decode(&message).unwrap();
            }
            let read = tokio::time::timeout(LIMIT, self.receive.read_chunk(4096, true));
            let chunk = read.await.expect("a message is late").unwrap();
            self.deframer.extend(&chunk.expect("the ground has more to say").bytes);
        }
    }

    async fn welcomed(&mut self) {
        let told = self.told().await;
        assert!(matches!(told, ToVehicle::Welcome(_)), "{told:?}");
    }
}

#[tokio::test]
async fn a_first_flight_takes_over_from_another_session_once_its_handshake_is_complete() {
    let (ground, mut dialer) = start_quic(transport_config(None)).await;
    let gate = Gate::start(dialer.ground).await;
    dialer.ground = gate.address;
    let first = dialer.dial().await;
    Stream::open(&first).await.welcomed().await;
    let mut current = ground.vehicle().await;
    current.welcomed().await;
    current.tell(&schema_message()).await;

    gate.open.send_replace(false);
    let early = dialer.dial_early();
    let mut early = Stream::open(&early).await;
    for n in 0..2 {
        current.tell(&frame(Lane::Live, n, 1)).await;
        current.acknowledged_up_to(n + 1).await;
    }
    gate.open.send_replace(true);
    early.welcomed().await;
    assert_eq!(current.refused().await.0, RefusalReason::Superseded);
}

#[tokio::test]
async fn a_first_flight_whose_handshake_is_never_complete_has_a_session_for_a_while_only() {
    let (ground, mut dialer) = start_quic(transport_config(None)).await;
    let gate = Gate::start(dialer.ground).await;
    dialer.ground = gate.address;
    let first = dialer.dial().await;
    let mut stream = Stream::open(&first).await;
    stream.welcomed().await;
    let (mut browser, _) = ground.browser().await;
    first.close(0u32.into(), b"");
    while browser.json_of("vehicle").await["connected"] != false {}

    gate.open.send_replace(false);
    let early = dialer.dial_early();
    let _stream = Stream::open(&early).await;
    while browser.json_of("vehicle").await["connected"] != true {}
    tokio::time::pause();
    let end = async { while browser.json_of("vehicle").await["connected"] != false {} };
    tokio::time::timeout(Duration::from_secs(60), end).await.expect("the session stays");
}

#[tokio::test]
async fn a_vehicle_that_takes_no_datagrams_is_told_so() {
    let mut transport = transport_config(None);
    transport.datagram_receive_buffer_size(None);
    let (_ground, dialer) = start_quic(transport).await;
    let connection = dialer.dial().await;
    match tokio::time::timeout(LIMIT, connection.closed()).await.expect("the ground keeps it") {
        ConnectionError::ApplicationClosed(close) => {
            assert_eq!(&close.reason[..], b"the vehicle takes no datagrams");
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_datagram_that_the_vehicle_does_not_take_is_lost_and_nothing_else() {
    let mut transport = transport_config(None);
    transport.datagram_receive_buffer_size(Some(16));
    let (_ground, dialer) = start_quic(transport).await;
    let connection = dialer.dial().await;
    let mut stream = Stream::open(&connection).await;
    stream.welcomed().await;
    stream.tell(&ToGround::Probe(Probe { sent: Timestamp(0), estimate: None })).await;
    stream.tell(&ToGround::Gap(Gap { offset: 0, count: 5, reason: GapReason::Evicted })).await;
    let told = stream.told().await;
    assert!(matches!(&told, ToVehicle::Acknowledge(all) if all.floor == 5), "{told:?}");
}
