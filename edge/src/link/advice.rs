//! What to do about a handshake that failed. TLS and WebSocket tell of it in words, by QUIC in nothing else.

use chrono::{DateTime, Utc};

/// Words of rustls and httparse, and what helps.
const BAD_TIME: [&str; 2] = ["not valid yet", "certificate expired"];
const UNKNOWN: &str = "UnknownIssuer";
const NOT_HTTP: &str = "invalid HTTP version";

/// What helps against this, behind a semicolon; empty where nothing is known.
pub(super) fn advice(reason: &str, now: DateTime<Utc>) -> String {
    if BAD_TIME.iter().any(|words| reason.contains(words)) {
        format!(
            "; is this computer's clock right (now {}), and the ground's certificate?",
            now.format("%F %R UTC")
        )
    } else if reason.contains(UNKNOWN) {
        "; is the ground's authority in link.certificates, or the system's?".to_owned()
    } else if reason.contains(NOT_HTTP) {
        "; a ground with TLS takes wss://".to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::UnixTime;
    use rustls::{CertificateError, Error};

    use super::*;

    #[test]
    fn a_wrong_clock_and_an_unknown_authority_are_told_as_rustls_words_them() {
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let early =
            CertificateError::NotValidYetContext { time: at(1_761_496_524), not_before: at(1_796_054_815) };
        let late = CertificateError::ExpiredContext { time: at(1_796_054_815), not_after: at(1_761_496_524) };
        let now = DateTime::from_timestamp(1_761_496_524, 0).unwrap();
        let advice_on = |error: CertificateError| advice(&Error::InvalidCertificate(error).to_string(), now);
        for error in [early, late] {
            assert!(advice_on(error.clone()).contains("now 2025-10-26 16:35 UTC"), "{error:?}");
        }
        assert!(advice_on(CertificateError::UnknownIssuer).contains("link.certificates"));
        assert_eq!(advice_on(CertificateError::Revoked), "");
    }
}
