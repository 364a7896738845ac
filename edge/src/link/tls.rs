//! Whom the edge trusts to be the ground, and how it shows who it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tern_shared::quic::ALPN;
use tokio_rustls::TlsConnector;

use crate::config::OwnCertificate;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file cannot be read.
    #[error("{setting}: cannot read {path}: {error}", path = path.display())]
    Read {
        /// The configuration key that names it.
        setting: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: pem::Error,
    },
    /// There is nothing to trust.
    #[error(
        "no certificates to trust in {from}: install the package ca-certificates, or name the ground's own \
         certificate with link.certificates"
    )]
    NoRoots {
        /// Where they were looked for.
        from: String,
    },
    /// The vehicle's certificate and key do not fit each other, or are of a kind that is not supported.
    #[error("link.client_certificate and link.client_key cannot be used: {0}")]
    OwnCertificate(#[source] rustls::Error),
    /// The cryptography does not offer what is needed.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// For WebSocket: trusts the certificates of a PEM file, or the system's. TLS 1.2 and 1.3.
pub(super) fn connector(certificates: Option<&Path>) -> Result<TlsConnector, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(certificates)?)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// For QUIC: as [`connector`], with TLS 1.3 only. Shows the vehicle's own certificate when it has one, and sends with its
/// first packet (0-RTT) to a ground where it was before.
pub(super) fn quic_config(
    certificates: Option<&Path>,
    own: Option<&OwnCertificate>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(certificates)?);
    let mut config = match own {
        Some(OwnCertificate { certificate, key }) => {
            let chain = read_certificates("link.client_certificate", certificate)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::Read {
                setting: "link.client_key",
                path: key.clone(),
                error,
            })?;
            builder.with_client_auth_cert(chain, key).map_err(TlsError::OwnCertificate)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_early_data = true;
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(certificates: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let from = match certificates {
        Some(path) => {
            for certificate in read_certificates("link.certificates", path)? {
                roots.add(certificate)?;
            }
            path.display().to_string()
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            "the system's certificate store".to_owned()
        }
    };
    if roots.is_empty() { Err(TlsError::NoRoots { from }) } else { Ok(roots) }
}

fn read_certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| TlsError::Read {
        setting,
        path: path.to_owned(),
        error,
    })
}
