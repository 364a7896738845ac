//! What is allowed and hardly meant.

use std::ffi::OsString;

use clap::CommandFactory as _;

use super::{Args, Config};
use crate::link::Transport;

impl Config {
    /// What to warn about before the start. `variables` are the names in the environment: one of ours that is misspelt
    /// is no reason not to start, as service managers make names of this kind, too.
    pub fn doubts(&self, variables: impl IntoIterator<Item = OsString>) -> Vec<String> {
        let command = Args::command();
        let is_known =
            |name: &OsString| command.get_arguments().any(|arg| arg.get_env() == Some(name.as_os_str()));
        let unknown = variables
            .into_iter()
            .filter(|name| name.as_encoded_bytes().starts_with(b"TERN_EDGE_") && !is_known(name))
            .map(|name| {
                let name = name.display();
                format!("{name} in the environment is ignored: there is no such variable; tern-edge --help names all")
            });
        let is_quic = |transport| transport == Transport::Quic;
        let has_quic = self.link.grounds.iter().any(|ground| is_quic(ground.transport()));
        let fixed = (self.link.auto_rate && !has_quic).then(|| {
            "link.rate_bits_per_second = auto finds nothing out by WebSocket, where it is 32000 bit/s: give the \
             terminal's rate, or list a quic:// address in link.ground"
                .to_owned()
        });
        unknown.chain(fixed).collect()
    }
}
