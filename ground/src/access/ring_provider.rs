//! The cryptography of JSON Web Tokens by ring, which TLS brings along.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(KeyVerifier::new(*algorithm, key)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring the cryptography of all tokens in this process.
pub(super) fn install() {
    // Fails when it is already.
    let _ = PROVIDER.install_default();
}

enum KeyVerifier {
    Hs256(ring::hmac::Key),
    Rs256 { n: Vec<u8>, e: Vec<u8> },
    EdDsa(Vec<u8>),
}

impl KeyVerifier {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self> {
        match (algorithm, key.kind()) {
            (Algorithm::HS256, DecodingKeyKind::SecretOrDer(secret)) => {
                Ok(KeyVerifier::Hs256(ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret)))
            }
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                Ok(KeyVerifier::Rs256 { n: n.clone(), e: e.clone() })
            }
            (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(key)) => Ok(KeyVerifier::EdDsa(key.clone())),
            _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
        }
    }
}

impl Verifier<Vec<u8>> for KeyVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        match self {
            KeyVerifier::Hs256(key) => ring::hmac::verify(key, message, signature),
            KeyVerifier::Rs256 { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            KeyVerifier::EdDsa(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        }
        .map_err(|_| Error::new())
    }
}

impl JwtVerifier for KeyVerifier {
    fn algorithm(&self) -> Algorithm {
        match self {
            KeyVerifier::Hs256(_) => Algorithm::HS256,
            KeyVerifier::Rs256 { .. } => Algorithm::RS256,
            KeyVerifier::EdDsa(_) => Algorithm::EdDSA,
        }
    }
}
