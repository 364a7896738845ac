//! Starts everything and ends it in order. The only place where tasks that outlive a connection are spawned and their
//! channels are made.
//!
//! | Queue | Bound | When it is full |
//! |---|---|---|
//! | connection -> vehicle | 64 messages a vehicle | the connection stops reading its socket |
//! | vehicles -> history | 1024 entries | the vehicles wait, and with them their connections |
//! | hub -> web clients | 1024 pieces of up to 64 messages, 2 s | a client that is behind starts again from a snapshot |

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tern_shared::id::VehicleId;
use tern_shared::message::{Refusal, RefusalReason};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::accept::{self, Accept, VehicleTokens, ViewerToken};
use crate::clock::Clock;
use crate::command::{AuditError, Commands};
use crate::config::{Config, ConfigError};
use crate::dashboard::{self, Monitor};
use crate::history::{self, Health, History, HistoryError, Store};
use crate::publish::browser::{self, Browsers};
use crate::publish::message::{self, Publication, VehicleStatus};
use crate::publish::{Hub, Piece};
use crate::serve::serve;
use crate::tls::{self, TlsError};
use crate::vehicle::{ToVehicleTask, VehicleTask};

const VEHICLE_QUEUE: usize = 64;
const HISTORY_QUEUE: usize = 1024;
const CLIENT_QUEUE: usize = 1024;
/// Connections of vehicles beyond their number: those without a hello yet, and those about to be superseded.
const SPARE_CONNECTIONS: usize = 64;
/// How long connections have to end by themselves.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(15);

/// A running ground.
pub struct Relay {
    address: SocketAddr,
    shutdown: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
    connections_gone: mpsc::Receiver<()>,
    vehicles: Arc<Vehicles>,
    history: JoinHandle<()>,
}

/// Why the ground does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration forbids it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The history cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The commands' audit log cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The history's thread cannot be started.
    #[error("cannot start the history's thread: {0}")]
    Thread(std::io::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The folder of the history does not exist.
    #[error("history.path = {}: the folder does not exist", path.display())]
    NoFolder {
        /// The path.
        path: PathBuf,
    },
}

impl Relay {
    /// Starts a ground and returns once it listens.
    pub async fn start(config: Config) -> Result<Relay, StartError> {
        config.check_exposure()?;
        let tls = config.tls.as_ref().map(tls::server_config).transpose()?;
        if config.history.path.parent().is_some_and(|dir| !dir.as_os_str().is_empty() && !dir.is_dir()) {
            return Err(StartError::NoFolder { path: config.history.path });
        }
        let store = Store::open(&config.history.path, config.history.synchronous)?;
        let listen_failed = |error| StartError::Listen { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(listen_failed)?;
        let address = listener.local_addr().map_err(listen_failed)?;

        let (pieces, _) = broadcast::channel::<Piece>(CLIENT_QUEUE);
        let hub = Arc::new(Hub::new(pieces));
        publish_known_vehicles(&store, &hub)?;

        let (commands, history_commands) = mpsc::channel(HISTORY_QUEUE);
        let (health_told, health) = watch::channel(Health::Good);
        let history_thread =
            history::spawn(store, config.history.commit_interval, history_commands, health_told)
                .map_err(StartError::Thread)?;
        let history = History::new(commands, health.clone());
        let clock = Clock::start();
        let commands = Commands::start(&config.audit_path(), clock)?;
        let vehicles = Arc::new(Vehicles::new(config.max_vehicles, hub.clone(), history, commands));

        let (shutdown, shutdown_seen) = watch::channel(false);
        let (alive, connections_gone) = mpsc::channel(1);
        let client_places = Arc::new(Semaphore::new(config.max_clients));
        let accept = Arc::new(Accept {
            clock,
            agent: concat!("tern-ground ", env!("CARGO_PKG_VERSION")).to_owned(),
            tokens: VehicleTokens::new(config.vehicles),
            vehicles: vehicles.clone(),
            health: health.clone(),
            shutdown: shutdown_seen.clone(),
            alive: alive.clone(),
            connections: Arc::new(Semaphore::new(config.max_vehicles + SPARE_CONNECTIONS)),
            idle_timeout: config.idle_timeout,
            next_session: AtomicU64::new(0),
        });
        let viewer = ViewerToken::new(config.viewer_token);
        let viewer_token_required = viewer.is_required();
        let browsers = Arc::new(Browsers {
            hub,
            viewer,
            shutdown: shutdown_seen.clone(),
            alive,
            connections: client_places.clone(),
        });
        let monitor = Arc::new(Monitor {
            clock,
            health,
            vehicles: vehicles.clone(),
            free_clients: client_places,
            max_clients: config.max_clients,
            viewer_token_required,
        });
        let router = Router::new()
            .route("/vehicle", get(accept::upgrade).with_state(accept))
            .route("/ws", get(browser::upgrade).with_state(browsers))
            .route("/healthz", get(dashboard::healthz).with_state(monitor.clone()))
            .route("/", get(dashboard::page).with_state(monitor));
        info!(%address, tls = tls.is_some(), history = %config.history.path.display(), "listening");
        let server = tokio::spawn(serve(router, listener, tls, shutdown_seen));
        Ok(Relay { address, shutdown, server, connections_gone, vehicles, history: history_thread })
    }

    /// Where it listens; tells the port where the configuration left it to the system.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends everything in order: sessions after their last acknowledgement, vehicles, the history with all that came.
    pub async fn shutdown(mut self) {
        self.shutdown.send_replace(true);
        // Yields `None` when the last connection, and the server, has dropped its end.
        if timeout(SHUTDOWN_LIMIT, self.connections_gone.recv()).await.is_err() {
            warn!("connections do not end, leaving them");
        }
        self.server.abort();
        self.vehicles.close();
        let history = tokio::task::spawn_blocking(move || self.history.join());
        match timeout(SHUTDOWN_LIMIT, history).await {
            Ok(Ok(Ok(()))) => info!("the history is flushed"),
            Ok(_) => warn!("the history's thread has failed"),
            Err(_) => warn!("the history does not end: what it has not committed, vehicles still have"),
        }
    }
}

/// The vehicles' tasks, each started when its vehicle first connects.
pub struct Vehicles {
    max: usize,
    hub: Arc<Hub>,
    connected: Arc<AtomicUsize>,
    /// `None` once closed.
    open: Mutex<Option<OpenVehicles>>,
}

struct OpenVehicles {
    history: History,
    commands: Commands,
    tasks: BTreeMap<VehicleId, mpsc::Sender<ToVehicleTask>>,
}

impl Vehicles {
    fn new(max: usize, hub: Arc<Hub>, history: History, commands: Commands) -> Self {
        let open = Mutex::new(Some(OpenVehicles { history, commands, tasks: BTreeMap::new() }));
        Vehicles { max, hub, connected: Arc::default(), open }
    }

    /// The way to a vehicle's task.
    pub fn task(&self, vehicle: &VehicleId) -> Result<mpsc::Sender<ToVehicleTask>, Refusal> {
        let unavailable = |message: String| Refusal::new(RefusalReason::Unavailable, message);
        let mut open = self.lock();
        let OpenVehicles { history, commands, tasks } =
            open.as_mut().ok_or_else(|| unavailable("the ground is shutting down".to_owned()))?;
        if let Some(task) = tasks.get(vehicle).filter(|task| !task.is_closed()) {
            return Ok(task.clone());
        }
        if tasks.len() >= self.max && !tasks.contains_key(vehicle) {
            return Err(unavailable(format!(
                "this ground serves at most {} vehicles (max_vehicles)",
                self.max
            )));
        }
        let (sender, messages) = mpsc::channel(VEHICLE_QUEUE);
        let task = VehicleTask::new(
            vehicle.clone(),
            self.hub.clone(),
            history.clone(),
            commands.clone(),
            self.connected.clone(),
        );
        tokio::spawn(task.run(messages));
        tasks.insert(vehicle.clone(), sender.clone());
        debug!(%vehicle, "vehicle task");
        Ok(sender)
    }

    /// How many vehicles have a session.
    pub fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    /// How many vehicles have connected since the start.
    pub fn known(&self) -> usize {
        self.lock().as_ref().map_or(0, |open| open.tasks.len())
    }

    /// Lets go of all tasks: each ends when its last connection does, and the history after them.
    fn close(&self) {
        self.lock().take();
    }

    fn lock(&self) -> MutexGuard<'_, Option<OpenVehicles>> {
        // No code under this lock can leave the map half changed.
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Waits until `flag` is true, or nobody is left to make it so: either way the process is ending.
pub(crate) async fn until_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|flag| *flag).await;
}

/// Lets clients see, from the start, the vehicles that the history knows.
fn publish_known_vehicles(store: &Store, hub: &Hub) -> Result<(), HistoryError> {
    for name in store.vehicles()? {
        let Ok(vehicle) = name.parse::<VehicleId>() else { continue };
        let totals = store.totals(&vehicle)?;
        let status = VehicleStatus {
            records: totals.records,
            lost_records: totals.lost_records,
            ..VehicleStatus::default()
        };
        hub.publish_vehicle(
            &vehicle,
            message::text(&Publication::Vehicle { vehicle: &vehicle, status: &status }),
        );
    }
    Ok(())
}
