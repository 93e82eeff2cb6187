//! Signing in and out, and the switch of the language.

use std::net::IpAddr;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use httpd::Peer;
use inventory::{By, clock};

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Asked, Fields};
use crate::guard;
use crate::lang::{self, Lang};
use crate::page::{Here, Page, Visit, safe_path};
use crate::password;
use crate::problem::{Problem, Said};
use crate::session;
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
    match begin_session(&app, name, form.verbatim("password"), peer.address.ip()).await {
        Ok(cookie) => {
            let mut response = Redirect::to(next).into_response();
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            Ok(response)
        }
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

/// Checks name and password and begins a session; returns its cookie.
pub(crate) async fn begin_session(
    app: &App,
    name: &str,
    password: &str,
    address: IpAddr,
) -> Answer<HeaderValue> {
    app.attempt(name, address).map_err(|secs| {
        tracing::warn!(peer.address = %address, "too many wrong passwords; this sign-in has to wait");
        Failure::Wait(secs)
    })?;
    let user = app.inventory.user_by_name(name).await?.filter(|user| user.deactivated_at.is_none());
    let hash = user.as_ref().map(|user| user.password_hash.as_str());
    let right = app.passwords.check(password, hash).await.map_err(|_| Failure::Busy)?;
    let Some(user) = user.filter(|_| right) else {
        tracing::info!(peer.address = %address, "a sign-in was refused: wrong name or password");
        return Err(Failure::field("password", Problem::WrongPassword));
    };
    app.succeeded(name, address);
    if password::is_cheap(&user.password_hash) {
        // A server that is busy does it next time.
        if let Ok(Ok(hash)) = app.passwords.hash(password).await {
            app.inventory.rehash_password(user.id, &user.password_hash, &hash).await?;
        }
    }
    let token = session::fresh_token();
    let by = By { actor: &user.name, at: clock::now() };
    let ends = by.at.plus_secs(session::SESSION_SECS);
    app.inventory.create_session(by, user.id, &session::token_hash(&token), ends).await?;
    session::set_cookie(session::COOKIE, &token, session::SESSION_SECS).ok_or(Failure::Internal)
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
