//! Certificates for grounds that nobody but their own vehicles has to trust.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It cannot be made.
    #[error("no certificate for the ground: {0}")]
    Make(#[from] rcgen::Error),
    /// It cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Files in PEM.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Makes a certificate for a ground at this address.
pub(crate) fn self_made(address: IpAddr, folder: &Path) -> Result<Files, CertificateError> {
    let made = rcgen::generate_simple_self_signed([address.to_string()])?;
    let files = Files { certificate: folder.join("ground.pem"), key: folder.join("ground.key") };
    let write = |path: &PathBuf, text: String| {
        std::fs::write(path, text).map_err(|error| CertificateError::Write { path: path.clone(), error })
    };
    write(&files.certificate, made.cert.pem())?;
    write(&files.key, made.signing_key.serialize_pem())?;
    Ok(files)
}
