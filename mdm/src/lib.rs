//! The daemon that manages iPads: Apple's MDM protocol on one side, the inventory on the other.
//!
//! | Module                                      | What it does                                                      |
//! |---------------------------------------------|-------------------------------------------------------------------|
//! | [`scep`], [`ca`]                            | how an iPad gets its certificate (pure)                             |
//! | [`document`]                                | property lists, bounded before they are parsed (pure)               |
//! | [`checkin`], [`command`], [`response`]      | what iPads and server say to each other (pure)                      |
//! | [`declarative`], [`wanted`]                 | declarations, and which an iPad should have (pure)                   |
//! | [`apps`]                                    | licences from Apps and Books, apps of iPads                         |
//! | `ipados`, a crate of its own                | profiles, and the one set of rules of each iPad (pure)              |
//! | `credentials`, a crate of its own           | signed messages, what Apple's services hand out (pure)              |
//! | `http`                                      | the routes                                                          |
//! | `server`                                    | what the routes share: inventory, keys, sealed secrets              |
//! | `ipads`                                     | who is who, in memory                                               |
//! | `ade`                                       | the list of Apple School Manager, iPads at the door                 |
//! | `push`, `keep`                              | waking iPads, following the inventory, tidying                      |
//! | `expiry`, `watch`                           | what ends some day, and who has to hear of it                       |
//!
//! Not done: Macs, user enrolment, channels of a Shared iPad's users (their messages are taken and nothing is sent to them).

mod ade;
pub mod apps;
pub mod ca;
pub mod channel;
pub mod checkin;
#[cfg(test)]
#[path = "cms/tests.rs"]
mod cms_tests;
pub mod command;
mod config;
pub mod declarative;
pub mod document;
mod expiry;
mod fields;
mod http;
mod ipads;
mod keep;
mod push;
pub mod response;
pub mod scep;
mod server;
mod trust;
pub mod wanted;
mod watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use credentials::{ber, cms, x509};
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
use zeroize::Zeroizing;

use crate::ca::{DeviceCa, KeyKind};
use crate::cms::SingleDes;
use crate::push::Target;
use crate::server::{Profiles, Server, Settings, Wishes};

pub use config::{Certificates, Config, LISTEN};
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
    /// One of two files that belong together.
    #[error("[mdm] names `{given}` and not `{missing}`: both or none")]
    Half {
        /// What is named.
        given: &'static str,
        /// What is not.
        missing: &'static str,
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
    let files = files(&config, url.host())?;
    let vault = Vault::open(&site.keys_dir())?;
    let ca = DeviceCa::ensure(&site.keys_dir(), &site.name, KeyKind::P256, now)?;
    let clients = config.mutual_tls.then(|| httpd::clients_of(ca.certificate())).transpose()?;
    let tls = match &files {
        Some(files) => {
            let named = Arc::clone(&files.named);
            httpd::tls_config_with_name(own.certificate, own.key, named, clients)?
        }
        None => httpd::tls_config(own.certificate, own.key, clients)?,
    };
    let scep = scep::Server::new(Arc::clone(ca.ra()), ca.certificate(), SingleDes::Accepted)?;
    let authority = authority_der(&authority);
    let profiles = Profiles::new(
        &site.name,
        config.topic.as_deref(),
        url.as_str(),
        authority.clone(),
        (&certificate, &key),
    )?;
    let name = profiles.organization()?;
    let school = wanted::School { name, base: url.as_str().to_owned(), authority: authority.clone() };
    let (wishes, settings) = (Wishes::new(school), settings(&config)?);
    let (server, committer) = Server::new(inventory, vault, ca, scep, profiles, wishes, settings);
    let server = Arc::new(server);
    let failed = |source| StartError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let books = apps::client::Books::new(&config.apps_url, config.services_authority.as_deref());
    let services = config.services_authority.clone().unwrap_or_default();
    let books = books.map_err(|source| StartError::File { path: services, source })?;
    let mut tasks = keep::start(&server).await?;
    tasks.spawn(committer.run());
    tasks.spawn(apps::run(Arc::clone(&server), books, url.as_str().to_owned()));
    // Whoever trusts nobody but the school has to be told of it; a certificate that everybody trusts needs nothing.
    let anchors = if files.is_some() { Vec::new() } else { vec![authority.clone()] };
    tasks.spawn(ade::keep(Arc::clone(&server), way(&config)?, anchors));
    tasks.spawn(watch::keep(Arc::clone(&server), watch::Fixed { files, authority }, config.look));
    let https = httpd::serve_tls(listener, tls, http::router(server), LIMITS).map_err(failed)?;
    tracing::info!(address = %https.address(), url = url.as_str(), "mdm answers iPads");
    Ok(Handle { https: Some(https), _tasks: tasks })
}

/// The TLS certificate of files, in force.
fn files(config: &Config, host: &str) -> Result<Option<watch::Files>, StartError> {
    let Some((certificate, key)) = both(("certificate", &config.certificate), ("key", &config.key))? else {
        return Ok(None);
    };
    let named = Named::new(host);
    named.replace(&read(certificate)?, &read(key)?)?;
    Ok(Some(watch::Files { certificate: certificate.clone(), key: key.clone(), named: Arc::new(named) }))
}

/// What the configuration says about Apple's services.
fn settings(config: &Config) -> Result<Settings, StartError> {
    both(("push_certificate", &config.push_certificate), ("push_key", &config.push_key))?;
    let vendor =
        both(("vendor_certificate", &config.vendor_certificate), ("vendor_key", &config.vendor_key))?;
    let text = |path: &PathBuf| read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let vendor = vendor.map(|(certificate, key)| {
        Ok::<_, StartError>(Zeroizing::new(format!("{}\n{}", text(certificate)?, text(key)?)))
    });
    let mut device_authorities = ade::apple_device_authorities();
    if let Some(path) = &config.device_authority {
        device_authorities.extend(credentials::services::pem_contents(&text(path)?));
    }
    Ok(Settings {
        push_target: Target::new(config)?,
        push: push::of_files(config, clock::now())?,
        vendor: vendor.transpose()?,
        device_authorities,
        certificates: config.certificates,
        mutual_tls: config.mutual_tls,
    })
}

fn way(config: &Config) -> Result<ade::Way, StartError> {
    ade::Way::new(&config.ade_url, config.ade_authority.as_deref())
        .map_err(|source| StartError::File { path: config.ade_authority.clone().unwrap_or_default(), source })
}

/// A key of the section, and what it says.
type Entry<'a> = (&'static str, &'a Option<PathBuf>);

/// Two files that belong together: both or none.
fn both<'a>(one: Entry<'a>, other: Entry<'a>) -> Result<Option<(&'a PathBuf, &'a PathBuf)>, StartError> {
    match (one.1, other.1) {
        (Some(first), Some(second)) => Ok(Some((first, second))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(StartError::Half { given: one.0, missing: other.0 }),
        (None, Some(_)) => Err(StartError::Half { given: other.0, missing: one.0 }),
    }
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
