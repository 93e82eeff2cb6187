//! The daemon that boots PCs from the network and gives their agents work.
//!
//! | Module      | What it does                                                                       |
//! |-------------|------------------------------------------------------------------------------------|
//! | `boot`      | plain HTTP for firmware: files and scripts, nothing secret                         |
//! | `tls`       | our certificate, and the key that a PC proves                                      |
//! | `agent_api` | the conversation with agents: hello, work, deploy, capture                         |
//! | `policy`    | what an agent that asks for work is told (pure)                                    |
//! | `hardware`  | bounding what a PC says about itself (pure)                                        |
//! | `limits`    | how often something may happen (pure)                                              |
//! | `catalogue` | the image store and the manifests in use                                           |
//! | `drivers`   | the folder of drivers for Windows                                                  |
//! | `software`  | what programs every PC should have                                                 |
//! | `follow`    | keeps up with the inventory                                                        |
//! | `keep`      | frees what no version needs, and reads what is stored now and then                 |
//! | `night`     | has done at night what is to be done                                               |
//! | `wake`      | switches PCs on that somebody wants on                                             |
//! | [`upstream`] | images from and for other servers                                                 |
//! | `notices`   | what a person should know: damage, missing files, a full disk                      |
//! | [`import`]  | an image from a file on the server                                                 |

mod agent_api;
mod boot;
mod catalogue;
mod config;
mod drivers;
mod follow;
mod hardware;
pub mod import;
mod keep;
mod keys;
mod limits;
mod night;
mod notices;
mod policy;
mod ranged;
mod software;
mod stop;
mod tls;
pub mod upstream;
mod wake;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use httpd::Limits;
use images::protocol::TYPE_OF_SERVICE;
use images::store::{Store, StoreError};
use inventory::ca::{Authority, CaError};
use inventory::config::Site;
use inventory::{Boxed, Inventory};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use config::{AGENT_LISTEN, BOOT_LISTEN, Config, KernelArguments, RESERVE_MIB};
pub use keys::KeyError;
pub use tls::TlsError;

/// How this daemon signs its changes and notices.
const NAME: &str = "deployd";

/// Why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The school's authority cannot be opened.
    #[error("cannot open the school's certificate authority; `hausmeister init` makes one")]
    Authority(#[from] CaError),
    /// The signing key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The agent port has no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The image store cannot be opened.
    #[error("cannot open the image store")]
    Store(#[from] StoreError),
    /// The inventory failed.
    #[error("cannot read the inventory")]
    Inventory(#[from] inventory::Error),
    /// A port cannot be had.
    #[error("cannot listen on {address} for {what}; `hausmeister check` tells who has the port")]
    Listen {
        /// What for.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread ended unexpectedly.
    #[error("the start was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// A running daemon. Dropping it stops it: ports are closed, agents that wait are answered, transfers in progress have a few
/// seconds to end. What is cut off goes on when the daemon runs again.
#[derive(Debug)]
pub struct Handle {
    boot: httpd::Handle,
    agents: httpd::Handle,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Handle {
    /// Where firmware is answered.
    #[must_use]
    pub fn boot_address(&self) -> SocketAddr {
        self.boot.address()
    }

    /// Where agents are answered.
    #[must_use]
    pub fn agent_address(&self) -> SocketAddr {
        self.agents.address()
    }

    /// Stops the daemon and waits for its end, a few seconds at most.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.agents.stop().await;
        self.boot.stop().await;
        for task in self.tasks {
            // A panic was logged where it happened, and there is nothing left to stop.
            let _ = task.await;
        }
    }
}

/// Starts the daemon.
///
/// # Errors
/// See [`StartError`]; nothing is left running then.
pub fn run(site: &Site, config: Config, inventory: Inventory) -> Boxed<'_, Result<Handle, StartError>> {
    Box::pin(start(site, config, inventory))
}

async fn start(site: &Site, config: Config, inventory: Inventory) -> Result<Handle, StartError> {
    allow_many_files();
    let signing = keys::signing_key(site)?;
    let authority = Authority::open(&site.keys_dir())?;
    let names = vec![format!("server.{}", site.zone), "localhost".into()];
    let announced = config.server_address.map(Into::into);
    let identity = tls::ServerIdentity::new(authority, names, announced, inventory::clock::now())?;
    let tls = tls::config(identity)?;

    let store_dir = site.store_dir();
    let opened = store_dir.clone();
    let store = tokio::task::spawn_blocking(move || Store::open(&opened)).await;
    let store = store.map_err(StartError::Interrupted)??;
    let catalogue = Arc::new(catalogue::Catalogue::new(Arc::new(store), signing));
    let notices = Arc::new(notices::Notices::load(inventory.clone()).await?);

    let boot_listener = listen("boot files", config.boot_listen).await?;
    let agent_listener = listen("agents", config.agent_listen).await?;
    mark_background(&agent_listener);
    let port = |listener: &TcpListener| listener.local_addr().map_or(0, |address| address.port());
    let (http_port, agent_port) = (port(&boot_listener), port(&agent_listener));

    let (stop, stopping) = watch::channel(false);
    let (followed, follower) = follow::start(inventory.clone(), stopping.clone()).await?;
    let work = followed.work.clone();
    let waker = wake::Waker {
        inventory: inventory.clone(),
        notices: notices.clone(),
        changed: work.clone(),
        stop: stopping.clone(),
    };
    let software = software::Books::new(inventory.clone(), followed.software.clone(), notices.clone());
    let software = Arc::new(software);
    let night = night::NightShift {
        inventory: inventory.clone(),
        software: software.clone(),
        changed: work.clone(),
        stop: stopping.clone(),
    };
    let files = boot::BootFiles {
        dir: site.boot_dir(),
        followed,
        address: config.server_address,
        http_port,
        agent_port,
        kernel_arguments: config.kernel_arguments.as_str().to_owned(),
        notices: notices.clone(),
    };
    let reserve_bytes = config.reserve_bytes();
    let api = agent_api::Api::new(agent_api::Parts {
        inventory: inventory.clone(),
        catalogue: catalogue.clone(),
        notices: notices.clone(),
        work,
        software,
        software_files: site.software_files(),
        drivers: Arc::new(drivers::Drivers::new(site.drivers_dir())),
        stop: stopping.clone(),
        boot_dir: site.boot_dir(),
        store_dir: store_dir.clone(),
        reserve_bytes,
    });
    let failed = |what, address| move |source| StartError::Listen { what, address, source };
    let boot = httpd::serve_plain(boot_listener, boot::router(Arc::new(files)), BOOT_LIMITS)
        .map_err(failed("boot files", config.boot_listen))?;
    let agents = httpd::serve_tls(agent_listener, tls, agent_api::router(Arc::new(api)), AGENT_LIMITS)
        .map_err(failed("agents", config.agent_listen))?;
    tracing::info!(boot.address = %boot.address(), agents.address = %agents.address(), "deployd runs");
    let mut tasks = vec![follower];
    match config.upstream {
        Some(upstream) => {
            let fetcher = upstream::Fetcher {
                upstream,
                inventory: inventory.clone(),
                images: catalogue.clone(),
                notices: notices.clone(),
                store_dir: store_dir.clone(),
                reserve_bytes,
                stop: stopping.clone(),
            };
            // Before the keeper may free anything.
            tasks.push(tokio::spawn(fetcher.begin()));
        }
        None => notices.clear(upstream::NOTICE).await,
    }
    let keeper = keep::Keeper {
        inventory,
        catalogue: catalogue.clone(),
        notices: notices.clone(),
        store_dir,
        software_files: site.software_files(),
        stop: stopping.clone(),
    };
    tasks.push(tokio::spawn(keeper.run()));
    tasks.push(tokio::spawn(waker.run()));
    tasks.push(tokio::spawn(night.run()));
    tasks.push(tokio::spawn(tidy(catalogue, notices, stopping)));
    Ok(Handle { boot, agents, stop, tasks })
}

async fn listen(what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { what, address, source })
}

/// Connections take it over from their listener.
fn mark_background(listener: &TcpListener) {
    // A kernel that does not let us is no reason not to serve.
    let _ =
        nix::sys::socket::setsockopt(listener, nix::sys::socket::sockopt::Ipv4Tos, &TYPE_OF_SERVICE.into());
}

/// Frees manifests that nobody uses, and takes back notices about images that were deleted.
async fn tidy(catalogue: Arc<catalogue::Catalogue>, notices: Arc<notices::Notices>, mut stop: stop::Stop) {
    loop {
        catalogue.tidy(inventory::clock::instant()).await;
        notices.forget_gone_images().await;
        tokio::select! {
            () = tokio::time::sleep(TIDY_EVERY) => {}
            () = stop::stopped(&mut stop) => return,
        }
    }
}

/// A service is started with a limit of 1024 open files, below the connections that a school's morning brings.
fn allow_many_files() {
    // Without it everything works with fewer connections; a refused one is logged where it is accepted.
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let wanted = hard.min(FILES_WANTED);
        if soft < wanted {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
        }
    }
}

const BOOT_LIMITS: Limits = Limits {
    connections: 1024,
    per_address: 32,
    handshake: Duration::from_secs(10),
    head: Duration::from_secs(20),
    body_idle: Duration::from_secs(5),
    unacknowledged: Duration::from_secs(30),
    drain: Duration::from_secs(3),
};
const AGENT_LIMITS: Limits = Limits {
    connections: 2048,
    // An agent uses fewer than ten.
    per_address: 64,
    handshake: Duration::from_secs(10),
    head: Duration::from_secs(60),
    body_idle: Duration::from_secs(20),
    unacknowledged: Duration::from_secs(30),
    drain: Duration::from_secs(3),
};
const FILES_WANTED: u64 = 16_384;
const TIDY_EVERY: Duration = Duration::from_secs(30);
