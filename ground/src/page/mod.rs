//! The page for operators: `/` and its `/assets`. Built from `web` by `npm run build` and embedded; a ground that was
//! built without it says how to build it.

mod files;
mod tiles;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

use self::files::File;
use crate::client::Clients;

pub use tiles::TileServer;

/// What is served where the page was not built.
const PLAIN: &str = include_str!("plain.html");
/// The plain page has its few lines of style in itself.
const PLAIN_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// Any site can give its own name the ground's address, and its pages would then read telemetry.
const PUBLIC_NAME: &str = "Without a viewer token this ground serves its page by address (http://127.0.0.1:8080), \
     localhost or a local name only. To serve it by this name, configure [viewer] token.\n";

/// What serving the page takes.
pub struct Page {
    clients: Arc<Clients>,
    html: String,
    policy: String,
}

impl Page {
    /// A page for these clients, whose map may load tiles.
    pub fn new(clients: Arc<Clients>, tiles: Option<&TileServer>) -> Arc<Page> {
        let (html, policy) = match files::find("index.html") {
            Some(index) => (with_tiles(&String::from_utf8_lossy(index.bytes), tiles), policy(tiles)),
            None => (PLAIN.to_owned(), PLAIN_POLICY.to_owned()),
        };
        Arc::new(Page { clients, html, policy })
    }
}

/// Serves `/`.
pub async fn index(State(page): State<Arc<Page>>, request: HeaderMap) -> Response {
    if !page.clients.origins.is_named_safely(&request) {
        return (StatusCode::MISDIRECTED_REQUEST, PUBLIC_NAME).into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, page.policy.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, page.html.clone()).into_response()
}

/// Serves `/assets/{name}`, whose names change with what is in them.
pub async fn asset(Path(name): Path<String>, request: HeaderMap) -> Response {
    match files::find(&format!("assets/{name}")) {
        Some(file) => file_response(file, &request),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn file_response(file: &'static File, request: &HeaderMap) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "accept-encoding"),
    ];
    let content_type = [(header::CONTENT_TYPE, file.content_type())];
    match file.gzip.filter(|_| takes_gzip(request)) {
        Some(gzip) => {
            (HEADERS, content_type, [(header::CONTENT_ENCODING, "gzip")], Body::from(gzip)).into_response()
        }
        None => (HEADERS, content_type, Body::from(file.bytes)).into_response(),
    }
}

fn takes_gzip(request: &HeaderMap) -> bool {
    let accepted =
        request.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|encoding| {
        let (name, quality) = encoding.split_once(';').unwrap_or((encoding, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(quality.trim(), "q=0" | "q=0.0")
    })
}

/// Everything comes from where the page did, but tiles, if there is a server for them.
fn policy(tiles: Option<&TileServer>) -> String {
    let images = tiles.map(|tiles| format!(" {}", tiles.origin())).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:{images}; \
         connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

fn with_tiles(html: &str, tiles: Option<&TileServer>) -> String {
    let Some(tiles) = tiles else { return html.to_owned() };
    let meta = |name: &str, content: &str| format!("<meta name=\"{name}\" content=\"{content}\">");
    html.replace(&meta("tern-tiles", ""), &meta("tern-tiles", &escaped(&tiles.url))).replace(
        &meta("tern-tiles-attribution", ""),
        &meta("tern-tiles-attribution", &escaped(&tiles.attribution)),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn tiles() -> TileServer {
        let url = "https://tiles.example.org/{z}/{x}/{y}.png?a=1&b=2".to_owned();
        TileServer::new(url, "© \"mapmakers\"".to_owned()).unwrap()
    }

    #[test]
    fn tiles_are_told_to_the_page_and_allowed_by_its_policy() {
        let html =
            "<meta name=\"tern-tiles\" content=\"\"><meta name=\"tern-tiles-attribution\" content=\"\">";
        assert_eq!(
            with_tiles(html, Some(&tiles())),
            "<meta name=\"tern-tiles\" content=\"https://tiles.example.org/{z}/{x}/{y}.png?a=1&amp;b=2\">\
             <meta name=\"tern-tiles-attribution\" content=\"© &quot;mapmakers&quot;\">"
        );
        assert_eq!(with_tiles(html, None), html);
        assert!(policy(Some(&tiles())).contains("img-src 'self' data: https://tiles.example.org;"));
        assert!(policy(None).contains("img-src 'self' data:;"));
    }

    #[test]
    fn compressed_files_go_to_who_takes_them() {
        for (accepted, takes) in [
            ("gzip, deflate, br", true),
            ("br;q=1, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("", false),
        ] {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            assert_eq!(takes_gzip(&headers), takes, "{accepted}");
        }
    }
}
