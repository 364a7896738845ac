//! The threads that web clients are served on: what goes to ten thousand clients at once holds up neither the vehicles nor
//! the commands, which are served on another.
//!
//! Each has a runtime of its own. Sockets are watched by the runtime that accepted them, which wakes the client here. What is
//! published is taken to the clients by all of them together, whichever thread a client's task has.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

use crate::publish::Rounds;

/// Running threads. They end when this is dropped.
#[derive(Debug)]
pub struct Threads {
    /// Not empty.
    runtimes: Vec<Handle>,
    next: AtomicUsize,
    _stop: watch::Sender<()>,
}

impl Threads {
    /// So many, which run `rounds`. With none, clients are served on the runtime that this is called on.
    pub fn start(count: usize, rounds: &Arc<Rounds>) -> io::Result<Threads> {
        let (stop, stopped) = watch::channel(());
        let mut runtimes = Vec::with_capacity(count);
        for number in 0..count {
            // Without sockets of its own it is woken without a system call.
            let runtime = Builder::new_current_thread().enable_time().build()?;
            runtimes.push(runtime.handle().clone());
            let work = work(stopped.clone(), rounds.clone());
            thread::Builder::new().name(format!("clients-{number}")).spawn(move || runtime.block_on(work))?;
        }
        if runtimes.is_empty() {
            tokio::spawn(work(stopped, rounds.clone()));
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

async fn work(mut stopped: watch::Receiver<()>, rounds: Arc<Rounds>) {
    tokio::select! {
        // Fails when there is nobody left to say so.
        _ = stopped.changed() => {}
        () = rounds.run() => {}
    }
}
