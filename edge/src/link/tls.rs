//! Whom the edge trusts to be the ground.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file with the trusted certificates cannot be read.
    #[error("link.certificates: cannot read certificates from {path}: {error}", path = path.display())]
    Read {
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
    /// The cryptography does not offer what is needed.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// TLS that trusts the certificates of a PEM file, or the system's.
pub(super) fn connector(certificates: Option<&Path>) -> Result<TlsConnector, TlsError> {
    let mut roots = RootCertStore::empty();
    let from = match certificates {
        Some(path) => {
            let read = |error| TlsError::Read { path: path.to_owned(), error };
            for certificate in CertificateDer::pem_file_iter(path).map_err(read)? {
                roots.add(certificate.map_err(read)?)?;
            }
            path.display().to_string()
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            "the system's certificate store".to_owned()
        }
    };
    if roots.is_empty() {
        return Err(TlsError::NoRoots { from });
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
