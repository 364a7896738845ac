//! Certificates for this computer, as files.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use crate::site::Site;

/// Files with a certificate and its key.
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Signs certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// What those who trust it read.
    pub(crate) certificate: PathBuf,
}

impl Certificate {
    /// One of a ground on this computer that signed it itself.
    pub(crate) fn of_ground(site: &Site, name: &str) -> Certificate {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        write(site, name, &made.cert.pem(), &made.signing_key)
    }

    /// One that has been out of date for years.
    pub(crate) fn expired(site: &Site, name: &str) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        write(site, name, &params.self_signed(&key).unwrap().pem(), &key)
    }
}

impl Authority {
    pub(crate) fn new(site: &Site, name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let certificate = site.path(&format!("{name}.pem"));
        std::fs::write(&certificate, issuer.pem()).unwrap();
        Authority { issuer, certificate }
    }

    /// A vehicle's certificate, valid in these years.
    pub(crate) fn vehicle(&self, site: &Site, vehicle: &str, years: std::ops::Range<i32>) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([vehicle.to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        let made = params.signed_by(&key, &self.issuer).unwrap();
        write(site, &format!("{vehicle}-{}", years.end), &made.pem(), &key)
    }
}

fn write(site: &Site, name: &str, certificate: &str, key: &KeyPair) -> Certificate {
    let files = Certificate {
        certificate: site.path(&format!("{name}.pem")),
        key: site.path(&format!("{name}.key")),
    };
    std::fs::write(&files.certificate, certificate).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}
