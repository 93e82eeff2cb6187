//! Profiles that declarations name.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use inventory::mdm::secret_hash;
use inventory::{EnrolmentId, clock};
use uuid::Uuid;

use super::Refused;
use super::enrol::{CHALLENGE_SECS, challenge};
use crate::server::Server;
use crate::wanted::with_challenge;

/// `GET /profiles/{id}`: the id is the hash of the content, so only who was told of it finds it.
pub(super) async fn of_rules(
    State(server): State<Arc<Server>>,
    Path(id): Path<Uuid>,
) -> Result<Response, Refused> {
    let document = server.wishes.profile(id).ok_or(Refused::Absent)?;
    signed(&server, &document).await
}

/// `GET /profiles/{id}/{ipad}`: one that brings an iPad a certificate of its own, with the password for it.
pub(super) async fn of_one(
    State(server): State<Arc<Server>>,
    Path((id, ipad)): Path<(Uuid, Uuid)>,
) -> Result<Response, Refused> {
    let ipad = EnrolmentId(ipad);
    let document = server.wishes.own_profile(id, ipad).ok_or(Refused::Absent)?;
    let (challenge, by) = (challenge()?, server.by(clock::now()));
    let ends_at = by.at.plus_secs(CHALLENGE_SECS);
    if !server.inventory.challenge_for_wlan(by, ipad, &secret_hash(&challenge), ends_at).await? {
        return Err(Refused::Absent);
    }
    signed(&server, &with_challenge(&document, &challenge)).await
}

async fn signed(server: &Server, document: &[u8]) -> Result<Response, Refused> {
    let _turn = server.signing.acquire().await.map_err(|_| Refused::Internal("nobody signs any more"))?;
    let signed = server.profiles.sign(document, clock::now());
    let signed = signed.ok_or(Refused::Internal("a profile cannot be signed"))?;
    let headers =
        [(header::CONTENT_TYPE, "application/x-apple-aspen-config"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, signed).into_response())
}
