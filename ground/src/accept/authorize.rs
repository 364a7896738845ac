//! Who may connect.
//!
//! Tokens are compared in a time that depends on their lengths only. An attacker who can measure it learns a token's
//! length, which a random token does not hide behind.

use std::collections::BTreeMap;

use subtle::ConstantTimeEq as _;
use tern_shared::id::{Token, VehicleId};
use tern_shared::message::{Refusal, RefusalReason};

/// The vehicles that may connect.
#[derive(Debug)]
pub struct VehicleTokens(BTreeMap<VehicleId, Token>);

impl VehicleTokens {
    /// Without any vehicle, all are accepted.
    pub fn new(tokens: BTreeMap<VehicleId, Token>) -> Self {
        VehicleTokens(tokens)
    }

    /// Whether this vehicle may connect. A refusal does not tell an unknown vehicle from a wrong token.
    pub fn check(&self, vehicle: &VehicleId, token: &Token) -> Result<(), Refusal> {
        if self.0.is_empty() || self.0.get(vehicle).is_some_and(|secret| is_same(secret, token)) {
            return Ok(());
        }
        let message = format!(
            "vehicle {vehicle} is not configured at this ground, or with another token: \
             compare [vehicles.{vehicle}] of the ground with the edge's token"
        );
        Err(Refusal::new(RefusalReason::NotAuthorized, message))
    }
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
        let tokens = VehicleTokens::new(BTreeMap::from([
            (id("alpha"), token("a-secret")),
            (id("beta"), token("b-secret")),
        ]));
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
        VehicleTokens::new(BTreeMap::new()).check(&id("gamma"), &token("")).unwrap();
    }
}
