//! Plain HTTP for firmware and boot loaders: files and scripts, nothing secret and nothing that changes anything.
//!
//! | Standard | What is done here                                                                      |
//! |----------|----------------------------------------------------------------------------------------|
//! | RFC 9110 | GET and HEAD, one byte range, `Content-Length` on everything: boot ROMs need it        |
//! | RFC 9112 | HTTP/1.1 with kept connections; bounds in [`httpd::Limits`]                             |
//!
//! The answer about a card rests on its address, which anybody can claim; it only chooses between the PC's own disk and the
//! boot environment ([`inventory::boot`]).

mod route;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, IF_RANGE, RANGE};
use axum::http::request::Parts;
use axum::http::{Method, Request, Response, StatusCode};
use axum::{Extension, Router};
use httpd::Peer;
use inventory::MacAddr;
use inventory::boot::{Boot, BootServer};

use crate::follow::Followed;
use crate::notices::Notices;
use route::{Route, route};

/// Everything that answers rest on.
pub(crate) struct BootFiles {
    /// Folder of the files.
    pub(crate) dir: PathBuf,
    /// Who boots what.
    pub(crate) followed: Followed,
    /// Address to put into scripts; when `None`, the one that was reached.
    pub(crate) address: Option<Ipv4Addr>,
    /// Port of this server.
    pub(crate) http_port: u16,
    /// Port for agents.
    pub(crate) agent_port: u16,
    /// More kernel arguments.
    pub(crate) kernel_arguments: String,
    /// Where a missing file is told.
    pub(crate) notices: Arc<Notices>,
}

/// Everything is one handler: firmware's paths need more care than a router's patterns give.
pub(crate) fn router(files: Arc<BootFiles>) -> Router {
    async fn handle(
        State(files): State<Arc<BootFiles>>,
        Extension(peer): Extension<Peer>,
        request: Request<Body>,
    ) -> Response<Body> {
        files.answer(request.into_parts().0, &peer).await
    }
    Router::new().fallback(handle).with_state(files)
}

impl BootFiles {
    async fn answer(&self, request: Parts, peer: &Peer) -> Response<Body> {
        let (method, uri) = (&request.method, &request.uri);
        if *method != Method::GET && *method != Method::HEAD {
            return answer(StatusCode::METHOD_NOT_ALLOWED, Body::empty(), |head| {
                head.header(ALLOW, "GET, HEAD")
            });
        }
        let Some(route) = route(uri.path(), uri.query()) else {
            return plain(StatusCode::NOT_FOUND, "There is no such file.\n".into());
        };
        tracing::debug!(peer.ip = %peer.address.ip(), boot.route = ?route, "firmware asks");
        match route {
            Route::File(name) => {
                // Without validators of ours, a conditional range cannot hold (RFC 9110 section 13.1.5).
                let range = request.headers.get(RANGE).filter(|_| !request.headers.contains_key(IF_RANGE));
                self.file(name, range.and_then(|value| value.to_str().ok())).await
            }
            Route::Ipxe(card) => self
                .script(peer.local, card, |server, boot| server.ipxe_script(boot, inventory::clock::now())),
            Route::GrubCard(card) => self
                .script(peer.local, card, |server, boot| server.grub_config(boot, inventory::clock::now())),
            Route::GrubEntry => self.script(peer.local, None, |server, _| server.grub_entry()),
        }
    }

    fn script(
        &self,
        reached: SocketAddr,
        card: Option<MacAddr>,
        text: impl Fn(&BootServer, Boot) -> String,
    ) -> Response<Body> {
        let reached = match reached.ip().to_canonical() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        let Some(address) = self.address.or(reached) else {
            let problem = "Set server_address in the section [deployd]: boot loaders need an IPv4 address.\n";
            return plain(StatusCode::INTERNAL_SERVER_ERROR, problem.into());
        };
        let server = BootServer {
            address,
            http_port: self.http_port,
            agent_port: self.agent_port,
            kernel_arguments: self.kernel_arguments.clone(),
        };
        // A card whose address we cannot read belongs to no device that we know.
        let boot = card.map_or(Boot::Environment, |card| self.followed.boot.load().decide(card));
        plain(StatusCode::OK, text(&server, boot))
    }

    async fn file(&self, name: &'static str, range: Option<&str>) -> Response<Body> {
        let path = self.dir.join(name);
        let place = format!("boot/{name}");
        match crate::ranged::file(&path, range).await {
            Ok(answer) => {
                if NEEDED.contains(&name) {
                    self.notices.clear(&place).await;
                }
                answer
            }
            Err(error) => {
                // Which loaders a school has depends on its PCs, but without these no PC gets anywhere.
                if NEEDED.contains(&name) {
                    let text = format!("{} cannot be read: {error}", path.display());
                    let remedy = "run `hausmeister init` again; it lays out the files that PCs boot from";
                    self.notices.raise(&place, &text, remedy).await;
                }
                plain(StatusCode::NOT_FOUND, "There is no such file.\n".into())
            }
        }
    }
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    answer(status, Body::from(text), |head| {
        // The kernel command line names the time; nothing between us and the PC may keep it.
        head.header(CONTENT_TYPE, "text/plain; charset=utf-8").header(CACHE_CONTROL, "no-store")
    })
}

fn answer(
    status: StatusCode,
    body: Body,
    head: impl FnOnce(axum::http::response::Builder) -> axum::http::response::Builder,
) -> Response<Body> {
    let empty = || {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    };
    head(Response::builder().status(status)).body(body).unwrap_or_else(|_| empty())
}

const NEEDED: [&str; 2] = ["vmlinuz", "initrd.img"];
