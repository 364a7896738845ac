//! Who may connect: vehicles by a token in their hello or by a certificate in the TLS handshake (QUIC only), web clients
//! by a token.
//!
//! Tokens are compared in a time that depends on their lengths only. An attacker who can measure it learns a token's
//! length, which a random token does not hide behind.

use std::collections::BTreeMap;

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use subtle::ConstantTimeEq as _;
use tern_shared::id::{Token, VehicleId};
use tern_shared::message::{Refusal, RefusalReason};

/// The vehicles that may connect.
#[derive(Debug)]
pub struct VehicleTokens {
    tokens: BTreeMap<VehicleId, Token>,
    open: bool,
}

impl VehicleTokens {
    /// Without any vehicle all are accepted, unless vehicles are known by their certificates.
    pub fn new(tokens: BTreeMap<VehicleId, Token>, certificates: bool) -> Self {
        VehicleTokens { open: tokens.is_empty() && !certificates, tokens }
    }

    /// Whether this vehicle may connect. A refusal does not tell an unknown vehicle from a wrong token.
    pub fn check(&self, vehicle: &VehicleId, token: &Token) -> Result<(), Refusal> {
        if self.open || self.tokens.get(vehicle).is_some_and(|secret| is_same(secret, token)) {
            return Ok(());
        }
        let message = format!(
            "vehicle {vehicle} is not configured at this ground, or with another token: \
             compare [vehicles.{vehicle}] of the ground with the edge's token"
        );
        Err(Refusal::new(RefusalReason::NotAuthorized, message))
    }
}

/// Whether a certificate, verified before, is this vehicle's: one of its subject alternative names (DNS) has to be the
/// vehicle's name.
pub(super) fn check_certificate(
    certificate: &CertificateDer<'_>,
    vehicle: &VehicleId,
) -> Result<(), Refusal> {
    let name = ServerName::try_from(vehicle.as_str()).map_err(|error| error.to_string());
    let named = name.and_then(|name| {
        let certificate = ParsedCertificate::try_from(certificate).map_err(|error| error.to_string())?;
        verify_server_name(&certificate, &name).map_err(|error| error.to_string())
    });
    named.map_err(|error| {
        let message = format!(
            "the certificate does not name vehicle {vehicle} as a subject alternative name (DNS): {error}"
        );
        Refusal::new(RefusalReason::NotAuthorized, message)
    })
}

fn is_same(secret: &Token, token: &Token) -> bool {
    secret.0.as_bytes().ct_eq(token.0.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        Token(text.to_owned())
    }

    #[test]
    fn a_vehicle_needs_its_own_token() {
        let id = |name: &str| name.parse::<VehicleId>().unwrap();
        let tokens = VehicleTokens::new(
            BTreeMap::from([(id("alpha"), token("a-secret")), (id("beta"), token("b-secret"))]),
            false,
        );
        tokens.check(&id("alpha"), &token("a-secret")).unwrap();
        for (vehicle, wrong) in [
            ("alpha", ""),
            ("alpha", "b-secret"),
            ("alpha", "a-secret2"),
            ("gamma", "a-secret"),
            ("gamma", ""),
        ] {
            let refusal = tokens.check(&id(vehicle), &token(wrong)).unwrap_err();
            assert_eq!(refusal.reason, RefusalReason::NotAuthorized);
            assert!(!refusal.message.contains("secret"));
        }
        VehicleTokens::new(BTreeMap::new(), false).check(&id("gamma"), &token("")).unwrap();
        VehicleTokens::new(BTreeMap::new(), true).check(&id("gamma"), &token("")).unwrap_err();
    }

    #[test]
    fn a_certificate_is_good_for_the_vehicle_that_it_names() {
        let made = rcgen::generate_simple_self_signed(["alpha".to_owned(), "beta-2".to_owned()]).unwrap();
        let check = |name: &str| check_certificate(made.cert.der(), &name.parse().unwrap());
        check("alpha").unwrap();
        check("beta-2").unwrap();
        for another in ["gamma", "alph", "alpha.b", "1.2.3.4", "alpha_"] {
            let refusal = check(another).unwrap_err();
            assert!(refusal.reason == RefusalReason::NotAuthorized && refusal.message.contains(another));
        }
    }
}
