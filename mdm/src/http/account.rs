//! Account-driven enrolment: who signs in on an iPad with a Managed Apple Account makes it the school's, with the code of an invitation.
//!
//! The simple flow: the iPad asks the domain of the account where to enrol, is sent to a page to sign in, gets a token there and with it the
//! enrolment profile. Only iPads of the school (ADDE) come this way, not private ones (BYOD).
//! <https://developer.apple.com/documentation/devicemanagement/implementing-the-simple-authentication-user-enrollment-flow>

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::{Form, Json};
use inventory::{EnrolmentId, UnixMillis, clock};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Refused;
use super::ade::believed;
use super::enrol::{CHALLENGE_SECS, open, profile_response};
use crate::ade::machine::signed_by_a_device;
use crate::server::{Profile, Server};
use crate::values::ManagedAccount;

/// Where the iPad asks for its profile.
pub(super) const ENROL: &str = "/account";
/// The page to sign in.
pub(super) const SIGN_IN: &str = "/account/sign-in";

/// What the iPad asks the domain of the account.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Asked {
    #[serde(default)]
    model_family: String,
}

/// `GET /.well-known/com.apple.remotemanagement`: where to enrol.
/// <https://developer.apple.com/documentation/devicemanagement/get-.well-known-com.apple.remotemanagement>,
/// <https://developer.apple.com/documentation/devicemanagement/errorcodewellknownfailed>
pub(super) async fn discovery(State(server): State<Arc<Server>>, Query(asked): Query<Asked>) -> Response {
    if asked.model_family == "iPad" && server.profiles.topic().is_some() {
        let servers = json!([{ "Version": "mdm-adde", "BaseURL": server.profiles.url(ENROL) }]);
        return Json(json!({ "Servers": servers })).into_response();
    }
    let answer = json!({
        "code": "com.apple.well-known.failed",
        "description": "only iPads enrol here, and only with a push certificate",
        "message": "Hier werden nur iPads der Schule aufgenommen. / Only iPads of the school enrol here.",
    });
    (StatusCode::FORBIDDEN, Json(answer)).into_response()
}

/// What stands in the token that the iPad gets for signing in: the enrolment that was opened for it. Good as long as the challenge is.
#[derive(Serialize, Deserialize)]
struct Ticket {
    enrolment: EnrolmentId,
    challenge: String,
    account: ManagedAccount,
    ends_at: i64,
}

impl Ticket {
    fn of(server: &Server, headers: &HeaderMap, now: UnixMillis) -> Option<Self> {
        let sealed = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        let ticket = server.vault.unseal(PURPOSE, sealed)?;
        serde_json::from_slice(&ticket).ok().filter(|ticket: &Self| now.0 < ticket.ends_at)
    }
}

/// `POST /account`: the profile for who signed in; for everybody else the page to do so. Nobody who comes here is enrolled, so that 401 sends
/// nobody away.
pub(super) async fn enrol(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let now = clock::now();
    let Some(ticket) = Ticket::of(&server, &headers, now) else {
        let how = format!("Bearer method=\"apple-as-web\", url=\"{}\"", server.profiles.url(SIGN_IN));
        return Ok((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, how)]).into_response());
    };
    let (_, _turn) = believed(&server, body, signed_by_a_device).await?;
    let Ticket { enrolment, challenge, account, .. } = ticket;
    let wish = Profile {
        ipad: &enrolment.to_string(),
        challenge: &challenge,
        locked: false,
        account: Some(account),
    };
    profile_response(&server, &wish, now)
}

/// Who wants to sign in.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Who {
    user_identifier: ManagedAccount,
}

/// `GET /account/sign-in`
pub(super) async fn page(Query(who): Query<Who>) -> Response {
    form(&who.user_identifier, "")
}

/// What the form says.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Said {
    user_identifier: ManagedAccount,
    code: String,
}

/// `POST /account/sign-in`: with the link of an invitation, or the code at its end.
pub(super) async fn sign_in(
    State(server): State<Arc<Server>>,
    Form(said): Form<Said>,
) -> Result<Response, Refused> {
    let (now, account) = (clock::now(), said.user_identifier);
    let code = said.code.trim().rsplit('/').next().unwrap_or_default();
    let Some((enrolment, challenge)) = open(&server, code, Some(&account), now).await? else {
        return Ok(form(&account, UNKNOWN));
    };
    let ticket = Ticket { enrolment, challenge, account, ends_at: now.plus_secs(CHALLENGE_SECS).0 };
    let ticket = serde_json::to_vec(&ticket).ok().and_then(|ticket| server.vault.seal(PURPOSE, &ticket));
    let ticket = ticket.ok_or(Refused::Internal("a token cannot be sealed"))?;
    let back = format!("{CALLBACK}://authentication-results?access-token={ticket}");
    Ok((StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, back)]).into_response())
}

/// An account has no character that means anything to HTML.
fn form(account: &ManagedAccount, problem: &str) -> Response {
    let page = PAGE.replace("{account}", account.as_str()).replace("{problem}", problem);
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' {CALLBACK}:; frame-ancestors 'none'"
    );
    ([(header::CONTENT_SECURITY_POLICY, policy), (header::CACHE_CONTROL, "no-store".to_owned())], Html(page))
        .into_response()
}

/// A link has less than 200 bytes.
pub(super) const FORM_LIMIT: DefaultBodyLimit = DefaultBodyLimit::max(4096);
/// What the vault seals the token for.
const PURPOSE: &[u8] = b"enrolment by account";
/// The session on the iPad ends with an address of this scheme.
const CALLBACK: &str = "apple-remotemanagement-user-login";
const PAGE: &str = include_str!("account.html");
const UNKNOWN: &str = "Diesen Code gibt es nicht, oder er ist verbraucht oder abgelaufen. Bitte prüfen oder einen neuen geben lassen. \
     / There is no such code, or it is used up or over.";
