//! The daemon that manages iPads: Apple's MDM protocol on one side, the inventory on the other.
//!
//! | Module                                      | What it does                                                      |
//! |---------------------------------------------|-------------------------------------------------------------------|
//! | [`ber`], [`cms`], `x509`                    | signed and encrypted messages as Apple's devices make them (pure)   |
//! | [`scep`], [`ca`]                            | how an iPad gets its certificate (pure)                             |
//! | [`document`]                                | property lists, bounded before they are parsed (pure)               |
//! | [`checkin`], [`command`], [`response`]      | what iPads and server say to each other (pure)                      |
//! | `ipados`, a crate of its own                | profiles, and the one set of rules of each iPad (pure)              |
//! | [`declarative`], [`wanted`]                 | declarations, and which an iPad should have (pure)                   |
//! | [`apps`]                                    | licences from Apps and Books, apps of iPads                         |
//! | `http`                                      | the routes                                                          |
//! | `server`                                    | what the routes share: inventory, keys, sealed secrets              |
//! | `ipads`                                     | who is who, in memory                                               |
//! | `push`, `keep`                              | waking iPads, following the inventory, tidying                      |
//!
//! Not done: Macs, user enrolment, channels of a Shared iPad's users (their messages are taken and nothing is sent to them), renewal of
//! certificates by a profile that is sent again (an iPad that asks by `RenewalReq` gets one).

pub mod apps;
pub mod ber;
pub mod ca;
pub mod channel;
pub mod checkin;
pub mod cms;
pub mod command;
mod config;
pub mod declarative;
pub mod document;
mod fields;
mod http;
mod ipads;
mod keep;
mod push;
pub mod response;
pub mod scep;
mod server;
pub mod wanted;
pub mod x509;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use httpd::{Limits, Named, NamedError};
use inventory::ca::{Authority, CaError};
use inventory::config::Site;
use inventory::vault::{Vault, VaultError};
use inventory::{Boxed, Inventory, clock};
pub use ipados::{catalogue, os, profile, rules, secret, values};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::ca::{DeviceCa, KeyKind};
use crate::cms::SingleDes;
use crate::push::Push;
use crate::server::{Profiles, Server, Wishes};

pub use config::{Config, LISTEN};
pub use push::PushError;
pub use server::ProfilesError;

/// How this daemon signs its changes and notices.
const NAME: &str = "mdm";

/// Why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The school's authority cannot be opened.
    #[error("cannot open the school's certificate authority; `hausmeister init` makes one")]
    Authority(#[from] CaError),
    /// The authority of the iPads cannot be opened.
    #[error("cannot open the authority of the iPads")]
    DeviceCa(#[from] ca::CaError),
    /// SCEP cannot be served.
    #[error("cannot serve certificates to iPads")]
    Scep(#[from] scep::ScepError),
    /// The key of sealed secrets cannot be used.
    #[error("cannot open the key that seals secrets")]
    Vault(#[from] VaultError),
    /// Profiles cannot be made.
    #[error(transparent)]
    Profiles(#[from] ProfilesError),
    /// iPads cannot be woken.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A file that the configuration names cannot be read.
    #[error("cannot read {}; [mdm] names it", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificate of the address is not usable.
    #[error("the certificate of [mdm] cannot be used")]
    Certificate(#[from] NamedError),
    /// Certificate and key do not fit.
    #[error("cannot use the certificate for iPads")]
    Tls(#[from] httpd::TlsError),
    /// The clock makes no sense.
    #[error("the clock of this server is out of range; set it")]
    Clock,
    /// The inventory failed.
    #[error("cannot follow the inventory")]
    Inventory(#[from] inventory::Error),
    /// The port cannot be had.
    #[error("cannot listen on {address} for iPads; `hausmeister check` tells who has the port")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A running daemon. Dropping it stops it.
#[derive(Debug)]
pub struct Handle {
    https: Option<httpd::Handle>,
    _tasks: JoinSet<()>,
}

impl Handle {
    /// Where iPads are answered; `None` when `[site]` names no `mdm_url`.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.https.as_ref().map(httpd::Handle::address)
    }
}

/// Starts the daemon. Without `mdm_url` in `[site]` it does nothing.
///
/// # Errors
/// See [`StartError`].
pub fn run(site: &Site, config: Config, inventory: Inventory) -> Boxed<'_, Result<Handle, StartError>> {
    Box::pin(start(site, config, inventory))
}

async fn start(site: &Site, config: Config, inventory: Inventory) -> Result<Handle, StartError> {
    let Some(url) = site.mdm_url.clone() else {
        return Ok(Handle { https: None, _tasks: JoinSet::new() });
    };
    let now = OffsetDateTime::from_unix_timestamp(clock::now().0 / 1000).map_err(|_| StartError::Clock)?;
    let authority = Authority::open(&site.keys_dir())?;
    let own = authority.issue_server(&httpd::local_addresses(), &[url.host().to_owned()])?;
    let (certificate, key) = (own.certificate.clone(), own.key.clone());
    let tls = match config.certificate.as_deref().zip(config.key.as_deref()) {
        Some((certificate, key)) => {
            let named = Named::new(url.host());
            named.replace(&read(certificate)?, &read(key)?)?;
            httpd::tls_config_with_name(own.certificate, own.key, Arc::new(named))?
        }
        None => httpd::tls_config(own.certificate, own.key, None)?,
    };
    let vault = Vault::open(&site.keys_dir())?;
    let ca = DeviceCa::ensure(&site.keys_dir(), &site.name, KeyKind::P256, now)?;
    let scep = scep::Server::new(Arc::clone(ca.ra()), ca.certificate(), SingleDes::Accepted)?;
    let topic = topic(&config)?;
    let authority = authority_der(&authority);
    let profiles = Profiles::new(&site.name, &topic, url.as_str(), authority.clone(), (&certificate, &key))?;
    let push = Push::new(&config, &topic)?;
    let school = wanted::School { name: profiles.organization()?, base: url.as_str().to_owned(), authority };
    let wishes = Wishes::new(school);
    let (server, committer) = Server::new(inventory, vault, ca, scep, profiles, push, wishes);
    let server = Arc::new(server);
    let failed = |source| StartError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let books = apps::client::Books::new(&config.apps_url, config.services_authority.as_deref());
    let books = books
        .map_err(|source| StartError::File { path: config.services_authority.unwrap_or_default(), source })?;
    let mut tasks = keep::start(&server).await?;
    tasks.spawn(committer.run());
    tasks.spawn(apps::run(Arc::clone(&server), books, url.as_str().to_owned()));
    let https = httpd::serve_tls(listener, tls, http::router(server), LIMITS).map_err(failed)?;
    tracing::info!(address = %https.address(), url = url.as_str(), "mdm answers iPads");
    Ok(Handle { https: Some(https), _tasks: tasks })
}

/// The topic: of the push certificate, or as the configuration says.
fn topic(config: &Config) -> Result<String, StartError> {
    let of_certificate = match &config.push_certificate {
        Some(path) => push::topic_of(&read(path)?),
        None => None,
    };
    of_certificate.or_else(|| config.topic.clone()).ok_or_else(|| ProfilesError::Topic(String::new()).into())
}

/// The certificate of the school's authority, for profiles.
fn authority_der(authority: &Authority) -> Vec<u8> {
    let der = CertificateDer::from_pem_slice(authority.pem().as_bytes());
    der.map(|der| der.to_vec()).unwrap_or_default()
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    std::fs::read(path).map_err(|source| StartError::File { path: path.to_owned(), source })
}

/// A morning in which a thousand iPads wake at once must not shut anybody out; each keeps one connection for some seconds.
const LIMITS: Limits = Limits {
    connections: 4096,
    // A whole school may come from one address.
    per_address: 4096,
    handshake: std::time::Duration::from_secs(10),
    head: std::time::Duration::from_secs(30),
    body_idle: std::time::Duration::from_secs(20),
    unacknowledged: std::time::Duration::from_secs(30),
    drain: std::time::Duration::from_secs(3),
};
