//! The server's side of TLS, as configured.

mod expiry;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{StoresServerSessions, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tern_shared::quic::ALPN;

use crate::config::{QuicConfig, TlsConfig};

/// Why there is no TLS to serve.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read or has no item of the wanted kind.
    #[error("{key} = {}: {error}", path.display())]
    Pem {
        /// The configuration key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: pem::Error,
    },
    /// Certificate and key do not fit each other, or are of a kind that is not supported.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The certificates that vehicles' certificates are verified by cannot be used.
    #[error("quic.client_ca: {0}")]
    ClientCa(#[from] VerifierBuilderError),
}

/// For HTTP: reads certificate and key. TLS 1.2 and 1.3, HTTP/1.1.
pub fn server_config(config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, key) = read("tls.certificate", "tls.key", config)?;
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(server))
}

/// For QUIC: TLS 1.3. Vehicles may show certificates where there is something to verify them by. Those that were here
/// before may send with their first packet (0-RTT), each ticket once: that is what keeping `sessions`, instead of sealing
/// them in the tickets, is for.
pub fn quic_server_config(
    config: &QuicConfig,
    sessions: Arc<dyn StoresServerSessions>,
) -> Result<ServerConfig, TlsError> {
    let (chain, key) = read("quic.certificate", "quic.key", &config.tls)?;
    let builder =
        ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match &config.client_ca {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in read_certificates("quic.client_ca", path)? {
                roots.add(certificate)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
            builder.with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        }
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(chain, key)?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    // QUIC knows no other amounts than none and all.
    server.max_early_data_size = u32::MAX;
    server.session_storage = sessions;
    Ok(server)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

type ChainAndKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read(
    certificate_key: &'static str,
    key_key: &'static str,
    config: &TlsConfig,
) -> Result<ChainAndKey, TlsError> {
    let chain = read_certificates(certificate_key, &config.certificate)?;
    if let Some(own) = chain.first() {
        expiry::check(certificate_key, &config.certificate, own);
    }
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| TlsError::Pem {
        key: key_key,
        path: config.key.clone(),
        error,
    })?;
    Ok((chain, key))
}

fn read_certificates(key: &'static str, path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(|error| TlsError::Pem { key, path: path.clone(), error })
}
