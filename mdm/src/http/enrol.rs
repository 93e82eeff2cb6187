//! The link of an invitation.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use inventory::mdm::secret_hash;
use inventory::{EnrolmentId, UnixMillis, clock};

use super::Refused;
use crate::server::{Profile, Server, fresh_challenge};
use crate::values::ManagedAccount;

/// `GET /enrol/{token}`: the enrolment profile, with a challenge that is good for one key and a quarter of an hour.
pub(super) async fn profile(
    State(server): State<Arc<Server>>,
    Path(token): Path<String>,
) -> Result<Response, Refused> {
    let now = clock::now();
    let (enrolment, challenge) = open(&server, &token, None, now).await?.ok_or(Refused::Absent)?;
    let wish = Profile { ipad: &enrolment.to_string(), challenge: &challenge, locked: false, account: None };
    profile_response(&server, &wish, now)
}

/// Opens an invitation: an enrolment to be, and its challenge. `None` when there is no such invitation, or it is used up.
pub(super) async fn open(
    server: &Server,
    token: &str,
    account: Option<&ManagedAccount>,
    now: UnixMillis,
) -> Result<Option<(EnrolmentId, String)>, Refused> {
    let challenge = challenge()?;
    let (token, hash, ends_at) = (secret_hash(token), secret_hash(&challenge), now.plus_secs(CHALLENGE_SECS));
    let account = account.map(ManagedAccount::as_str);
    let opened = server.inventory.open_invitation(server.by(now), &token, &hash, ends_at, account).await?;
    Ok(opened.map(|opened| {
        tracing::info!(invitation.id = %opened.invitation, ipad.id = %opened.enrolment, "an invitation was opened");
        (opened.enrolment, challenge)
    }))
}

/// A password for one certificate.
pub(super) fn challenge() -> Result<String, Refused> {
    fresh_challenge().ok_or(Refused::Internal("the system has no randomness"))
}

/// The enrolment profile as it goes to an iPad.
pub(super) fn profile_response(
    server: &Server,
    wish: &Profile<'_>,
    now: UnixMillis,
) -> Result<Response, Refused> {
    let signed = server.profiles.enrolment(wish, now);
    let signed = signed
        .ok_or(Refused::Internal("the enrolment profile cannot be made; is there a push certificate?"))?;
    let name = "attachment; filename=\"schule.mobileconfig\"";
    let headers = [
        (header::CONTENT_TYPE, "application/x-apple-aspen-config"),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, signed).into_response())
}

/// How long a challenge holds.
pub(super) const CHALLENGE_SECS: u64 = 15 * 60;
