//! Signing in and out by API.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use httpd::Peer;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::app::{App, SignedIn};
use crate::failure::Answer;
use crate::fields::Body;
use crate::session::{COOKIE, set_cookie};
use crate::signin;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    name: String,
    password: String,
    /// Of the second factor, or a recovery code; for accounts that have one.
    code: Option<String>,
}

/// `POST /api/v1/session`: sets the session's cookie.
pub(crate) async fn begin(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Body(given): Body<Credentials>,
) -> Answer<Response> {
    let (code, address) = (given.code.as_deref(), peer.address.ip());
    let cookie = signin::begin_at_once(&app, &given.name, &given.password, code, address).await?;
    let mut response = Json(json!({ "name": given.name.trim().to_lowercase() })).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// `DELETE /api/v1/session`.
pub(crate) async fn end(
    State(app): State<App>,
    Extension(signed_in): Extension<SignedIn>,
) -> Answer<Response> {
    app.inventory.end_session(&signed_in.session).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().extend(set_cookie(COOKIE, "", 0).map(|v| (header::SET_COOKIE, v)));
    Ok(response)
}
