//! Starts everything and ends it in order. The only place where tasks that outlive a connection are spawned and their
//! channels are made.
//!
//! | Queue | Bound | When it is full |
//! |---|---|---|
//! | connection -> vehicle | 64 messages a vehicle | the connection stops reading its socket |
//! | vehicles -> history | 1024 entries | the vehicles wait, and with them their connections |
//! | feed -> web clients | 2 s, 4 MB | a client that is behind is told so and goes on from the newest values |

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::routing::{delete, get};
use axum::{Router, middleware};
use tern_shared::id::VehicleId;
use tern_shared::message::{Refusal, RefusalReason};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::accept::quic::{self, QuicError};
use crate::accept::{self, Accept, Places, VehicleTokens};
use crate::access::{Access, JwtError, JwtKeys, Limits, Origins};
use crate::client::{self, Clients, Counters, Threads};
use crate::clock::{Clock, wall_now};
use crate::command::{AuditError, Commands};
use crate::config::{Config, ConfigError};
use crate::history::{self, Health, History, HistoryError, HistoryReader, Store};
use crate::http::{self, health::Monitor};
use crate::page::{self, Page};
use crate::publish::cursor::Position;
use crate::publish::message::VehicleStatus;
use crate::publish::{Hub, Positions};
use crate::query::{self, Archive};
use crate::serve::serve;
use crate::tls::{self, TlsError};
use crate::vehicle::{ToVehicleTask, VehicleTask};

const VEHICLE_QUEUE: usize = 64;
const HISTORY_QUEUE: usize = 1024;
/// How often what has expired is dropped.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);
/// How long connections have to end by themselves.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(15);

/// A running ground.
pub struct Relay {
    address: SocketAddr,
    shutdown: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    connections_gone: mpsc::Receiver<()>,
    vehicles: Arc<Vehicles>,
    commands: Commands,
    history: JoinHandle<()>,
    quic: Option<Quic>,
}

/// Vehicles by QUIC.
struct Quic {
    endpoint: quinn::Endpoint,
    server: tokio::task::JoinHandle<()>,
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
    /// QUIC cannot be served.
    #[error(transparent)]
    Quic(QuicError),
    /// The keys of web clients' tokens cannot be used.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// The history cannot be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The commands' audit log cannot be used.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A thread, of the history or for web clients, cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The address cannot be listened on.
    #[error("{key} = {address} cannot be listened on: {error}")]
    Listen {
        /// The configuration key that names it.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

impl From<QuicError> for StartError {
    fn from(error: QuicError) -> Self {
        match error {
            QuicError::Listen { address, error } => StartError::Listen { key: "quic.listen", address, error },
            other => StartError::Quic(other),
        }
    }
}

impl Relay {
    /// Starts a ground and returns once it listens.
    pub async fn start(config: Config) -> Result<Relay, StartError> {
        config.check_exposure()?;
        let tls = config.tls.as_ref().map(tls::server_config).transpose()?;
        let jwt = config.jwt.map(|jwt| JwtKeys::read(&jwt.keys, jwt.issuer, jwt.audience)).transpose()?;
        let mut store = Store::open(&config.history.path, config.history.synchronous)?;
        let run = store.begin_run(wall_now())?;
        let listen_failed = |error| StartError::Listen { key: "listen", address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(listen_failed)?;
        let address = listener.local_addr().map_err(listen_failed)?;
        let endpoint =
            config.quic.as_ref().map(|quic| quic::listen(quic, &config.history.path)).transpose()?;

        let positions = Arc::new(Positions::new(run.tag, Position::before_run(run.number)));
        let hub = Arc::new(Hub::new(positions.clone()));
        publish_known_vehicles(&store, &hub)?;
        query::seed(&HistoryReader::open(&config.history.path)?, &hub)?;

        let (commands, history_commands) = mpsc::channel(HISTORY_QUEUE);
        let (health_told, health) = watch::channel(Health::Good);
        let history_thread =
            history::spawn(store, config.history.commit_interval, history_commands, health_told, positions)
                .map_err(StartError::Thread)?;
        let history = History::new(commands, health.clone());
        let clock = Clock::start();
        let has_client_ca = config.quic.as_ref().is_some_and(|quic| quic.client_ca.is_some());
        let commands = Commands::start(&config.history.audit_path(), clock)?;
        let vehicles = Arc::new(Vehicles::new(config.max_vehicles, hub.clone(), history, commands.clone()));

        let (shutdown, shutdown_seen) = watch::channel(false);
        let (alive, connections_gone) = mpsc::channel(1);
        let accept = Arc::new(Accept {
            clock,
            agent: concat!("tern-ground ", env!("CARGO_PKG_VERSION")).to_owned(),
            tokens: VehicleTokens::new(config.vehicles, has_client_ca),
            vehicles: vehicles.clone(),
            health: health.clone(),
            shutdown: shutdown_seen.clone(),
            alive: alive.clone(),
            places: Arc::new(Places::new(config.max_vehicles)),
            idle_timeout: config.idle_timeout,
            next_session: AtomicU64::new(0),
        });
        let jwt = jwt.map(Arc::new);
        let access = Access::new(config.viewer_token, config.clients, jwt.clone());
        let clients = Arc::new(Clients {
            hub: hub.clone(),
            commands: commands.clone(),
            archive: Archive::new(config.history.path.clone()),
            origins: Origins::new(config.origins, access.is_required()),
            access,
            limits: Limits::new(config.max_clients_per_address),
            shutdown: shutdown_seen.clone(),
            alive,
            threads: Threads::start(config.client_threads, hub.rounds()).map_err(StartError::Thread)?,
            places: Arc::new(Semaphore::new(config.max_clients)),
            counters: Counters::default(),
        });
        let page = Page::new(clients.clone(), config.tiles.as_ref());
        let monitor =
            Arc::new(Monitor { clock, health, vehicles: vehicles.clone(), clients: clients.clone() });
        let api = Router::new()
            .route("/vehicles", get(http::vehicles::vehicles))
            .route("/vehicles/{id}/latest", get(http::vehicles::latest))
            .route("/vehicles/{id}/history", get(http::history::history))
            .route("/vehicles/{id}/export", get(http::export::export))
            .route("/vehicles/{id}/commands", get(http::commands::list).post(http::commands::issue))
            .route("/vehicles/{id}/commands/{command}", delete(http::commands::cancel))
            .route("/events", get(http::events::events))
            .fallback(http::extract::not_found)
            .method_not_allowed_fallback(http::extract::method_not_allowed)
            .layer(middleware::from_fn_with_state(clients.clone(), http::cors::allow));
        let router = Router::new()
            .route("/ws", get(client::upgrade))
            .nest("/api", api)
            .with_state(clients.clone())
            .route("/vehicle", get(accept::upgrade).with_state(accept.clone()))
            .route("/metrics", get(http::metrics::metrics).with_state(monitor.clone()))
            .route("/healthz", get(http::health::healthz).with_state(monitor))
            .route("/assets/{name}", get(page::asset))
            .route("/", get(page::index).with_state(page));
        info!(%address, tls = tls.is_some(), history = %config.history.path.display(), "listening");
        let quic = endpoint.map(|endpoint| {
            if let Ok(address) = endpoint.local_addr() {
                info!(%address, client_certificates = has_client_ca, "listening for QUIC");
            }
            let server = tokio::spawn(quic::serve(endpoint.clone(), accept, shutdown_seen.clone()));
            Quic { endpoint, server }
        });
        let mut tasks = vec![
            tokio::spawn(serve(router, listener, tls, shutdown_seen)),
            tokio::spawn(async move { hub.pace().await }),
            tokio::spawn(tidy(clients)),
        ];
        tasks.extend(jwt.map(|jwt| tokio::spawn(jwt.follow())));
        Ok(Relay {
            address,
            shutdown,
            tasks,
            connections_gone,
            vehicles,
            commands,
            history: history_thread,
            quic,
        })
    }

    /// Where it listens; tells the port where the configuration left it to the system.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for QUIC, when it does.
    pub fn quic_address(&self) -> Option<SocketAddr> {
        self.quic.as_ref().and_then(|quic| quic.endpoint.local_addr().ok())
    }

    /// Ends everything in order: sessions after their last acknowledgement, vehicles, the history with all that came.
    pub async fn shutdown(mut self) {
        self.shutdown.send_replace(true);
        // What serves drops its ends of the channel.
        for task in &self.tasks {
            task.abort();
        }
        // Yields `None` when the last connection has, too.
        if timeout(SHUTDOWN_LIMIT, self.connections_gone.recv()).await.is_err() {
            warn!("connections do not end, leaving them");
        }
        if let Some(Quic { endpoint, server }) = self.quic.take() {
            server.abort();
            quic::close(&endpoint).await;
        }
        self.vehicles.close();
        if timeout(SHUTDOWN_LIMIT, self.commands.close()).await.is_err() {
            warn!("the commands' audit log does not end: vehicles are asked again");
        }
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

/// Drops what has expired, again and again.
async fn tidy(clients: Arc<Clients>) {
    let mut ticks = tokio::time::interval(TIDY_INTERVAL);
    loop {
        ticks.tick().await;
        let now = tokio::time::Instant::now();
        clients.hub.tidy(now);
        clients.commands.tidy(now);
        clients.limits.tidy();
    }
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
        hub.publish_vehicle(&vehicle, &status);
    }
    Ok(())
}
