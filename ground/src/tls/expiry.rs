//! Says at the start when the ground's own certificate ends: peers that refuse it say so far away from here.

use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use tracing::warn;

/// So long before its end a certificate is worth a warning.
const NOTICE: Duration = Duration::from_secs(14 * 24 * 3600);

/// Warns of a certificate that has expired, or soon will.
pub(super) fn check(key: &'static str, path: &Path, certificate: &CertificateDer<'_>) {
    let now = UnixTime::now();
    let notice = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + NOTICE);
    let Some(end) = end_before(certificate, notice) else { return };
    let seconds = i64::try_from(end.as_secs()).unwrap_or(i64::MAX);
    let ends = DateTime::from_timestamp(seconds, 0).unwrap_or_default().to_rfc3339();
    let path = path.display();
    if end < now {
        warn!(key, %path, ends, "the certificate has expired, and peers refuse it: renew it and start again");
    } else {
        warn!(key, %path, ends, "the certificate expires soon: renew it and start again");
    }
}

/// When a certificate ends, if that is before `time`.
fn end_before(certificate: &CertificateDer<'_>, time: UnixTime) -> Option<UnixTime> {
    let certificate = ParsedCertificate::try_from(certificate).ok()?;
    // Its time is looked at before who signed it, so nobody need have.
    let roots = RootCertStore::empty();
    match verify_server_cert_signed_by_trust_anchor(&certificate, &roots, &[], time, &[]) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => Some(not_after),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_found_whoever_signed_it() {
        let mut params = CertificateParams::new(["ground".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2030, 1, 1);
        let end = UnixTime::since_unix_epoch(Duration::from_secs(1_893_456_000));
        let at = |seconds: u64| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
            params.is_ca = is_ca;
            let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            assert_eq!(end_before(made.der(), at(1_893_456_001)), Some(end));
            assert_eq!(end_before(made.der(), at(1_893_455_000)), None);
        }
    }
}
