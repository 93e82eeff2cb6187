//! Asking for the password again before something that hurts: whoever finds a page left open can look, but not take the school over.
//!
//! A form that comes too late is answered with a page that asks for the password and carries the form along; the right password sends it
//! on its way. Nothing has to be filled in twice.

use askama::Template;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest as _, FromRequestParts as _, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use httpd::Peer;
use inventory::UnixMillis;

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::fields::Fields;
use crate::page::{Here, Page, Visit};
use crate::problem::Said;
use crate::routes::BODY_BYTES_MAX;
use crate::signin;

/// Asks for the password, and carries a form along.
#[derive(Template)]
#[template(path = "again.html")]
struct Again {
    p: Page,
    problem: Option<Said>,
    action: String,
    fields: Vec<(String, String)>,
}

/// Whether the password was given lately.
pub(crate) fn is_fresh(authenticated_at: UnixMillis, now: UnixMillis) -> bool {
    (0..FRESH_MILLIS).contains(&now.millis_since(authenticated_at))
}

/// Lets a form pass that brings the password; answers any other with the page that asks for it. The extensions hold who is signed in.
pub(crate) async fn ask(app: &App, me: &SignedIn, request: Request) -> Result<Request, Response> {
    let (mut parts, body) = request.into_parts();
    let bytes = to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| Failure::Malformed(String::new()).into_response())?;
    let fields = read(&parts, bytes.clone()).await.map_err(Failure::into_response)?;
    match fields.verbatim(FIELD) {
        "" => Err(page(app, &mut parts, fields, None).await),
        password => match confirm(app, me, &parts, password).await {
            Ok(()) => Ok(Request::from_parts(parts, Body::from(bytes))),
            Err(failure @ (Failure::Input(_) | Failure::Wait(_) | Failure::Busy)) => {
                Err(page(app, &mut parts, fields, Some(failure)).await)
            }
            Err(other) => Err(other.into_response()),
        },
    }
}

async fn confirm(app: &App, me: &SignedIn, parts: &Parts, password: &str) -> Answer<()> {
    let peer = parts.extensions.get::<Peer>().ok_or(Failure::Internal)?;
    signin::check_password(app, &me.user.name, password, peer.address.ip()).await?;
    Ok(app.inventory.renew_session(me.by(), &me.session).await?)
}

async fn read(parts: &Parts, bytes: Bytes) -> Answer<Fields> {
    let mut request = Request::new(Body::from(bytes));
    *request.method_mut() = parts.method.clone();
    *request.headers_mut() = parts.headers.clone();
    Fields::from_request(request, &()).await
}

async fn page(app: &App, parts: &mut Parts, fields: Fields, failure: Option<Failure>) -> Response {
    let Ok(visit) = Visit::from_request_parts(parts, app).await;
    let page = Again {
        p: visit.page(Here::Nowhere),
        problem: failure.as_ref().map(|failure| failure.say(visit.lang)),
        action: parts.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned(),
        fields: fields.into_pairs().into_iter().filter(|(name, _)| name != FIELD).collect(),
    };
    match visit.show(&page) {
        Ok(mut response) => {
            *response.status_mut() =
                failure.map_or(Failure::PasswordNeeded.status(), |failure| failure.status());
            response
        }
        Err(failure) => failure.into_response(),
    }
}

/// Field of the password in the form that asks for it.
const FIELD: &str = "password-again";
/// A password counts as just given for a quarter of an hour.
const FRESH_MILLIS: i64 = 15 * 60 * 1000;
