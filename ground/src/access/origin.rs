//! Which web pages may use the API.
//!
//! The ground's own, and those of sites that are configured. Where no token protects the telemetry, the browser's user is all
//! that does; then the ground's own name has to be one that no site can have, as a site that took this ground's address
//! for its own name (DNS rebinding) passes for the ground's own page.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri, header};

use crate::publish::message::{ErrorCode, Problem};

/// The origins whose pages may use the API.
#[derive(Clone, Debug)]
pub struct Origins {
    listed: Vec<String>,
    token_required: bool,
}

impl Origins {
    /// Those listed, and the ground's own.
    pub fn new(listed: Vec<String>, token_required: bool) -> Self {
        Origins { listed, token_required }
    }

    /// Whether the request comes from a page that may, or from no page at all.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let host = host(headers);
        let named_safely = self.token_required || host.as_ref().is_none_or(is_private);
        let allowed = match headers.get(header::ORIGIN) {
            None => named_safely,
            Some(_) if self.listed(headers).is_some() => true,
            Some(origin) => named_safely && is_of(origin, host.as_ref()),
        };
        if allowed {
            return Ok(());
        }
        let message = "pages of this origin may not use this ground: list it in origins. Without tokens, the ground \
                       answers by address, localhost and local names only";
        Err(Problem::new(ErrorCode::Forbidden, message))
    }

    /// Whether the ground may serve its page by the name that it was asked for.
    pub fn is_named_safely(&self, headers: &HeaderMap) -> bool {
        self.token_required || host(headers).is_none_or(|host| is_private(&host))
    }

    /// The origin of a request when it is one of those listed.
    pub fn listed<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        self.listed.iter().any(|listed| listed.as_bytes() == origin.as_bytes()).then_some(origin)
    }
}

fn is_of(origin: &HeaderValue, host: Option<&Authority>) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    origin.as_ref().and_then(Uri::authority).is_some_and(|origin| Some(origin) == host)
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    headers.get(header::HOST)?.to_str().ok()?.parse().ok()
}

/// An address, or a name that is not in the public DNS.
fn is_private(host: &Authority) -> bool {
    let name = host.host().to_ascii_lowercase();
    let is_address = name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok();
    is_address || !name.contains('.') || name.ends_with(".localhost") || name.ends_with(".local")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origin: &'static str, host: &'static str) -> HeaderMap {
        HeaderMap::from_iter([
            (header::ORIGIN, HeaderValue::from_static(origin)),
            (header::HOST, HeaderValue::from_static(host)),
        ])
    }

    fn may(listed: &[&str], token_required: bool, headers: &HeaderMap) -> bool {
        let listed = listed.iter().map(|origin| (*origin).to_owned()).collect();
        Origins::new(listed, token_required).check(headers).is_ok()
    }

    #[test]
    fn pages_of_other_sites_are_told_apart() {
        for own in ["127.0.0.1:8080", "[::1]:8080", "localhost:8080", "LOCALHOST", "rover.local:8080", "pi"] {
            let origin: &'static str = Box::leak(format!("http://{own}").into_boxed_str());
            assert!(may(&[], false, &headers(origin, own)), "{own}");
        }
        for other in ["https://evil.example", "null", "http://127.0.0.1:8081", "", "http://localhost:8080"] {
            for token_required in [false, true] {
                assert!(!may(&[], token_required, &headers(other, "127.0.0.1:8080")), "{other}");
            }
        }
        assert!(may(&[], false, &HeaderMap::new()));
        let ops = headers("https://ops.example", "tern.example");
        assert!(may(&["https://ops.example"], true, &ops) && !may(&["https://ops.example:1"], true, &ops));
    }

    #[test]
    fn a_site_that_takes_the_grounds_address_is_told_apart() {
        for host in ["evil.example:8080", "127.0.0.1.evil.example", "1.2.3.4.5"] {
            let origin: &'static str = Box::leak(format!("http://{host}").into_boxed_str());
            let page = headers(origin, host);
            // Pages of the same origin send none with what they fetch.
            let fetched = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            for headers in [&page, &fetched] {
                assert!(!may(&[], false, headers) && may(&[], true, headers), "{host}");
                assert!(!Origins::new(Vec::new(), false).is_named_safely(headers), "{host}");
            }
        }
    }
}
