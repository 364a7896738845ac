//! QUIC handshakes that nobody means.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::Endpoint;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// How many begin at once.
const AT_ONCE: usize = 50;
/// How long each goes on; what would answer the ground does not, so all of it is one packet.
const EACH: Duration = Duration::from_millis(100);

/// Begins so many handshakes with whoever listens at `address`, and none of them goes on.
pub(crate) async fn begin_handshakes(address: SocketAddr, certificate: &std::path::Path, count: usize) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"tern/1".to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    for _ in 0..count / AT_ONCE {
        let begun: Vec<_> = (0..AT_ONCE)
            .map(|_| endpoint.connect_with(config.clone(), address, "127.0.0.1").unwrap())
            .collect();
        tokio::time::sleep(EACH).await;
        drop(begun);
    }
}
