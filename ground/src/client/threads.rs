//! The threads that web clients are served on: what goes to ten thousand clients at once holds up neither the vehicles nor
//! the commands, which are served on another.
//!
//! Each has a runtime of its own. Sockets are watched by the runtime that accepted them, which wakes the client here.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// Running threads. They end when this is dropped.
#[derive(Debug)]
pub struct Threads {
    /// Not empty.
    runtimes: Vec<Handle>,
    next: AtomicUsize,
    _stop: watch::Sender<()>,
}

impl Threads {
    /// So many. With none, clients are served on the runtime that this is called on.
    pub fn start(count: usize) -> io::Result<Threads> {
        let (stop, stopped) = watch::channel(());
        let mut runtimes = Vec::with_capacity(count);
        for number in 0..count {
            // Without sockets of its own it is woken without a system call.
            let runtime = Builder::new_current_thread().enable_time().build()?;
            runtimes.push(runtime.handle().clone());
            let mut stopped = stopped.clone();
            thread::Builder::new().name(format!("clients-{number}")).spawn(move || {
                runtime.block_on(async move {
                    // Fails when there is nobody left to say so.
                    let _ = stopped.changed().await;
                });
            })?;
        }
        if runtimes.is_empty() {
            runtimes.push(Handle::current());
        }
        Ok(Threads { runtimes, next: AtomicUsize::new(0), _stop: stop })
    }

    /// Serves a client on one of them, in turn.
    pub fn spawn(&self, client: impl Future<Output = ()> + Send + 'static) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(runtime) = self.runtimes.get(turn % self.runtimes.len()) {
            runtime.spawn(client);
        }
    }
}
