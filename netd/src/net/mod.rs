//! The shell around the DHCP engine: sockets, threads, the database.
//!
//! One thread receives packets in batches and runs the engine. Offers leave from it at once. Acknowledgements wait for their
//! leases in a bounded queue; a second thread takes everything that waits, writes it in one transaction, and then sends all
//! of it. A task keeps the engine's view of the inventory and the interfaces up to date.

mod commit;
mod follow;
mod limit;
mod links;
pub(crate) mod rogue;
mod sys;
mod worker;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use inventory::{Inventory, clock};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::dhcp::{Engine, Input, Settings};

/// What the DHCP server needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Names of the interfaces to serve; all that have an IPv4 address and can broadcast when empty.
    pub interfaces: Vec<String>,
    /// UDP port of the server, 67. Clients use the one above.
    pub port: u16,
    /// UDP port of the PXE boot server, 4011.
    pub proxy_port: u16,
    /// What clients are told.
    pub settings: Settings,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket of an interface could not be opened.
    #[error("cannot open {what} on {interface}: {source}; {remedy}")]
    Open {
        /// `UDP port 67`, …
        what: String,
        /// Name of the interface.
        interface: String,
        /// What the system said.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The interfaces cannot be listed, or a thread not be started.
    #[error("cannot {op}")]
    System {
        /// What was tried.
        op: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The inventory cannot be read.
    #[error("cannot read networks, devices and leases")]
    Inventory(#[from] inventory::Error),
}

/// A running DHCP server; it stops when this is dropped.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    worker: Option<std::thread::JoinHandle<()>>,
    follower: JoinHandle<()>,
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    ports: links::Ports,
    queue: commit::Queue,
    control: worker::Control,
    notes: follow::Notes,
    counters: Counters,
    /// Told when a thread ends, be it by a panic.
    ended: Notify,
}

/// What happened since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Packets received.
    pub received: AtomicU64,
    /// Packets that were no DHCP requests.
    pub malformed: AtomicU64,
    /// Replies sent.
    pub sent: AtomicU64,
    /// Replies the kernel did not take.
    pub unsent: AtomicU64,
    /// Leases written.
    pub committed: AtomicU64,
    /// Addresses that another server on the same database had given away.
    pub refused: AtomicU64,
    /// Requests that got no answer because too many were waiting.
    pub overrun: AtomicU64,
    /// Requests that got no answer because the database did not take their lease.
    pub uncommitted: AtomicU64,
}

impl Counters {
    fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }
}

impl Handle {
    /// Interface names with the addresses of their DHCP sockets.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, SocketAddrV4)> {
        let ports = self.shared.ports.load();
        let at = |p: &links::Port| SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, p.dhcp_port);
        ports.values().map(|port| (port.link.name.clone(), at(port))).collect()
    }

    /// What happened since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Waits until a part of the server ended, which none does by itself.
    pub async fn ended(&mut self) {
        // Whether it ended or panicked, it no longer serves.
        tokio::select! {
            _ = &mut self.follower => {}
            () = self.shared.ended.notified() => {}
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.follower.abort();
        self.shared.queue.stop();
        self.shared.control.stop();
        // The receiving thread never waits for anything but packets and this. The committing thread may be waiting for the
        // database and ends by itself.
        if let Some(worker) = self.worker.take() {
            drop(worker.join());
        }
    }
}

/// Starts the server; it answers when this returns. `written` are notified after every commit of leases.
///
/// # Errors
/// No socket can be opened, or the inventory cannot be read. An interface that does not exist (yet) is no error but a notice.
pub async fn serve(config: Config, inventory: Inventory, written: Vec<Arc<Notify>>) -> Result<Handle, Error> {
    let changes = inventory.follow();
    let shared = Arc::new(Shared {
        ports: links::Ports::default(),
        queue: commit::Queue::default(),
        control: worker::Control::new()
            .map_err(|source| Error::System { op: "make an event counter", source })?,
        notes: follow::Notes::default(),
        counters: Counters::default(),
        ended: Notify::new(),
    });
    let mut follower = follow::Follower::new(config, inventory.clone(), Arc::clone(&shared), changes);
    let view = follower.first().await?;
    let mut engine = Engine::new(RandomState::new().hash_one("pool"));
    engine.handle(clock::now(), Input::View(Arc::new(view)), &mut Vec::new());
    {
        let (leases, problems) = inventory.leases().await?;
        engine.handle(clock::now(), Input::Stored(&leases), &mut Vec::new());
        follower.lease_problems(&problems);
    }
    let thread = |op, source| Error::System { op, source };
    let runtime = tokio::runtime::Handle::current();
    let committer = commit::Committer::new(inventory, Arc::clone(&shared), runtime, written);
    std::thread::Builder::new()
        .name("dhcp-commit".into())
        .spawn(told(&shared, move || committer.run()))
        .map_err(|source| thread("start the thread that writes leases", source))?;
    let worker = worker::Worker::new(engine, Arc::clone(&shared));
    let worker = std::thread::Builder::new()
        .name("dhcp".into())
        .spawn(told(&shared, move || worker.run()))
        .map_err(|source| thread("start the thread that receives packets", source))?;
    let follower = tokio::spawn(follower.run());
    Ok(Handle { shared, worker: Some(worker), follower })
}

/// A thread's work that tells when it ends.
fn told(shared: &Arc<Shared>, work: impl FnOnce() + Send + 'static) -> impl FnOnce() + Send + 'static {
    struct Telling(Arc<Shared>);
    impl Drop for Telling {
        fn drop(&mut self) {
            self.0.ended.notify_one();
        }
    }
    let telling = Telling(Arc::clone(shared));
    move || {
        let _telling = telling;
        work();
    }
}
