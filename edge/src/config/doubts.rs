//! What is allowed and hardly meant.

use std::ffi::{OsStr, OsString};

use clap::CommandFactory as _;
use tern_shared::environment::unknown_variables;

use super::{Args, Config};
use crate::link::Transport;

impl Config {
    /// What to warn about before the start. `variables` are the names in the environment.
    pub fn doubts(&self, variables: impl IntoIterator<Item = OsString>) -> Vec<String> {
        let command = Args::command();
        let is_known = |name: &OsStr| command.get_arguments().any(|arg| arg.get_env() == Some(name));
        let unknown = unknown_variables("tern-edge", variables, is_known);
        let is_quic = |transport| transport == Transport::Quic;
        let has_quic = self.link.grounds.iter().any(|ground| is_quic(ground.transport()));
        let fixed = (self.link.auto_rate && !has_quic).then(|| {
            "link.rate_bits_per_second = auto finds nothing out by WebSocket, where it is 32000 bit/s: give the \
             terminal's rate, or list a quic:// address in link.ground"
                .to_owned()
        });
        unknown.into_iter().chain(fixed).collect()
    }
}
