//! JSON Web Tokens, checked with the keys of a JWK set in a file.

mod follow;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation, decode, decode_header};
use serde::Deserialize;
use tern_shared::id::Token;
use tern_shared::time::Timestamp;

use super::{Grant, ring_provider};
use crate::publish::message::{ErrorCode, Problem};
use crate::publish::patterns;

/// The longest token, bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How far the issuer's clock may be from this one, seconds.
const LEEWAY_SECONDS: u64 = 30;
/// HS256 takes a key as long as its hash (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// The keys that tokens are checked with, and what their claims have to say.
#[derive(Debug)]
pub struct JwtKeys {
    path: PathBuf,
    keys: RwLock<Arc<[Key]>>,
    issuer: Option<String>,
    audience: Option<String>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Why a key set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwtError {
    /// The file cannot be read.
    #[error("jwt.keys: cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no JWK set.
    #[error("jwt.keys: {} is no JWK set (RFC 7517): line {line}, column {column}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where. The text there is not repeated: it may be a key.
        line: usize,
        /// Where in it.
        column: usize,
    },
    /// A key is of no use.
    #[error("jwt.keys: key {number} of {} cannot be used: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Which, counted from 1.
        number: usize,
        /// Why not.
        reason: &'static str,
    },
    /// There is none.
    #[error("jwt.keys: {} has no key", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: f64,
    #[serde(default)]
    tern: Roles,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Roles {
    #[serde(default)]
    view: Vec<String>,
    #[serde(default)]
    command: Vec<String>,
}

impl JwtKeys {
    /// Reads a key set. Tokens have to be of this issuer and for this audience, where that is given.
    pub fn read(path: &Path, issuer: Option<String>, audience: Option<String>) -> Result<JwtKeys, JwtError> {
        let keys = RwLock::new(read_keys(path)?);
        ring_provider::install();
        Ok(JwtKeys { path: path.to_owned(), keys, issuer, audience })
    }

    /// Reads the file again and returns how many keys it has. When it cannot be used, the keys from before stay.
    pub fn reload(&self) -> Result<usize, JwtError> {
        let keys = read_keys(&self.path)?;
        let count = keys.len();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(count)
    }

    /// What a token gives at a time.
    pub fn check(&self, token: &Token, now: Timestamp) -> Result<Grant, Problem> {
        let refused =
            |why: &str| Problem::new(ErrorCode::NotAuthorized, format!("this token gives no access: {why}"));
        if token.0.len() > MAX_TOKEN_BYTES {
            return Err(refused("it is too long"));
        }
        let header =
            decode_header(&token.0).map_err(|_| refused("it is no JWT and no token of this ground"))?;
        let fits = |key: &&Key| key.algorithm == header.alg && (header.kid.is_none() || key.id == header.kid);
        let mut problem = refused("no key of the key set fits its kid and alg");
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        for key in keys.iter().filter(fits) {
            match decode::<Claims>(&token.0, &key.key, &self.validation(key.algorithm)) {
                Ok(decoded) => return grant(decoded.claims, now).map_err(refused),
                Err(error) => match error.kind() {
                    ErrorKind::ExpiredSignature => {
                        return Err(Problem::new(ErrorCode::Expired, "this token has expired"));
                    }
                    ErrorKind::InvalidSignature => problem = refused("its signature is wrong"),
                    ErrorKind::ImmatureSignature => problem = refused("its nbf has not come yet"),
                    ErrorKind::InvalidIssuer => problem = refused("its iss is not jwt.issuer"),
                    ErrorKind::InvalidAudience => problem = refused("its aud is not jwt.audience"),
                    ErrorKind::MissingRequiredClaim(claim) => {
                        problem = refused(&format!("its claim {claim} is missing"));
                    }
                    _ => problem = refused("its claims cannot be read"),
                },
            }
        }
        Err(problem)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.validate_aud = self.audience.is_some();
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }
}

fn read_keys(path: &Path) -> Result<Arc<[Key]>, JwtError> {
    let path = || path.to_owned();
    let text = std::fs::read(path()).map_err(|error| JwtError::Read { path: path(), error })?;
    let set: JwkSet = serde_json::from_slice(&text).map_err(|error| JwtError::Parse {
        path: path(),
        line: error.line(),
        column: error.column(),
    })?;
    let mut keys = Vec::with_capacity(set.keys.len());
    for (number, jwk) in (1..).zip(&set.keys) {
        keys.push(Key::new(jwk).map_err(|reason| JwtError::Key { path: path(), number, reason })?);
    }
    if keys.is_empty() {
        return Err(JwtError::Empty { path: path() });
    }
    Ok(keys.into())
}

impl Key {
    fn new(jwk: &Jwk) -> Result<Key, &'static str> {
        if jwk.common.public_key_use.as_ref().is_some_and(|key_use| *key_use != PublicKeyUse::Signature) {
            return Err("its use is not sig");
        }
        let (algorithm, stated) = match &jwk.algorithm {
            AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, KeyAlgorithm::HS256),
            AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            _ => return Err("it is neither oct (HS256), RSA (RS256) nor OKP with Ed25519 (EdDSA)"),
        };
        if jwk.common.key_algorithm.is_some_and(|alg| alg != stated) {
            return Err("its alg is none of HS256, RS256 and EdDSA, or not of its type");
        }
        let key = DecodingKey::from_jwk(jwk).map_err(|_| "its numbers are no base64url")?;
        match key.kind() {
            DecodingKeyKind::SecretOrDer(bytes) if bytes.len() < MIN_SECRET_BYTES => {
                return Err("it is shorter than 32 bytes");
            }
            DecodingKeyKind::SecretOrDer(bytes) if algorithm == Algorithm::EdDSA && bytes.len() != 32 => {
                return Err("it has not 32 bytes");
            }
            DecodingKeyKind::RsaModulusExponent { n, .. } if n.len() < 256 => {
                return Err("it is shorter than 2048 bits");
            }
            _ => {}
        }
        Ok(Key { id: jwk.common.key_id.clone(), algorithm, key })
    }
}

fn grant(claims: Claims, now: Timestamp) -> Result<Grant, &'static str> {
    let roles =
        |texts: &[String]| patterns(texts).map(Arc::from).map_err(|_| "its roles have too many patterns");
    let expires = Timestamp((claims.exp * 1e6) as i64).offset_by(LEEWAY_SECONDS as i64 * 1_000_000);
    if expires <= now {
        return Err("it has expired");
    }
    Ok(Grant {
        // For logs and the audit of commands; nobody needs more of it.
        name: claims.sub.map(|name| name.chars().filter(|c| !c.is_control()).take(80).collect()),
        view: roles(&claims.tern.view)?,
        command: roles(&claims.tern.command)?,
        expires: Some(expires),
    })
}

#[cfg(test)]
mod tests;
