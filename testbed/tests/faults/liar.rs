//! A ground by QUIC that acknowledges what it was never sent.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, RecvStream, SendStream};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tern_shared::message::{Acknowledgement, PROTOCOL_VERSION, ToGround, ToVehicle, Welcome};
use tern_shared::quic::{ALPN, Deframer, frame, transport_config};

use crate::certificate::Certificate;

/// What it says.
pub(crate) enum Lie {
    /// In its welcome, that it holds all below this sequence number.
    Welcome(u64),
    /// Once a session stands, that it committed all below the number that this is added to: that of the first record
    /// of this start of the vehicle.
    Acknowledge(u64),
}

/// Tells every vehicle that connects this lie, until it is dropped.
pub(crate) struct Liar {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    endpoint: Endpoint,
    task: tokio::task::JoinHandle<()>,
}

impl Liar {
    pub(crate) fn start(tls: &Certificate, lie: Lie) -> Liar {
        let chain = CertificateDer::pem_file_iter(&tls.certificate).unwrap().map(Result::unwrap).collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_file(&tls.key).unwrap())
            .unwrap();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let mut server =
            quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(config).unwrap()));
        server.transport_config(Arc::new(transport_config(None)));
        let endpoint = Endpoint::server(server, "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = endpoint.local_addr().unwrap();
        let accepting = endpoint.clone();
        let task = tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                let Ok(connection) = incoming.await else { continue };
                if let Ok((send, receive)) = connection.accept_bi().await {
                    tell(send, receive, &lie).await;
                }
                connection.closed().await;
            }
        });
        Liar { address, endpoint, task }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
        self.endpoint.close(0u32.into(), b"");
    }
}

async fn tell(mut send: SendStream, mut receive: RecvStream, lie: &Lie) {
    let mut deframer = Deframer::default();
    let hello = loop {
        let Ok(Some(chunk)) = receive.read_chunk(4096, true).await else { return };
        deframer.extend(&chunk.bytes);
        if let Some(message) = deframer.next_message().unwrap() {
            break message;
        }
    };
    let ToGround::Hello(hello) = ToGround::decode(&hello).unwrap() else { panic!("no hello") };
    let (held, then) = match lie {
        Lie::Welcome(held) => (*held, None),
        Lie::Acknowledge(more) => (0, Some(hello.base + more)),
    };
    let committed = Acknowledgement::new(held, []);
    let welcome = Welcome { protocol: PROTOCOL_VERSION, agent: "a liar".to_owned(), committed };
    let lies = then.map(|below| ToVehicle::Acknowledge(Acknowledgement::new(below, [])));
    for message in [ToVehicle::Welcome(welcome)].into_iter().chain(lies) {
        // The vehicle may have left meanwhile.
        let _ = send.write_all(&frame(&message.encode())).await;
    }
    // Kept open, so that it is the vehicle that leaves.
    let _ = receive.read_to_end(usize::MAX).await;
}
