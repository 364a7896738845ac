//! One end of a path.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use crate::namespace::Namespace;
use crate::process::{Process, SpawnError, sibling};

/// How long an attempt to connect within a place takes at most.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// Where processes and sockets of one end live.
#[derive(Debug)]
pub enum Place {
    /// This process's own network.
    Host,
    /// A network namespace.
    Namespace(Namespace),
}

impl Place {
    /// Starts one of Tern's binaries there, under the binary's name.
    pub fn spawn<A: AsRef<std::ffi::OsStr>>(
        &self,
        binary: &'static str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Process, SpawnError> {
        let program = sibling(binary).unwrap_or_else(|_| binary.into());
        Process::spawn_in(self.namespace(), binary, &program, arguments)
    }

    /// Starts any other program there; `name` is for logs.
    pub fn spawn_program<A: AsRef<std::ffi::OsStr>>(
        &self,
        name: &'static str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Process, SpawnError> {
        Process::spawn_in(self.namespace(), name, program, arguments)
    }

    /// A datagram socket there, on a free port of `address`.
    pub fn udp_socket(&self, address: IpAddr) -> io::Result<UdpSocket> {
        self.enter(|| UdpSocket::bind((address, 0)))
    }

    /// A connection from there, within 1 s.
    pub fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.enter(|| TcpStream::connect_timeout(&address, CONNECT_LIMIT))
    }

    /// Runs `work` there; what it opens stays there.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        match self {
            Place::Host => work(),
            Place::Namespace(namespace) => namespace.enter(work).map_err(io::Error::other),
        }
    }

    fn namespace(&self) -> Option<&Namespace> {
        match self {
            Place::Host => None,
            Place::Namespace(namespace) => Some(namespace),
        }
    }
}
