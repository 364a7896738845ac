//! Where the page may load map tiles from.

/// Checked parts of `https://tiles.example.org/{z}/{x}/{y}.png`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileServer {
    /// The address of a tile, with `{z}`, `{x}` and `{y}` in it.
    pub url: String,
    /// Whom the map is to name.
    pub attribution: String,
}

impl TileServer {
    /// A tile server, or what its address lacks.
    pub fn new(url: String, attribution: String) -> Result<TileServer, &'static str> {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        // The host becomes part of a header, which its characters must not end.
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        if host.is_empty() || !host.chars().all(is_host) {
            return Err("an address that begins with https://HOST/");
        }
        if !["{z}", "{x}", "{y}"].iter().all(|part| url.contains(part)) {
            return Err("an address with {z}, {x} and {y} in it");
        }
        if url.chars().chain(attribution.chars()).any(char::is_control) {
            return Err("text without control characters");
        }
        Ok(TileServer { url, attribution })
    }

    /// The origin of the tiles: scheme, host and port.
    pub fn origin(&self) -> &str {
        let host = self.url.find("://").map_or(0, |at| at + 3);
        let end = self.url[host..].find('/').map_or(self.url.len(), |at| host + at);
        &self.url[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<TileServer, &'static str> {
        TileServer::new(url.to_owned(), "© mapmakers".to_owned())
    }

    #[test]
    fn a_tile_servers_origin_is_told() {
        let tiles = server("https://tiles.example.org:8443/{z}/{x}/{y}.png").unwrap();
        assert_eq!(tiles.origin(), "https://tiles.example.org:8443");
    }

    #[test]
    fn what_is_no_tile_server_is_refused() {
        for url in [
            "",
            "tiles.example.org/{z}/{x}/{y}.png",
            "https:///{z}/{x}/{y}.png",
            "https://tiles.example.org/{z}/{x}.png",
            "https://a; script-src *'/{z}/{x}/{y}.png",
            "https://a/{z}/{x}/{y}.png\nx",
        ] {
            server(url).unwrap_err();
        }
    }
}
