//! *Warum geht es nicht?* The page that a locked device is led to when it asks for something unencrypted: over plain HTTP, since it did,
//! and without a sign-in, since it is about the device that asks.
//!
//! Every address but this server's own is answered with a redirect here that nobody may remember, so that no browser takes the page for
//! the one it wanted. Operating systems look for such redirects with a request of their own (captive-portal probes) and show the page.

use std::net::SocketAddr;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use httpd::Peer;

use crate::app::App;
use crate::failure::Answer;
use crate::guard;
use crate::page::{Here, Visit};
use crate::pages::{assets, lesson};

/// The router of the plain port.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/assets/{file}", get(assets::file))
        .fallback(explain)
        .layer(from_fn_with_state(app.clone(), guard::around))
        .with_state(app)
}

async fn explain(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    visit: Visit,
) -> Answer {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if host != own(peer.local) {
        return Ok(lead_here(peer.local));
    }
    visit.show(&lesson::status_page(&app, visit.page(Here::Nowhere), &peer).await?)
}

/// The address under which the device reached us: a redirected connection arrives at the server's address in the device's network.
fn own(local: SocketAddr) -> String {
    if local.port() == HTTP_PORT { local.ip().to_string() } else { local.to_string() }
}

fn lead_here(local: SocketAddr) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, format!("http://{}/", own(local)))]).into_response()
}

const HTTP_PORT: u16 = 80;
