use std::io::Write as _;
use std::time::Duration;

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value as Json, json};
use tern_shared::pattern::Pattern;

use super::*;
use crate::clock::wall_now;

const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
/// A key of 2048 bits, and a token that it signed: {"sub":"ops","exp":4102444800,"tern":{"view":["*"]}}.
const RSA_MODULUS: &str = "9DyKWnjbl_C94jmCenAHZdrJ-xgyuv3X0F30BrXAF4EAJlaMv7sjINiArVssrZeySjmehoKMbJZw09JrxYgHJAI0JOs-K3wshBtmcuYO_id1fE0ECfWS8hLQj7U5eBKoOXkdUrlzuB0BzkbgUqHhDAqkW8a8Doef2HCAhyrOmPXb93UCJ-nZyYUD2RCO4Xvs6eIJrJ2t5REBXLW3Ua-gQ0HHYjREo4j9cI-323KTMIwGaz8ShgtcotvfdTE7ytDx7My-UdB7jq51DmmOi0fhdvsJPnCJjDs5rDyiR2lvquE1bHyxP3C5giXt-Yw2SQJXVAyt9osQCHdqro0OGJBEjQ";
const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJzdWIiOiJvcHMiLCJleHAiOjQxMDI0NDQ4MDAsInRlcm4iOnsidmlldyI6WyIqIl19fQ.uEwNs5xvSXjy88ITtOQlOJj3NbNH-wtjo8pbfX0UDrEHFCUd6SuA7hbzVx2jqqpBNGr8n3ohIG9E19usOeHj1LWDPRe7Hx0R-xD8XgZJ2e70Ir5nwcSLN79X1NTlpBRz_xSgD0QG6DyS6jhvjuGUPFkBU8CvRfUHUUBnoZr8ouA0gwtdeRrmNa_6b1OSkUuHmPP0sWBehMYbj_uIR5O9st8l1JlceyUbXZ9393GcOe2qbwRqwxJvUJRfWkn8UF3ug0fJbcgWzSCoaio7d4qr4-H9i43yL5WjFuktOrK0aG3w-kd-fRsxsS1pkkL6TK9_Hq_I26ewezWYm8wl-Ob8-Q";

struct Setup {
    keys: JwtKeys,
    pair: Ed25519KeyPair,
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            text.push(char::from(DIGITS[(group >> (18 - 6 * i) & 63) as usize]));
        }
    }
    text
}

fn token(header: &Json, claims: &Json, sign: impl Fn(&[u8]) -> Vec<u8>) -> Token {
    let text = |part: &Json| base64url(part.to_string().as_bytes());
    let signed = format!("{}.{}", text(header), text(claims));
    let signature = base64url(&sign(signed.as_bytes()));
    Token(format!("{signed}.{signature}"))
}

fn hs256(header: &Json, claims: &Json) -> Token {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    token(header, claims, |signed| ring::hmac::sign(&key, signed).as_ref().to_vec())
}

fn read(set: &Json) -> Result<JwtKeys, JwtError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(set.to_string().as_bytes()).unwrap();
    JwtKeys::read(file.path(), Some("tower".to_owned()), Some("tern".to_owned()))
}

fn setup() -> Setup {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let x = base64url(pair.public_key().as_ref());
    let keys = read(&json!({"keys": [
        {"kty": "oct", "kid": "hs", "alg": "HS256", "k": base64url(SECRET)},
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "x": x},
        {"kty": "RSA", "kid": "rsa", "n": RSA_MODULUS, "e": "AQAB"},
    ]}));
    Setup { keys: keys.unwrap(), pair }
}

fn seconds() -> i64 {
    wall_now().0 / 1_000_000
}

fn claims(change: Json) -> Json {
    let mut claims = json!({
        "sub": "ops\n", "exp": seconds() + 600, "iss": "tower", "aud": ["x", "tern"],
        "tern": {"view": ["*"], "command": ["alpha"]},
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

#[test]
fn tokens_of_every_kind_give_the_roles_of_their_claims() {
    let Setup { keys, pair } = setup();
    let now = wall_now();
    let hs = hs256(&json!({"alg": "HS256", "kid": "hs"}), &claims(json!({})));
    let ed =
        token(&json!({"alg": "EdDSA"}), &claims(json!({})), |signed| pair.sign(signed).as_ref().to_vec());
    for token in [hs, ed] {
        let grant = keys.check(&token, now).unwrap();
        assert_eq!(grant.name.as_deref(), Some("ops"));
        assert_eq!(
            (&*grant.view, &*grant.command),
            (&[Pattern::anything()][..], &[Pattern::new("alpha").unwrap()][..])
        );
        assert!(grant.expires > Some(now));
    }
    let any = JwtKeys { issuer: None, audience: None, ..keys };
    let grant = any.check(&Token(RSA_TOKEN.to_owned()), now).unwrap();
    assert!(grant.may_view("beta") && !grant.may_command("beta"));
}

#[test]
fn tokens_that_say_too_much_or_too_little_are_refused() {
    let Setup { keys, .. } = setup();
    let hs = json!({"alg": "HS256", "kid": "hs"});
    let check = |token: &Token| keys.check(token, wall_now()).map(|_| ()).map_err(|problem| problem.code);
    for change in [
        json!({"exp": null}),
        json!({"exp": "4102444800"}),
        json!({"nbf": seconds() + 600}),
        json!({"nbf": "soon"}),
        json!({"iss": "another"}),
        json!({"aud": "another"}),
        json!({"aud": null}),
        json!({"tern": {"fly": ["*"]}}),
        json!({"tern": {"view": "*"}}),
        json!({"tern": {"view": vec!["*"; 65]}}),
    ] {
        assert_eq!(check(&hs256(&hs, &claims(change.clone()))), Err(ErrorCode::NotAuthorized), "{change}");
    }
    assert_eq!(check(&hs256(&hs, &claims(json!({"exp": seconds() - 60})))), Err(ErrorCode::Expired));
    assert_eq!(check(&hs256(&hs, &claims(json!({"exp": seconds() - 10})))), Ok(()));
    // Without claims of ours there are no roles.
    let roleless = keys.check(&hs256(&hs, &claims(json!({"tern": {}}))), wall_now()).unwrap();
    assert!(!roleless.may_view("alpha") && !roleless.may_command("alpha"));
}

#[test]
fn a_token_does_not_choose_how_it_is_checked() {
    let Setup { keys, pair } = setup();
    let check = |token: &Token| keys.check(token, wall_now()).map(|_| ()).map_err(|problem| problem.code);
    let refused = Err(ErrorCode::NotAuthorized);
    let good = hs256(&json!({"alg": "HS256", "kid": "hs"}), &claims(json!({})));
    assert_eq!(check(&good), Ok(()));
    // Signed with a public key as if it were a secret.
    let public = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, pair.public_key().as_ref());
    let confused = |header: Json| {
        token(&header, &claims(json!({})), |signed| ring::hmac::sign(&public, signed).as_ref().to_vec())
    };
    assert_eq!(check(&confused(json!({"alg": "HS256", "kid": "ed"}))), refused);
    assert_eq!(check(&confused(json!({"alg": "HS256"}))), refused);
    assert_eq!(check(&token(&json!({"alg": "none"}), &claims(json!({})), |_| Vec::new())), refused);
    assert_eq!(check(&hs256(&json!({"alg": "HS512", "kid": "hs"}), &claims(json!({})))), refused);
    assert_eq!(check(&hs256(&json!({"alg": "HS256", "kid": "gone"}), &claims(json!({})))), refused);
    for cut in [1, 10, 100] {
        assert_eq!(check(&Token(good.0[..good.0.len() - cut].to_owned())), refused);
    }
    for text in ["", ".", "..", "a.b.c", &"x".repeat(100_000)] {
        assert_eq!(check(&Token(text.to_owned())), refused);
    }
}

#[test]
fn keys_that_are_too_weak_or_of_another_kind_are_named() {
    let refused = |key: Json| read(&json!({"keys": [key]})).unwrap_err().to_string();
    for (key, why) in [
        (json!({"kty": "oct", "k": base64url(b"short")}), "32 bytes"),
        (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), "2048 bits"),
        (json!({"kty": "oct", "alg": "HS512", "k": base64url(SECRET)}), "alg"),
        (json!({"kty": "oct", "use": "enc", "k": base64url(SECRET)}), "use"),
        (json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}), "neither"),
        (json!({"kty": "oct", "k": "!"}), "base64url"),
    ] {
        let error = refused(key);
        assert!(error.contains("key 1") && error.contains(why), "{error}");
    }
    assert!(matches!(read(&json!({"keys": []})), Err(JwtError::Empty { .. })));
    let error = read(&json!({"keys": "s3cret"})).unwrap_err().to_string();
    assert!(error.contains("no JWK set") && !error.contains("s3cret"), "{error}");
    assert!(matches!(JwtKeys::read(Path::new("no/such"), None, None), Err(JwtError::Read { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_key_set_that_changes_is_read_again_and_one_that_cannot_be_used_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    // As rotation does it: a file beside it takes its place.
    let put = |text: &str| {
        let fresh = folder.path().join("fresh.json");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, &file).unwrap();
    };
    let set = |id: &str| json!({"keys": [{"kty": "oct", "kid": id, "k": base64url(SECRET)}]}).to_string();
    put(&set("old"));
    let keys = Arc::new(JwtKeys::read(&file, None, None).unwrap());
    let gives_access = |id: &str| {
        let token = hs256(&json!({"alg": "HS256", "kid": id}), &claims(json!({})));
        keys.check(&token, wall_now()).is_ok()
    };
    let rotated = async |from: &str, to: &str| {
        while gives_access(from) || !gives_access(to) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let limit = Duration::from_secs(60);
    let following = tokio::spawn(keys.clone().follow());
    assert!(gives_access("old") && !gives_access("new"));
    put(&set("new"));
    tokio::time::timeout(limit, rotated("old", "new")).await.unwrap();

    for bad in ["", "{", r#"{"keys": []}"#, r#"{"keys": [{"kty": "oct", "k": "AAAA"}]}"#] {
        put(bad);
        keys.reload().unwrap_err();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(gives_access("new"), "{bad}");
    }
    std::fs::remove_file(&file).unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(gives_access("new") && !following.is_finished());
    put(&set("newer"));
    tokio::time::timeout(limit, rotated("new", "newer")).await.unwrap();
    following.abort();
}
