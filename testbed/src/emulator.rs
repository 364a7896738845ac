//! A satellite link between two network namespaces: one thread moves IP packets between two TUN devices, through the
//! link model of each direction.
//!
//! What real TCP, UDP and QUIC do over such a link is what they do here: the kernel sees a device that takes packets
//! at once and loses or delays them. The thread runs under SCHED_FIFO where the system allows it (`chrt` of util-linux
//! asks); how late it delivered is in [`EmulatorStatus`].

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tern_shared::time::Instant;
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::latency::Histogram;
use crate::link::{Link, LinkCounters, PathProfile, PathSeeds};
use crate::namespace::{Namespace, NamespaceError};

/// The largest IP packet, bytes.
pub const MTU_BYTES: usize = 1500;
/// Priority under SCHED_FIFO: above everything of ours.
const PRIORITY: u8 = 50;
/// Lateness is counted by the microsecond up to this.
const LATENESS_MICROS_MAX: usize = 100_000;
/// The most packets taken from one device in a row, so that deliveries are not held up.
const BURST: usize = 32;

/// A running emulator; dropping it ends the thread and removes the devices.
#[derive(Debug)]
pub struct Emulator {
    start: std::time::Instant,
    realtime: bool,
    shared: Arc<Mutex<Shared>>,
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

/// What an emulator did since it started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmulatorStatus {
    /// From the vehicle to the ground.
    pub to_ground: LinkCounters,
    /// From the ground to the vehicle.
    pub to_vehicle: LinkCounters,
    /// How late packets were delivered, against the model: median, microseconds.
    pub lateness_p50_us: f64,
    /// The same, 99th percentile.
    pub lateness_p99_us: f64,
    /// Whether it runs under SCHED_FIFO.
    pub realtime: bool,
}

/// Why an emulator cannot start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum EmulatorError {
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error(transparent)]
    Profile(#[from] crate::link::InvalidProfile),
    #[error("cannot start the link emulator: {0}")]
    Io(#[from] io::Error),
}

#[derive(Debug)]
struct Shared {
    to_ground: LinkCounters,
    to_vehicle: LinkCounters,
    lateness_us: Histogram,
    failure: Option<io::Error>,
}

impl Emulator {
    /// Starts the link's time between two devices of [`tun_device`], which it keeps.
    pub fn start(
        profile: &PathProfile,
        seed: u64,
        vehicle: SyncDevice,
        ground: SyncDevice,
    ) -> Result<Emulator, EmulatorError> {
        profile.validate()?;
        let seeds = PathSeeds::of(seed);
        let link = |direction: &crate::link::LinkProfile, seed| {
            Link::new(direction.clone(), profile.outages.clone(), seed)
        };
        let to_ground = link(&profile.to_ground, seeds.to_ground);
        let to_vehicle = link(&profile.to_vehicle, seeds.to_vehicle);
        let shared = Arc::new(Mutex::new(Shared {
            to_ground: LinkCounters::default(),
            to_vehicle: LinkCounters::default(),
            lateness_us: Histogram::new(LATENESS_MICROS_MAX),
            failure: None,
        }));
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(io::Error::from)?;
        let start = std::time::Instant::now();
        let mut engine = Engine {
            start,
            vehicle,
            ground,
            to_ground,
            to_vehicle,
            stop: stop.try_clone()?,
            shared: Arc::clone(&shared),
        };
        let (scheduled, realtime) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("emulator".to_owned()).spawn(move || {
            // Nobody waits any more when the emulator was dropped at once.
            let _ = scheduled.send(use_realtime_priority(PRIORITY));
            if let Err(error) = engine.run() {
                tracing::error!(%error, "the link emulator ended");
                lock(&engine.shared).failure = Some(error);
            }
        })?;
        let realtime = realtime.recv().unwrap_or(false);
        Ok(Emulator { start, realtime, shared, stop, thread: Some(thread) })
    }

    /// When the link's time began.
    pub fn start_time(&self) -> std::time::Instant {
        self.start
    }

    /// What it did so far. Fails with the reason when its thread has ended.
    pub fn status(&self) -> io::Result<EmulatorStatus> {
        let mut shared = lock(&self.shared);
        match shared.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(EmulatorStatus {
                to_ground: shared.to_ground,
                to_vehicle: shared.to_vehicle,
                lateness_p50_us: shared.lateness_us.percentile(0.5),
                lateness_p99_us: shared.lateness_us.percentile(0.99),
                realtime: self.realtime,
            }),
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // An eventfd takes a count of eight bytes.
        if rustix::io::write(&self.stop, &1u64.to_ne_bytes()).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// A TUN device in a namespace, down and without an address.
pub fn tun_device(name: &str, namespace: &Namespace) -> Result<SyncDevice, EmulatorError> {
    let device = namespace.enter(|| {
        let device = DeviceBuilder::new().name(name).offload(false).enable(false).build_sync()?;
        device.set_nonblocking(true)?;
        Ok(device)
    })?;
    Ok(device)
}

/// Puts the calling thread under SCHED_FIFO; whether that was allowed.
pub fn use_realtime_priority(priority: u8) -> bool {
    give_realtime_priority(rustix::thread::gettid(), priority)
}

/// Puts a thread, and what it starts from then on, under SCHED_FIFO; whether that was allowed.
pub(crate) fn give_realtime_priority(thread: rustix::process::Pid, priority: u8) -> bool {
    let thread = thread.as_raw_nonzero().to_string();
    let result = std::process::Command::new("chrt")
        .args(["--fifo", "--pid", &priority.to_string(), &thread])
        .stdin(std::process::Stdio::null())
        .output();
    let allowed = result.is_ok_and(|output| output.status.success());
    if !allowed {
        tracing::warn!("no SCHED_FIFO (`chrt` of util-linux, root): timing depends on the machine's load");
    }
    allowed
}

struct Engine {
    start: std::time::Instant,
    vehicle: SyncDevice,
    ground: SyncDevice,
    to_ground: Link<Vec<u8>>,
    to_vehicle: Link<Vec<u8>>,
    stop: OwnedFd,
    shared: Arc<Mutex<Shared>>,
}

impl Engine {
    /// Until it is told to stop, or a device fails.
    fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; MTU_BYTES];
        loop {
            self.deliver()?;
            let next =
                [self.to_ground.poll_timeout(), self.to_vehicle.poll_timeout()].into_iter().flatten().min();
            let timeout = next.map(|at| timespec(at.0.saturating_sub(self.start.elapsed())));
            let mut fds = [
                PollFd::new(&self.stop, PollFlags::IN),
                PollFd::new(&self.vehicle, PollFlags::IN),
                PollFd::new(&self.ground, PollFlags::IN),
            ];
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [stop, vehicle, ground] = fds.map(|fd| !fd.revents().is_empty());
            if stop {
                return Ok(());
            }
            if vehicle {
                take(self.start, &self.vehicle, &mut self.to_ground, &mut buffer)?;
            }
            if ground {
                take(self.start, &self.ground, &mut self.to_vehicle, &mut buffer)?;
            }
            let mut shared = lock(&self.shared);
            shared.to_ground = self.to_ground.counters();
            shared.to_vehicle = self.to_vehicle.counters();
        }
    }

    fn deliver(&mut self) -> io::Result<()> {
        for (link, device) in [(&mut self.to_ground, &self.ground), (&mut self.to_vehicle, &self.vehicle)] {
            while let Some(due) = link.poll_timeout() {
                let now = Instant(self.start.elapsed());
                let Some(packet) = link.poll(now) else { break };
                match device.send(&packet) {
                    Ok(_) => {}
                    // A device that is down, or a packet that corruption made none, loses it as a router would.
                    Err(error) if is_of_packet(&error) => tracing::debug!(%error, "packet dropped"),
                    Err(error) => return Err(error),
                }
                lock(&self.shared).lateness_us.add(now.since(due).as_secs_f64() * 1e6);
            }
        }
        Ok(())
    }
}

/// Takes what the device has to send.
fn take(
    start: std::time::Instant,
    device: &SyncDevice,
    link: &mut Link<Vec<u8>>,
    buffer: &mut [u8],
) -> io::Result<()> {
    for _ in 0..BURST {
        match device.recv(buffer) {
            Ok(bytes) => {
                link.send(Instant(start.elapsed()), buffer[..bytes].to_vec());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_of_packet(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Errors that concern the packet or the state of the device, not the device itself.
fn is_of_packet(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::IO | Errno::INVAL | Errno::NOBUFS | Errno::AGAIN))
}

fn timespec(duration: Duration) -> Timespec {
    // A link model's times are far below i64's range.
    Timespec { tv_sec: duration.as_secs().cast_signed(), tv_nsec: duration.subsec_nanos().into() }
}

fn lock(mutex: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
