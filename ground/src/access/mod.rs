//! Who may see and command what.
//!
//! A token gives its owner two lists of vehicle patterns, the roles `view` and `command`. Tokens come in a header or in a
//! message, never in a URL, and nothing here logs one.

mod jwt;
mod limits;
mod origin;
mod ring_provider;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use subtle::ConstantTimeEq as _;
use tern_shared::id::Token;
use tern_shared::pattern::Pattern;
use tern_shared::time::Timestamp;

use crate::clock::wall_now;
use crate::json::epoch_seconds;
use crate::publish::matches_any;
use crate::publish::message::{ErrorCode, Problem, ToClient};

pub use jwt::{JwtError, JwtKeys};
pub(crate) use limits::network;
pub use limits::{AddressPlace, Limits};
pub use origin::Origins;

/// What a client may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who it is taken for.
    pub name: Option<String>,
    /// The vehicles whose telemetry it may see.
    pub view: Arc<[Pattern]>,
    /// The vehicles that it may command.
    pub command: Arc<[Pattern]>,
    /// Until when.
    pub expires: Option<Timestamp>,
}

/// A token of the configuration, and what it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientToken {
    /// The token.
    pub token: Token,
    /// The vehicles whose telemetry it shows.
    pub view: Vec<Pattern>,
    /// The vehicles that it commands.
    pub command: Vec<Pattern>,
}

/// All that gives access.
#[derive(Debug)]
pub struct Access {
    tokens: Vec<(Token, Arc<Grant>)>,
    jwt: Option<Arc<JwtKeys>>,
    everybody: Option<Arc<Grant>>,
}

impl Access {
    /// Access by these tokens; without any of them, everybody may do everything.
    pub fn new(
        viewer: Option<Token>,
        clients: BTreeMap<String, ClientToken>,
        jwt: Option<Arc<JwtKeys>>,
    ) -> Access {
        let is_open = viewer.is_none() && clients.is_empty() && jwt.is_none();
        let anything = || Arc::from([Pattern::anything()]);
        let grant =
            |name: Option<String>, view, command| Arc::new(Grant { name, view, command, expires: None });
        let viewer = viewer.map(|token| (token, grant(Some("viewer".to_owned()), anything(), Arc::from([]))));
        let clients = clients.into_iter().map(|(name, client)| {
            (client.token, grant(Some(name), client.view.into(), client.command.into()))
        });
        let everybody = is_open.then(|| grant(None, anything(), anything()));
        Access { tokens: viewer.into_iter().chain(clients).collect(), jwt, everybody }
    }

    /// Whether clients need a token.
    pub fn is_required(&self) -> bool {
        self.everybody.is_none()
    }

    /// What a token gives. Tokens are compared in a time that depends on their lengths only.
    pub fn check(&self, token: &Token) -> Result<Arc<Grant>, Problem> {
        if let Some(everybody) = &self.everybody {
            return Ok(everybody.clone());
        }
        // All are compared, so that the time does not tell which was close.
        let mut found = None;
        for (secret, grant) in &self.tokens {
            if bool::from(secret.0.as_bytes().ct_eq(token.0.as_bytes())) {
                found = Some(grant.clone());
            }
        }
        match (found, &self.jwt) {
            (Some(grant), _) => Ok(grant),
            (None, Some(jwt)) => jwt.check(token, wall_now()).map(Arc::new),
            (None, None) => Err(Problem::new(ErrorCode::NotAuthorized, "this token gives no access")),
        }
    }

    /// What the head of a request gives; `None` where a token is needed and there is none.
    pub fn of_request(&self, headers: &HeaderMap) -> Result<Option<Arc<Grant>>, Problem> {
        match headers.get(header::AUTHORIZATION) {
            None => Ok(self.everybody.clone()),
            Some(_) if !self.is_required() => Ok(self.everybody.clone()),
            Some(value) => match bearer_token(value) {
                Some(token) => self.check(&token).map(Some),
                None => {
                    let message = "the authorization header takes Bearer and a token";
                    Err(Problem::new(ErrorCode::NotAuthorized, message))
                }
            },
        }
    }
}

impl Grant {
    /// Whether it shows a vehicle.
    pub fn may_view(&self, vehicle: &str) -> bool {
        matches_any(&self.view, vehicle)
    }

    /// Whether it commands a vehicle.
    pub fn may_command(&self, vehicle: &str) -> bool {
        matches_any(&self.command, vehicle)
    }

    /// The message that tells the client.
    pub fn message(&self) -> ToClient<'_> {
        ToClient::Access {
            name: self.name.as_deref(),
            view: self.view.iter().map(Pattern::as_str).collect(),
            command: self.command.iter().map(Pattern::as_str).collect(),
            expires: self.expires.map(epoch_seconds),
        }
    }
}

fn bearer_token(value: &HeaderValue) -> Option<Token> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Token(token.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        Token(text.to_owned())
    }

    fn access() -> Access {
        let pattern = |text| vec![Pattern::new(text).unwrap()];
        let ops = ClientToken { token: token("o"), view: pattern("al*"), command: pattern("alpha") };
        Access::new(Some(token("v")), BTreeMap::from([("ops".to_owned(), ops)]), None)
    }

    #[test]
    fn a_token_gives_its_own_roles() {
        let viewer = access().check(&token("v")).unwrap();
        assert!(viewer.may_view("beta") && !viewer.may_command("beta"));
        let ops = access().check(&token("o")).unwrap();
        assert!(ops.may_view("alpine") && !ops.may_view("beta"));
        assert!(ops.may_command("alpha") && !ops.may_command("alpine"));
        for wrong in ["", "w", "vv", "a.b.c"] {
            let problem = access().check(&token(wrong)).unwrap_err();
            assert_eq!(problem.code, ErrorCode::NotAuthorized);
        }
    }

    #[test]
    fn without_tokens_everybody_may_do_everything() {
        let open = Access::new(None, BTreeMap::new(), None);
        let grant = open.of_request(&HeaderMap::new()).unwrap().unwrap();
        assert!(!open.is_required() && grant.may_view("x") && grant.may_command("x"));
    }

    #[test]
    fn bearer_tokens_are_found_in_the_head() {
        let with = |value: &str| {
            let headers =
                HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
            access().of_request(&headers)
        };
        assert!(with("Bearer v").unwrap().is_some() && with("bearer  o").unwrap().is_some());
        assert!(with("Bearer w").is_err() && with("Basic v").is_err());
        assert_eq!(access().of_request(&HeaderMap::new()), Ok(None));
    }
}
