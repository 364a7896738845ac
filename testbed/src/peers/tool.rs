//! Programs that are not ours.

use std::path::PathBuf;

use super::{Peer, PeersError};

/// The broker of Eclipse Mosquitto.
pub(crate) const MOSQUITTO: Tool = Tool { program: "mosquitto", package: "mosquitto" };
/// The server of NATS.
pub(crate) const NATS_SERVER: Tool = Tool { program: "nats-server", package: "nats-server" };

/// Where Debian has servers, which is not in everybody's `PATH`.
const SERVERS: &str = "/usr/sbin";

/// A program and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    pub(super) program: &'static str,
    package: &'static str,
}

/// A program is not there.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no `{program}`: install the package {package}")]
pub struct NotInstalled {
    program: &'static str,
    package: &'static str,
}

impl Tool {
    /// Where it is; an error that names the package when it is nowhere.
    pub(super) fn find(self, peer: Peer) -> Result<PathBuf, PeersError> {
        let Tool { program, package } = self;
        self.path().map_err(|_| PeersError::NoTool { program, package, peer: peer.name() })
    }

    /// The same where there is nothing to leave out.
    pub(crate) fn path(self) -> Result<PathBuf, NotInstalled> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path).chain([PathBuf::from(SERVERS)]);
        let Tool { program, package } = self;
        let found = folders.find_map(|folder| Some(folder.join(program)).filter(|file| file.is_file()));
        found.ok_or(NotInstalled { program, package })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_its_package() {
        let missing = Tool { program: "no-such-broker", package: "some-broker" };
        let error = missing.find(Peer::Mqtt).unwrap_err().to_string();
        assert!(
            error.contains("`no-such-broker`") && error.contains("some-broker") && error.contains("mqtt")
        );
    }
}
