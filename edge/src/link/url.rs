//! Where the ground is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use tern_shared::quic::DEFAULT_PORT;

/// The ground's address: `quic://HOST[:PORT]`, `wss://HOST[:PORT][/PATH]` or `ws://...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroundUrl {
    transport: Transport,
    host: String,
    port: u16,
    path: String,
}

/// How messages travel to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `quic://`: UDP, always encrypted.
    Quic,
    /// `wss://`: WebSocket over TLS.
    EncryptedWebSocket,
    /// `ws://`: WebSocket that everybody on the way can read.
    PlainWebSocket,
}

/// Why a text is no [`GroundUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no address of a ground: expected quic://HOST[:PORT] or wss://HOST[:PORT]/vehicle (or ws:// \
     on this computer)"
)]
pub struct InvalidGroundUrl {
    text: String,
}

impl GroundUrl {
    /// Whether TLS protects it.
    pub fn is_encrypted(&self) -> bool {
        self.transport != Transport::PlainWebSocket
    }

    /// How messages travel to it.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether it is this computer.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    /// The host's name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, UDP for QUIC and TCP for WebSocket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as in a URL.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for GroundUrl {
    type Err = InvalidGroundUrl;

    fn from_str(text: &str) -> Result<Self, InvalidGroundUrl> {
        parse(text).ok_or_else(|| InvalidGroundUrl { text: text.chars().take(200).collect() })
    }
}

fn parse(text: &str) -> Option<GroundUrl> {
    let (scheme, rest) = text.split_once("://")?;
    let (transport, default_port, default_path) = match scheme {
        "quic" => (Transport::Quic, DEFAULT_PORT, ""),
        "wss" => (Transport::EncryptedWebSocket, 443, "/vehicle"),
        "ws" => (Transport::PlainWebSocket, 80, "/vehicle"),
        _ => return None,
    };
    let (authority, path) = match rest.find('/') {
        // There are no paths in QUIC.
        Some(slash) if transport == Transport::Quic && slash + 1 == rest.len() => (&rest[..slash], ""),
        Some(_) if transport == Transport::Quic => return None,
        Some(slash) => rest.split_at(slash),
        None => (rest, default_path),
    };
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, port) = bracketed.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|&port| port != 0)?,
        None => default_port,
    };
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
    if host.is_empty() || !plain(host) || !plain(path) || host.contains(['@', '?', '#']) {
        return None;
    }
    Some(GroundUrl { transport, host: host.to_owned(), port, path: path.to_owned() })
}

impl fmt::Display for GroundUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Quic => "quic",
            Transport::EncryptedWebSocket => "wss",
            Transport::PlainWebSocket => "ws",
        };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_understood_and_printed_in_full() {
        let cases = [
            ("wss://ground.example", "wss://ground.example:443/vehicle", false),
            ("wss://ground.example:8443/tern/vehicle", "wss://ground.example:8443/tern/vehicle", false),
            ("ws://127.0.0.1:8080/vehicle", "ws://127.0.0.1:8080/vehicle", true),
            ("ws://[::1]:8080", "ws://[::1]:8080/vehicle", true),
            ("quic://ground.example", "quic://ground.example:443", false),
            ("quic://[::1]:4433/", "quic://[::1]:4433", true),
            ("ws://localhost", "ws://localhost:80/vehicle", true),
        ];
        for (text, full, loopback) in cases {
            let url: GroundUrl = text.parse().unwrap();
            assert_eq!((url.to_string().as_str(), url.is_loopback()), (full, loopback));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "ground.example",
            "http://a",
            "ws://",
            "ws://a:0",
            "ws://a:99999",
            "ws://[x]:1",
            "wss://u@h",
            "quic://a/b",
            "quic://",
        ] {
            assert!(text.parse::<GroundUrl>().is_err(), "{text}");
        }
    }
}
