//! One's own sign-in by API: password and second factor.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use httpd::Peer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Me;
use crate::app::App;
use crate::failure::Answer;
use crate::fields::Body;
use crate::{people, second_factor, signin};

/// The password until now, and the one from now on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnPasswordBody {
    old: String,
    new: String,
}

/// Other sessions end.
pub(crate) async fn set_password(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    Extension(me): Me,
    Body(body): Body<OwnPasswordBody>,
) -> Answer<StatusCode> {
    signin::check_password(&app, &me.user.name, &body.old, peer.address.ip()).await?;
    people::change_own(&app, &me, &body.old, &body.new).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A second factor that waits for its first code.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EnrolmentJson {
    /// To be sent back with the first code.
    sealed: String,
    /// Base32, for an authenticator app.
    secret: String,
    /// The same as an address that apps scan.
    uri: String,
}

pub(crate) async fn enrol(State(app): State<App>, Extension(me): Me) -> Answer<Json<EnrolmentJson>> {
    let enrolment = second_factor::enrol(&app, &me.user)?;
    Ok(Json(EnrolmentJson { secret: enrolment.secret.text(), sealed: enrolment.sealed, uri: enrolment.uri }))
}

/// The first code of a second factor.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmBody {
    sealed: String,
    code: String,
}

/// Codes that open the account once each, without the phone. Nobody can see them again.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RecoveryJson {
    recovery_codes: Vec<String>,
}

pub(crate) async fn confirm(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<ConfirmBody>,
) -> Answer<Json<RecoveryJson>> {
    let recovery_codes = second_factor::confirm(&app, &me, &body.sealed, &body.code).await?;
    Ok(Json(RecoveryJson { recovery_codes }))
}

pub(crate) async fn clear(State(app): State<App>, Extension(me): Me) -> Answer<StatusCode> {
    app.inventory.clear_totp(me.by(), me.user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
