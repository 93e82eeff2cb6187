//! The daemon that decides who joins the WLAN.
//!
//! FreeRADIUS speaks RADIUS and EAP; it is started, configured and watched by us, and asks us over HTTP on loopback. There is no EAP
//! here and no TLS of EAP.
//!
//! | Module        | What it does                                                                  |
//! |---------------|-------------------------------------------------------------------------------|
//! | `freeradius`  | its configuration, written anew at every start                                |
//! | `process`     | starting it, listening to it, starting it again                               |
//! | `http`        | its questions, as they come                                                   |
//! | `attributes`  | their form, and that of the answers (pure)                                    |
//! | `desk`        | the answers                                                                   |
//! | `subject`     | who signed in, as FreeRADIUS keeps it with a TLS session (pure)               |
//! | `nt`          | the hash that MSCHAPv2 wants (pure)                                           |
//! | `certificate` | the server's certificate                                                      |
//!
//! The decision itself is [`inventory::wlan::decide`], so that the page can tell what would happen.

mod attributes;
mod certificate;
mod config;
mod desk;
mod freeradius;
mod http;
mod nt;
mod process;
mod subject;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use inventory::ca::{Authority, CaError};
use inventory::config::Site;
use inventory::vault::{Vault, VaultError};
use inventory::{Boxed, By, Inventory, clock};
use rand::RngCore as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::certificate::Identity;
use crate::desk::Desk;
use crate::freeradius::Folder;
use crate::process::{NOT_INSTALLED, Program, State};

pub use certificate::CertificateError;
pub use config::Config;

/// How this daemon signs its changes and notices.
const NAME: &str = "radius";

/// Why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The school's authority cannot be opened.
    #[error("cannot open the school's certificate authority; `hausmeister init` makes one")]
    Authority(#[from] CaError),
    /// There is no certificate for the server.
    #[error("cannot make the certificate of the WLAN")]
    Certificate(#[from] CertificateError),
    /// Sealed secrets cannot be opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// FreeRADIUS' folder cannot be written.
    #[error("cannot write what FreeRADIUS is started with to {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system has no port or thread left.
    #[error("the system refuses what is needed to answer FreeRADIUS")]
    System(#[from] std::io::Error),
}

/// A running daemon. Dropping it ends FreeRADIUS: who is on the WLAN stays there until the access point asks again.
#[derive(Debug)]
pub struct Handle {
    desk: httpd::Handle,
    stop: watch::Sender<bool>,
    state: watch::Receiver<State>,
    tasks: Vec<JoinHandle<()>>,
}

impl Handle {
    /// Waits until FreeRADIUS answers, or says why it does not.
    ///
    /// # Errors
    /// It ended or could not be started; what it said last.
    pub async fn ready(&mut self) -> Result<(), String> {
        let known = self.state.wait_for(|state| *state != State::Starting).await;
        match known.map(|state| state.clone()) {
            Ok(State::Running) => Ok(()),
            Ok(State::Failed(why)) => Err(why),
            _ => Err("the daemon ended".into()),
        }
    }

    /// Stops the daemon and FreeRADIUS, and waits for their end, a few seconds at most.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // A panic was logged where it happened, and there is nothing left to stop.
            let _ = task.await;
        }
        self.desk.stop().await;
    }
}

/// Starts the daemon. That FreeRADIUS cannot be started is no error but a notice: it is tried again.
///
/// # Errors
/// See [`StartError`]; nothing is left running then.
pub fn run(site: &Site, config: Config, inventory: Inventory) -> Boxed<'_, Result<Handle, StartError>> {
    Box::pin(start(site, config, inventory))
}

async fn start(site: &Site, config: Config, inventory: Inventory) -> Result<Handle, StartError> {
    let vault = Vault::open(&site.keys_dir())?;
    let desk = Arc::new(Desk::new(inventory.clone(), vault)?);
    let mut token = [0; 32];
    rand::rng().fill_bytes(&mut token);
    let token = data_encoding::HEXLOWER.encode(&token);
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let served = httpd::serve_plain(listener, http::router(desk.clone(), token.clone()), LIMITS)?;

    let server = Server {
        run_dir: config.run_dir.clone(),
        authority: Authority::open(&site.keys_dir())?,
        keys_dir: site.keys_dir(),
        name: inventory::wlan::server_name(&site.zone),
        program: Program {
            path: config.freeradius.clone(),
            dir: config.run_dir.clone(),
            account: process::account(),
        },
        config,
        ourselves: served.address(),
        token,
        inventory,
    };
    server.prepare()?;
    let (stop, stopping) = watch::channel(false);
    let (state, told) = watch::channel(State::Starting);
    let tasks = vec![
        tokio::spawn(write_refusals(desk, stopping.clone())),
        tokio::spawn(report(server.inventory.clone(), state.subscribe())),
        tokio::spawn(server.keep_running(state, stopping)),
    ];
    tracing::info!(desk.address = %served.address(), "radius runs");
    Ok(Handle { desk: served, stop, state: told, tasks })
}

/// What FreeRADIUS is started with, again and again.
struct Server {
    inventory: Inventory,
    authority: Authority,
    keys_dir: PathBuf,
    name: String,
    config: Config,
    run_dir: PathBuf,
    program: Program,
    ourselves: SocketAddr,
    token: String,
}

/// What makes FreeRADIUS be started anew when it changes.
#[derive(PartialEq, Eq)]
struct Trust {
    certificate: String,
    devices: String,
}

impl Server {
    fn prepare(&self) -> Result<Trust, StartError> {
        let identity = certificate::ensure(&self.keys_dir, &self.authority, &self.name, clock::now())?;
        let trust = Trust { certificate: identity.certificate.clone(), devices: self.devices() };
        let folder = Folder {
            dir: &self.run_dir,
            config: &self.config,
            ourselves: self.ourselves,
            token: &self.token,
            identity: &chained(identity, self.authority.pem()),
            devices: &trust.devices,
            account: self.program.account,
        };
        folder.write().map_err(|source| StartError::Folder { path: self.run_dir.clone(), source })?;
        Ok(trust)
    }

    /// The authority that issued the certificates of devices. Where none has been made yet, the school's own takes its place, which
    /// issues none to devices.
    fn devices(&self) -> String {
        let text = std::fs::read_to_string(self.keys_dir.join(DEVICE_AUTHORITY)).map(zeroize::Zeroizing::new);
        let found = text.ok().and_then(|text| certificate::first_certificate(&text));
        found.unwrap_or_else(|| self.authority.pem().to_owned())
    }

    async fn keep_running(self, state: watch::Sender<State>, mut stop: watch::Receiver<bool>) {
        let mut pause = PAUSE_MIN;
        while !*stop.borrow() {
            let trust = self.prepare();
            if let Err(error) = &trust {
                tracing::error!(error = error as &dyn std::error::Error, "FreeRADIUS is started as before");
            }
            let (end, ending) = watch::channel(false);
            let began = clock::instant();
            let mut run = tokio::spawn(self.program.clone().run_once(state.clone(), ending));
            tokio::select! {
                _ = &mut run => {
                    pause = if began.elapsed() > LONG { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = stopped(&mut stop) => {}
                    }
                    continue;
                }
                () = self.trust_changes(trust.ok()) => {}
                () = stopped(&mut stop) => {}
            }
            end.send_replace(true);
            // It was asked to end, and made to after a while.
            let _ = run.await;
        }
    }

    /// Waits until the server needs another certificate, or devices have another authority.
    async fn trust_changes(&self, before: Option<Trust>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            freeradius::forget_sessions(&self.run_dir, clock::now(), SESSIONS_FOR);
            let made = certificate::ensure(&self.keys_dir, &self.authority, &self.name, clock::now());
            let now = made
                .ok()
                .map(|identity| Trust { certificate: identity.certificate, devices: self.devices() });
            if now.is_some() && now != before {
                tracing::info!("FreeRADIUS is started anew with another certificate");
                return;
            }
        }
    }
}

/// Waits until the daemon ends.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The certificate with that of its authority: devices that know only the authority's name can check it all the same.
fn chained(identity: Identity, authority: &str) -> Identity {
    Identity { certificate: format!("{}{authority}", identity.certificate), ..identity }
}

async fn write_refusals(desk: Arc<Desk>, mut stop: watch::Receiver<bool>) {
    loop {
        let stopped = tokio::time::timeout(WRITE_EVERY, stopped(&mut stop)).await.is_ok();
        desk.write_refusals().await;
        if stopped {
            return;
        }
    }
}

/// Tells people while FreeRADIUS does not run.
async fn report(inventory: Inventory, mut state: watch::Receiver<State>) {
    loop {
        let now = state.borrow_and_update().clone();
        let found = match now {
            State::Starting => None,
            State::Running => Some(Vec::new()),
            State::Failed(why) => {
                tracing::error!(why, "FreeRADIUS does not run; it is started again");
                let text = format!("nobody can join the WLAN, because FreeRADIUS does not run: {why}");
                Some(vec![(PLACE.to_owned(), text, remedy(&why).to_owned())])
            }
        };
        let by = By { actor: NAME, at: clock::now() };
        if let Some(found) = found
            && let Err(error) = inventory.set_notices(by, NAME, &found).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot note what is not in order");
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

fn remedy(why: &str) -> &'static str {
    if why == NOT_INSTALLED {
        "install it: `apt install freeradius freeradius-rest`; it is tried again by itself"
    } else if why.contains("binding") {
        "another program has its port, probably Debian's own service: `systemctl disable --now freeradius`; it is tried again by itself"
    } else {
        "it is tried again by itself; the log of the server says more"
    }
}

const PLACE: &str = "freeradius";
/// The file in which `mdm` keeps the authority of devices; its certificate stands first.
const DEVICE_AUTHORITY: &str = "mdm-devices.pem";
/// One question at a time from each of FreeRADIUS' threads, and some more.
const LIMITS: httpd::Limits = httpd::Limits {
    connections: 256,
    per_address: 256,
    handshake: Duration::from_secs(10),
    head: Duration::from_secs(90),
    body_idle: Duration::from_secs(5),
    unacknowledged: Duration::from_secs(10),
    drain: Duration::from_secs(1),
};
const WRITE_EVERY: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_secs(600);
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Having run so long, it is started again at once.
const LONG: Duration = Duration::from_secs(60);
/// FreeRADIUS keeps a session for eight hours.
const SESSIONS_FOR: Duration = Duration::from_secs(9 * 3600);
