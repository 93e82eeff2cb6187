//! Who signs in: the password, the second factor where there is one, and the session that follows. Pages and API meet here.

use std::net::IpAddr;

use axum::http::HeaderValue;
use inventory::{By, UnixMillis, User, clock, password};

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::problem::Problem;
use crate::{second_factor, session};

/// What the right password began.
pub(crate) enum Begun {
    /// A session.
    Whole(HeaderValue),
    /// Half a session: the code of the second factor is to come.
    Half(HeaderValue),
}

/// Checks name and password and begins a session; returns its cookie.
pub(crate) async fn begin(app: &App, name: &str, password: &str, address: IpAddr) -> Answer<Begun> {
    let user = check_password(app, name, password, address).await?;
    if !user.second_factor {
        return open(app, &user).await.map(Begun::Whole);
    }
    let (token, by) = (session::fresh_token(), by(&user));
    let ends = by.at.plus_secs(HALF_SECS);
    app.inventory.create_half_session(by, user.id, &session::token_hash(&token), ends).await?;
    cookie(&token, HALF_SECS).map(Begun::Half)
}

/// Checks name, password and, where one is needed, a code at once, as a program gives them; returns the session's cookie.
pub(crate) async fn begin_at_once(
    app: &App,
    name: &str,
    password: &str,
    code: Option<&str>,
    address: IpAddr,
) -> Answer<HeaderValue> {
    let user = check_password(app, name, password, address).await?;
    if user.second_factor {
        let code = code.ok_or(Failure::field("code", Problem::Missing))?;
        second_factor::check(app, &user, code, address).await?;
    }
    open(app, &user).await
}

/// Checks the code that half a session waits for, and makes a whole one of it; returns its cookie.
pub(crate) async fn finish(app: &App, half_token: &str, code: &str, address: IpAddr) -> Answer<HeaderValue> {
    let hash = session::token_hash(half_token);
    let user = app.inventory.half_session(&hash, clock::now()).await?.ok_or(Failure::NotSignedIn)?;
    second_factor::check(app, &user, code, address).await?;
    app.inventory.end_session(&hash).await?;
    open(app, &user).await
}

/// The person, if name and password belong together. Slowed down for whoever guesses.
pub(crate) async fn check_password(app: &App, name: &str, password: &str, address: IpAddr) -> Answer<User> {
    attempt(app, name, address)?;
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
    Ok(user)
}

/// Counts an attempt, or says how long to wait.
pub(crate) fn attempt(app: &App, account: &str, address: IpAddr) -> Answer<()> {
    app.attempt(account, address).map_err(|secs| {
        tracing::warn!(peer.address = %address, "too many wrong passwords or codes; this sign-in has to wait");
        Failure::Wait(secs)
    })
}

async fn open(app: &App, user: &User) -> Answer<HeaderValue> {
    let (token, by) = (session::fresh_token(), by(user));
    let ends: UnixMillis = by.at.plus_secs(session::SESSION_SECS);
    app.inventory.create_session(by, user.id, &session::token_hash(&token), ends).await?;
    cookie(&token, session::SESSION_SECS)
}

fn by(user: &User) -> By<'_> {
    By { actor: &user.name, at: clock::now() }
}

fn cookie(token: &str, secs: u64) -> Answer<HeaderValue> {
    session::set_cookie(session::COOKIE, token, secs).ok_or(Failure::Internal)
}

/// How long a right password waits for its code.
const HALF_SECS: u64 = 5 * 60;
