//! The whole system on one machine: ground, simulated satellite links, a vehicle with a recorded flight and a lamp that
//! can be switched, and a rover that can be steered.

mod meter;
mod screen;
mod vehicle;

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::certificate::{self, CertificateError};
use crate::client;
use crate::link::UnknownProfile;
use crate::path::Place;
use crate::process::{Process, SpawnError, sibling};
use crate::proxy::ProxyError;
use meter::Meter;
use screen::{Screen, Snapshot};
use vehicle::{About, GroundAt, Vehicle};

/// The port of the page unless another is asked for.
const PORT: u16 = 8080;
/// Down for 8 s of every minute, for the first time early enough for a short demo to show it.
const OUTAGE: (Duration, Duration, Duration) =
    (Duration::from_secs(15), Duration::from_secs(8), Duration::from_secs(60));
/// How long a child may take to stop on SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long the ground may take to accept connections.
const GROUND_START: Duration = Duration::from_secs(10);

/// How the demo runs.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Ends by itself after this long; `None` runs until it is stopped.
    pub length: Option<Duration>,
    /// The `.tlog` that the vehicle flies again and again.
    pub flight: PathBuf,
    /// The port of the ground's page; `None` takes 8080, or a free one when that is taken.
    pub port: Option<u16>,
}

/// Why the demo cannot run, or ended early.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum DemoError {
    #[error("no flight at {0}: give one with --flight, or start the demo in the project's folder")]
    NoFlight(PathBuf),
    #[error("no {0}: build it first (`make build`)")]
    NoBinary(PathBuf),
    #[error("port {port} is taken: {source}")]
    Port { port: u16, source: std::io::Error },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error(transparent)]
    Profile(#[from] UnknownProfile),
    #[error("{name} ended early ({status}); its last lines:\n{last_lines}")]
    ChildEnded { name: &'static str, status: String, last_lines: String },
    #[error("the ground at {0} did not accept its web client within 10 s, or closed the connection")]
    NoWebClient(SocketAddr),
    #[error("nothing arrived at the ground's web clients")]
    NothingArrived,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Runs the demo until it is stopped, its time is over, or a child ends.
///
/// Everything that it writes goes to a folder that is gone afterwards.
pub async fn run(options: DemoOptions) -> Result<(), DemoError> {
    if !options.flight.is_file() {
        return Err(DemoError::NoFlight(options.flight));
    }
    let stopped = stop_signal()?;
    let folder = tempfile::Builder::new().prefix("tern-demo-").tempdir()?;
    let mut system = System::start(&options, folder.path())?;
    let result = watch(&mut system, options.length, stopped).await;
    system.stop().await;
    result
}

/// Completes on Ctrl-C and on SIGTERM.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// What runs.
struct System {
    ground_address: SocketAddr,
    ground: Process,
    /// The first is the one whose link is shown.
    vehicles: Vec<Vehicle>,
}

impl System {
    fn start(options: &DemoOptions, folder: &Path) -> Result<System, DemoError> {
        let ground_address = free_address(options.port)?;
        let files = certificate::self_made(ground_address.ip(), folder)?;
        let address: OsString = ground_address.to_string().into();
        let ground = Process::spawn(
            "tern-ground",
            &binary("tern-ground")?,
            [
                "--listen".into(),
                address.clone(),
                "--quic-listen".into(),
                address,
                "--quic-certificate".into(),
                files.certificate.clone().into(),
                "--quic-key".into(),
                files.key.into(),
                "--history".into(),
                folder.join("history.sqlite").into(),
            ],
        )?;
        let ground_at = GroundAt { address: ground_address, certificate: files.certificate };
        let plane = About {
            name: "demo",
            edge: "tern-edge",
            device: "lamp",
            source: Some(format!("replay:{}?speed=1&loop=true", options.flight.display())),
            commands: "[commands.devices.lamp]\nsource = \"{source}\"\nallow = [\"switch\"]\n",
            seed: 1,
        };
        let rover = About {
            name: "rover",
            edge: "tern-edge of the rover",
            device: "rover",
            source: None,
            commands: "[commands.controls.drive]\nsource = \"{source}\"\naxes = [\"steering\", \"throttle\"]\n",
            seed: 2,
        };
        let vehicles =
            vec![Vehicle::start(&plane, &ground_at, folder)?, Vehicle::start(&rover, &ground_at, folder)?];
        Ok(System { ground_address, ground, vehicles })
    }

    /// Ends with an error when a child has ended.
    fn check(&mut self) -> Result<(), DemoError> {
        let children = self.vehicles.iter_mut().flat_map(Vehicle::children).chain([&mut self.ground]);
        for child in children {
            if let Some(status) = child.exit_status()? {
                let last_lines = child.last_lines().join("\n");
                return Err(DemoError::ChildEnded {
                    name: child.name(),
                    status: status.to_string(),
                    last_lines,
                });
            }
        }
        Ok(())
    }

    /// The vehicles first, so that they can say goodbye.
    async fn stop(mut self) {
        for vehicle in self.vehicles {
            vehicle.stop().await;
        }
        stop(&mut self.ground).await;
    }
}

async fn stop(child: &mut Process) {
    if let Err(error) = child.stop(STOP_GRACE).await {
        tracing::warn!(process = child.name(), %error, "cannot stop it");
    }
}

async fn watch(
    system: &mut System,
    length: Option<Duration>,
    stopped: impl Future<Output = ()>,
) -> Result<(), DemoError> {
    let address = system.ground_address;
    let start = tokio::time::Instant::now();
    let mut screen = Screen::new();
    let mut meter = Meter::default();
    // The client stops reading the socket while this is full.
    let (arrivals_sender, mut arrivals) = mpsc::channel(1024);
    let client = AbortOnDrop(tokio::spawn(async move {
        if let Some(socket) = client::connect(&Place::Host, address, GROUND_START).await {
            client::run(socket, address, arrivals_sender).await;
        }
    }));
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let end = async {
        match length {
            Some(length) => tokio::time::sleep_until(start + length).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(stopped, end);
    screen.announce(address, length)?;
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => break,
            () = &mut end => break,
            _ = ticks.tick() => {
                system.check()?;
                if client.0.is_finished() {
                    return Err(DemoError::NoWebClient(address));
                }
                screen.show(&snapshot(system, &mut meter, start.elapsed()))?;
            }
            Some(arrival) = arrivals.recv() => meter.add(start.elapsed(), &arrival),
        }
    }
    system.check()?;
    screen.summarise(&snapshot(system, &mut meter, start.elapsed()), &meter)?;
    // A demo that was stopped within its first seconds has nothing to complain about.
    if length.is_some_and(|length| start.elapsed() >= length) && meter.records() == 0 {
        return Err(DemoError::NothingArrived);
    }
    Ok(())
}

fn snapshot(system: &System, meter: &mut Meter, elapsed: Duration) -> Snapshot {
    Snapshot {
        elapsed,
        proxy: *system.vehicles[0].link.borrow(),
        edge: system.vehicles[0].edge.status(),
        recent_latency: meter.recent(elapsed),
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn binary(name: &str) -> Result<PathBuf, DemoError> {
    let path = sibling(name)?;
    if path.is_file() { Ok(path) } else { Err(DemoError::NoBinary(path)) }
}

/// An address that was free a moment ago, for TCP and UDP: the ground binds it anew.
fn free_address(port: Option<u16>) -> Result<SocketAddr, DemoError> {
    let bind = |port| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        UdpSocket::bind(address).map(|_| address)
    };
    match port {
        Some(port) => bind(port).map_err(|source| DemoError::Port { port, source }),
        None => bind(PORT).or_else(|_| bind(0)).map_err(|source| DemoError::Port { port: PORT, source }),
    }
}
