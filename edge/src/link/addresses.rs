//! The addresses behind a ground's name.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;

use super::GroundUrl;

/// How long the name service may take: at first, and before the addresses that it gave last are used.
const FIRST_LOOKUP_LIMIT: Duration = Duration::from_secs(5);
const LOOKUP_LIMIT: Duration = Duration::from_secs(2);

/// A name and its addresses as last looked up: the name service is on the other side of the link, too.
#[derive(Debug)]
pub(super) struct Addresses {
    host: String,
    port: u16,
    known: Vec<SocketAddr>,
    /// Whether to look them up again: none answered as wished.
    stale: bool,
}

impl Addresses {
    pub(super) fn new(ground: &GroundUrl) -> Self {
        Addresses { host: ground.host().to_owned(), port: ground.port(), known: Vec::new(), stale: true }
    }

    /// The addresses, at least one. The last ones when they are to be looked up and the name service does not answer.
    pub(super) async fn get(&mut self) -> io::Result<&[SocketAddr]> {
        if self.stale
            && let Err(error) = self.look_up().await
            && self.known.is_empty()
        {
            return Err(error);
        }
        Ok(&self.known)
    }

    /// Looks the addresses up before they are used again.
    pub(super) fn doubt(&mut self) {
        self.stale = true;
    }

    async fn look_up(&mut self) -> io::Result<()> {
        let limit = if self.known.is_empty() { FIRST_LOOKUP_LIMIT } else { LOOKUP_LIMIT };
        match tokio::time::timeout(limit, lookup_host((self.host.as_str(), self.port))).await {
            Ok(found) => {
                let found: Vec<SocketAddr> = found?.collect();
                if found.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
                }
                self.known = found;
                self.stale = false;
                Ok(())
            }
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "name lookup timed out")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_addresses_are_used_while_the_name_service_does_not_answer() {
        let known: Vec<SocketAddr> = vec!["127.0.0.1:9".parse().unwrap()];
        // No name: no service can know it.
        let host = "ground.invalid".to_owned();
        let mut addresses = Addresses { host, port: 9, known: known.clone(), stale: true };
        assert_eq!(addresses.get().await.unwrap(), known);
        addresses.known.clear();
        addresses.get().await.unwrap_err();
    }
}
