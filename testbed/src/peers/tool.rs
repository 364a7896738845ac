//! Programs that are not ours.

use std::path::{Path, PathBuf};

use super::{Peer, PeersError};

/// The broker of Eclipse Mosquitto.
pub(super) const MOSQUITTO: Tool = Tool { program: "mosquitto", package: "mosquitto" };
/// The server of NATS.
pub(super) const NATS_SERVER: Tool = Tool { program: "nats-server", package: "nats-server" };

/// Where Debian has servers, which is not in everybody's `PATH`.
const SERVERS: &str = "/usr/sbin";

/// A program and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool {
    pub(super) program: &'static str,
    package: &'static str,
}

impl Tool {
    /// Where it is; an error that names the package when it is nowhere.
    pub(super) fn find(self, peer: Peer) -> Result<PathBuf, PeersError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain([PathBuf::from(SERVERS)]);
        let Tool { program, package } = self;
        find(program, folders).ok_or(PeersError::NoTool { program, package, peer: peer.name() })
    }
}

fn find(program: &str, folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    folders.map(|folder| folder.join(program)).find(|file| Path::is_file(file))
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
