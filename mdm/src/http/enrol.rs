//! The link of an invitation.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use inventory::clock;
use inventory::mdm::secret_hash;
use rand::RngCore as _;

use super::Refused;
use crate::server::Server;

/// `GET /enrol/{token}`: the enrolment profile, with a password for one certificate that holds a quarter of an hour.
pub(super) async fn profile(
    State(server): State<Arc<Server>>,
    Path(token): Path<String>,
) -> Result<Response, Refused> {
    let challenge = fresh_challenge();
    let by = server.by(clock::now());
    let ends_at = by.at.plus_secs(CHALLENGE_SECS);
    let opened =
        server.inventory.open_invitation(by, &secret_hash(&token), &secret_hash(&challenge), ends_at).await?;
    let opened = opened.ok_or(Refused::Absent)?;
    tracing::info!(invitation.id = %opened.invitation, ipad.id = %opened.enrolment, "an invitation was opened");
    let signed = server.profiles.enrolment(&opened.enrolment.to_string(), &challenge, by.at);
    let signed = signed.ok_or(Refused::Internal("the enrolment profile cannot be made"))?;
    let name = "attachment; filename=\"schule.mobileconfig\"";
    let headers = [
        (header::CONTENT_TYPE, "application/x-apple-aspen-config"),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, signed).into_response())
}

/// A password that nobody guesses.
pub(super) fn fresh_challenge() -> String {
    let mut challenge = [0; 24];
    rand::rng().fill_bytes(&mut challenge);
    data_encoding::BASE32_NOPAD.encode(&challenge)
}

/// How long a challenge holds.
pub(super) const CHALLENGE_SECS: u64 = 15 * 60;
