//! Profiles that declarations name.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use inventory::clock;
use uuid::Uuid;

use super::Refused;
use crate::server::Server;

/// `GET /profiles/{id}`: the id is the hash of the content, so only who was told of it finds it.
pub(super) async fn of_rules(
    State(server): State<Arc<Server>>,
    Path(id): Path<Uuid>,
) -> Result<Response, Refused> {
    let document = server.wishes.profile(id).ok_or(Refused::Absent)?;
    let _turn = server.signing.acquire().await.map_err(|_| Refused::Internal("nobody signs any more"))?;
    let signed = server.profiles.sign(&document, clock::now());
    let signed = signed.ok_or(Refused::Internal("a profile cannot be signed"))?;
    let headers =
        [(header::CONTENT_TYPE, "application/x-apple-aspen-config"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, signed).into_response())
}
