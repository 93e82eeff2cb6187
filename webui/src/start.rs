//! Starting and stopping.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use httpd::Limits;
use inventory::ca::{Authority, CaError};
use inventory::config::Site;
use inventory::{Boxed, By, Inventory, clock};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::app::App;
use crate::config::HTTPS_PORT;
use crate::live::Live;
use crate::portal::Keeper;
use crate::{Config, routes, why};
use inventory::vault::{Vault, VaultError};

/// The running web interface. Dropping it stops it.
#[derive(Debug)]
pub struct Handle {
    https: httpd::Handle,
    redirect: Option<httpd::Handle>,
    page: Option<httpd::Handle>,
    _following: crate::live::Following,
    /// Dropping it ends the tasks.
    _tasks: JoinSet<()>,
}

/// Forgets old uploads and people who left long ago, again and again.
async fn tidy(app: App) {
    let mut ticks = tokio::time::interval(TIDY_EVERY);
    loop {
        ticks.tick().await;
        app.uploads.tidy();
        let by = By { actor: "webui", at: clock::now() };
        if let Err(error) = app.inventory.forget_imports(by).await {
            tracing::warn!(%error, "people who left cannot be removed; trying again later");
        }
    }
}

impl Handle {
    /// Address that HTTPS is served on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.https.address()
    }

    /// Address that plain HTTP is redirected from, if that is on.
    #[must_use]
    pub fn redirect_address(&self) -> Option<SocketAddr> {
        self.redirect.as_ref().map(httpd::Handle::address)
    }

    /// Address that locked devices are led to, if that is on.
    #[must_use]
    pub fn page_address(&self) -> Option<SocketAddr> {
        self.page.as_ref().map(httpd::Handle::address)
    }
}

/// Why the web interface cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The school's authority cannot issue a certificate.
    #[error("cannot make the certificate of the web page; `hausmeister init` sets up the school's authority")]
    Certificate(#[from] CaError),
    /// Certificate and key do not fit.
    #[error("cannot use the certificate of the web page")]
    Tls(#[source] httpd::TlsError),
    /// The address cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The threads that check passwords cannot be started.
    #[error("cannot start the threads that check passwords")]
    Threads(#[source] std::io::Error),
    /// The key of sealed secrets cannot be used.
    #[error("cannot open the key that seals secrets")]
    Vault(#[from] VaultError),
    /// The inventory does not answer.
    #[error("cannot follow the inventory")]
    Inventory(#[from] inventory::Error),
}

/// Starts the web interface. It serves HTTPS with a certificate that the school's authority issues for this machine's
/// addresses and names, valid 397 days: restart at least once a year.
///
/// # Errors
/// See [`StartError`].
pub fn run(site: &Site, config: Config, inventory: Inventory) -> Boxed<'_, Result<Handle, StartError>> {
    Box::pin(start(site, config, inventory))
}

async fn start(site: &Site, config: Config, inventory: Inventory) -> Result<Handle, StartError> {
    let authority = Authority::open(&site.keys_dir())?;
    let (addresses, names) = subjects(site, config.listen.ip());
    let certificate = authority.issue_server(&addresses, &names)?;
    let keeper = match &site.portal {
        Some(portal) => {
            let files = config.certificate.clone().zip(config.key.clone());
            let (keeper, named) = Keeper::new(inventory.clone(), portal, files);
            keeper.look().await;
            Some((keeper, named))
        }
        None => None,
    };
    let tls = match &keeper {
        Some((_, named)) => {
            httpd::tls_config_with_name(certificate.certificate, certificate.key, Arc::clone(named), None)
        }
        None => httpd::tls_config(certificate.certificate, certificate.key, None),
    };
    let tls = tls.map_err(StartError::Tls)?;

    let (live, following) = Live::follow(inventory.clone()).await?;
    let vault = Vault::open(&site.keys_dir())?;
    let authority = authority.pem().to_owned();
    let app = App::new(site, &config, inventory, live, vault, authority).map_err(StartError::Threads)?;
    let listener = bind(config.listen).await?;
    let limits = Limits { connections: 512, per_address: 96, ..Limits::default() };
    let listen = |source| StartError::Listen { address: config.listen, source };
    let https = httpd::serve_tls(listener, tls, routes::router(app.clone()), limits).map_err(listen)?;
    let redirect = plain(config.redirect_listen, redirect(https.address().port())).await?;
    let tidied = app.clone();
    let page = plain(config.page_listen, why::router(app)).await?;
    tracing::info!(address = %https.address(), "webui serves the pages");
    let mut tasks = JoinSet::new();
    tasks.spawn(crate::mail::post::deliver(tidied.clone()));
    tasks.spawn(crate::faults::watch_nights(tidied.clone()));
    tasks.spawn(tidy(tidied));
    if let Some((keeper, _)) = keeper {
        tasks.spawn(keeper.keep());
    }
    Ok(Handle { https, redirect, page, _following: following, _tasks: tasks })
}

/// Serves a router over plain HTTP, if there is an address to do so.
async fn plain(address: Option<SocketAddr>, router: Router) -> Result<Option<httpd::Handle>, StartError> {
    let Some(address) = address else { return Ok(None) };
    let listener = bind(address).await?;
    let limits = Limits { connections: 128, per_address: 16, ..Limits::default() };
    let listen = |source| StartError::Listen { address, source };
    httpd::serve_plain(listener, router, limits).map(Some).map_err(listen)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// By what we may be called: every local address, or the one that we listen on, and our names.
fn subjects(site: &Site, listen: IpAddr) -> (Vec<IpAddr>, Vec<String>) {
    let mut addresses = httpd::local_addresses();
    if !listen.is_unspecified() && !addresses.contains(&listen) {
        addresses.push(listen);
    }
    if addresses.is_empty() {
        addresses.push(Ipv4Addr::LOCALHOST.into());
    }
    let mut names =
        vec!["localhost".to_owned(), "hausmeister".to_owned(), format!("hausmeister.{}", site.zone)];
    if let Some(name) = httpd::local_name() {
        if !name.contains('.') {
            names.push(format!("{name}.{}", site.zone));
        }
        names.push(name);
    }
    names.sort();
    names.dedup();
    (addresses, names)
}

/// Answers every plain request with the same address over HTTPS.
fn redirect(port: u16) -> Router {
    Router::new().fallback(move |headers: HeaderMap, uri: Uri| async move { moved(&headers, &uri, port) })
}

fn moved(headers: &HeaderMap, uri: &Uri, port: u16) -> Response {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).and_then(host_without_port);
    let Some(host) = host else { return StatusCode::BAD_REQUEST.into_response() };
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    // 307, not 308: a permanent redirect to a port that somebody changes later would stay in browsers for ever.
    Redirect::temporary(&match port {
        HTTPS_PORT => format!("https://{host}{path}"),
        port => format!("https://{host}:{port}{path}"),
    })
    .into_response()
}

/// The host of a Host header, if it is a name or an address and nothing more.
fn host_without_port(host: &str) -> Option<&str> {
    let name = match host.strip_prefix('[') {
        Some(v6) => host.get(..v6.find(']')? + 2)?,
        None => host.split(':').next()?,
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':' | b'[' | b']');
    (!name.is_empty() && name.len() <= 253 && name.bytes().all(allowed)).then_some(name)
}

/// How often old things are forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_sent_to_the_same_page_over_https() {
        let location = |host: &str, path: &str, port: u16| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            let response = moved(&headers, &path.parse().unwrap(), port);
            response.headers().get(header::LOCATION).map(|l| l.to_str().unwrap().to_owned())
        };
        assert_eq!(location("server", "/devices?room=1", 443).unwrap(), "https://server/devices?room=1");
        assert_eq!(location("10.0.0.1:80", "/", 8443).unwrap(), "https://10.0.0.1:8443/");
        assert_eq!(location("[fd00::1]:80", "/", 443).unwrap(), "https://[fd00::1]/");
        for host in ["", "a@b", "a/b", "[fd00::1", "a b", "a\"b"] {
            assert_eq!(location(host, "/", 443), None, "{host}");
        }
    }

    #[test]
    fn the_certificate_names_every_local_address() {
        let (addresses, names) = subjects(&Site::default(), Ipv4Addr::UNSPECIFIED.into());
        assert!(addresses.contains(&Ipv4Addr::LOCALHOST.into()));
        assert!(names.contains(&"hausmeister.schule.internal".to_owned()));
    }
}
