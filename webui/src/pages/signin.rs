//! Signing in and out, and the switch of the language.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use httpd::Peer;
use inventory::clock;

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Asked, Fields};
use crate::guard;
use crate::lang::{self, Lang};
use crate::page::{Here, Page, Visit, safe_path};
use crate::problem::Said;
use crate::session;
use crate::signin::{self, Begun};
use crate::texts::Texts;

#[derive(Template)]
#[template(path = "signin.html")]
pub(crate) struct SignIn {
    pub(crate) p: Page,
    pub(crate) problem: Option<Said>,
    /// Whether there is no account at all.
    pub(crate) nobody: bool,
    pub(crate) name: String,
    pub(crate) next: String,
}

/// Asks for the code of the second factor.
#[derive(Template)]
#[template(path = "signin_code.html")]
pub(crate) struct SignInCode {
    pub(crate) p: Page,
    pub(crate) problem: Option<Said>,
    pub(crate) next: String,
}

/// `GET /signin?next=/path`
pub(crate) async fn show(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Asked(query): Asked,
) -> Answer {
    let next = safe_path(query.text("next"));
    if guard::signed_in(&app, &headers).await?.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    visit.show(&SignIn {
        p: visit.page(Here::Nowhere),
        problem: None,
        nobody: !app.inventory.has_users().await?,
        name: String::new(),
        next: next.to_owned(),
    })
}

/// `POST /signin`
pub(crate) async fn sign_in(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    visit: Visit,
    form: Fields,
) -> Answer {
    let next = safe_path(form.text("next"));
    let name = form.text("name");
    match signin::begin(&app, name, form.verbatim("password"), peer.address.ip()).await {
        Ok(Begun::Whole(cookie)) => Ok(go(next, cookie)),
        Ok(Begun::Half(cookie)) => Ok(go(&with_next("/signin/code", next), cookie)),
        Err(failure @ (Failure::Input(_) | Failure::Wait(_) | Failure::Busy)) => {
            let page = SignIn {
                p: visit.page(Here::Nowhere),
                problem: Some(failure.say(visit.lang)),
                nobody: !app.inventory.has_users().await?,
                name: name.chars().take(60).collect(),
                next: next.to_owned(),
            };
            let mut response = visit.show(&page)?;
            *response.status_mut() = failure.status();
            Ok(response)
        }
        Err(other) => Err(other),
    }
}

/// `GET /signin/code`: the second step.
pub(crate) async fn show_code(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Asked(query): Asked,
) -> Answer {
    let next = safe_path(query.text("next"));
    if half(&app, &headers).await?.is_none() {
        return Ok(Redirect::to(&with_next("/signin", next)).into_response());
    }
    visit.show(&SignInCode { p: visit.page(Here::Nowhere), problem: None, next: next.to_owned() })
}

/// `POST /signin/code`
pub(crate) async fn sign_in_code(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    visit: Visit,
    headers: HeaderMap,
    form: Fields,
) -> Answer {
    let next = safe_path(form.text("next"));
    let token = session::token(&headers).unwrap_or_default();
    match signin::finish(&app, token, form.text("code"), peer.address.ip()).await {
        Ok(cookie) => Ok(go(next, cookie)),
        // The right password was too long ago.
        Err(Failure::NotSignedIn) => Ok(Redirect::to(&with_next("/signin", next)).into_response()),
        Err(failure @ (Failure::Input(_) | Failure::Wait(_))) => {
            let problem = Some(failure.say(visit.lang));
            let page = SignInCode { p: visit.page(Here::Nowhere), problem, next: next.to_owned() };
            let mut response = visit.show(&page)?;
            *response.status_mut() = failure.status();
            Ok(response)
        }
        Err(other) => Err(other),
    }
}

async fn half(app: &App, headers: &HeaderMap) -> Answer<Option<inventory::User>> {
    let Some(token) = session::token(headers) else { return Ok(None) };
    Ok(app.inventory.half_session(&session::token_hash(token), clock::now()).await?)
}

fn go(path: &str, cookie: HeaderValue) -> Response {
    let mut response = Redirect::to(path).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

fn with_next(path: &str, next: &str) -> String {
    if next == "/" { path.to_owned() } else { format!("{path}?next={}", guard::percent(next)) }
}

/// `POST /signout`
pub(crate) async fn sign_out(State(app): State<App>, visit: Visit, headers: HeaderMap) -> Answer {
    if let Some(token) = session::token(&headers) {
        app.inventory.end_session(&session::token_hash(token)).await?;
    }
    let mut response = visit.go("/signin", Texts::of(visit.lang).signed_out.to_owned());
    response.headers_mut().extend(expire(session::COOKIE));
    Ok(response)
}

/// `POST /language`: keeps the choice for a year and comes back.
pub(crate) async fn language(form: Fields) -> Response {
    let mut response = Redirect::to(safe_path(form.text("back"))).into_response();
    if let Some(chosen) = Lang::from_code(form.text("lang")) {
        let cookie = session::set_cookie(lang::COOKIE, chosen.code(), 365 * 86_400);
        response.headers_mut().extend(cookie.map(|value| (header::SET_COOKIE, value)));
    }
    response
}

fn expire(name: &str) -> Option<(header::HeaderName, HeaderValue)> {
    session::set_cookie(name, "", 0).map(|value| (header::SET_COOKIE, value))
}
