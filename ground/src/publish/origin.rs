//! Which web pages may read telemetry without a token, where the browser's user is all that protects it.
//!
//! Not those of other sites. And not one whose site took this ground's address for its own name (DNS rebinding): it
//! passes for the ground's own page, so the name has to be one that no site can have.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// Whether the request comes from a page of this server, or from no page at all.
pub fn is_own_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    match (origin.as_ref().and_then(Uri::authority), host(headers)) {
        (Some(origin), Some(host)) => *origin == host && is_private(&host),
        _ => false,
    }
}

/// Whether the browser asked for this server by a name that no site can have.
pub fn has_private_host(headers: &HeaderMap) -> bool {
    host(headers).is_none_or(|host| is_private(&host))
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
    use axum::http::HeaderValue;

    use super::*;

    fn headers(origin: &'static str, host: &'static str) -> HeaderMap {
        HeaderMap::from_iter([
            (header::ORIGIN, HeaderValue::from_static(origin)),
            (header::HOST, HeaderValue::from_static(host)),
        ])
    }

    #[test]
    fn pages_of_other_sites_are_told_apart() {
        for own in ["127.0.0.1:8080", "[::1]:8080", "localhost:8080", "LOCALHOST", "rover.local:8080", "pi"] {
            let origin: &'static str = Box::leak(format!("http://{own}").into_boxed_str());
            assert!(is_own_page(&headers(origin, own)), "{own}");
        }
        for other in ["https://evil.example", "null", "http://127.0.0.1:8081", "", "http://localhost:8080"] {
            assert!(!is_own_page(&headers(other, "127.0.0.1:8080")), "{other}");
        }
        assert!(is_own_page(&HeaderMap::new()));
    }

    #[test]
    fn a_site_that_takes_the_grounds_address_is_told_apart() {
        for host in ["evil.example:8080", "127.0.0.1.evil.example", "1.2.3.4.5"] {
            let origin: &'static str = Box::leak(format!("http://{host}").into_boxed_str());
            assert!(
                !is_own_page(&headers(origin, host)) && !has_private_host(&headers(origin, host)),
                "{host}"
            );
        }
    }
}
