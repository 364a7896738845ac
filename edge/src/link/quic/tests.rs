//! Connections as they end, with a ground that takes little at a time.

use quinn::crypto::rustls::QuicServerConfig;
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use tern_shared::quic::ALPN;

use super::super::connection::{Connection, pair};
use super::*;

/// The ground takes so much of the stream before it reads.
const WINDOW_BYTES: u32 = 8;

/// What the two ends know of each other.
fn tls() -> (rustls::ClientConfig, rustls::ServerConfig) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let versions = [&rustls::version::TLS13];
    let ours = rustls::ClientConfig::builder_with_provider(default_provider().into());
    let mut ours =
        ours.with_protocol_versions(&versions).unwrap().with_root_certificates(roots).with_no_client_auth();
    let theirs = rustls::ServerConfig::builder_with_provider(default_provider().into());
    let mut theirs = theirs
        .with_protocol_versions(&versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()))
        .unwrap();
    (ours.alpn_protocols, theirs.alpn_protocols) = (vec![ALPN.to_vec()], vec![ALPN.to_vec()]);
    (ours, theirs)
}

/// A connection, what drives it, and the ground's end of its stream: a message of 100 bytes is on it, of which but the
/// beginning has left.
async fn stuck() -> (Connection, impl Future<Output = End>, RecvStream, Endpoint) {
    let (ours, theirs) = tls();
    let theirs = QuicServerConfig::try_from(theirs).unwrap();
    let mut theirs = quinn::ServerConfig::with_crypto(Arc::new(theirs));
    let mut transport = transport_config(None);
    transport.stream_receive_window(WINDOW_BYTES.into());
    theirs.transport_config(Arc::new(transport));
    let ground = Endpoint::server(theirs, "127.0.0.1:0".parse().unwrap()).unwrap();

    let address = format!("quic://{}", ground.local_addr().unwrap());
    let mut dialer = QuicDialer::new(&address.parse().unwrap(), ours, None, WireCounter::default()).unwrap();
    let accept = async { ground.accept().await.unwrap().await.unwrap() };
    let (accepted, dialed) = tokio::join!(accept, dialer.dial(|| false));
    let (quic, _) = dialed.unwrap();
    let (connection, driven) = pair(quic.carrier(), address);
    let mut running = Box::pin(run(quic, driven));
    let message = Transmit { channel: Channel::Stream, bytes: vec![7; 100] };
    connection.outgoing.send(message).await.unwrap();
    let (_, stream) = tokio::select! {
        _ = &mut running => panic!("the connection ended"),
        stream = accepted.accept_bi() => stream.unwrap(),
    };
    (connection, running, stream, ground)
}

#[tokio::test]
async fn a_connection_that_the_relay_drops_says_nothing_more() {
    let (connection, running, mut stream, _ground) = stuck().await;
    drop(connection);
    let (end, read) = tokio::join!(running, stream.read_to_end(1000));
    assert_eq!(end, End::by_the_edge());
    read.unwrap_err();
}

#[tokio::test]
async fn a_connection_that_takes_nothing_more_ends_when_all_has_arrived() {
    let (Connection { outgoing, incoming: _incoming, .. }, running, mut stream, _ground) = stuck().await;
    drop(outgoing);
    let (end, read) = tokio::join!(running, stream.read_to_end(1000));
    assert_eq!(end, End::by_the_edge());
    assert_eq!(read.unwrap(), frame(&[7; 100]));
}
